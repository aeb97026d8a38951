"""What the gateway can be told: each option with its default, its grammar and its help text, once.

`Settings` is the one value that the service is built from. The command line (``tap``) and the environment are two ways
to spell it:

| option                | command line                | environment                    |
|-----------------------|-----------------------------|--------------------------------|
| a single one          | ``--threads=8``             | ``S3GW_THREADS=8``             |
| a repeatable one      | ``--listen=A --listen=B``   | ``S3GW_LISTEN="A B"``          |
| of both, what counts  | this one                    | only when not on the left      |

An empty environment variable is one that is not set. Whatever cannot be served as it was asked for is a
`ConfigurationError`, whose text is one line that names the option, the value (never a secret) and what was expected.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from s3gw.errors import InvalidBucketName
from s3gw.s3.external import ExternalUrl
from s3gw.s3.target import check_bucket_name

T = TypeVar("T")


class ConfigurationError(Exception):
    """The gateway cannot run as it was told to. The text is one line for the person who starts it."""


class Reloadable(Protocol):
    """Something that was read from files, and can be read again while it is in use."""

    def reload(self) -> None:
        """Take the files as they are now. :raises ConfigurationError: and what was in use stays in use."""


def reload_each(sources: Iterable[Reloadable]) -> tuple[str, ...]:
    """Reload every source, whatever becomes of the others; one line for each that kept what it had."""
    refused = []
    for source in sources:
        try:
            source.reload()
        except ConfigurationError as error:
            refused.append(str(error))
    return tuple(refused)


@dataclass(frozen=True)
class Listener:
    """A place to listen at.

    :ivar spelling: as it was given.
    :ivar endpoint: the Twisted server endpoint string of it.
    :ivar tls: whether our own certificate is spoken over that endpoint. The ``ssl:`` and ``tls:`` endpoints of Twisted
        bring theirs along and have False here.
    :ivar bucket: the one bucket that is served there, whose keys are the paths; empty for all of them.
    """

    spelling: str
    endpoint: str
    tls: bool = False
    bucket: str = ""


UNIX_MODE = "660"
"""Mode of the file of a UNIX socket: owner and group may connect. Twisted's own default lets everybody."""

BACKLOG = 4096
"""Connections that the kernel holds for us until they are accepted (it caps this at ``net.core.somaxconn``)."""

_ENDPOINTS = frozenset({"haproxy", "ssl", "stdio", "systemd", "tcp", "tcp6", "tls", "unix"})
_WITH_BACKLOG = frozenset({"ssl", "tcp", "tcp6", "tls", "unix"})
_BUCKET = ",bucket="
_SCHEME_PORTS = {"http": 80, "https": 443}
_LISTENER = "host:port, [v6]:port, http://host:port, https://host:port or a Twisted server endpoint string"
_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def parse_listener(spelling: str) -> Listener:
    """Read a place to listen at.

    | spelling                           | is                                                               |
    |------------------------------------|------------------------------------------------------------------|
    | ``host:port``, ``http://...``      | plain HTTP on a name or an IPv4 address; port 0 takes a free one |
    | ``[v6]:port``, ``:port``           | the same on an IPv6 address; on every IPv4 address               |
    | ``https://host:port``              | our certificate over it                                          |
    | ``tcp:...``, ``systemd:...``, ...  | any endpoint string of Twisted or of a plugin of it              |
    | ``https+systemd:...``, ...         | our certificate over such an endpoint                            |
    | any of these and ``,bucket=NAME``  | that bucket alone: the path is the key                           |

    The endpoint names of Twisted win over hosts of the same name: ``tcp:9000`` is port 9000 of every address.

    :raises ValueError: it is none of these.
    """
    tls = False
    rest, bound, bucket = spelling.partition(_BUCKET)
    if bound:
        try:
            check_bucket_name(bucket)
        except InvalidBucketName:
            raise ValueError(f"no bucket can have the name {bucket!r}") from None
    for scheme, default_port in _SCHEME_PORTS.items():
        if rest.startswith(f"{scheme}://"):
            authority = rest[len(scheme) + 3 :].removesuffix("/")
            if not re.search(r":\d*\Z", authority):
                authority += f":{default_port}"
            return Listener(spelling, _tcp_endpoint(authority), scheme == "https", bucket)
    if rest.startswith("https+"):
        tls, rest = True, rest.removeprefix("https+")
    prefix = rest.partition(":")[0].lower()
    if prefix in _WITH_BACKLOG and ":backlog=" not in rest:
        rest += f":backlog={BACKLOG}"
        if prefix == "unix" and ":mode=" not in rest:
            rest += f":mode={UNIX_MODE}"
    elif prefix not in _ENDPOINTS and (tls or not _is_foreign(rest)):
        rest = _tcp_endpoint(rest)
    if tls and prefix in ("ssl", "tls"):
        raise ValueError("this endpoint speaks TLS already")
    return Listener(spelling, rest, tls, bucket)


