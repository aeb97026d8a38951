"""Tests of `s3gw.web.tls`: a server in memory, and Python's own ``ssl`` as the client that must like it."""

from __future__ import annotations

import shutil
import ssl
import stat
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.protocols.wire import Echo
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from s3gw.settings import ConfigurationError
from s3gw.web.tls import LIFETIME, RENEWAL, DevelopmentFiles, ServerCertificate, development_certificate

T = TypeVar("T")
NOW = datetime.now(timezone.utc)


def strict_client(bundle: Path) -> ssl.SSLContext:
    """What the strictest of Python's clients check by default."""
    context = ssl.create_default_context(cafile=str(bundle))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


class Conversation:
    """A client and an echoing server, joined in memory."""

    def __init__(self, certificate: ServerCertificate, context: ssl.SSLContext, name: str = "localhost") -> None:
        self._clock = Clock()
        factory = TLSMemoryBIOFactory(certificate, False, Factory.forProtocol(Echo), self._clock)
        self._server = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        self._wire = StringTransport()
        self._server.makeConnection(self._wire)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._until_done(self.client.do_handshake)

    def _until_done(self, step: Callable[[], T]) -> T:
        """Carry bytes to and fro until the client's step is done. :raises ssl.SSLError: whatever it fails with."""
        for _ in range(10):
            try:
                return step()
            except ssl.SSLWantReadError:
                self._carry()
        raise AssertionError("the two come to no end")

    def _carry(self) -> None:
        if said := self._outgoing.read():
            self._server.dataReceived(said)
        self._clock.advance(0)
        self._incoming.write(self._wire.value())
        self._wire.clear()

    def echo(self, data: bytes) -> bytes:
        """What the server answers."""
        self.client.write(data)
        return self._until_done(lambda: self.client.read(len(data)))

    def serial_number(self) -> int:
        """Of the certificate that the server showed."""
        shown = self.client.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown).serial_number


class Case(SynchronousTestCase):
    """A test with a development certificate."""

    def setUp(self) -> None:
        self.files = self.made()

    def made(self, *suffixes: str, now: datetime = NOW) -> DevelopmentFiles:
        """A development certificate in a directory of its own."""
        return development_certificate(Path(self.mktemp()), suffixes, now)


class ServerTests(Case):
    """`ServerCertificate`: what clients see of it."""

    def setUp(self) -> None:
        super().setUp()
        self.certificate = ServerCertificate(self.files.cert, self.files.key)

    def test_interface(self) -> None:
        """It is what Twisted's TLS asks for connections."""
        verifyObject(IOpenSSLServerConnectionCreator, self.certificate)

    def test_http_1_1(self) -> None:
        """A client that would rather speak HTTP/2 is told to speak HTTP/1.1, over TLS 1.3."""
        talk = Conversation(self.certificate, strict_client(self.files.ca))
        self.assertEqual((talk.client.selected_alpn_protocol(), talk.client.version()), ("http/1.1", "TLSv1.3"))
        self.assertEqual(talk.echo(b"GET"), b"GET")

    def test_no_alpn(self) -> None:
        """A client that does not ask which protocol to speak is served as well."""
        talk = Conversation(self.certificate, ssl.create_default_context(cafile=str(self.files.ca)))
        self.assertEqual((talk.client.selected_alpn_protocol(), talk.echo(b"GET")), (None, b"GET"))

    def test_tls_1_2(self) -> None:
        """TLS 1.2 is there for those who need it, with forward secrecy and authenticated encryption only."""
        context = strict_client(self.files.ca)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        cipher = Conversation(self.certificate, context).client.cipher()
        assert cipher is not None
        self.assertRegex(cipher[0], r"\AECDHE-ECDSA-(AES(128|256)-GCM|CHACHA20-POLY1305)")
        context.set_ciphers("ECDHE+AES+SHA256:RSA:@SECLEVEL=0")
        self.assertRaises(ssl.SSLError, Conversation, self.certificate, context)

    def test_tls_1_1(self) -> None:
        """What is older is refused."""
        context = strict_client(self.files.ca)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        self.flushWarnings()  # Python's, of asking for it
        error = self.assertRaises(ssl.SSLError, Conversation, self.certificate, context)
        self.assertIn("alert protocol version", str(error).lower().replace("_", " "))

    def test_reload(self) -> None:
        """New connections get the renewed certificate; those that are open go on as if nothing had happened."""
        before = Conversation(self.certificate, strict_client(self.files.ca))
        renewed = self.made()
        shutil.copy(renewed.cert, self.files.cert)
        shutil.copy(renewed.key, self.files.key)
        self.certificate.reload()
        after = Conversation(self.certificate, strict_client(renewed.ca))
        self.assertEqual((before.echo(b"before"), after.echo(b"after")), (b"before", b"after"))
        self.assertNotEqual(before.serial_number(), after.serial_number())

    def test_bad_reload(self) -> None:
        """A renewal that went wrong takes nothing away: the old certificate stays."""
        shutil.copy(self.made().cert, self.files.cert)
        line = str(self.assertRaises(ConfigurationError, self.certificate.reload))
        self.assertEqual(line, f"key {self.files.key}: it is not the key of the first certificate in {self.files.cert}")
        self.assertEqual(Conversation(self.certificate, strict_client(self.files.ca)).echo(b"GET"), b"GET")

    def test_one_file(self) -> None:
        """Certificate, chain and key may all be in one file, in any order."""
        one = Path(self.mktemp())
        one.write_bytes(self.files.key.read_bytes() + self.files.cert.read_bytes())
        talk = Conversation(ServerCertificate(one, one), strict_client(self.files.ca))
        self.assertEqual(talk.echo(b"GET"), b"GET")


