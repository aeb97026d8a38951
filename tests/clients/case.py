"""`ClientCase`: a client against http and https, with the bucket in the path and in the host name."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SkipTest

from tests.clients.page import CA, URL, Section, sections
from tests.live.case import KIB, MIB, LiveCase, run_client, some_bytes
from tests.live.server import LiveServer

ACCESS_KEY = "demo"
SECRET_KEY = "demo-secret-123"
"""The keys of the page."""

SIZES = {"empty": 0, "one": 1, "chunk": 64 * KIB + 1, "a b+c/ü@256": 1000, "parts": 8 * MIB + 1, "large": 64 * MIB}
"""Keys, and the sizes of what is under them."""

NAMES = [f"clients-{number:02}" for number in range(1, 100)]
"""Buckets. They are known beforehand, so that ``run.sh`` can name their hosts where nothing resolves them."""

_names = iter(NAMES)


@dataclass(frozen=True)
class Place:
    """Where a client is sent.

    :ivar virtual: the bucket goes into the host name.
    """

    server: LiveServer
    virtual: bool

    @property
    def authority(self) -> str:
        """Host and port of the endpoint."""
        host = "127.0.0.1" if not self.virtual else "s3.localhost" if self.server.tls else "localhost"
        return f"{host}:{self.server.port}"

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"{self.server.scheme}://{self.authority}"

    @property
    def tls(self) -> bool:
        """Whether it is https."""
        return self.server.tls

    @property
    def ca(self) -> str:
        """What is to be trusted."""
        return str(self.server.ca)

    def fill_in(self, snippet: str) -> str:
        """A snippet of the page with this address in place of its own."""
        text = snippet.replace(URL, self.url).replace(URL.partition("://")[2], self.authority)
        return text.replace(CA, self.ca)


class ClientCase(LiveCase):
    """The matrix: what `exercise` does has to work at every place. Derive, with `Matrix`, and name the section.

    :cvar section: heading of the client's section in docs/clients.md.
    """

    section = ""
    auth = "sigv4"

    def make_server(self) -> LiveServer:
        """The server of a test; a client of it has the keys of the page."""
        return clients_server(self.tls)

    @property
    def page(self) -> Section:
        """What the page says."""
        return sections()[self.section]

    def page_of(self, section: str) -> Section:
        """What the page says about another client."""
        return sections()[section]

    def place(self, tls: bool, virtual: bool) -> Place:
        """A place of the matrix. :raises SkipTest: the name of a bucket does not resolve here."""
        self.server = clients_server(tls)
        return Place(self.server, virtual)

    def new_bucket_name(self, place: Place) -> str:
        """A bucket that nobody has used. :raises SkipTest: its host does not resolve here."""
        name = next(_names)
        if place.virtual:
            host = f"{name}.{place.authority.partition(':')[0]}"
            try:
                socket.gethostbyname(host)
            except OSError:
                raise SkipTest(f"{host} does not resolve here") from None
        return name

    def run_python(self, snippet: str, **names: Any) -> dict[str, Any]:
        """Run a snippet of Python; the names that it leaves."""
        exec(compile(snippet, str(self.section), "exec"), names)
        return names

    def with_environment(self, **variables: str) -> None:
        """Set environment variables for this test, and none of AWS beside them."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        patch = mock.patch.dict(os.environ, {**kept, **variables}, clear=True)
        patch.start()
        self.addCleanup(patch.stop)

    def tree(self, sizes: Iterable[str] = tuple(SIZES)) -> tuple[Path, Path]:
        """A directory with the files of `SIZES`, and an empty one beside it."""
        home = self.directory()
        for key in sizes:
            path = home / "up" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body_of(key))
        (home / "down").mkdir()
        return home / "up", home / "down"

    def assertTwins(self, up: Path, down: Path) -> None:
        """Two directories hold the same files."""
        names = [sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()) for root in (up, down)]
        self.assertEqual(names[0], names[1])
        for name in names[0]:
            self.assertSame((down / name).read_bytes(), (up / name).read_bytes())

    def stored(self, bucket: str) -> dict[str, bytes]:
        """What is in a bucket, read by a client that is known to be right."""
        s3 = self.server.s3(access_key=ACCESS_KEY, secret_key=SECRET_KEY)
        keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
        return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def assertStored(self, bucket: str, keys: Iterable[str] = tuple(SIZES), prefix: str = "") -> None:
        """The bucket has the objects of `SIZES`, and they are what they should be."""
        found = self.stored(bucket)
        self.assertEqual(sorted(found), sorted(prefix + key for key in keys))
        for key in keys:
            self.assertSame(found[prefix + key], body_of(key))

    def run_script(self, script: str, cwd: Path, **variables: str) -> str:
        """What a script of the page prints."""
        variables = {"HOME": str(cwd), "LC_ALL": "C.UTF-8", **variables}
        return run_client(["bash", "-euc", script], cwd=cwd, **variables)


class Matrix:
    """Four tests."""

    def exercise(self, place: Place) -> None:
        """What has to work."""
        raise NotImplementedError

    def test_http_path(self) -> None:
        """http, the bucket in the path."""
        self.exercise(self.place(False, False))  # type: ignore[attr-defined]

    def test_http_virtual(self) -> None:
        """http, the bucket in the host name."""
        self.exercise(self.place(False, True))  # type: ignore[attr-defined]

    def test_https_path(self) -> None:
        """https, the bucket in the path."""
        self.exercise(self.place(True, False))  # type: ignore[attr-defined]

    def test_https_virtual(self) -> None:
        """https, the bucket in the host name."""
        self.exercise(self.place(True, True))  # type: ignore[attr-defined]


@lru_cache
def clients_server(tls: bool) -> LiveServer:
    """The server that all clients share."""
    directory = Path(tempfile.mkdtemp(prefix="clients-", dir=Path.cwd()))
    keys = {"S3GW_ACCESS_KEY": ACCESS_KEY, "S3GW_SECRET_KEY": SECRET_KEY}
    server = LiveServer(directory, auth="sigv4", tls=tls, variables=keys)
    server.access_key, server.secret_key = ACCESS_KEY, SECRET_KEY
    return server.start()


@lru_cache
def body_of(key: str) -> bytes:
    """What is under a key of `SIZES`."""
    return some_bytes(SIZES[key], len(key))


def need(name: str) -> str:
    """The path of a program that ``install.sh`` gets. :raises SkipTest: it is not there."""
    found = shutil.which(name)
    if found is None:
        raise SkipTest(f"{name} could not be installed: see what install.sh printed")
    return found
