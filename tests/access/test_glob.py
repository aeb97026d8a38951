"""Patterns match as the obvious, slow way says they do."""

from __future__ import annotations

import re
from time import perf_counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.access.glob import Variable, atoms, fill, matches, plain, text_of


def nothing(name: str) -> tuple[str, ...]:
    """A request that says nothing."""
    return ()


class MatchTests(SynchronousTestCase):
    @given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
    def test_as_a_regular_expression(self, pattern: str, text: str) -> None:
        """``*`` is any text and ``?`` any character; nothing else is special."""
        expected = "".join({"*": ".*", "?": "."}.get(character, character) for character in pattern)
        self.assertEqual(re.fullmatch(expected, text) is not None, matches(atoms(pattern, variables=False), text))

    def test_literals(self) -> None:
        """What regular expressions and shells take for special stands for itself."""
        for pattern in ("a.b", "[ab]", "a+b", "(a|b)", "a\\b", "${x", "{a}"):
            self.assertTrue(matches(atoms(pattern, variables=False), pattern))
            self.assertFalse(matches(atoms(pattern, variables=False), "ab"))
        self.assertTrue(matches(atoms("a*c", variables=False), "a\nb/c"))

    def test_no_pattern_is_slow(self) -> None:
        """Patterns that make engines that try again try for ever are answered at once."""
        for spelt in ("*a" * 500 + "b", "*" + "a?" * 128 + "b*", "*" + "?" * 256 + "b*", "*aab?" * 256 + "c"):
            pattern = atoms(spelt, variables=False)
            start = perf_counter()
            self.assertFalse(matches(pattern, "a" * 4096))
            self.assertLess(perf_counter() - start, 5)


class VariableTests(SynchronousTestCase):
    def test_values_are_no_patterns(self) -> None:
        """A value of the request is taken literally, whatever is in it."""
        pattern = atoms("home/${aws:username}/*", variables=True)
        filled = fill(pattern, {"aws:username": ("*",)}.get)  # type: ignore[arg-type]
        assert filled is not None
        self.assertTrue(matches(filled, "home/*/a"))
        self.assertFalse(matches(filled, "home/bob/a"))

    def test_missing(self) -> None:
        """Without a value, or with several, nothing matches, unless there is a default."""
        pattern = atoms("${aws:username}", variables=True)
        self.assertIsNone(fill(pattern, nothing))
        self.assertIsNone(fill(pattern, lambda name: ("a", "b")))
        filled = fill(atoms("${aws:username, 'any one'}", variables=True), nothing)
        assert filled is not None
        self.assertEqual("any one", text_of(filled))

    def test_escapes(self) -> None:
        """``${*}``, ``${?}`` and ``${$}`` are the characters."""
        pattern = atoms("a${*}b${?}${$}", variables=True)
        self.assertTrue(matches(pattern, "a*b?$"))
        self.assertFalse(matches(pattern, "axb?$"))

    def test_versions(self) -> None:
        """The older version of the language has no variables."""
        self.assertEqual("${aws:userid}", text_of(plain("${aws:userid}", variables=False)))
        self.assertEqual((Variable("aws:userid", None),), atoms("${aws:userid}", variables=True))

    def test_malformed(self) -> None:
        """A ``${`` that begins no variable is an error."""
        for text in ("${", "${}", "${a b}", "${a, b}", "x${a"):
            with self.assertRaises(ValueError):
                atoms(text, variables=True)
