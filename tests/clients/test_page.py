"""docs/clients.md: every client that it has is run by a check, and what it shows is what the check runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.clients.page import CA, PAGE, clients, sections

CHECKOUT = Path(__file__).resolve().parents[2]
CHECKS = sorted(Path(__file__).parent.glob("check_*.py"))

NOT_A_CLIENT = {"Encryption", "Virtual-host style"}
"""Sections that are about something else."""

PROTOCOLS = {"check_endpoints.py", "check_kvbm.py"}
"""Checks of what clients of the page do, beside those of the clients; the page tells of them, too."""


def section_of(check: Path) -> set[str]:
    """The sections that the classes of a check name."""
    found = set()
    for node in ast.walk(ast.parse(check.read_text())):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            found |= {str(node.value.value) for target in node.targets if getattr(target, "id", "") == "section"}
    return found


class PageTests(SynchronousTestCase):
    """The page and the checks know each other."""

    def test_every_section_is_in_the_table(self) -> None:
        """No client is described that the table does not have, and the other way round."""
        self.assertEqual(set(clients()), set(sections()) - NOT_A_CLIENT)

    def test_every_client_is_checked(self) -> None:
        """The file that the table names is there, and is about this section."""
        for client, name in clients().items():
            path = CHECKOUT / name
            self.assertTrue(path.exists(), name)
            if path in CHECKS:
                self.assertEqual(section_of(path), {client})

    def test_every_check_is_named(self) -> None:
        """No check is forgotten by the page."""
        named = {Path(name).name for name in clients().values()}
        self.assertEqual({path.name for path in CHECKS} - PROTOCOLS, {name for name in named if "check_" in name})
        for name in PROTOCOLS:
            self.assertIn(f"`tests/clients/{name}`", PAGE.read_text())

    def test_checks_run_the_page(self) -> None:
        """A check takes what it runs from the page; those that have nothing of their own to run take another's."""
        for path in CHECKS:
            if path.name not in PROTOCOLS:
                self.assertRegex(path.read_text(), r"(self\.page|page)\.snippets\[", path.name)

    def test_snippets(self) -> None:
        """Every client has something to copy, with the address and the keys of the page and no others."""
        for client in clients():
            section = sections()[client]
            self.assertTrue(section.snippets, client)
            text = section.text
            self.assertEqual(set(re.findall(r"127\.0\.0\.1:(\d+)", text)) - {"9000", "9443"}, set(), client)
            self.assertEqual(
                set(re.findall(r"[\w/~.-]*ca\.pem", text)) - {CA, "ca.pem", "data-tls/ca.pem"}, set(), client
            )

    def test_python_is_python(self) -> None:
        """What is marked as Python compiles."""
        blocks = re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE.read_text())
        self.assertGreater(len(blocks), 5)
        for block in blocks:
            compile(block, str(PAGE), "exec")
