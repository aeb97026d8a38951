"""The master keys of SSE-S3, from ``--sse_key_file``.

A line of the file is a key: its id, a space, and 32 bytes in base64. Empty lines and those that begin with ``#`` are
for people. Every key opens what was encrypted under it; new objects are encrypted under the last one. So keys are
rotated by appending a line. No message ever shows a key.
"""

from __future__ import annotations

import binascii
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path

from s3gw.cipher import KEY_BYTES, MasterKey
from s3gw.private_file import read_private
from s3gw.settings import ConfigurationError, Settings

_ID = re.compile("[A-Za-z0-9._-]{1,64}")
_ID_IS = "an id has 1 to 64 letters, digits, '.', '_' or '-'"


class MasterKeyRing:
    """The keys of a file: `cipher.MasterKeys`."""

    def __init__(self, path: Path) -> None:
        """:raises ConfigurationError: the file cannot be used."""
        self.path = path
        self._keys: Mapping[str, MasterKey] = {}
        self._active: MasterKey
        self.reload()

    @classmethod
    def of(cls, settings: Settings) -> MasterKeyRing | None:
        """The ring that the settings ask for. :raises ConfigurationError:"""
        return None if settings.sse_key_file is None else cls(settings.sse_key_file)

    @property
    def active(self) -> MasterKey:
        """The key of new objects: the last one in the file."""
        return self._active

    def find(self, id: str) -> MasterKey | None:
        """The key with this id."""
        return self._keys.get(id)

    def reload(self) -> None:
        """Read the file again. :raises ConfigurationError: the file cannot be used; the ring stays as it was."""
        keys = parse_master_keys(read_private(self.path, "SSE key file"), f"SSE key file {self.path}")
        self._keys = {key.id: key for key in keys}
        self._active = keys[-1]


def parse_master_keys(text: str, source: str) -> list[MasterKey]:
    """The keys in the text of a key file, at least one.

    :param source: what to call the file in an error. :raises ConfigurationError: a line is not what it should be."""
    keys: dict[str, MasterKey] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or _ID.fullmatch(words[0]) is None:
            raise ConfigurationError(f"{source}: line {number} is not ID KEY ({_ID_IS})")
        if words[0] in keys:
            raise ConfigurationError(f"{source}: line {number}: the id {words[0]} is there twice")
        try:
            keys[words[0]] = MasterKey(words[0], b64decode(words[1], validate=True))
        except (binascii.Error, ValueError):
            raise ConfigurationError(f"{source}: line {number}: a key is {KEY_BYTES} bytes in base64") from None
    if not keys:
        raise ConfigurationError(f"{source}: there is no key in it")
    return list(keys.values())


def add_master_key(path: Path, id: str) -> None:
    """Append a fresh key to a key file, which is made with mode 0600 when it is missing.

    The file that results is on disk, and whole, when it takes the place of the one before it.

    :raises ConfigurationError: there is a file, and it cannot be used; or the id is taken, or is none.
    :raises OSError:"""
    if _ID.fullmatch(id) is None:
        raise ConfigurationError(f"{id!r} is no id: {_ID_IS}")
    text = read_private(path, "SSE key file") if path.exists() else ""
    if text.strip():
        parse_master_keys(text, f"SSE key file {path}")
        text = text if text.endswith("\n") else f"{text}\n"
    text += f"{id} {b64encode(os.urandom(KEY_BYTES)).decode()}\n"
    parse_master_keys(text, f"SSE key file {path}")
    written = path.with_name(f"{path.name}.new")
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(written, path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
