"""Tests of `s3gw.settings`: what people may write, and what they are told when it cannot be served."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from s3gw.settings import (
    BACKLOG,
    OPTIONS,
    ConfigurationError,
    Listener,
    Settings,
    parse_listener,
    read_settings,
    reload_each,
)

KEYS = {"access_key": ["AKIDEXAMPLE"], "secret_key": ["wJalrXUtnFEMI/K7MDENG"]}


def refusal(case: SynchronousTestCase, given_texts: dict[str, list[str]], **environ: str) -> str:
    """The line with which these options are refused."""
    return str(case.assertRaises(ConfigurationError, read_settings, given_texts, environ))


class ListenerTests(SynchronousTestCase):
    """`parse_listener`: the spellings of a place to listen at."""

    def endpoints(self, table: dict[str, str], *, tls: bool) -> None:
        for spelling, endpoint in table.items():
            with self.subTest(spelling):
                self.assertEqual(parse_listener(spelling), Listener(spelling, endpoint, tls))

    def test_addresses(self) -> None:
        """A host and a port are enough, with or without the scheme, for names and both families of addresses."""
        self.endpoints(
            {
                "0.0.0.0:9000": f"tcp:9000:interface=0.0.0.0:backlog={BACKLOG}",
                "localhost:0": f"tcp:0:interface=localhost:backlog={BACKLOG}",
                ":9000": f"tcp:9000:interface=:backlog={BACKLOG}",
                "[::1]:9000": f"tcp:9000:interface=\\:\\:1:backlog={BACKLOG}",
                "http://127.0.0.1:9000": f"tcp:9000:interface=127.0.0.1:backlog={BACKLOG}",
                "http://127.0.0.1:9000/": f"tcp:9000:interface=127.0.0.1:backlog={BACKLOG}",
                "http://gateway": f"tcp:80:interface=gateway:backlog={BACKLOG}",
            },
            tls=False,
        )

    def test_https(self) -> None:
        """https:// speaks our certificate, and https+ does so over any endpoint, a socket of systemd's included."""
        self.endpoints(
            {
                "https://0.0.0.0:9443": f"tcp:9443:interface=0.0.0.0:backlog={BACKLOG}",
                "https://[::]": f"tcp:443:interface=\\:\\::backlog={BACKLOG}",
                "https+systemd:domain=INET:index=0": "systemd:domain=INET:index=0",
                "https+unix:/run/s3gw.sock": f"unix:/run/s3gw.sock:backlog={BACKLOG}:mode=660",
            },
            tls=True,
        )

    def test_endpoint_strings(self) -> None:
        """Endpoint strings go to Twisted as they are, with room for a burst of connections unless they say how much."""
        self.endpoints(
            {
                "tcp:9000": f"tcp:9000:backlog={BACKLOG}",
                "tcp:9000:interface=127.0.0.1": f"tcp:9000:interface=127.0.0.1:backlog={BACKLOG}",
                "tcp:9000:backlog=7": "tcp:9000:backlog=7",
                "unix:/run/s3gw.sock:mode=600": f"unix:/run/s3gw.sock:mode=600:backlog={BACKLOG}",
                "unix:/run/s3gw.sock": f"unix:/run/s3gw.sock:backlog={BACKLOG}:mode=660",
                "ssl:443:privateKey=k.pem": f"ssl:443:privateKey=k.pem:backlog={BACKLOG}",
                "tls:/etc/pems:443": f"tls:/etc/pems:443:backlog={BACKLOG}",
                "systemd:domain=INET6:index=0": "systemd:domain=INET6:index=0",
                "haproxy:tcp:9000": "haproxy:tcp:9000",
                "onion:80:controlPort=9051": "onion:80:controlPort=9051",
            },
            tls=False,
        )

    def test_one_bucket(self) -> None:
        """Every spelling takes the bucket that alone is served there."""
        for spelling in ("127.0.0.1:9001", "http://127.0.0.1:9001", "[::1]:0", ":9001", "https://kv.test:9001",
                         "unix:/run/kv.sock:mode=600", "systemd:domain=INET:index=0", "https+unix:/run/kv.sock",
                         "onion:80:controlPort=9051"):  # fmt: skip
            with self.subTest(spelling):
                plain = parse_listener(spelling)
                bound = f"{spelling},bucket=kv-cache"
                self.assertEqual(parse_listener(bound), Listener(bound, plain.endpoint, plain.tls, "kv-cache"))

    def test_refused(self) -> None:
        """What cannot be listened at is refused, with a word on why."""
        table = {
            "9000": "host:port",
            "": "host:port",
            "localhost": "host:port",
            "localhost:": "port from 0 to 65535",
            "localhost:65536": "port from 0 to 65535",
            "localhost:-1": "port from 0 to 65535",
            "127.0.0.1:http": "port from 0 to 65535",
            "256.0.0.1:9000": "'256.0.0.1' is no host name",
            "::1:9000": "IPv6 address stands in brackets",
            "fe80::1:9000": "IPv6 address stands in brackets",
            "[localhost]:9000": "[localhost] is no IPv6 address",
            "http://127.0.0.1:9000/bucket": "is no host name",
            "ftp://127.0.0.1:21": "is no host name",
            "http://a b:80": "'a b' is no host name",
            "https+ssl:443": "speaks TLS already",
            "127.0.0.1:9001,bucket=": "no bucket can have the name ''",
            "127.0.0.1:9001,bucket=KV": "no bucket can have the name 'KV'",
            "unix:/run/kv.sock,bucket=a/b": "no bucket can have the name 'a/b'",
            "127.0.0.1:9001,bucket=kv,bucket=kw": "no bucket can have the name 'kv,bucket=kw'",
            "127.0.0.1:9001,bukket=kv": "port from 0 to 65535",
            ",bucket=kv-cache": "host:port",
        }
        for spelling, reason in table.items():
            with self.subTest(spelling):
                self.assertIn(reason, str(self.assertRaises(ValueError, parse_listener, spelling)))

    @given(st.ip_addresses(), st.integers(0, 65535))
    def test_every_address_binds_where_it_says(self, address: object, port: int) -> None:
        """Whatever the address, Twisted is asked to listen on it and on no other."""
        text = f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"
        reactor = MemoryReactor()
        serverFromString(reactor, parse_listener(text).endpoint).listen(None)
        self.assertEqual(reactor.tcpServers, [(port, None, BACKLOG, str(address))])

    @given(st.text(max_size=40))
    def test_any_text_is_a_listener_or_a_value_error(self, text: str) -> None:
        """No text makes the parser fail in any other way."""
        try:
            parse_listener(text)
        except ValueError:
            pass


