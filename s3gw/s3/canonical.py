"""The canonical request of AWS Signature Version 4, as S3 builds it from what stood on the wire.

============== ====================================================================================================
line           made of
============== ====================================================================================================
method         as sent
URI            the raw path, each byte UriEncoded once: neither normalised nor encoded twice; ``%2F`` stays ``%2F``
query          names and values UriEncoded, sorted by name, then value; a name without ``=`` gets one; ``+`` is a plus
headers        ``name:value`` of each signed header, white space trimmed and runs of it made one space
signed headers the names, joined by ``;``
payload        the value of ``x-amz-content-sha256``
============== ====================================================================================================

All text here is Latin-1: one character for each byte of the wire.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from itertools import product
from operator import itemgetter

ALGORITHM = "AWS4-HMAC-SHA256"

_UNRESERVED = r"A-Za-z0-9\-._~"
_IN_PATH = re.compile(rf"%[0-9A-Fa-f]{{2}}|[^{_UNRESERVED}/]")
_IN_QUERY = re.compile(rf"%[0-9A-Fa-f]{{2}}|[^{_UNRESERVED}]")
_is_canonical = re.compile(rf"[{_UNRESERVED}/]+").fullmatch
_BLANKS = re.compile(r"[ \t]+")


def _spellings() -> dict[str, str]:
    """Every way to write a byte (itself, or an escape in either case) to the one way that UriEncode writes it."""
    table = {}
    for byte in range(256):
        literal = chr(byte)
        canonical = literal if re.fullmatch(f"[{_UNRESERVED}]", literal) else f"%{byte:02X}"
        table[literal] = canonical
        for digits in product(*({digit, digit.upper()} for digit in f"{byte:02x}")):
            table["%" + "".join(digits)] = canonical
    return table


_CANONICAL = _spellings()


def _encode(match: re.Match[str]) -> str:
    return _CANONICAL[match[0]]


def canonical_uri(raw_path: str) -> str:
    """``raw_path`` with each byte of its segments UriEncoded once; the literal slashes stand."""
    return _IN_PATH.sub(_encode, raw_path) or "/"


def canonical_query(raw_query: str) -> str:
    """``raw_query`` in canonical form, without X-Amz-Signature, which cannot sign itself."""
    if not raw_query:
        return ""
    pairs = []
    for piece in raw_query.split("&"):
        if not piece:
            continue
        name, _, value = piece.partition("=")
        name = _IN_QUERY.sub(_encode, name)
        if name != "X-Amz-Signature":
            pairs.append((name, _IN_QUERY.sub(_encode, value)))
    pairs.sort()
    return "&".join([f"{name}={value}" for name, value in pairs])


class SignedHeaders:
    """Names of the headers that a client signs, and the form of their lines.

    :ivar names: in lower case, in the order in which the client lists them.
    :ivar pick: the values of all of them, of headers that has all of them.
    :ivar form: what these are put into: the lines of the headers, and that of their names.
    """

    __slots__ = ("_text", "form", "names", "pick")

    def __init__(self, text: str) -> None:
        """:param text: the names, joined by ``;``."""
        self._text = text
        self.names = tuple(text.split(";"))
        self.pick = itemgetter(*self.names)
        escaped = text.replace("%", "%%")
        self.form = "".join([f"{name}:%s\n" for name in escaped.split(";")]) + f"\n{escaped}\n"

    def trimmed(self, headers: Mapping[str, str]) -> str:
        """``form`` with values that are trimmed; a header that was not sent counts as empty."""
        lines = "".join([f"{name}:{_trimmed(headers.get(name, ''))}\n" for name in self.names])
        return f"{lines}\n{self._text}\n"


def _trimmed(value: str) -> str:
    # str.split() would do, but for U+0085 and U+00A0: as bytes of UTF-8 they are no white space.
    return _BLANKS.sub(" ", value.strip(" \t"))


def canonical_request(
    method: str,
    raw_path: str,
    query: str,
    headers: Mapping[str, str],
    signed: SignedHeaders,
    payload: str,
) -> bytes:
    """The canonical request.

    :param query: in canonical form. :param payload: the value of ``x-amz-content-sha256``.
    """
    # Most paths are in canonical form already: to see that takes half the time of making it so.
    uri = raw_path if _is_canonical(raw_path) else canonical_uri(raw_path)
    try:
        lines = signed.form % signed.pick(headers)
    except KeyError:
        lines = signed.trimmed(headers)
    # Few values have a blank, fewer one that is to go: to see that takes half the time of trimming them all.
    if "\t" in lines or (" " in lines and ("  " in lines or ": " in lines or " \n" in lines)):
        lines = signed.trimmed(headers)
    return f"{method}\n{uri}\n{query}\n{lines}{payload}".encode("latin-1")


def string_to_sign(timestamp: str, scope: str, request: bytes) -> bytes:
    """What is signed for a canonical request made at ``timestamp`` (``yyyyMMddTHHmmssZ``)."""
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{sha256(request).hexdigest()}".encode("latin-1")
