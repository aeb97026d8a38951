"""The house has floors: what may import what, and what must do without Twisted, a database or a clock.

`FLOORS` is the table of the architecture, bottom-up. It is proved twice: by reading every import statement, and by
importing each pure floor in an interpreter that has no Twisted to import.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import s3gw

ROOT = Path(s3gw.__file__).parent

VALUES = ("errors", "model", "eviction")
FLOORS: dict[str, tuple[str, ...]] = {
    "errors": (),
    "model": (),
    "eviction": (),
    "settings": (*VALUES, "s3"),
    "private_file": ("settings",),
    "credentials": ("model", "settings", "private_file"),
    "cachefile": (*VALUES, "settings", "s3"),
    "cipher": ("model",),
    "masterkeys": ("cipher", "settings", "private_file"),
    "s3": VALUES,
    "access": (*VALUES, "s3"),
    "store": (*VALUES, "s3"),
    "operations": (*VALUES, "cipher", "s3", "access", "store"),
    "web": (*VALUES, "settings", "credentials", "s3", "access", "store", "operations"),
    "allocator": (),
    "service": (
        *(*VALUES, "allocator", "settings", "credentials", "cachefile", "masterkeys"),
        *("s3", "access", "store", "operations", "web"),
    ),
    "admin": ("model", "settings", "cipher", "masterkeys", "store"),
    "tap": ("settings", "credentials", "cachefile", "masterkeys", "service", "web"),
    "testing": (*VALUES, "settings", "credentials", "masterkeys", "s3", "store", "web", "service"),
}
"""For each module or package of ``s3gw``, which others it may import. A package may import itself."""

PURE = (
    *("errors", "model", "eviction", "settings", "private_file", "credentials", "cachefile", "cipher", "masterkeys"),
    *("s3", "access", "store", "operations", "admin"),
)
"""Floors that know no Twisted."""

BANNED: dict[str, frozenset[str]] = {
    **{floor: frozenset({"twisted", "OpenSSL", "httptools", "prometheus_client"}) for floor in PURE},
    "s3": frozenset({"twisted", "OpenSSL", "httptools", "prometheus_client", "rocksdict"})
    | {"asyncio", "os", "pathlib", "socket", "ssl", "threading"},
    "web": frozenset({"rocksdict"}),
}
"""What a floor must not import of the rest of the world: the protocol has no I/O and no clock."""

CLOCKS = {f"time.{clock}" for clock in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter")} | {
    f"{kind}.{clock}" for kind in ("datetime", "date") for clock in ("now", "utcnow", "today")
}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package, by dotted name."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> Iterator[str]:
    """The dotted name of everything that a file imports, wherever in it the statement stands."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor_of(name: str) -> str:
    """The floor of a module of ours."""
    return [*name.split("."), ""][1]


class StatementTests(SynchronousTestCase):
    """The import statements, one by one."""

    def test_every_floor_is_known(self) -> None:
        """A new module or package has a place in the table."""
        self.assertEqual({floor_of(name) for name, _ in modules()} - {""}, set(FLOORS))

    def test_only_downwards(self) -> None:
        """Nothing imports a floor above it, nor one beside it."""
        wrong = [
            f"{name} imports {imported}"
            for name, path in modules()
            for imported in imports(path)
            if imported.split(".")[0] == "s3gw"
            and floor_of(name)
            and floor_of(imported) not in (floor_of(name), *FLOORS[floor_of(name)])
        ]
        self.assertEqual(wrong, [])

    def test_rest_of_the_world(self) -> None:
        """Only web, service and tap speak to Twisted, only store to RocksDB, and the protocol to nobody."""
        wrong = [
            f"{name} imports {imported}"
            for name, path in modules()
            for imported in imports(path)
            if imported.split(".")[0] in BANNED.get(floor_of(name), frozenset())
        ]
        self.assertEqual(wrong, [])

    def test_no_clock(self) -> None:
        """The protocol and the operations are told what time it is."""
        wrong = [
            f"{name}:{node.lineno} reads the clock"
            for name, path in modules()
            if floor_of(name) in ("s3", "operations")
            for node in ast.walk(ast.parse(path.read_bytes()))
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and f"{node.value.id}.{node.attr}" in CLOCKS
        ]
        self.assertEqual(wrong, [])


class BlockedTests(SynchronousTestCase):
    """The imports, carried out."""

    def import_without(self, blocked: list[str], floors: tuple[str, ...]) -> None:
        """Import every module of the floors, but programs, in a fresh interpreter without the blocked packages."""
        names = [name for name, path in modules() if floor_of(name) in floors and path.name != "__main__.py"]
        script = (
            "import importlib, sys\n"
            f"sys.path.insert(0, {str(ROOT.parent)!r})\n"
            f"sys.modules.update(dict.fromkeys({blocked!r}))\n"
            f"for name in {names!r}: importlib.import_module(name)\n"
        )
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_without_twisted(self) -> None:
        """Everything below the web can be used, and tested, where there is no Twisted."""
        self.import_without(["twisted", "OpenSSL", "httptools", "prometheus_client"], PURE)

    def test_without_a_database(self) -> None:
        """The protocol, what the operations mean and their web face need no RocksDB: the service chooses the engine."""
        with_one = ("store", "service", "admin", "tap", "testing")
        self.import_without(["rocksdict"], tuple(floor for floor in FLOORS if floor not in with_one))
