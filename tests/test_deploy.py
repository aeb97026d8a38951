"""What is in deploy/ fits the gateway: options, metrics, limits and promises are checked against the code."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from s3gw.credentials import KeyRing
from s3gw.settings import OPTIONS, ConfigurationError, Settings, read_settings
from tests.live.case import LiveCase
from tests.live.server import shared_server
from tests.live.wire import Wire

CHECKOUT = Path(__file__).resolve().parents[1]
DEPLOY = CHECKOUT / "deploy"
SERVICE = DEPLOY / "s3gw.service"
SOCKET = DEPLOY / "s3gw.socket"
NAMES = {option.name for option in OPTIONS}


def directives(path: Path) -> dict[str, list[str]]:
    """What a unit sets: every value of each name, in order."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def options(words: str) -> dict[str, list[str]]:
    """The options on a command line behind ``s3gw``."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"--(\w+)=(\S+)", words.partition(" s3gw ")[2]):
        found.setdefault(name, []).append(value)
    return found


class UnitTests(SynchronousTestCase):
    """deploy/s3gw.service and deploy/s3gw.socket"""

    def settings(self) -> Settings:
        """What the service is started with."""
        (start,) = directives(SERVICE)["ExecStart"]
        filled = start.replace("%S", "/var/lib").replace("%d", "/run/credentials/s3gw.service")
        return read_settings(options(filled), {})

    def test_options(self) -> None:
        """Its command line is one that the gateway takes, and refuses requests without a signature."""
        settings = self.settings()
        self.assertEqual(settings.auth, "sigv4")
        self.assertEqual([each.endpoint for each in settings.listen], ["systemd:domain=INET:index=0"])
        unit = directives(SERVICE)
        (state,) = unit["StateDirectory"]
        for path in (settings.db_path, settings.checkpoint_dir):
            assert path is not None
            self.assertTrue(path.is_relative_to(f"/var/lib/{state}"), path)
        credential = unit["LoadCredential"][0].partition(":")[0]
        self.assertEqual(str(settings.credentials_file), f"/run/credentials/s3gw.service/{credential}")

    def test_limits(self) -> None:
        """There is time for the drain, and room for as many connections as are served."""
        unit, settings = directives(SERVICE), self.settings()
        self.assertGreaterEqual(int(unit["TimeoutStopSec"][0]), settings.drain_seconds + 30)
        self.assertGreater(int(unit["LimitNOFILE"][0]), 4 * settings.max_connections)
        self.assertEqual((unit["KillSignal"], unit["Restart"]), (["SIGTERM"], ["on-failure"]))
        self.assertEqual(unit["StartLimitIntervalSec"], ["0"])

    def test_socket(self) -> None:
        """The service gets the one socket that the other unit holds, of the family that it expects."""
        socket = directives(SOCKET)
        (address,) = socket["ListenStream"]
        self.assertRegex(address, r"^[\d.]+:9000$")
        self.assertIn("s3gw.socket", directives(SERVICE)["Requires"][0])

    def test_no_secrets(self) -> None:
        """No secret is on a command line, where everybody can read it."""
        self.assertNotIn("secret_key", SERVICE.read_text() + SOCKET.read_text())

    def analyze(self, *words: str) -> str:
        """What systemd says of the units."""
        program = shutil.which("systemd-analyze")
        if program is None:
            raise SkipTest("systemd-analyze is not installed")
        place = Path(self.mktemp())
        place.mkdir()
        for unit in (SERVICE, SOCKET):
            text = unit.read_text().replace("/opt/s3gw/bin/twistd", "/bin/true")
            (place / unit.name).write_text(text)
        done = subprocess.run([program, *words], cwd=place, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout + done.stderr

    def test_verify(self) -> None:
        """systemd finds nothing to complain of."""
        said = self.analyze("verify", "./s3gw.service", "./s3gw.socket")
        self.assertNotIn("s3gw.", said)

    def test_security(self) -> None:
        """systemd finds little that the service could do but what it has to (0 is nothing, 10 everything)."""
        said = self.analyze("security", "--offline=true", "./s3gw.service")
        found = re.search(r"exposure level for \S+: ([\d.]+)", said)
        assert found is not None
        self.assertLessEqual(float(found[1]), 2.0)


class CredentialTests(SynchronousTestCase):
    """The credentials file, as systemd hands it over."""

    def test_lent(self) -> None:
        """A file whose group bits are the mask of an access control list is taken in systemd's directory alone."""
        place = Path(self.mktemp()).absolute()
        place.mkdir()
        path = place / "credentials"
        path.write_text("[user]\naws_access_key_id = SOMEKEY\naws_secret_access_key = a-secret-of-some-length\n")
        path.chmod(0o440)
        settings = Settings(auth="sigv4", credentials_file=path)
        self.assertRaises(ConfigurationError, KeyRing.of, settings)
        self.patch(os, "environ", {**os.environ, "CREDENTIALS_DIRECTORY": str(place)})
        KeyRing.of(settings)
        path.chmod(0o444)
        self.assertRaises(ConfigurationError, KeyRing.of, settings)


