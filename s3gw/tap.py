"""The face towards ``twistd``: its options, and the service that they describe.

What can be known before the process forks, changes its user or starts to log is checked in `makeService`: options,
credentials, certificates, endpoint strings. What cannot is the service's to do, in twistd's order:

| step                       | is run by                      | does and why not sooner                                |
|----------------------------|--------------------------------|--------------------------------------------------------|
| ``privilegedStartService`` | the forked process, first user | binds: a ``unix:`` lock holds the id of the process    |
| ``startService``           | the forked process, final user | opens the database: its threads do not survive a fork  |

Either may raise `ConfigurationError`. Then twistd removes its pid file, tells the process that started a daemon, and
ends with status 1; `one_line_hook` sees to it that people get the line and no traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from importlib.metadata import version
from types import TracebackType

from twisted.application.service import IService
from twisted.internet import reactor
from twisted.logger import Logger
from twisted.python import usage

from s3gw.cachefile import CacheFile
from s3gw.credentials import KeyRing
from s3gw.masterkeys import MasterKeyRing
from s3gw.service import GatewayService
from s3gw.settings import OPTIONS, ConfigurationError, Settings, read_settings
from s3gw.web.listen import server_endpoint
from s3gw.web.tls import ServerCertificate, development_certificate

ExceptHook = Callable[[type[BaseException], BaseException, TracebackType | None], object]

_log = Logger()

_HINT = "Try: twistd s3gw --help"
_NAMES = frozenset(option.name for option in OPTIONS)


class Options(usage.Options):
    """The options of `s3gw.settings.OPTIONS`; ``settings`` is what they come to, once parsed."""

    synopsis = "[options]"
    longdesc = (
        "A durable S3-compatible object store. Every option can be given by the environment as well, as S3GW_ and its "
        "name in capitals (S3GW_DB_PATH=/var/lib/s3gw); the command line wins. On SIGHUP certificates, "
        "credentials and SSE keys are read again, on SIGTERM running requests may end first."
    )
    optParameters = [[option.name, None, None, option.text] for option in OPTIONS]

    settings: Settings

    def __setitem__(self, name: str, value: object) -> None:
        """Keep every value of an option in order; `read_settings` knows which of them count."""
        super().__setitem__(name, (*(self.get(name) or ()), value) if name in _NAMES else value)

    def opt_version(self) -> None:
        """Display the versions of s3gw and Twisted, and exit."""
        print(f"s3gw {version('s3gw')} (Twisted {version('twisted')})")
        raise SystemExit(0)

    def parseOptions(self, options: Iterable[str] | None = None) -> None:
        """Parse; ``--db-path`` is ``--db_path``. Under twistd an error is one line and a hint, where twistd itself
        would print the whole help before it.

        :raises usage.UsageError: when there is no twistd around.
        """
        try:
            super().parseOptions([_spelt(word) for word in options or ()])
        except usage.UsageError as error:
            if self.parent is None:
                raise
            raise SystemExit(f"s3gw: {error}\n{_HINT}") from None

    def parseArgs(self, *words: str) -> None:
        """Refuse words that belong to no option."""
        if words:
            raise usage.UsageError(f"{words[0]!r} is no option and belongs to none")

    def postOptions(self) -> None:
        """Make ``settings``, and forget the texts, of which one may be a secret."""
        given = {option.name: self.get(option.name) or () for option in OPTIONS}
        try:
            self.settings = read_settings(given, os.environ)
        except ConfigurationError as error:
            raise usage.UsageError(str(error)) from None
        if given["secret_key"]:
            _log.warn(
                "the secret key is on the command line, where every user of this machine can read it: "
                "use S3GW_SECRET_KEY or --credentials_file"
            )
        del self["secret_key"]


def _spelt(word: str) -> str:
    """The option word as it is declared: underscores, and a value for the one option that may go without."""
    name, equals, value = word.partition("=")
    if not name.startswith("--") or len(name) == 2:
        return word
    name = "--" + name[2:].replace("-", "_")
    return f"{name}={value}" if equals or name == "--generate_tls_cert" else name


def makeService(options: Options) -> IService:
    """The gateway that the options describe, neither listening nor open yet.

    :raises SystemExit: with one line, when it is plain already that it cannot run.
    """
    settings = options.settings
    try:
        keys = KeyRing.of(settings) if settings.auth == "sigv4" else None
        master_keys = MasterKeyRing.of(settings)
        cache_file = CacheFile(settings.cache_rules)
        certificate = _certificate(settings) if settings.has_tls else None
        for listener in settings.listen:
            server_endpoint(reactor, listener)
    except ConfigurationError as error:
        raise SystemExit(f"s3gw: {error}") from None
    if keys is None:
        _log.warn("--auth=none: whoever reaches this gateway may read, change and delete everything in it")
    foreground = options.parent is None or bool(options.parent.get("nodaemon", True))
    sys.excepthook = one_line_hook(sys.excepthook, _to_stderr if foreground else _to_log)
    return GatewayService(settings, keys, certificate, reactor, master_keys=master_keys, cache_file=cache_file)


def _certificate(settings: Settings) -> ServerCertificate:
    directory = settings.generate_tls_cert
    if directory is not None:
        made = development_certificate(directory, settings.virtual_host_suffixes, datetime.now(timezone.utc))
        _log.info("development certificate {cert}: clients trust {ca}", cert=str(made.cert), ca=str(made.ca))
        return ServerCertificate(made.cert, made.key)
    assert settings.tls_cert is not None and settings.tls_key is not None  # Settings saw to it
    return ServerCertificate(settings.tls_cert, settings.tls_key)


def one_line_hook(otherwise: ExceptHook, report: Callable[[str], object]) -> ExceptHook:
    """An exception hook that reports a `ConfigurationError` as its line, and leaves the rest to ``otherwise``."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, ConfigurationError):
            report(str(error))
        else:
            otherwise(kind, error, trace)

    return hook


def _to_stderr(line: str) -> None:
    print(f"s3gw: {line}", file=sys.__stderr__)  # sys.stderr is the log by then


def _to_log(line: str) -> None:
    _log.critical("{line}", line=line)
