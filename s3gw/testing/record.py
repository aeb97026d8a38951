"""`Record`: what a test may want to know of a request that was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Record:
    """A request that has ended.

    :ivar method: such as ``GET``.
    :ivar path: as it was sent, still encoded, without the query.
    :ivar query: as it was sent, still encoded; empty without one.
    :ivar headers: by lower-case name; a signature is among them.
    :ivar operation: its name in S3, such as ``PutObject``; empty if it was refused before that was known.
    :ivar bucket: and ``key``, decoded; empty where there is none.
    :ivar status: of the answer; 0 if the client got no answer.
    :ivar error: the S3 error code of the answer; empty without one.
    :ivar received: bytes of body that came, and ``sent``, that went.
    :ivar seconds: from its first byte to the end of its answer.
    :ivar cut: the answer did not reach its end, or there was none.
    :ivar faults: what was injected into it.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    operation: str
    bucket: str
    key: str
    status: int
    error: str
    received: int
    sent: int
    seconds: float
    cut: bool
    faults: tuple[object, ...]
