"""The keys that requests may be signed with, and whose they are.

The file is INI in the spelling of ``~/.aws/credentials``; a section is a key, and its name is its user's:

| line                      |          | meaning                                                                    |
|---------------------------|----------|----------------------------------------------------------------------------|
| ``[name]``                |          | starts a key                                                               |
| ``aws_access_key_id``     | required | 3 to 128 characters                                                        |
| ``aws_secret_access_key`` | required | 8 to 128 characters                                                        |
| ``id``                    | optional | canonical user id; keys of one user share it. Default: hex SHA-256 of name |
| ``display_name``          | optional | the user's display name. Default: the name                                 |
| ``email``                 | optional | the user's e-mail address, by which access control lists may name the user |

Any other line is an error, since a misspelt one would change who may do what. No message ever shows a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from configparser import (
    DuplicateOptionError,
    DuplicateSectionError,
    MissingSectionHeaderError,
    ParsingError,
    RawConfigParser,
)
from configparser import Error as IniError
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from s3gw.model import ANONYMOUS_ID, Owner
from s3gw.private_file import read_private
from s3gw.settings import ConfigurationError, Settings, parse_access_key, parse_secret_key

DEFAULT_USER = "default"
"""Whose the key of ``--access_key`` is, so that it owns the same buckets once it moves to ``[default]`` in a file."""


@dataclass(frozen=True)
class Credential:
    """A key and whose it is. Its ``repr`` hides the secret."""

    access_key: str
    secret: str = field(repr=False)
    owner: Owner
    email: str = ""


class KeyRing:
    """Every key, by its access key.

    :ivar path: the credentials file, or None.
    """

    def __init__(self, given: Iterable[Credential] = (), path: Path | None = None) -> None:
        """:param given: keys from elsewhere than the file. :raises ConfigurationError: the file cannot be used."""
        self.path = path
        self._given = tuple(given)
        self._keys: Mapping[str, Credential] = {}
        self._owners: Mapping[str, Owner] = {}
        self._emails: Mapping[str, str] = {}
        self.reload()

    @classmethod
    def of(cls, settings: Settings) -> KeyRing:
        """The ring that the settings ask for. :raises ConfigurationError:"""
        given: tuple[Credential, ...] = ()
        if settings.access_key:
            given = (Credential(settings.access_key, settings.secret_key, owner_named(DEFAULT_USER)),)
        return cls(given, settings.credentials_file)

    def __len__(self) -> int:
        return len(self._keys)

    def lookup(self, access_key: str) -> Credential | None:
        """The credential of an access key; None if there is none."""
        return self._keys.get(access_key)

    def owner_of(self, owner_id: str) -> Owner:
        """The user with a canonical id; one that has no key any more is called by its id."""
        return self._owners.get(owner_id) or Owner(owner_id, owner_id)

    def knows(self, owner_id: str) -> bool:
        """Whether a user with this canonical id has a key."""
        return owner_id in self._owners

    def id_of_email(self, address: str) -> str | None:
        """The canonical id of the user with an e-mail address, whose case does not matter."""
        return self._emails.get(address.lower())

    def reload(self) -> None:
        """Read the file again. A request meets the old ring or the new one, never half of either.

        :raises ConfigurationError: the file cannot be used; the ring stays as it was.
        """
        found = list(self._given)
        if self.path is not None:
            found += parse_credentials(read_private(self.path, "credentials file"), f"credentials file {self.path}")
        keys: dict[str, Credential] = {}
        emails: dict[str, str] = {}
        for credential in found:
            if (
                credential.email
                and emails.setdefault(credential.email.lower(), credential.owner.id) != credential.owner.id
            ):
                raise ConfigurationError(f"the e-mail address {credential.email} is that of two users")
            if credential.access_key in keys:
                raise ConfigurationError(f"access key {credential.access_key} is given twice")
            keys[credential.access_key] = credential
        self._keys, self._emails = keys, emails
        self._owners = {credential.owner.id: credential.owner for credential in found}


def owner_named(name: str) -> Owner:
    """The user of a section without an ``id``."""
    return Owner(sha256(name.encode()).hexdigest(), name)


def parse_credentials(text: str, source: str) -> list[Credential]:
    """Read the text of a credentials file.

    :param source: what to call the file in an error.
    :raises ConfigurationError: a line that is not understood, a value that is missing or out of bounds, no key at all.
    """
    ini = RawConfigParser(delimiters=("=",), empty_lines_in_values=False, default_section="", strict=True)
    try:
        ini.read_string(text)
    except IniError as error:  # its own text quotes the line, which may be a secret
        raise ConfigurationError(f"{source}: {_complaint(error)}") from None
    if not ini.sections():
        raise ConfigurationError(f"{source}: there is no key in it")
    return [_credential(name, dict(ini.items(name)), f"{source}: [{name}]") for name in ini.sections()]


def _complaint(error: IniError) -> str:
    match error:
        case MissingSectionHeaderError():
            return f"line {error.lineno} stands before any [name]"
        case ParsingError():
            return f"line {error.errors[0][0]} is neither [name] nor name = value"
        case DuplicateSectionError():
            return f"line {error.lineno}: [{error.section}] is there twice"
        case DuplicateOptionError():
            return f"line {error.lineno}: {error.option} is there twice in [{error.section}]"
        case _:
            return "it is not in the format of ~/.aws/credentials"


def _canonical_id(text: str) -> str:
    if not 1 <= len(text) <= 128 or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("a canonical id has 1 to 128 printable ASCII characters and no space")
    if text == ANONYMOUS_ID:
        raise ValueError("that is the canonical id of callers who do not sign")
    return text


def _display_name(text: str) -> str:
    if not 1 <= len(text) <= 128 or not text.isprintable():
        raise ValueError("a display name has 1 to 128 printable characters")
    return text


def _email(text: str) -> str:
    if not 3 <= len(text) <= 254 or not text.isprintable() or " " in text or "@" not in text[1:-1]:
        raise ValueError("an e-mail address has 3 to 254 printable characters, an @ among them, and no space")
    return text


_VALUES: Mapping[str, Callable[[str], str]] = {
    "aws_access_key_id": parse_access_key,
    "aws_secret_access_key": parse_secret_key,
    "id": _canonical_id,
    "display_name": _display_name,
    "email": _email,
}


def _credential(name: str, lines: Mapping[str, str], where: str) -> Credential:
    for key in lines.keys() - _VALUES.keys():
        raise ConfigurationError(f"{where}: {key} is not known; known are {', '.join(_VALUES)}")
    values = {"display_name": name} | dict(lines)
    for key in ("aws_access_key_id", "aws_secret_access_key"):
        if key not in values:
            raise ConfigurationError(f"{where}: {key} is missing")
    for key, text in values.items():
        try:
            _VALUES[key](text)
        except ValueError as error:
            raise ConfigurationError(f"{where}: {key}: {error}") from None
    owner = Owner(values.get("id") or owner_named(name).id, values["display_name"])
    return Credential(values["aws_access_key_id"], values["aws_secret_access_key"], owner, values.get("email", ""))
