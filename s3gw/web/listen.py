"""From a `Listener` to a bound port, and to the line that says so.

Every endpoint of Twisted's own binds at once, so a taken port is known before the process says that it runs. ALPN over
our certificate is ``http/1.1`` by `s3gw.web.tls`; over Twisted's ``ssl:`` and ``tls:`` endpoints it is what the factory
says, if it provides ``IProtocolNegotiationFactory``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import UNIXServerEndpoint, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from s3gw.settings import ConfigurationError, Listener
from s3gw.web.tls_transport import on_sockets


def server_endpoint(reactor: object, listener: Listener) -> IStreamServerEndpoint:
    """The Twisted endpoint of a listener; nothing is bound yet.

    :raises ConfigurationError: Twisted cannot make sense of it, or a file that it names cannot be used.
    """
    try:
        return cast(IStreamServerEndpoint, serverFromString(reactor, listener.endpoint))
    except Exception as error:  # an endpoint's parser is a plugin, and may raise whatever it likes
        raise _refusal(listener, error) from None


def bind(
    reactor: IReactorTime,
    listener: Listener,
    factory: IProtocolFactory,
    certificate: IOpenSSLServerConnectionCreator | None = None,
) -> IListeningPort:
    """Bind the listener and serve ``factory`` on it.

    :param certificate: spoken over a listener with ``tls``.
    :raises ConfigurationError: the address is taken or not ours, the port is privileged, ...
    """
    endpoint = server_endpoint(reactor, listener)
    if isinstance(endpoint, UNIXServerEndpoint):
        _clear_stale(listener)
    if listener.tls:
        if certificate is None:
            raise ConfigurationError(f"--listen={listener.spelling}: there is no certificate")
        factory = on_sockets(TLSMemoryBIOFactory(certificate, False, factory, reactor))
    outcome: list[IListeningPort | Failure] = []
    endpoint.listen(factory).addBoth(outcome.append)
    if not outcome:
        raise ConfigurationError(f"--listen={listener.spelling}: this endpoint does not bind at once")
    bound = outcome[0]
    if isinstance(bound, Failure):
        raise _refusal(listener, bound.value)
    return bound


def _clear_stale(listener: Listener) -> None:
    """Remove the file of a UNIX socket that nobody listens on any more, and its lock: a killed process leaves both.

    Twisted would take the lock for held when the process id in it is somebody's again, and in a container it is always
    our own. Whoever listens answers a connection; a socket that refuses one is nobody's.

    :raises ConfigurationError: somebody listens there, or the path is that of another file.
    """
    path = listener.endpoint.partition(":")[2].partition(":")[0].replace("address=", "", 1)
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise ConfigurationError(f"--listen={listener.spelling}: {path} is there, and is no socket")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)
    except FileNotFoundError:
        pass
    except ConnectionRefusedError:
        os.unlink(path)
    except OSError as error:
        raise _refusal(listener, error) from None
    else:
        raise ConfigurationError(f"--listen={listener.spelling}: {path} is in use by another process")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{path}.lock")


def announcement(listener: Listener, port: IListeningPort) -> str:
    """The log line of a bound listener, such as ``listening on http://127.0.0.1:9000``; the port is the real one."""
    secure = listener.tls or listener.endpoint.removeprefix("haproxy:").startswith(("ssl:", "tls:"))
    bound = f", for the bucket {listener.bucket}" if listener.bucket else ""
    return f"listening on {'https' if secure else 'http'}{_authority(port.getHost())}{bound}"


def _authority(address: IAddress) -> str:
    match address:
        case IPv4Address():
            return f"://{address.host}:{address.port}"
        case IPv6Address():
            return f"://[{address.host}]:{address.port}"
        case UNIXAddress():
            name = address.name or b""
            return f"+unix:{name.decode(errors='backslashreplace') if isinstance(name, bytes) else name}"
        case _:
            return f" {address}"


def _refusal(listener: Listener, error: BaseException | None) -> ConfigurationError:
    reason = error.socketError if isinstance(error, CannotListenError) else error
    text = (reason.strerror if isinstance(reason, OSError) else None) or str(reason) or type(reason).__name__
    if isinstance(reason, OSError) and reason.filename:
        text = f"{reason.filename}: {text}"
    return ConfigurationError(f"--listen={listener.spelling}: {' '.join(text.split())}")