class DockerfileTests(SynchronousTestCase):
    """deploy/Dockerfile"""

    def instructions(self) -> list[tuple[str, str]]:
        """Its instructions, each on one line."""
        text = re.sub(r"(?m)^#.*\n", "", (DEPLOY / "Dockerfile").read_text())
        lines = re.sub(r"\\\n\s*", " ", text).splitlines()
        return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]

    def last(self, name: str) -> str:
        """The instruction of this name that counts."""
        return [rest for word, rest in self.instructions() if word == name][-1]

    def test_user(self) -> None:
        """It runs as a numbered user who is not root, and nothing behind that runs as root."""
        user = self.last("USER")
        self.assertRegex(user, r"^[1-9]\d+:[1-9]\d+$")
        words = [word for word, _ in self.instructions()]
        self.assertNotIn("RUN", words[len(words) - words[::-1].index("USER") :])

    def test_bases(self) -> None:
        """Its bases are named with a version, and pip leaves no cache in them."""
        for word, rest in self.instructions():
            if word == "FROM":
                self.assertRegex(rest, r"^[a-z]+:\d+\.\d+-slim-[a-z]+( AS build)?$")
            if word == "RUN":
                self.assertEqual("pip install" in rest, "--no-cache-dir" in rest)

    def test_written(self) -> None:
        """Only the volume is written, so the root file system may be read-only; there the database is."""
        volume = self.last("VOLUME")
        self.assertEqual(self.environment()["S3GW_DB_PATH"], f"{volume}/db")
        self.assertEqual(self.last("WORKDIR"), volume)
        self.assertIn("--pidfile=", json.loads(self.last("ENTRYPOINT")))

    def environment(self) -> dict[str, str]:
        """The variables that it sets."""
        return dict(re.findall(r"(\w+)=(\S+)", self.last("ENV")))

    def test_options(self) -> None:
        """Its variables are options, and nobody is served without a key."""
        environment = self.environment()
        ours = {name[5:].lower() for name in environment if name.startswith("S3GW_")}
        self.assertTrue(ours <= NAMES, ours)
        self.assertRaises(ConfigurationError, read_settings, {}, environment)
        settings = read_settings({}, {**environment, "S3GW_ACCESS_KEY": "SOMEKEY", "S3GW_SECRET_KEY": "x" * 20})
        self.assertEqual(settings.listen[0].spelling, f"0.0.0.0:{self.last('EXPOSE')}")

    def test_health(self) -> None:
        """Its health check is Python that compiles, and asks for readiness at the port that is listened on."""
        _, _, words = self.last("HEALTHCHECK").partition(" CMD ")
        python, dash_c, script = json.loads(words)
        self.assertEqual((python, dash_c), ("python", "-c"))
        compile(script, "healthcheck", "exec")
        asked = f"http://127.0.0.1:{self.last('EXPOSE')}/_health/ready"
        self.assertIn(asked, script)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            nobody = silent.getsockname()[1]
        for port, status in ((shared_server().port, 0), (nobody, 1)):
            there = script.replace(asked, f"http://127.0.0.1:{port}/_health/ready")
            done = subprocess.run([sys.executable, "-c", there], capture_output=True, timeout=60, check=False)
            self.assertEqual(done.returncode, status, done.stderr)

    def test_sources(self) -> None:
        """Everything that it copies exists, and is let through by its list of what is ignored."""
        allowed = re.findall(r"(?m)^!(\S+)", (DEPLOY / "Dockerfile.dockerignore").read_text())
        for word, rest in self.instructions():
            if word == "COPY" and not rest.startswith("--from"):
                for source in rest.split()[:-1]:
                    self.assertTrue((CHECKOUT / source).exists(), source)
                    self.assertIn(source, allowed)