class RefusalTests(Case):
    """Files that cannot be served."""

    def refusal(self, cert: Path, key: Path) -> str:
        """The line with which they are refused."""
        return str(self.assertRaises(ConfigurationError, ServerCertificate, cert, key))

    def write(self, data: bytes) -> Path:
        """A file of its own with this in it."""
        path = Path(self.mktemp())
        path.write_bytes(data)
        return path

    def test_unreadable(self) -> None:
        """A missing file is named."""
        self.assertEqual(self.refusal(Path("no.pem"), self.files.key), "no.pem: No such file or directory")
        self.assertEqual(self.refusal(self.files.cert, Path("no.pem")), "no.pem: No such file or directory")

    def test_not_pem(self) -> None:
        """So is a file with something else in it, or with the wrong half."""
        noise = self.write(b"-----BEGIN CERTIFICATE-----\nnoise\n-----END CERTIFICATE-----\n")
        for cert in (noise, self.files.key, self.write(b"")):
            self.assertIn("there is no certificate in PEM format in it", self.refusal(cert, self.files.key))
        for key in (noise, self.files.cert, self.write(b"")):
            self.assertIn("there is no private key in PEM format in it", self.refusal(self.files.cert, key))

    def test_encrypted(self) -> None:
        """A key with a passphrase is said to be one: nobody is there to type it."""
        key = load_pem_private_key(self.files.key.read_bytes(), None)
        data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
        self.assertIn("it is encrypted", self.refusal(self.files.cert, self.write(data)))

    def test_mismatch(self) -> None:
        """A key that belongs to another certificate is refused at once, not at the first handshake."""
        self.assertIn("it is not the key of", self.refusal(self.files.cert, self.made().key))

    def test_other_kind(self) -> None:
        """So are a key of another kind, and one that no certificate can have."""
        for key, reason in (
            (rsa.generate_private_key(65537, 2048), "it is not the key of"),
            (x25519.X25519PrivateKey.generate(), "keys of this kind cannot serve TLS"),
        ):
            data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            self.assertIn(reason, self.refusal(self.files.cert, self.write(data)))


class DevelopmentTests(Case):
    """`development_certificate`."""

    def test_names(self) -> None:
        """Strict clients that trust ca.pem reach this machine by every local name, and buckets below the suffixes."""
        files = self.made("s3.test", "localhost")
        certificate = ServerCertificate(files.cert, files.key)
        names = ("localhost", "127.0.0.1", "::1", "s3.test", "bucket.s3.test", "s3.localhost", "bucket.s3.localhost")
        for name in names:
            with self.subTest(name):
                self.assertEqual(Conversation(certificate, strict_client(files.ca), name).echo(b"GET"), b"GET")
        for name in ("example.com", "a.b.s3.test"):
            with self.subTest(name):
                self.assertRaises(
                    ssl.SSLCertVerificationError, Conversation, certificate, strict_client(files.ca), name
                )

    def test_own_bundle(self) -> None:
        """cert.pem serves as a bundle of authorities as well."""
        certificate = ServerCertificate(self.files.cert, self.files.key)
        self.assertEqual(Conversation(certificate, strict_client(self.files.cert)).echo(b"GET"), b"GET")

    def test_modes(self) -> None:
        """The key is for its owner only; the rest is for everybody."""
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (self.files.key, self.files.cert, self.files.ca)]
        self.assertEqual(modes, [0o600, 0o644, 0o644])
        self.assertEqual({path.name for path in self.files.key.parent.iterdir()}, {"ca.pem", "cert.pem", "key.pem"})

    def test_no_authority_is_left(self) -> None:
        """The key on disk is not the authority's: who trusts ca.pem trusts this one certificate."""
        key = load_pem_private_key(self.files.key.read_bytes(), None)
        authority = x509.load_pem_x509_certificate(self.files.ca.read_bytes())
        self.assertNotEqual(key.public_key(), authority.public_key())
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        self.assertEqual((constraints.ca, constraints.path_length), (True, 0))

    def test_kept(self) -> None:
        """A restart keeps it, so that clients need to be told of it once."""
        before = self.files.cert.read_bytes()
        later = NOW + LIFETIME - RENEWAL - timedelta(days=1)
        again = development_certificate(self.files.cert.parent, ["localhost"], later)
        self.assertEqual((again, again.cert.read_bytes()), (self.files, before))

    def assert_remade(self, *suffixes: str, now: datetime = NOW) -> None:
        """A start with these makes a new one, which is whole."""
        before = self.files.cert.read_bytes()
        files = development_certificate(self.files.cert.parent, suffixes, now)
        self.assertNotEqual(files.cert.read_bytes(), before)
        ServerCertificate(files.cert, files.key)

    def test_renewed(self) -> None:
        """Near its end it is made anew."""
        self.assert_remade(now=NOW + LIFETIME - RENEWAL)

    def test_new_suffix(self) -> None:
        """So it is when it lacks a name that is asked for."""
        self.assert_remade("s3.test")

    def test_torn(self) -> None:
        """So it is when a file of the three is missing, or of another making."""
        for torn in (self.files.key.unlink, self.files.ca.unlink, lambda: shutil.copy(self.made().ca, self.files.ca)):
            torn()
            self.assert_remade()

    def test_unwritable(self) -> None:
        """A directory that cannot be made is named."""
        blocked = Path(self.mktemp())
        blocked.write_bytes(b"")
        line = str(self.assertRaises(ConfigurationError, development_certificate, blocked / "tls", [], NOW))
        self.assertEqual(line, f"--generate_tls_cert: {blocked / 'tls'}: Not a directory")
