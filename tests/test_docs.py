"""The documents for people say what the code does: names, defaults, commands and links are checked against it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from s3gw.model import BucketInfo, ObjectInfo, PartInfo, UploadInfo
from s3gw.operations.headers import REFUSED
from s3gw.settings import OPTIONS
from s3gw.store.figures import SHARED, SUMS
from s3gw.store.records import BlobRecord
from s3gw.web import accesslog
from s3gw.web.metrics import Metrics

CHECKOUT = Path(__file__).resolve().parents[1]
README = CHECKOUT / "README.md"
DOCS = sorted((CHECKOUT / "docs").glob("*.md"))
OPERATIONS = CHECKOUT / "docs" / "operations.md"


def rows(path: Path) -> dict[str, str]:
    """The rows of the tables in a document, by the first code word in them."""
    found = {}
    for line in path.read_text().splitlines():
        match = re.match(r"\| `([^`]+)`.* \|", line)
        if match is not None:
            found.setdefault(match[1], line)
    return found


def anchors(path: Path) -> set[str]:
    """The names by which links find the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class OperationsTests(SynchronousTestCase):
    """docs/operations.md"""

    def test_options(self) -> None:
        """Every option has a row with its environment variable and its default."""
        documented = rows(OPERATIONS)
        for option in OPTIONS:
            row = documented.get(f"--{option.name}", "")
            _, _, variable, default, *_ = [cell.strip() for cell in row.split("|")] + [""] * 5
            self.assertEqual(variable, f"`{option.variable}`", option.name)
            told = re.search(r"Default: ([^,]*?)(,.*)?\.$", option.text)
            assert told is not None
            self.assertTrue(default.replace("`", "").startswith(told[1].replace("`", "")), f"{option.name}: {default}")

    def test_no_other_options(self) -> None:
        """No document names an option that there is not."""
        names = {option.name for option in OPTIONS}
        for path in (README, *DOCS):
            for name in re.findall(r"S3GW_([A-Z_]+)\b", path.read_text()):
                self.assertIn(name.lower(), names, path.name)
        for name in rows(OPERATIONS):
            if name.startswith("--"):
                self.assertIn(name[2:].partition("=")[0], names)

    def test_refused_headers(self) -> None:
        """Every header that is refused has a row with the values that are not."""
        documented = rows(OPERATIONS)
        for header, accepted in REFUSED.items():
            row = documented.get(header)
            self.assertIsNotNone(row, header)
            for value in accepted:
                self.assertIn(f"`{value}`", row, header)

    def test_metrics(self) -> None:
        """Every family of metrics is there, and every figure of the database."""
        text = OPERATIONS.read_text()
        names = {family.name for family in Metrics().collect()}
        for module in ("service.py", "web/metrics.py", "web/forgetting.py"):
            source = (Path(accesslog.__file__).parents[1] / module).read_text()
            names |= set(re.findall(r'"(s3gw_[a-z_]+)"', source))
        self.assertGreater(len(names), 12)
        for name in names:
            self.assertRegex(text, rf"`{name}(_total)?(\{{\w+\}})?`")
        for figure in (*SUMS.values(), *SHARED.values(), "garbage_bytes"):
            self.assertIn(f"`{figure}`", text)

    def test_access_log(self) -> None:
        """Every field of the access log is there."""
        text = OPERATIONS.read_text()
        for name in re.findall(r"^\| ``(\w+)``", accesslog.__doc__ or "", re.MULTILINE):
            self.assertRegex(text, rf"\| (`\w+`, )?`{name}`", name)


class CommandTests(SynchronousTestCase):
    """What people are told to type."""

    def test_make(self) -> None:
        """Every target that is named is one of the Makefile's; README begins with the two that matter."""
        targets = set(re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
        for path in (README, *DOCS):
            for target in re.findall(r"(?:^    |`)make ([a-z]+)", path.read_text(), re.MULTILINE):
                self.assertIn(target, targets, path.name)
        first_screen = "\n".join(README.read_text().splitlines()[:24])
        self.assertIn("    make run", first_screen)
        self.assertIn("    make test", first_screen)

    def test_twistd(self) -> None:
        """Every option on a command line of ours exists."""
        names = {option.name for option in OPTIONS}
        for path in (README, *DOCS):
            for line in re.findall(r"twistd .*?\bs3gw (-.*)$", path.read_text(), re.MULTILINE):
                for name in re.findall(r"--(\w+)", line.partition("`")[0]):
                    self.assertIn(name, {*names, "help"}, path.name)


class ReferenceTests(SynchronousTestCase):
    """What the documents point at."""

    def test_links(self) -> None:
        """Every link to a file or heading of the checkout leads somewhere."""
        for path in (README, *DOCS):
            for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
                if link.startswith(("http://", "https://")):
                    continue
                name, _, anchor = link.partition("#")
                target = path.parent / name if name else path
                self.assertTrue(target.exists(), f"{path.name}: {link}")
                if anchor:
                    self.assertIn(anchor, anchors(target), f"{path.name}: {link}")

    def test_code(self) -> None:
        """Every ``file:name`` in the architecture is in that file."""
        package = Path(accesslog.__file__).parents[1]
        references = re.findall(r"`([a-z0-9_/]+\.py):([\w.]+)`", (CHECKOUT / "docs" / "architecture.md").read_text())
        self.assertGreater(len(references), 30)
        for file, name in references:
            source = (package / file).read_text()
            for part in name.split("."):
                found = re.search(rf"(?m)^ *(class|def|async def) {part}\b|^{part}\b.* =", source)
                self.assertIsNotNone(found, f"{file}:{name}")

    def test_fields_of_records(self) -> None:
        """The storage format names the structs that are stored, and their fields in number and order."""
        documented = rows(CHECKOUT / "docs" / "storage-format.md")
        for kind in (BucketInfo, ObjectInfo, UploadInfo, PartInfo, BlobRecord):
            row = documented[kind.__name__]
            for field in msgspec.structs.fields(kind):
                word = field.name.split("_")[-1]
                self.assertIn(word, row, f"{kind.__name__}.{field.name}")
