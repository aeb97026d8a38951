"""The file of ``--cache_rules``: which buckets are cache buckets by their names, and how they forget.

INI; a section is a pattern of bucket names (``*``, ``?``, ``[a-z]``), its lines are the elements of a
CacheConfiguration (`s3gw.s3.cache_rules`). The first pattern that fits a name counts:

    [kv-pinned-*]
    SecondsSinceRead = 604800

    [kv-*]
    SecondsSinceRead = 3600
    MaxBytes = 107374182400

A bucket gets its rules when it is created; one that is there already and has none gets them when the gateway starts or
reads the file again. What was set for a bucket by hand stays.
"""

from __future__ import annotations

import re
from configparser import Error as IniError
from configparser import RawConfigParser
from fnmatch import fnmatchcase
from pathlib import Path

from s3gw.errors import MalformedXML
from s3gw.model import CacheRules
from s3gw.s3.cache_rules import rules_of
from s3gw.settings import ConfigurationError

MAX_FILE_BYTES = 1 << 20

_PATTERN = re.compile(r"[a-z0-9.\-*?\[\]!]+")


class CacheFile:
    """The rules by patterns. :param path: None for no rules at all."""

    def __init__(self, path: Path | None) -> None:
        """:raises ConfigurationError: the file cannot be used."""
        self.path = path
        self._rules: list[tuple[str, CacheRules]] = []
        self.reload()

    def rules_for(self, bucket: str) -> CacheRules | None:
        """How a bucket of this name forgets; None if it does not."""
        return next((rules for pattern, rules in self._rules if fnmatchcase(bucket, pattern)), None)

    def reload(self) -> None:
        """Read the file again. :raises ConfigurationError: and the rules stay as they were."""
        if self.path is not None:
            self._rules = _read(self.path)


def _read(path: Path) -> list[tuple[str, CacheRules]]:
    parser = RawConfigParser(strict=True, delimiters=("=",), comment_prefixes=("#", ";"), default_section="")
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_FILE_BYTES + 1)
        if len(text) > MAX_FILE_BYTES:
            raise ConfigurationError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
        parser.read_string(text, str(path))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: it is not UTF-8") from None
    except IniError as error:
        raise ConfigurationError(f"{path}: {' '.join(error.message.split())}") from None
    return [(section, _rules(path, section, parser.items(section))) for section in parser.sections()]


def _rules(path: Path, section: str, items: list[tuple[str, str]]) -> CacheRules:
    if _PATTERN.fullmatch(section) is None:
        raise ConfigurationError(f"{path}: [{section}]: no bucket can have such a name")
    try:
        return rules_of(items)
    except MalformedXML as error:
        raise ConfigurationError(f"{path}: [{section}]: {error.message}") from None