class MetricsTests(LiveCase):
    """deploy/grafana.json and deploy/alerts.yml"""

    def exposed(self) -> str:
        """What /metrics says of a gateway."""
        wire = Wire(self.server)
        self.addCleanup(wire.close)
        return wire.ask("GET", "/metrics").body.decode()

    def expressions(self) -> Iterator[str]:
        """Every query in the dashboard and the rules."""
        yield from re.findall(r"(?m)^        expr: (.+)$", (DEPLOY / "alerts.yml").read_text())
        dashboard: dict[str, Any] = json.loads((DEPLOY / "grafana.json").read_text())
        for panel in dashboard["panels"]:
            yield from (target["expr"] for target in panel["targets"])
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield variable["query"]["query"]

    def test_names(self) -> None:
        """Every family, and every value of a label, that is asked for is there."""
        text = self.exposed()
        expressions = list(self.expressions())
        self.assertGreater(len(expressions), 25)
        for expression in expressions:
            names = re.findall(r"\b(s3gw_\w+)", expression)
            self.assertTrue(names or expression.startswith("up"), expression)
            for name in names:
                self.assertRegex(text, rf"(?m)^{name}[{{ ]", expression)
            for label, equals, values in re.findall(r'(name|status|method|op)(=~?)"([^"]+)"', expression):
                for value in values.split("|") if equals == "=~" else [values]:
                    self.assertIn(f'{label}="{value}"', text, expression)

    def test_all_families_shown(self) -> None:
        """Every family is somewhere in the dashboard."""
        shown = " ".join(self.expressions())
        for name in re.findall(r"(?m)^# TYPE (s3gw_\w+)", self.exposed()):
            self.assertIn(name, shown)

    def test_panels(self) -> None:
        """Panels have names of their own and do not overlap."""
        panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        self.assertEqual(len({panel["title"] for panel in panels}), len(panels))
        taken: set[tuple[int, int]] = set()
        for panel in panels:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(taken & cells, panel["title"])
            taken |= cells


CALM, RISING = "0+0x{steps}", "0+1x{steps}"

ALERTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "S3gwDown": ({"up": "0x{steps}"}, {"up": "1x{steps}"}),
    "S3gwCorruption": ({"s3gw_corruptions_total": RISING}, {"s3gw_corruptions_total": CALM}),
    "S3gwScrubFoundDamage": ({"s3gw_scrub_damaged_total": RISING}, {"s3gw_scrub_damaged_total": CALM}),
    "S3gwStoreBroken": (
        {'s3gw_store_property{name="background_errors"}': "1x{steps}"},
        {'s3gw_store_property{name="background_errors"}': CALM, 's3gw_store_property{name="sst_bytes"}': RISING},
    ),
    "S3gwWritesStopped": (
        {'s3gw_store_property{name="write_stopped"}': "1x{steps}"},
        {'s3gw_store_property{name="write_stopped"}': CALM},
    ),
    "S3gwErrors": (
        {
            's3gw_responses_total{status="2xx"}': "0+90x{steps}",
            's3gw_responses_total{status="5xx"}': "0+1x{steps}",
            's3gw_responses_total{status="cut"}': "0+1x{steps}",
        },
        {
            's3gw_responses_total{status="2xx"}': "0+50x{steps}",
            's3gw_responses_total{status="4xx"}': "0+50x{steps}",
            's3gw_responses_total{status="5xx"}': CALM,
        },
    ),
    "S3gwStoreErrors": (
        {'s3gw_rocksdb_errors_total{op="write"}': RISING},
        {'s3gw_rocksdb_errors_total{op="write"}': CALM},
    ),
    "S3gwSlow": (
        {
            's3gw_request_latency_ms_bucket{le="1000.0"}': "0+98x{steps}",
            's3gw_request_latency_ms_bucket{le="5000.0"}': "0+100x{steps}",
            's3gw_request_latency_ms_bucket{le="+Inf"}': "0+100x{steps}",
        },
        {
            's3gw_request_latency_ms_bucket{le="1000.0"}': "0+100x{steps}",
            's3gw_request_latency_ms_bucket{le="+Inf"}': "0+100x{steps}",
        },
    ),
    "S3gwCompactionBehind": (
        {'s3gw_store_property{name="pending_compaction_bytes"}': "70000000000x{steps}"},
        {'s3gw_store_property{name="pending_compaction_bytes"}': "60000000000x{steps}"},
    ),
    "S3gwCheckpointFailed": ({"s3gw_checkpoint_errors_total": RISING}, {"s3gw_checkpoint_errors_total": CALM}),
    "S3gwLifecycleFails": ({"s3gw_lifecycle_errors_total": RISING}, {"s3gw_lifecycle_errors_total": "0x1 1x{steps}"}),
    "S3gwCheckpointOld": (
        {"s3gw_last_checkpoint_timestamp_seconds": "60x{steps}"},
        {"s3gw_last_checkpoint_timestamp_seconds": CALM},
    ),
}
"""For each alert, what makes it go off, and what does not; a value a minute for `ALERT_STEPS` minutes."""

ALERT_STEPS = 30
DAYS = {"S3gwCheckpointOld": (5, 2 * 24 * 60 // 5)}
"""Those that take longer: minutes between two values, and how many values."""


class AlertTests(SynchronousTestCase):
    """deploy/alerts.yml, as Prometheus understands it"""

    def tool(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run promtool where the rules are."""
        program = shutil.which("promtool")
        if program is None:
            raise SkipTest("promtool is not installed")
        return subprocess.run([program, *words], cwd=DEPLOY, capture_output=True, text=True, timeout=60, check=False)

    def test_rules(self) -> None:
        """They are rules, and each is tried here."""
        done = self.tool("check", "rules", "alerts.yml")
        self.assertEqual(done.returncode, 0, done.stderr)
        names = re.findall(r"(?m)^      - alert: (\w+)$", (DEPLOY / "alerts.yml").read_text())
        self.assertEqual(names, list(ALERTS))

    def firing(self, name: str, series: dict[str, str]) -> bool:
        """Whether an alert goes off, of a gateway that shows this."""
        labels = 'job="s3gw",instance="here"'
        values = {
            metric.replace("{", "{" + labels + ",") if "{" in metric else f"{metric}{{{labels}}}": value
            for metric, value in series.items()
        }
        minutes, steps = DAYS.get(name, (1, ALERT_STEPS))
        trial = {
            "interval": f"{minutes}m",
            "input_series": [{"series": each, "values": value.format(steps=steps)} for each, value in values.items()],
            "alert_rule_test": [{"eval_time": f"{minutes * steps}m", "alertname": name}],
        }
        path = Path(self.mktemp()).absolute()
        # JSON is YAML.
        every = {"rule_files": [str(DEPLOY / "alerts.yml")], "evaluation_interval": f"{minutes}m"}
        path.write_text(json.dumps({**every, "tests": [trial]}))
        done = self.tool("test", "rules", str(path))
        if done.returncode:
            self.assertIn("got:[", re.sub(r"\s", "", done.stdout + done.stderr))
        return bool(done.returncode)

    def test_alarms(self) -> None:
        """Each alert goes off when there is reason for it, and only then."""
        for name, (reason, none) in ALERTS.items():
            self.assertTrue(self.firing(name, reason), name)
            self.assertFalse(self.firing(name, none), name)
