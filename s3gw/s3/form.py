"""The body of a browser upload: multipart/form-data (RFC 7578), fields first, then one file.

With ``$`` for CRLF and BOUNDARY from the Content-Type of the request::

    --BOUNDARY$ Content-Disposition: form-data; name="key"$ $ uploads/${filename}$
    --BOUNDARY$ Content-Disposition: form-data; name="file"; filename="a.jpg"$ Content-Type: image/jpeg$ $ BYTES$
    --BOUNDARY--$

======== ==================================== ==========================================================================
state    waits for                            then
======== ==================================== ==========================================================================
preamble a boundary                           what stood before it is ignored
boundary ``$`` or ``--``                      a part begins, or the form ends: without a file, that is an error
headers  ``$ $``                              ``Content-Disposition`` names the field
value    a boundary                           the field is kept
file     a boundary                           bytes go out as they come, all but what may be the start of a boundary
closing  ``$`` or ``--``                      the file is complete
ignored  the end of the body                  whatever stands behind the file is dropped
======== ==================================== ==========================================================================

Field names are without regard to case; of a repeated field the values are joined by ``,``. Everything before the file
takes at most `MAX_FIELDS_BYTES`.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from s3gw.errors import InvalidArgument, MalformedPOSTRequest, MaxPostPreDataLengthExceeded
from s3gw.s3.payload import PayloadDecoder

MAX_FIELDS_BYTES = 20 * 1024
FILE = "file"

_BOUNDARY = re.compile(r';\s*boundary=(?:"((?:\\.|[^"\\])*)"|([^\s;"]+))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"(?:^|\r\n)content-disposition:[ \t]*form-data((?:[^\r\n])*)", re.IGNORECASE)
_PARAMETER = re.compile(r';\s*([a-z0-9*]+)\s*=\s*(?:"((?:\\"|[^"])*)"|([^\s;"]*))', re.IGNORECASE)
_PADDED_LINE = re.compile(rb"[ \t]*\r\n")
_PADDED_START = re.compile(rb"[ \t]*\r?")
_MAX_PADDING = 256


def boundary_of(content_type: str) -> str:
    """The boundary that a Content-Type of multipart/form-data names. :raises MalformedPOSTRequest: if it names none."""
    match = _BOUNDARY.search(content_type)
    boundary = "" if match is None else match[2] or re.sub(r"\\(.)", r"\1", match[1] or "")
    if not 1 <= len(boundary) <= 70:  # RFC 2046 §5.1.1
        raise MalformedPOSTRequest()
    return boundary


class Form:
    """Takes the body of a form in pieces, however cut.

    First `feed` until it is `at_file`; then the `fields` are complete, and `file` decodes what comes from there on.

    :param content_type: of the request.
    :ivar fields: values by lower-case name, ``file`` apart; ``${filename}`` is not replaced.
    :ivar filename: of the file, as the client calls it, without directories.
    :ivar at_file: the next byte is the file's first.
    :raises MalformedPOSTRequest: for a Content-Type without a boundary.
    """

    def __init__(self, content_type: str) -> None:
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.at_file = False
        self._delimiter = f"\r\n--{boundary_of(content_type)}".encode("latin-1")
        self._buffer = b"\r\n"  # so that a boundary may be the first thing
        self._searched = 0  # that much of the buffer holds no mark, but perhaps the start of one
        self._consumed = -len(self._buffer)
        self._name = ""
        self._step: Callable[[], bool] = self._preamble

    def feed(self, data: bytes) -> None:
        """The next bytes of the body.

        :raises MaxPostPreDataLengthExceeded: :raises MalformedPOSTRequest:
        :raises InvalidArgument: when the form ends without a file.
        """
        self._buffer += data
        while not self.at_file and self._step():
            pass
        if self._consumed + (0 if self.at_file else len(self._buffer)) > MAX_FIELDS_BYTES:
            raise MaxPostPreDataLengthExceeded(MaxPostPreDataLengthBytes=str(MAX_FIELDS_BYTES))

    def finish(self) -> None:
        """The body has ended before the file. :raises MalformedPOSTRequest:"""
        raise MalformedPOSTRequest()

    def file(self) -> tuple[FileDecoder, bytes]:
        """What decodes the file, and what it is to be fed first: bytes that came with the fields."""
        rest, self._buffer = self._buffer, b""
        return FileDecoder(self._delimiter), rest

    def _until(self, mark: bytes) -> bytes | None:
        """What stands before ``mark``, both taken; None if it has not come yet."""
        found = self._buffer.find(mark, self._searched)
        if found < 0:
            self._searched = max(0, len(self._buffer) - len(mark) + 1)
            return None
        before = self._buffer[:found]
        self._take(found + len(mark))
        return before

    def _take(self, count: int) -> None:
        self._buffer = self._buffer[count:]
        self._consumed += count
        self._searched = 0

    def _preamble(self) -> bool:
        if self._until(self._delimiter) is None:
            return False
        self._step = self._boundary
        return True

    def _boundary(self) -> bool:
        end = boundary_end(self._buffer)
        if end is None:
            return False
        if end < 0:
            raise InvalidArgument(
                "POST requires exactly one file upload per request.", ArgumentName="file", ArgumentValue="0"
            )
        self._take(end - 2)  # the line break may be that of the empty line: a part without headers
        self._step = self._headers
        return True

    def _headers(self) -> bool:
        lines = self._until(b"\r\n\r\n")
        if lines is None:
            return False
        parameters = _disposition(lines)
        if "name" not in parameters:
            raise MalformedPOSTRequest()
        self._name = parameters["name"].lower()
        if self._name == FILE:
            self.filename = re.split(r"[/\\]", parameters.get("filename", ""))[-1]
            self.at_file = True
        self._step = self._value
        return True

    def _value(self) -> bool:
        raw = self._until(self._delimiter)
        if raw is None:
            return False
        value = _text(raw)
        self.fields[self._name] = f"{self.fields[self._name]},{value}" if self._name in self.fields else value
        self._step = self._boundary
        return True


def boundary_end(data: bytes) -> int | None:
    """Where the line of a boundary ends in ``data``, which begins behind the boundary.

    :returns: the position behind its line break; -1 for the boundary that ends the form; None when more must come.
    :raises MalformedPOSTRequest: for anything else."""
    if data.startswith(b"--"):
        return -1
    match = _PADDED_LINE.match(data)
    if match is not None:
        return match.end()
    if len(data) > _MAX_PADDING or not (data == b"-" or _PADDED_START.fullmatch(data)):
        raise MalformedPOSTRequest()
    return None


def _disposition(lines: bytes) -> dict[str, str]:
    """The parameters of the Content-Disposition among the header lines of a part, by lower-case name."""
    match = _DISPOSITION.search(lines)
    if match is None:
        raise MalformedPOSTRequest()
    found: dict[str, str] = {}
    for name, quoted, token in _PARAMETER.findall(_text(match[1])):
        found.setdefault(name.lower(), quoted.replace('\\"', '"') or token)
    if "filename*" in found:  # RFC 5987; browsers do without
        charset, _, value = found["filename*"].partition("'")
        if charset.lower() == "utf-8":
            found["filename"] = unquote(value.partition("'")[2])
    return found


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise MalformedPOSTRequest() from None


class FileDecoder(PayloadDecoder):
    """The bytes of the file out of the rest of the body; what stands behind the file is dropped.

    :param delimiter: what ends the file: a line break and a boundary.
    """

    def __init__(self, delimiter: bytes) -> None:
        super().__init__(None)
        self._delimiter = delimiter
        self._held = b""  # the start of what may be a delimiter; once that has come, what came behind it
        self._closing = self._complete = False

    def _feed(self, data: bytes) -> list[bytes]:
        if self._complete:
            return []
        data = self._held + data if self._held else data
        self._held = b""
        if self._closing:
            self._close(data)
            return []
        found = data.find(self._delimiter)
        if found >= 0:
            self._closing = True
            self._close(data[found + len(self._delimiter) :])
            data = data[:found]
        else:
            kept = _overlap(data, self._delimiter)
            if kept:
                self._held = data[-kept:]
                data = data[:-kept]
        return [data] if data else []

    def _close(self, data: bytes) -> None:
        self._complete = boundary_end(data) is not None
        self._held = b"" if self._complete else data

    def _finish(self) -> None:
        if not self._complete:
            raise MalformedPOSTRequest()


def _overlap(data: bytes, mark: bytes) -> int:
    """How many of the last bytes of ``data`` are the first of ``mark``, which is not in it."""
    start = data.find(mark[:1], max(0, len(data) - len(mark) + 1))
    while start >= 0:
        if mark.startswith(data[start:]):
            return len(data) - start
        start = data.find(mark[:1], start + 1)
    return 0


def expand_filename(fields: dict[str, str], filename: str) -> dict[str, str]:
    """``fields`` with ``${filename}`` replaced wherever it stands, as S3 does before it looks at the policy."""
    return {name: value.replace("${filename}", filename) for name, value in fields.items()}
