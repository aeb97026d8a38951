"""How bodies are encrypted: keys, what is made of them, and the argument that no nonce comes twice. No I/O.

==================  =================================================================================================
customer key        32 bytes that come with each request (SSE-C); nothing of it is stored but ``verifier``
master key          32 bytes of the key file, named by an id (SSE-S3)
data key            32 random bytes, made anew for each object and each multipart upload; stored wrapped
wrapped             salt (32 random bytes), then the data key under AES-256-GCM with a key of HKDF(customer or master
                    key, salt), nonce 0; associated data: kind, bucket and key of the object
verifier            32 further bytes of that HKDF, for a customer key
body key            HKDF(data key, id of the blob or inline body): one for each of them
sealed chunk        AES-256-GCM of the chunk with the body key, then the tag (16 bytes). Nonce: the chunk's number, 12
                    bytes; associated data: id and number (4 bytes); an inline body is chunk 0 of its id
ETag                16 bytes of HKDF(data key, MD5), for an object under a customer key
sealed note         salt (16 random bytes), then AES-256-GCM of a checksum with HKDF(data key, salt), nonce 0
==================  =================================================================================================

**Nonces.** GCM gives itself away when one key meets one nonce with two plaintexts. A wrapping key is used once, because
its salt is fresh: nonce 0 will do, and a master key has no limit on how many objects it wraps. A note's key likewise.
A body key belongs to one id, and an id to one body: ids are made of the time and 64 random bits, for each body that is
written, and never used again. So a part that is uploaded again, a copy that is encrypted again, and a PUT that is tried
again have a key of their own each. Within a body the nonce is the chunk's number, each number is sealed once, and a
write that the store asks to repeat repeats the sealed bytes. Copies that share blobs share the data key, and with it
bytes that exist already: they seal nothing.

**Place.** A chunk is good under its id and number alone: exchanged, moved, shortened or altered ones are refused. A
wrapped key is good under its bucket and key alone. What is not authenticated is the record around it: sizes, the order
of the blobs, metadata, ETags. Who can write to the database can still put back an older state of an object.

Sources: NIST SP 800-38D; RFC 5869 (HKDF, SHA-256 throughout).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hmac import compare_digest
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from s3gw.model import Encryption

KEY_BYTES = 32
MASTER = "AES256"
"""`Encryption.kind` of a data key that a master key wraps: SSE-S3."""

CUSTOMER = "SSE-C"
"""`Encryption.kind` of a data key that a customer key wraps."""

_SALT_BYTES = 32
_NOTE_SALT_BYTES = 16
_ONCE = bytes(12)
"""The nonce of a key that is used once."""

Buffer = bytes | memoryview


class WrongKey(Exception):
    """The key is not the one that the data key was wrapped with."""


class Tampered(Exception):
    """What is to be opened was not sealed with this key in this place."""


class Secret:
    """A key: 32 bytes that no ``repr`` shows, no log and no record."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """:raises ValueError: it has not 32 bytes."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        self._key = key

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def equals(self, other: Secret) -> bool:
        """Whether both are the same key, compared in constant time."""
        return compare_digest(self._key, other._key)

    def derive(self, length: int, salt: bytes | None, purpose: bytes) -> bytes:
        """``length`` bytes made of this key."""
        return HKDF(SHA256(), length, salt, b"s3gw " + purpose).derive(self._key)


class MasterKey(Secret):
    """A key of the key file. :ivar id: its name there."""

    __slots__ = ("id",)

    def __init__(self, id: str, key: bytes) -> None:
        super().__init__(key)
        self.id = id


class MasterKeys(Protocol):
    """The keys of the key file."""

    @property
    def active(self) -> MasterKey:
        """The one that new data keys are wrapped with."""

    def find(self, id: str) -> MasterKey | None:
        """The one with this id."""