class ReadTests(SynchronousTestCase):
    """`read_settings`: from the command line and the environment."""

    def test_defaults(self) -> None:
        """Nothing said: this machine only, open to it, durable, in the working directory."""
        settings = read_settings({}, {})
        self.assertEqual(settings, Settings())
        self.assertEqual([listener.spelling for listener in settings.listen], ["127.0.0.1:9000"])
        self.assertEqual(settings.db_path, Path.cwd() / "data")
        self.assertEqual((settings.auth, settings.durability, settings.metrics), ("none", "commit", "open"))
        self.assertEqual((settings.max_object_bytes, settings.cache_bytes), (5 << 30, 256 << 20))
        self.assertEqual(settings.virtual_host_suffixes, ("localhost", "s3.localhost"))

    def test_help_says_the_default(self) -> None:
        """Every option's help text ends with its default."""
        for option in OPTIONS:
            self.assertRegex(option.text, r"Default: [^.].*\.\Z", option.name)

    def test_values(self) -> None:
        """Each option arrives as what it means."""
        given_texts = {
            "listen": ["127.0.0.1:1", "tcp:2"],
            "db_path": ["/srv/s3"],
            "threads": ["16"],
            "cache_mb": ["1024"],
            "auth": ["sigv4"],
            "credentials_file": ["keys.ini"],
            "virtual_host_suffix": ["S3.Example.com", "*.cache.internal", ".localhost"],
            "region": ["eu-central-1"],
            "max_object_mb": ["1"],
            "abandoned_upload_days": ["7"],
            "lifecycle_day_seconds": ["2"],
            "durability": ["os"],
            "metrics": ["signed"],
            "access_log": ["off"],
            "max_connections": ["10"],
            "drain_seconds": ["0"],
        }
        settings = read_settings(given_texts, {})
        self.assertEqual([listener.spelling for listener in settings.listen], ["127.0.0.1:1", "tcp:2"])
        self.assertEqual((settings.db_path, settings.credentials_file), (Path("/srv/s3"), Path.cwd() / "keys.ini"))
        self.assertEqual((settings.threads, settings.cache_mb, settings.max_object_bytes), (16, 1024, 1 << 20))
        self.assertEqual((settings.auth, settings.region), ("sigv4", "eu-central-1"))
        self.assertEqual((settings.durability, settings.metrics), ("os", "signed"))
        self.assertEqual((settings.abandoned_upload_days, settings.lifecycle_day_seconds), (7, 2))
        self.assertEqual((settings.access_log, settings.max_connections, settings.drain_seconds), (False, 10, 0))
        self.assertEqual(
            settings.virtual_host_suffixes, ("s3.example.com", "cache.internal", "localhost", "s3.localhost")
        )

    def test_home(self) -> None:
        """~ is the home directory, since shells do not see it behind an equals sign."""
        self.assertEqual(read_settings({"db_path": ["~/s3"]}, {}).db_path, Path.home() / "s3")

    def test_last_one_counts(self) -> None:
        """Of an option given twice the last one counts, so that a script's defaults can be overridden."""
        self.assertEqual(read_settings({"threads": ["2", "3"]}, {}).threads, 3)

    def test_environment(self) -> None:
        """Every option has a variable; repeatable ones are separated by blanks; the command line wins."""
        environ = {
            "S3GW_LISTEN": "127.0.0.1:1 [::1]:2",
            "S3GW_THREADS": "5",
            "S3GW_AUTH": "sigv4",
            "S3GW_ACCESS_KEY": "AKIDEXAMPLE",
            "S3GW_SECRET_KEY": "wJalrXUtnFEMI/K7MDENG",
            "S3GW_REGION": "",
            "S3GW_SERVICE_HOST": "10.0.0.1",
        }
        settings = read_settings({"threads": ["6"]}, environ)
        self.assertEqual([listener.spelling for listener in settings.listen], ["127.0.0.1:1", "[::1]:2"])
        self.assertEqual((settings.threads, settings.auth, settings.region), (6, "sigv4", "us-east-1"))
        self.assertEqual((settings.access_key, settings.secret_key), ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG"))

    def test_bad_values(self) -> None:
        """A bad value is refused in one line that names the option, the value and what was expected."""
        table = {
            ("listen", "9000"): "--listen=9000: host:port",
            ("db_path", ""): "--db_path=: a path is needed",
            ("threads", "0"): "--threads=0: a whole number from 1 to 256 is needed",
            ("threads", "٣"): "--threads=٣: a whole number",
            ("cache_mb", "1g"): "--cache_mb=1g: a whole number",
            ("auth", "sigv2"): "--auth=sigv2: none or sigv4 is needed",
            ("access_key", "a/b"): "--access_key=a/b: an access key has 3 to 128 characters",
            ("virtual_host_suffix", "a_b"): "--virtual_host_suffix=a_b: a host name is needed",
            ("virtual_host_suffix", "10.0.0.1"): "--virtual_host_suffix=10.0.0.1: a host name is needed",
            ("region", "eu/1"): "--region=eu/1: a region name is needed",
            ("max_object_mb", "-1"): "--max_object_mb=-1: a whole number",
            ("durability", "Commit"): "--durability=Commit: commit, os or memory is needed",
            ("metrics", ""): "--metrics=: open, signed or off is needed",
            ("access_log", "yes"): "--access_log=yes: on or off is needed",
            ("region", "a\nb"): "--region=a\\nb: a region name is needed",
        }
        for (name, text), line in table.items():
            with self.subTest(f"{name}={text}"):
                said = refusal(self, {name: [text]})
                self.assertTrue(said.startswith(line), said)
                self.assertEqual(said.splitlines(), [said])

    def test_bad_variable(self) -> None:
        """A bad value of the environment is named as its variable."""
        self.assertEqual(
            refusal(self, {}, S3GW_THREADS="many"), "S3GW_THREADS=many: a whole number from 1 to 256 is needed"
        )

    def test_contradictions(self) -> None:
        """Options that do not go together are refused rather than one of them ignored."""
        https = {"listen": ["https://127.0.0.1:0"]}
        table: list[tuple[dict[str, list[str]], str]] = [
            ({"auth": ["sigv4"]}, "--auth=sigv4 needs keys"),
            (KEYS, "keys are given, but --auth=none would serve everybody"),
            ({"credentials_file": ["k"]}, "keys are given, but --auth=none"),
            ({"access_key": ["AKID"], "auth": ["sigv4"]}, "--access_key needs --secret_key"),
            ({"secret_key": ["12345678"], "auth": ["sigv4"]}, "--secret_key needs --access_key"),
            ({"metrics": ["signed"]}, "--metrics=signed needs --auth=sigv4"),
            (https, "an https listener needs --tls_cert"),
            ({"tls_key": ["k.pem"]}, "--tls_key needs --tls_cert"),
            ({"tls_cert": ["c.pem"]}, "nothing listens on https"),
            ({"generate_tls_cert": [""]}, "nothing listens on https"),
            ({**https, "tls_cert": ["c.pem"], "generate_tls_cert": ["d"]}, "exclude each other"),
        ]
        for given_texts, line in table:
            with self.subTest(line):
                self.assertIn(line, refusal(self, given_texts))

    def test_tls_files(self) -> None:
        """The key may be in the certificate's file; the development certificate has a place beside the database."""
        https = {"listen": ["https://127.0.0.1:0"], "db_path": ["/srv/s3"]}
        self.assertEqual(read_settings({**https, "tls_cert": ["/c.pem"]}, {}).tls_key, Path("/c.pem"))
        self.assertEqual(read_settings({**https, "generate_tls_cert": [""]}, {}).generate_tls_cert, Path("/srv/s3-tls"))
        self.assertEqual(read_settings({**https, "generate_tls_cert": ["/d"]}, {}).generate_tls_cert, Path("/d"))

    def test_secret_is_never_shown(self) -> None:
        """Neither the settings in a log nor the refusal of a bad secret contain it."""
        settings = read_settings({**KEYS, "auth": ["sigv4"]}, {})
        self.assertNotIn("wJalr", repr(settings))
        self.assertNotIn("s e c r e t", refusal(self, {"secret_key": ["s e c r e t"]}))
        self.assertNotIn("s e c r e t", refusal(self, {}, S3GW_SECRET_KEY="s e c r e t"))

    def test_replaced(self) -> None:
        """A changed copy is checked as the original was."""
        self.assertRaises(ConfigurationError, replace, Settings(), auth="sigv4")


class Source:
    """Something to reload, which counts how often it was."""

    def __init__(self, complaint: str = "") -> None:
        self.complaint = complaint
        self.reloads = 0

    def reload(self) -> None:
        self.reloads += 1
        if self.complaint:
            raise ConfigurationError(self.complaint)


class ReloadTests(SynchronousTestCase):
    """`reload_each`: what SIGHUP does."""

    def test_one_bad_file_keeps_no_other_back(self) -> None:
        """Each source is reloaded though another cannot be, and each refusal is a line."""
        sources = [Source(), Source("keys: bad"), Source()]
        self.assertEqual(reload_each(sources), ("keys: bad",))
        self.assertEqual([source.reloads for source in sources], [1, 1, 1])
