"""Tests of `s3gw.web.listen`: real sockets of this machine, bound and let go of; nobody connects."""

from __future__ import annotations

import os
import socket
import tempfile

from twisted.internet import reactor
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from s3gw.settings import BACKLOG, ConfigurationError, parse_listener
from s3gw.web.listen import announcement, bind, server_endpoint

FACTORY = Factory.forProtocol(Protocol)


class BindTests(TestCase):
    """`bind` and `announcement` on the real reactor."""

    def bind(self, spelling: str) -> tuple[IListeningPort, str]:
        """The bound port, and the line that announces it."""
        listener = parse_listener(spelling)
        port = bind(reactor, listener, FACTORY)
        self.addCleanup(port.stopListening)
        return port, announcement(listener, port)

    def refusal(self, spelling: str) -> str:
        """The line with which a listener is refused."""
        return str(self.assertRaises(ConfigurationError, self.bind, spelling))

    def test_free_port(self) -> None:
        """Port 0 takes a free one, and the announcement is a URL with that port."""
        port, line = self.bind("127.0.0.1:0")
        self.assertEqual(line, f"listening on http://127.0.0.1:{port.getHost().port}")
        self.assertNotEqual(port.getHost().port, 0)

    def test_name(self) -> None:
        """A host name is resolved."""
        port, line = self.bind("localhost:0")
        self.assertEqual(line, f"listening on http://127.0.0.1:{port.getHost().port}")

    def test_ipv6(self) -> None:
        """An IPv6 address stands in brackets in the URL as well."""
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            raise self.skipTest("this machine has no IPv6 loopback") from None
        port, line = self.bind("[::1]:0")
        self.assertEqual(line, f"listening on http://[::1]:{port.getHost().port}")

    def test_unix(self) -> None:
        """A unix socket is announced with its path."""
        directory = tempfile.mkdtemp()  # mktemp's paths are too long for a socket
        self.addCleanup(os.rmdir, directory)
        _, line = self.bind(f"unix:{directory}/s3")
        self.assertEqual(line, f"listening on http+unix:{directory}/s3")

    def test_stale_unix_socket(self) -> None:
        """The file and the lock of a killed process are no obstacle, even if its process id is ours now."""
        directory = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, directory)
        path = f"{directory}/s3"
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(path)
        os.symlink(str(os.getpid()), f"{path}.lock")
        self.bind(f"unix:{path},bucket=kv-cache")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o660)
        self.assertIn("is in use by another process", self.refusal(f"unix:{path}"))

    def test_unix_path_of_another_file(self) -> None:
        """A file that is no socket is left alone."""
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("precious")
        self.assertIn("is no socket", self.refusal(f"unix:{path}"))
        with open(path) as file:
            self.assertEqual(file.read(), "precious")

    def test_busy(self) -> None:
        """A taken port is one line that says so."""
        port, _ = self.bind("127.0.0.1:0")
        taken = f"127.0.0.1:{port.getHost().port}"
        self.assertEqual(self.refusal(taken), f"--listen={taken}: Address already in use")

    def test_foreign_address(self) -> None:
        """So is an address that is not this machine's, whatever the kernel calls that."""
        self.assertRegex(self.refusal("192.0.2.1:0"), r"\A--listen=192\.0\.2\.1:0: .+\Z")

    def test_missing_directory(self) -> None:
        """So is a unix socket in a directory that is not there."""
        self.assertRegex(self.refusal("unix:/missing/s3"), r"\A--listen=unix:/missing/s3: .+\Z")


class EndpointTests(SynchronousTestCase):
    """`server_endpoint` and `bind` without a socket."""

    def test_backlog(self) -> None:
        """A burst of connections finds room in the kernel's queue."""
        memory = MemoryReactor()
        bind(memory, parse_listener("0.0.0.0:9000"), FACTORY)
        self.assertEqual(memory.tcpServers, [(9000, FACTORY, BACKLOG, "0.0.0.0")])

    def test_endpoint_strings(self) -> None:
        """Endpoint strings are understood by Twisted itself, and its defaults stand."""
        memory = MemoryReactor()
        bind(memory, parse_listener("tcp:9000:backlog=7"), FACTORY)
        bind(memory, parse_listener("unix:/run/s3:mode=660"), FACTORY)
        self.assertEqual(memory.tcpServers, [(9000, FACTORY, 7, "")])
        self.assertEqual(memory.unixServers, [("/run/s3", FACTORY, BACKLOG, 0o660, True)])

    def test_misunderstood(self) -> None:
        """What Twisted cannot make sense of is one line, whatever its parser raised."""
        for spelling in (
            "localhost:http/",
            "onion:80:controlPort=9051",
            "tcp:port",
            "tcp:9000:colour=red",
            "systemd:domain=INET:index=7",
            "systemd:domain=MARS:index=0",
            "ssl:443:privateKey=/missing/key.pem",
        ):
            with self.subTest(spelling):
                listener = parse_listener(spelling)
                line = str(self.assertRaises(ConfigurationError, server_endpoint, MemoryReactor(), listener))
                self.assertTrue(line.startswith(f"--listen={spelling}: ") and not line.endswith(": "), line)
                self.assertEqual(line.splitlines(), [line])

    def test_tls_needs_a_certificate(self) -> None:
        """An https listener never falls back to plain HTTP."""
        listener = parse_listener("https://127.0.0.1:0")
        self.assertRaises(ConfigurationError, bind, MemoryReactor(), listener, FACTORY)
