"""Tests of `s3gw.cachefile`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from s3gw.cachefile import CacheFile
from s3gw.model import CacheRules
from s3gw.settings import ConfigurationError


class CacheFileTests(SynchronousTestCase):
    """The file of ``--cache_rules``."""

    def file(self, text: str) -> Path:
        """A file with this text."""
        path = Path(self.mktemp())
        path.write_text(text)
        return path

    def test_patterns(self) -> None:
        """The first pattern that fits a name counts; a name that none fits has no rules."""
        rules = CacheFile(
            self.file(
                "# comment\n[kv-hot-?]\nMaxObjects = 5\n\n[kv-*]\nMaxBytes = 10\nSecondsSinceRead=3\n; comment\n"
                "[tmp.[a-c]]\nSecondsSinceWrite = 9\n[everything-goes]\n"
            )
        )
        self.assertEqual(rules.rules_for("kv-hot-1"), CacheRules(max_objects=5))
        self.assertEqual(rules.rules_for("kv-hot-12"), CacheRules(max_bytes=10, ttl_read=3))
        self.assertEqual(rules.rules_for("tmp.b"), CacheRules(ttl_write=9))
        self.assertEqual(rules.rules_for("everything-goes"), CacheRules())
        for name in ("tmp.d", "kv", "other"):
            self.assertIsNone(rules.rules_for(name), name)
        self.assertIsNone(CacheFile(None).rules_for("kv-1"))

    def test_refused(self) -> None:
        """What the file gets wrong is one line with the file and the section, and the old rules stay."""
        path = self.file("[kv-*]\nMaxBytes = 10\n")
        rules = CacheFile(path)
        for text, why in (
            ("[kv-*]\nMaxBytes = many\n", r"\[kv-\*\]: MaxBytes must be a whole number"),
            ("[kv-*]\nMaxBites = 1\n", "no element MaxBites"),
            ("[KV]\nMaxBytes = 1\n", "no bucket can have such a name"),
            ("[a/b]\n", "no bucket can have such a name"),
            ("MaxBytes = 1\n", "no section headers"),
            ("[kv]\n[kv]\n", "already exists"),
            ("[kv]\nMaxBytes = 1\nMaxBytes = 2\n", "already exists"),
            ("[kv]\nMaxBytes\n", "parsing errors"),
        ):
            path.write_text(text)
            line = str(self.assertRaises(ConfigurationError, rules.reload))
            self.assertRegex(line, why)
            self.assertTrue(line.startswith(str(path)), line)
            self.assertEqual(line.splitlines(), [line])
        path.write_bytes(b"[kv]\nMaxBytes = \xff\n")
        self.assertRaises(ConfigurationError, rules.reload)
        path.unlink()
        self.assertRaises(ConfigurationError, rules.reload)
        self.assertEqual(rules.rules_for("kv-1"), CacheRules(max_bytes=10))
