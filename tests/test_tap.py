"""Tests of `s3gw.tap`: what twistd's user types, and what that user reads when it cannot be done."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from twisted.application.service import IService, IServiceMaker
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

import s3gw
from s3gw.settings import OPTIONS, ConfigurationError, Settings
from s3gw.tap import Options, makeService, one_line_hook

TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]


class OptionsCase(SynchronousTestCase):
    """A test whose environment says nothing about the gateway."""

    def setUp(self) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("S3GW_")}
        self.patch(os, "environ", clean)

    def parse(self, *words: str) -> Settings:
        """What these words come to."""
        options = Options()
        options.parseOptions(words)
        return options.settings

    def refusal(self, *words: str) -> str:
        """The line with which they are refused."""
        line = str(self.assertRaises(UsageError, self.parse, *words))
        self.assertEqual(line.splitlines(), [line])
        return line


class OptionsTests(OptionsCase):
    """`Options` without twistd."""

    def test_nothing(self) -> None:
        """Every option has a default."""
        self.assertEqual(self.parse(), Settings())

    def test_repeatable(self) -> None:
        """--listen and --virtual_host_suffix add up; of any other option the last one counts."""
        settings = self.parse(
            "--listen=127.0.0.1:1", "--threads=1", "--virtual_host_suffix=a.test", "--listen", "[::1]:2",
            "--virtual_host_suffix=b.test", "--threads=2",
        )  # fmt: skip
        self.assertEqual([listener.spelling for listener in settings.listen], ["127.0.0.1:1", "[::1]:2"])
        self.assertEqual(settings.virtual_host_suffixes, ("a.test", "b.test", "localhost", "s3.localhost"))
        self.assertEqual(settings.threads, 2)

    def test_hyphens(self) -> None:
        """--db-path is --db_path; hyphens of the value are left alone."""
        self.assertEqual(self.parse("--db-path=/srv/a-b", "--cache-mb", "7").db_path, Path("/srv/a-b"))

    def test_environment(self) -> None:
        """The environment fills in what the command line leaves out."""
        os.environ.update(S3GW_THREADS="3", S3GW_CACHE_MB="3")
        settings = self.parse("--threads=4")
        self.assertEqual((settings.threads, settings.cache_mb), (4, 3))

    def test_value_that_may_be_left_out(self) -> None:
        """--generate_tls_cert works with and without a directory."""
        tls = ("--listen=https://127.0.0.1:0", "--db_path=/srv/s3")
        self.assertEqual(self.parse(*tls, "--generate_tls_cert").generate_tls_cert, Path("/srv/s3-tls"))
        self.assertEqual(self.parse(*tls, "--generate-tls-cert=/d").generate_tls_cert, Path("/d"))

    def test_refused(self) -> None:
        """An unknown option, a stray word, a missing or a bad value: one line, and nothing is ignored."""
        table = {
            ("--colour=red",): "option --colour not recognized",
            ("--listen",): "option --listen requires argument",
            ("data",): "'data' is no option and belongs to none",
            ("--threads=2", "x", "--cache_mb=1"): "'x' is no option and belongs to none",
            ("--threads=none",): "--threads=none: a whole number from 1 to 256 is needed",
            ("--listen=9000",): "--listen=9000: host:port",
            ("--auth=sigv4",): "--auth=sigv4 needs keys",
            ("--access_key=AKID", "--secret_key=12345678"): "keys are given, but --auth=none",
        }
        for words, line in table.items():
            with self.subTest(" ".join(words)):
                self.assertIn(line, self.refusal(*words))

    def test_secret_on_the_command_line(self) -> None:
        """It works, is complained about in the log, and is not kept with the options."""
        warned = self.warnings_of("--auth=sigv4", "--access_key=AKID", "--secret_key=SECRET12")
        self.assertEqual(len(warned), 1)
        self.assertIn("S3GW_SECRET_KEY", warned[0])

    def test_secret_in_the_environment(self) -> None:
        """That is where it belongs: no complaint."""
        os.environ["S3GW_SECRET_KEY"] = "SECRET12"
        self.assertEqual(self.warnings_of("--auth=sigv4", "--access_key=AKID"), [])

    def warnings_of(self, *words: str) -> list[str]:
        """What the log says while these options with a secret are parsed; the secret is in none of it."""
        said: list[str] = []

        def observer(event: LogEvent) -> None:
            said.append(formatEvent(event))

        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        options = Options()
        options.parseOptions(words)
        self.assertEqual(options.settings.secret_key, "SECRET12")
        self.assertNotIn("SECRET12", f"{dict(options)} {options.settings} {said}")
        return said

    def test_help(self) -> None:
        """The help fits a terminal and tells of every option."""
        text = str(Options())
        self.assertEqual([line for line in text.splitlines() if len(line) > 80], [])
        for option in OPTIONS:
            self.assertIn(f"--{option.name}=", text)


class ServiceTests(OptionsCase):
    """`makeService`."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(sys, "excepthook", sys.excepthook)

    def make(self, *words: str) -> IService:
        """The service of these options."""
        options = Options()
        options.parseOptions(words)
        return makeService(options)

    def test_plugin(self) -> None:
        """twistd finds the gateway under its name."""
        found = [maker for maker in getPlugins(IServiceMaker) if maker.tapname == "s3gw"]
        self.assertEqual([(maker.options, maker.makeService) for maker in found], [(Options, makeService)])

    def test_nothing_happens_yet(self) -> None:
        """A service that was not started has bound no port and made no directory."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            path = Path(self.mktemp())
            service = self.make(f"--listen=127.0.0.1:{taken.getsockname()[1]}", f"--db_path={path}")
        self.assertTrue(IService.providedBy(service))
        self.assertFalse(path.exists())

    def test_known_beforehand(self) -> None:
        """What needs no port and no database to be known ends the process with one line."""
        tls = "--listen=https://127.0.0.1:0"
        table = {
            ("--listen=onion:80:x=y",): "s3gw: --listen=onion:80:x=y: Unknown endpoint type: 'onion'",
            ("--auth=sigv4", "--credentials_file=/no"): "s3gw: credentials file /no: No such file or directory",
            (tls, "--tls_cert=/missing.pem"): "s3gw: /missing.pem: No such file or directory",
            (tls, "--generate_tls_cert=/dev/null/tls"): "s3gw: --generate_tls_cert: /dev/null/tls: Not a directory",
        }
        for words, line in table.items():
            with self.subTest(line):
                self.assertEqual(self.assertRaises(SystemExit, self.make, *words).code, line)

    def test_one_line_hook(self) -> None:
        """What the service finds out later is one line as well; real trouble keeps its traceback."""
        said: list[str] = []
        others: list[object] = []
        hook = one_line_hook(lambda *arguments: others.append(arguments), said.append)
        known, unknown = ConfigurationError("port taken"), ValueError("bug")
        hook(ConfigurationError, known, None)
        hook(ValueError, unknown, None)
        self.assertEqual((said, others), (["port taken"], [(ValueError, unknown, None)]))


class TwistdTests(SynchronousTestCase):
    """The real twistd, as far as the line with which it gives up."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)

    def twistd(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run twistd in an empty directory until it ends."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("S3GW_")}
        environ["PYTHONPATH"] = str(Path(s3gw.__file__).parents[1])
        return subprocess.run(
            [*TWISTD, *words], cwd=self.directory, env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    def assert_one_line(self, ran: subprocess.CompletedProcess[str], pattern: str) -> None:
        """It failed, with this as the one line on stderr, and left no pid file."""
        self.assertEqual(ran.returncode, 1, ran)
        self.assertRegex(ran.stderr, rf"\As3gw: {pattern}\n\Z")
        self.assertEqual(list(self.directory.glob("*.pid")), [])

    def test_unknown_option(self) -> None:
        """A mistake in the options is one line and a hint, on stderr alone."""
        ran = self.twistd("-n", "s3gw", "--colour=red")
        self.assert_one_line(ran, r"option --colour not recognized\nTry: twistd s3gw --help")
        self.assertEqual(ran.stdout, "")

    def test_busy_port(self) -> None:
        """So is a port that is taken."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            spelling = f"127.0.0.1:{taken.getsockname()[1]}"
            ran = self.twistd("-n", "s3gw", f"--listen={spelling}")
        self.assert_one_line(ran, f"--listen={spelling}: Address already in use")
        self.assertNotIn("Traceback", ran.stdout)

    def test_database_is_a_file(self) -> None:
        """So is a database that cannot be made where it should be."""
        (self.directory / "data").write_text("precious")
        ran = self.twistd("-n", "s3gw", "--listen=127.0.0.1:0")
        self.assert_one_line(ran, r".*/data.*")
        self.assertNotIn("Traceback", ran.stdout)
        self.assertEqual((self.directory / "data").read_text(), "precious")

    def test_foreign_directory(self) -> None:
        """So is a directory with something else in it, which stays as it was."""
        (self.directory / "data").mkdir()
        (self.directory / "data" / "thesis.tex").write_text("precious")
        ran = self.twistd("-n", "s3gw", "--listen=127.0.0.1:0")
        self.assert_one_line(ran, r".*/data.*")
        self.assertEqual([path.name for path in (self.directory / "data").iterdir()], ["thesis.tex"])

    def test_daemon(self) -> None:
        """Without -n the process that was started says what went wrong in the one that it left behind."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            spelling = f"127.0.0.1:{taken.getsockname()[1]}"
            ran = self.twistd("s3gw", f"--listen={spelling}")
        self.assertEqual(ran.returncode, 1)
        self.assertIn(f"--listen={spelling}", ran.stderr)