def _is_foreign(text: str) -> bool:
    """Whether this can only be the endpoint string of a plugin: a name with arguments, and no address or URL."""
    name, _, arguments = text.partition(":")
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*", name) is None or re.fullmatch("[0-9A-Fa-f:.]*", text) is not None:
        return False
    return re.search("[:=/]", arguments) is not None and not arguments.startswith("//")


def _tcp_endpoint(authority: str) -> str:
    """The endpoint string of ``host:port``. :raises ValueError: it is no such thing."""
    host, colon, port_text = authority.rpartition(":")
    if not colon or re.fullmatch("[0-9]{1,5}", port_text) is None or int(port_text) > 65535:
        raise ValueError(f"{_LISTENER} is needed, with a port from 0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        try:
            host = str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            raise ValueError(f"{host} is no IPv6 address") from None
    elif host and not _is_host(host):
        raise ValueError(f"{host!r} is no host name or IPv4 address (an IPv6 address stands in brackets)")
    interface = re.sub(r"([\\:=])", r"\\\1", host)
    return f"tcp:{int(port_text)}:interface={interface}:backlog={BACKLOG}"


def _is_host(text: str) -> bool:
    if re.search(r"(\A|\.)[0-9]+\Z", text):
        try:
            return bool(ipaddress.IPv4Address(text))
        except ValueError:
            return False
    return _HOST.fullmatch(text.lower()) is not None


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if re.fullmatch("[0-9]{1,18}", text) is None or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high} is needed")
        return int(text)

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{', '.join(words[:-1])} or {words[-1]} is needed")
        return text

    return parse


def _on_off(text: str) -> bool:
    return _one_of("on", "off")(text) == "on"


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("a path is needed")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ValueError("there is no such user") from None


def _directory_or_default(text: str) -> Path:
    """The directory of the development certificate; without a name, a place that `Settings` settles."""
    return _path(text) if text else BESIDE_DATABASE


def _suffix(text: str) -> str:
    name = text.lower().removeprefix("*").strip(".")
    if _HOST.fullmatch(name) is None or re.search(r"(\A|\.)[0-9]+\Z", name):
        raise ValueError("a host name is needed, such as s3.example.com")
    return name


