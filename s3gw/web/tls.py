"""The certificate that the gateway speaks TLS with: loaded, exchanged while in use, or made for development.

TLS 1.2 and newer, ciphers with forward secrecy and authenticated encryption, HTTP/1.1 by ALPN (RFC 7301), and session
tickets (RFC 8446 section 4.6.1), so that a client which opens many connections can pay for one full handshake.

The development certificate is two: an authority that signs one certificate and whose key is then forgotten, so that to
trust it is to trust nothing else; and the certificate that it signed. In its directory:

| file       | mode | holds                                                                              |
|------------|------|------------------------------------------------------------------------------------|
| `ca.pem`   | 0644 | the authority: what clients trust (``AWS_CA_BUNDLE``, ``verify=``, ``--cacert``)    |
| `cert.pem` | 0644 | the certificate, then the authority; so this file works as a bundle as well        |
| `key.pem`  | 0600 | the key                                                                            |
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from s3gw.settings import ConfigurationError

CIPHERS = AcceptableCiphers.fromOpenSSLCipherString("ECDHE+AESGCM:ECDHE+CHACHA20")
"""Of TLS 1.2; those of TLS 1.3 are all of this kind."""

_PARTIAL_WRITE = 0x1
"""SSL_MODE_ENABLE_PARTIAL_WRITE. pyOpenSSL sets it, and has no name for it: each call would seal one record only. It is
for sockets that are full; memory never is. Source: SSL_CTX_set_mode(3)"""

LIFETIME = timedelta(days=820)
"""Below the 825 days that Apple's clients accept of a private authority."""
RENEWAL = timedelta(days=30)
"""How long a development certificate must still be good for when the gateway starts with it."""


@implementer(IOpenSSLServerConnectionCreator)
class ServerCertificate:
    """A certificate with its chain and key, from files. Connections keep what they were made with."""

    def __init__(self, cert: Path, key: Path) -> None:
        """:raises ConfigurationError: the files are unreadable, no PEM, encrypted, or do not belong together."""
        self._cert = cert
        self._key = key
        self.reload()

    def reload(self) -> None:
        """Take the files as they are now, for new connections. :raises ConfigurationError: what was in use stays."""
        options = _load(self._cert, self._key)
        context = options.getContext()  # here, where an error is still ours to report
        context.clear_mode(_PARTIAL_WRITE)
        self._options = options

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """The TLS state of a new connection."""
        return self._options.serverConnectionForTLS(protocol)


def _load(cert: Path, key: Path) -> CertificateOptions:
    try:
        chain = x509.load_pem_x509_certificates(_read(cert))
    except ValueError:
        raise ConfigurationError(f"certificate {cert}: there is no certificate in PEM format in it") from None
    try:
        private = load_pem_private_key(_read(key), None)
    except TypeError:
        raise ConfigurationError(f"key {key}: it is encrypted; the gateway needs it without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(f"key {key}: there is no private key in PEM format in it") from None
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise ConfigurationError(f"key {key}: keys of this kind cannot serve TLS; RSA, EC and Ed25519 keys can")
    if private.public_key().public_bytes(*spki) != chain[0].public_key().public_bytes(*spki):
        raise ConfigurationError(f"key {key}: it is not the key of the first certificate in {cert}")
    return CertificateOptions(
        privateKey=crypto.PKey.from_cryptography_key(private),
        certificate=crypto.X509.from_cryptography(chain[0]),
        extraCertChain=[crypto.X509.from_cryptography(each) for each in chain[1:]],
        acceptableCiphers=CIPHERS,
        acceptableProtocols=[b"http/1.1"],
        raiseMinimumTo=TLSVersion.TLSv1_2,
        enableSessionTickets=True,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None


@dataclass(frozen=True)
class DevelopmentFiles:
    """Where the development certificate is; see the table above."""

    ca: Path
    cert: Path
    key: Path


def development_certificate(directory: Path, suffixes: Iterable[str], now: datetime) -> DevelopmentFiles:
    """The development certificate in the directory, made unless one is there that is good for `RENEWAL` more.

    It is for this machine: localhost, its host name, its loopback addresses, and each of the ``suffixes`` with all
    their subdomains.

    :raises ConfigurationError: the directory cannot be written.
    """
    files = DevelopmentFiles(directory / "ca.pem", directory / "cert.pem", directory / "key.pem")
    names = _subdomains("localhost", "s3.localhost", *suffixes)
    if not _serves(files, names, now):
        try:
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            _make(files, [*names, *_host_name()], now)
        except OSError as error:
            raise ConfigurationError(f"--generate_tls_cert: {error.filename}: {error.strerror}") from None
    return files


def _subdomains(*names: str) -> list[str]:
    return list(dict.fromkeys(spelling for name in names for spelling in (name, f"*.{name}")))


def _host_name() -> list[str]:
    """The name of this machine, if it is one that a certificate can hold."""
    name = socket.gethostname().lower()
    return [name] if re.fullmatch(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*", name) else []


def _serves(files: DevelopmentFiles, names: Iterable[str], now: datetime) -> bool:
    try:
        _load(files.cert, files.key)
        leaf, authority = x509.load_pem_x509_certificates(files.cert.read_bytes())
        trusted = x509.load_pem_x509_certificate(files.ca.read_bytes())
        held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ConfigurationError, OSError, ValueError, x509.ExtensionNotFound):
        return False
    covered = set(names) <= set(held.get_values_for_type(x509.DNSName))
    return covered and trusted == authority and now + RENEWAL < leaf.not_valid_after_utc


def _make(files: DevelopmentFiles, names: Iterable[str], now: datetime) -> None:
    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    authority_name = _name(f"s3gw development authority, {now:%Y-%m-%d %H:%M}")
    authority = (
        _draft(authority_name, authority_name, authority_key, authority_key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives += [x509.IPAddress(ip_address(address)) for address in ("127.0.0.1", "::1")]
    leaf = (
        _draft(_name("s3gw development"), authority_name, key, authority_key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _replace(files.key, secret, 0o600)
    _replace(files.cert, leaf.public_bytes(Encoding.PEM) + authority.public_bytes(Encoding.PEM), 0o644)
    _replace(files.ca, authority.public_bytes(Encoding.PEM), 0o644)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _draft(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.CertificateBuilder:
    """What both certificates have in common; strict verifiers ask for the two key identifiers."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _replace(path: Path, data: bytes, mode: int) -> None:
    """Put a file in place at once and with its final mode: nobody meets half of it, or a key that is open to all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        os.fchmod(descriptor, mode)
    draft.rename(path)
