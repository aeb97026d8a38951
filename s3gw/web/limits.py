"""The numbers of the HTTP face: what one connection may hold, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True)
class Limits:
    """Bounds of one connection, and of all of them. Sizes are bytes, times are seconds.

    Timers are looked at once a second, and fire up to a second early or late.

    :ivar max_connections: connections served at once; one more is answered with 503 SlowDown. Keep it well below the
        limit of open files, since those beyond it hold a file too while they are answered.
    :ivar max_inflight: requests being served at once, over all connections; one more is answered with 503 SlowDown.
    :ivar max_buffered: bytes of bodies held in both directions, over all connections, with which no further request
        that would add to them is served: it is answered with 503 SlowDown.
    :ivar uri: longest request target; beyond it 414.
    :ivar header_section: largest header section, names and values; beyond it 431.
    :ivar headers: header fields in a request; beyond it 431.
    :ivar window: body held unread, or answer held unsent, before the side that produces it is paused.
    :ivar drop: largest rest of an unread body that is read and dropped to keep the connection.
    :ivar linger_bytes: what is read and dropped after an answer that ends the connection, so that the client gets to
        read that answer instead of a reset.
    :ivar linger: time allowed for that.
    :ivar header_read: first byte of a request to the end of its head; also how long a new connection may be silent.
    :ivar body_stall: between two pieces of a body that is waited for.
    :ivar response_stall: for the client to take a window of the answer.
    :ivar keep_alive: idle between two requests.
    """

    max_connections: int = 4096
    max_inflight: int = 2048
    max_buffered: int = 1024 * 1024 * KIB
    uri: int = 16 * KIB
    header_section: int = 64 * KIB
    headers: int = 200
    window: int = 256 * KIB
    drop: int = 64 * KIB
    linger_bytes: int = 1024 * KIB
    linger: float = 2.0
    header_read: float = 30.0
    body_stall: float = 60.0
    response_stall: float = 60.0
    keep_alive: float = 300.0