def _region(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", text) is None:
        raise ValueError("a region name is needed, such as us-east-1")
    return text


def parse_access_key(text: str) -> str:
    """An access key, as it is. :raises ValueError: it has a length or a character that no access key has."""
    if re.fullmatch(r"[A-Za-z0-9_.@+-]{3,128}", text) is None:
        raise ValueError("an access key has 3 to 128 characters, each a letter, a digit or one of _ . @ + -")
    return text


def parse_secret_key(text: str) -> str:
    """A secret key, as it is. :raises ValueError: it is too short to be one, too long, or not plain ASCII."""
    if re.fullmatch(r"[!-~]{8,128}", text) is None:
        raise ValueError("a secret key has 8 to 128 printable ASCII characters and no space")
    return text


LOCAL_SUFFIXES = ("localhost", "s3.localhost")
"""Names under which buckets are always subdomains; the second is for TLS, where nobody accepts ``*.localhost``."""

BESIDE_DATABASE = Path()
"""Stands for ``<db_path>-tls`` until `Settings` knows the database's path."""


def _option(
    default: T,
    parse: Callable[[str], Any],
    text: str,
    *,
    secret: bool = False,
    repeatable: bool = False,
) -> T:
    """A field of `Settings` that is an option as well; ``text`` says unit and default to people."""
    spec = {"parse": parse, "text": text, "secret": secret, "repeatable": repeatable}
    return field(default=default, repr=not secret, metadata=spec)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to run, complete and consistent: a value that exists can be served, as far as values can tell.

    Paths are absolute. :raises ConfigurationError: when options contradict each other.
    """

    listen: tuple[Listener, ...] = _option(
        (parse_listener("127.0.0.1:9000"),),
        parse_listener,
        "Where to listen, repeatable: host:port, [v6]:port, http://host:port, https://host:port, or a Twisted server "
        "endpoint string such as unix:/path or systemd:domain=INET:index=0 (with https+ before it: over TLS). "
        "With ,bucket=NAME behind it: for that bucket alone, the path being the key. "
        "Port 0 takes a free port. Default: 127.0.0.1:9000.",
        repeatable=True,
    )
    db_path: Path = _option(
        Path("data"),
        _path,
        "Directory of the database, made when missing. Default: data, in the working directory.",
    )
    threads: int = _option(8, _whole(1, 256), "Threads that wait for the disk, 1 to 256. Default: 8.")
    cache_mb: int = _option(
        256, _whole(1, 1 << 20), "Memory for the block cache and hot objects, in MiB (1048576 bytes). Default: 256."
    )
    auth: Literal["none", "sigv4"] = _option(
        "none",
        _one_of("none", "sigv4"),
        "none: whoever reaches the port may do everything; sigv4: requests are signed with a key of --access_key or "
        "--credentials_file. Default: none.",
    )
    access_key: str = _option("", parse_access_key, "Access key of the one user, for --auth=sigv4. Default: none.")
    secret_key: str = _option(
        "",
        parse_secret_key,
        "Secret key that belongs to --access_key. A command line is for all to read: prefer S3GW_SECRET_KEY or "
        "--credentials_file. Default: none.",
        secret=True,
    )
    credentials_file: Path | None = _option(
        None,
        _path,
        "File of mode 0600 with the keys of all users, spelt as ~/.aws/credentials is; read again on SIGHUP. "
        "Default: none.",
    )
    virtual_host_suffix: tuple[str, ...] = _option(
        (),
        _suffix,
        "Host name under which BUCKET.NAME addresses a bucket, repeatable. These two always do. "
        "Default: localhost and s3.localhost.",
        repeatable=True,
    )
    external_url: ExternalUrl | None = _option(
        None,
        ExternalUrl.parse,
        "URL of the gateway as clients know it, where a proxy changes the Host that they signed: http://HOST:PORT or "
        "https://HOST:PORT. Default: none.",
    )
    region: str = _option("us-east-1", _region, "Region that signatures must name. Default: us-east-1.")
    max_object_mb: int = _option(
        5120,
        _whole(1, 5 << 20),
        "Largest body of one PUT or part, in MiB (1048576 bytes). Default: 5120, which is AWS's 5 GiB.",
    )
    abandoned_upload_days: int = _option(
        0,
        _whole(0, 36500),
        "Days after which a multipart upload that nobody completed is aborted; 0: never. Default: 0.",
    )
    lifecycle_day_seconds: int = _option(
        24 * 3600,
        _whole(1, 24 * 3600),
        "How long a day of a lifecycle rule takes, in seconds; for tests. What clients are told of the end of an "
        "object is of true days. Default: 86400.",
    )
    scrub_days: int = _option(
        30,
        _whole(0, 36500),
        "Days after which everything that is stored is read and verified once more, while the gateway serves; "
        "0: never. Default: 30.",
    )
    scrub_mb_s: int = _option(
        16, _whole(1, 1 << 20), "What that reads at most, in MiB (1048576 bytes) a second. Default: 16."
    )
    cache_rules: Path | None = _option(
        None,
        _path,
        "File that says which buckets, by patterns of their names, are cache buckets, and how they forget; read again "
        "on SIGHUP. Default: none.",
    )
    checkpoint_dir: Path | None = _option(
        None,
        _path,
        "Directory in which SIGUSR2 makes a checkpoint of the database: a copy by hard links, so on the same file "
        "system. Default: none.",
    )
    durability: Literal["commit", "os", "memory"] = _option(
        "commit",
        _one_of("commit", "os", "memory"),
        "What a write is answered after. commit: the log is on disk; os: the kernel has it, so only a power cut loses "
        "the last seconds; memory: no log. Default: commit.",
    )
    metrics: Literal["open", "signed", "off"] = _option(
        "open",
        _one_of("open", "signed", "off"),
        "Who may GET /metrics. open: everybody; signed: like any request; off: nobody. Default: open.",
    )
    tls_cert: Path | None = _option(
        None,
        _path,
        "PEM file with the certificate of https listeners, then its chain; read again on SIGHUP. Default: none.",
    )
    tls_key: Path | None = _option(
        None, _path, "PEM file with the private key of --tls_cert. Default: the same file as --tls_cert."
    )
    generate_tls_cert: Path | None = _option(
        None,
        _directory_or_default,
        "Make and use a development certificate, kept in this directory; clients trust its ca.pem. Without a value "
        "the directory is the database's name with -tls behind it. Over TLS a bucket "
        "is BUCKET.s3.localhost: OpenSSL accepts no *.localhost. Default: none is made.",
    )
    sse_key_file: Path | None = _option(
        None,
        _path,
        "File of mode 0600 with the master keys of server-side encryption (SSE-S3), made by s3gw-admin sse-key; read "
        "again on SIGHUP. Default: none, and x-amz-server-side-encryption is refused.",
    )
    sse_c_over_http: bool = _option(
        False,
        _on_off,
        "on: customer keys (SSE-C) may come over plain HTTP too, for tests and behind a proxy that speaks TLS; off: "
        "such requests are refused. Default: off.",
    )
    access_log: bool = _option(
        True, _on_off, "on: one line of JSON in the log for each request; off: none. Default: on."
    )
    max_connections: int = _option(
        4096,
        _whole(1, 1 << 20),
        "Connections served at a time; those above are answered 503 SlowDown. Default: 4096.",
    )
    max_inflight: int = _option(
        2048,
        _whole(1, 1 << 20),
        "Requests served at a time, over all connections; those above are answered 503 SlowDown. Default: 2048.",
    )
    max_buffer_mb: int = _option(
        1024,
        _whole(1, 1 << 20),
        "Memory for bodies on their way to and from slow clients, in MiB (1048576 bytes); transfers beyond it are "
        "answered 503 SlowDown. Default: 1024.",
    )
    drain_seconds: int = _option(
        30, _whole(0, 3600), "Seconds that running requests get to end after SIGTERM. Default: 30."
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "db_path", self.db_path.absolute())
        if self.generate_tls_cert == BESIDE_DATABASE:
            object.__setattr__(self, "generate_tls_cert", self.db_path.with_name(self.db_path.name + "-tls"))
        if self.tls_cert is not None and self.tls_key is None:
            object.__setattr__(self, "tls_key", self.tls_cert)
        for contradiction, line in _CONTRADICTIONS:
            if contradiction(self):
                raise ConfigurationError(line)

    @property
    def has_keys(self) -> bool:
        """Whether any key was given."""
        return bool(self.access_key) or self.credentials_file is not None

    @property
    def has_tls(self) -> bool:
        """Whether any listener speaks TLS with our own certificate."""
        return any(listener.tls for listener in self.listen)

    @property
    def virtual_host_suffixes(self) -> tuple[str, ...]:
        """Every name under which buckets are subdomains, each once and without a leading dot."""
        return tuple(dict.fromkeys((*self.virtual_host_suffix, *LOCAL_SUFFIXES)))

    @property
    def max_object_bytes(self) -> int:
        """`max_object_mb` in bytes."""
        return self.max_object_mb << 20

    @property
    def cache_bytes(self) -> int:
        """`cache_mb` in bytes."""
        return self.cache_mb << 20


_CONTRADICTIONS: tuple[tuple[Callable[[Settings], bool], str], ...] = (
    (lambda s: bool(s.access_key) and not s.secret_key, "--access_key needs --secret_key"),
    (lambda s: bool(s.secret_key) and not s.access_key, "--secret_key needs --access_key"),
    (
        lambda s: s.auth == "sigv4" and not s.has_keys,
        "--auth=sigv4 needs keys: --access_key with --secret_key, or --credentials_file",
    ),
    (
        lambda s: s.auth == "none" and s.has_keys,
        "keys are given, but --auth=none would serve everybody without asking for them: add --auth=sigv4",
    ),
    (lambda s: s.auth == "none" and s.metrics == "signed", "--metrics=signed needs --auth=sigv4"),
    (lambda s: s.tls_key is not None and s.tls_cert is None, "--tls_key needs --tls_cert"),
    (
        lambda s: s.tls_cert is not None and s.generate_tls_cert is not None,
        "--tls_cert and --generate_tls_cert exclude each other",
    ),
    (
        lambda s: s.has_tls and s.tls_cert is None and s.generate_tls_cert is None,
        "an https listener needs --tls_cert and --tls_key, or --generate_tls_cert",
    ),
    (
        lambda s: not s.has_tls and (s.tls_cert is not None or s.generate_tls_cert is not None),
        "a certificate is given, but nothing listens on https: add --listen=https://HOST:PORT",
    ),
)


@dataclass(frozen=True)
class Option:
    """One option as the command line and the environment spell it; see `OPTIONS`."""

    name: str
    parse: Callable[[str], Any]
    text: str
    secret: bool
    repeatable: bool

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"S3GW_{self.name.upper()}"


OPTIONS: tuple[Option, ...] = tuple(Option(f.name, **f.metadata) for f in fields(Settings))
"""Every option, in the order of `Settings`."""


def read_settings(given: Mapping[str, Sequence[str]], environ: Mapping[str, str]) -> Settings:
    """Settings from texts.

    :param given: by option name, the values of the command line in order; the last counts, unless it is repeatable.
    :param environ: the process environment.
    :raises ConfigurationError: a value is not what its option takes, or options contradict each other.
    """
    values: dict[str, Any] = {}
    for option in OPTIONS:
        source, texts = f"--{option.name}", list(given.get(option.name, ()))
        if not texts:
            variable = environ.get(option.variable, "")
            source, texts = option.variable, variable.split() if option.repeatable else [variable] if variable else []
        if not texts:
            continue
        parsed = [_read(option, source, text) for text in texts]
        values[option.name] = tuple(parsed) if option.repeatable else parsed[-1]
    return Settings(**values)


def _read(option: Option, source: str, text: str) -> object:
    try:
        return option.parse(text)
    except ValueError as error:
        shown = "" if option.secret else f"={text}"
        raise ConfigurationError(f"{source}{_one_line(shown)}: {error}") from None


def _one_line(text: str) -> str:
    """The text with whatever could break or disguise a line escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