class DataKey(Secret):
    """The key of one object, or of one multipart upload and the object that it becomes."""

    __slots__ = ()

    @classmethod
    def fresh(cls) -> DataKey:
        """A new one."""
        return cls(os.urandom(KEY_BYTES))

    def body(self, id: bytes) -> BodyCipher:
        """What seals and opens the blob or inline body with this id."""
        return BodyCipher(id, AESGCM(self.derive(KEY_BYTES, None, b"body " + id)))

    def etag(self, md5: str) -> str:
        """What stands for the MD5 of some bytes of the object, and is as long: the same for the same bytes under the
        same data key."""
        return self.derive(16, None, b"etag " + md5.encode()).hex()

    def seal_note(self, note: bytes) -> bytes:
        """A few bytes about the object, sealed."""
        salt = os.urandom(_NOTE_SALT_BYTES)
        return salt + AESGCM(self.derive(KEY_BYTES, salt, b"note")).encrypt(_ONCE, note, None)

    def open_note(self, sealed: bytes) -> bytes:
        """What `seal_note` was given. :raises Tampered:"""
        salt, rest = sealed[:_NOTE_SALT_BYTES], sealed[_NOTE_SALT_BYTES:]
        try:
            return AESGCM(self.derive(KEY_BYTES, salt, b"note")).decrypt(_ONCE, rest, None)
        except InvalidTag:
            raise Tampered() from None


class BodyCipher:
    """Seals and opens the chunks of one blob or inline body."""

    __slots__ = ("_gcm", "id")

    def __init__(self, id: bytes, gcm: AESGCM) -> None:
        self.id = id
        self._gcm = gcm

    def seal(self, number: int, chunk: Buffer) -> bytes:
        """Chunk ``number``, sealed; once for each number."""
        return self._gcm.encrypt(number.to_bytes(12, "big"), chunk, self.id + number.to_bytes(4, "big"))

    def seal_all(self, number: int, chunks: Sequence[Buffer]) -> list[bytes]:
        """The chunks ``number``, ``number + 1``, ..., sealed."""
        return [self.seal(each, chunk) for each, chunk in enumerate(chunks, number)]

    def open(self, number: int, sealed: Buffer) -> bytes:
        """The chunk that was sealed. :raises Tampered: if this is not it."""
        try:
            return self._gcm.decrypt(number.to_bytes(12, "big"), sealed, self.id + number.to_bytes(4, "big"))
        except (InvalidTag, ValueError):  # ValueError: shorter than a tag
            raise Tampered() from None


def wrap(data_key: DataKey, key: Secret, bucket: str, name: str) -> Encryption:
    """What is stored of the data key of object ``name``: wrapped by a master key, or else by a customer key."""
    kind = MASTER if isinstance(key, MasterKey) else CUSTOMER
    salt = os.urandom(_SALT_BYTES)
    wrapping, verifier = _wrapping_key(key, salt, kind)
    wrapped = salt + AESGCM(wrapping).encrypt(_ONCE, data_key._key, _place(kind, bucket, name))
    if isinstance(key, MasterKey):
        return Encryption(kind, wrapped, master=key.id)
    return Encryption(kind, wrapped, verifier=verifier)


def verify(stored: Encryption, key: Secret) -> None:
    """:raises WrongKey: if the customer key is not the one that ``stored`` was made with."""
    _, verifier = _wrapping_key(key, stored.wrapped[:_SALT_BYTES], stored.kind)
    if not compare_digest(verifier, stored.verifier):
        raise WrongKey()


def unwrap(stored: Encryption, key: Secret, bucket: str, name: str) -> DataKey:
    """The data key of object ``name``.

    :raises WrongKey: if the customer key is another one.
    :raises Tampered: if this was not wrapped for that object, or by another master key of the same id."""
    salt, rest = stored.wrapped[:_SALT_BYTES], stored.wrapped[_SALT_BYTES:]
    wrapping, verifier = _wrapping_key(key, salt, stored.kind)
    if stored.kind == CUSTOMER and not compare_digest(verifier, stored.verifier):
        raise WrongKey()
    try:
        return DataKey(AESGCM(wrapping).decrypt(_ONCE, rest, _place(stored.kind, bucket, name)))
    except (InvalidTag, ValueError):
        raise Tampered() from None


def _wrapping_key(key: Secret, salt: bytes, kind: str) -> tuple[bytes, bytes]:
    made = key.derive(2 * KEY_BYTES, salt, b"wrap " + kind.encode())
    return made[:KEY_BYTES], made[KEY_BYTES:]


def _place(kind: str, bucket: str, name: str) -> bytes:
    return f"{kind}\0{bucket}\0{name}".encode()
