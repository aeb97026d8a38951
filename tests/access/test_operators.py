"""Condition operators, one by one, and what prefixes and suffixes make of them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from s3gw.access.operators import OPERATORS, Condition

TABLE: tuple[tuple[str, list[str], str, bool], ...] = (
    ("StringEquals", ["a", "b"], "b", True),
    ("StringEquals", ["a", "b"], "B", False),
    ("StringEquals", ["a*"], "ab", False),
    ("StringNotEquals", ["a", "b"], "c", True),
    ("StringNotEquals", ["a", "b"], "a", False),
    ("StringEqualsIgnoreCase", ["Straße"], "STRASSE", True),
    ("StringNotEqualsIgnoreCase", ["A"], "a", False),
    ("StringLike", ["x", "a*"], "abc", True),
    ("StringLike", ["a?"], "abc", False),
    ("StringNotLike", ["a*", "b*"], "c", True),
    ("StringNotLike", ["a*", "b*"], "bc", False),
    ("NumericEquals", ["10"], "10.0", True),
    ("NumericNotEquals", ["10"], "11", True),
    ("NumericLessThan", ["10"], "9", True),
    ("NumericLessThan", ["10"], "10", False),
    ("NumericLessThanEquals", ["10"], "10", True),
    ("NumericGreaterThan", ["10"], "9", False),
    ("NumericGreaterThanEquals", ["-1.5"], "-1.5", True),
    ("NumericLessThan", ["10"], "many", False),
    ("NumericEquals", ["10"], "1e1", False),
    ("DateLessThan", ["2030-01-01T00:00:00Z"], "2026-01-01T00:00:00.000Z", True),
    ("DateGreaterThan", ["2030-01-01"], "2030-01-01T00:00:01Z", True),
    ("DateEquals", ["1790000000"], "2026-09-21T14:13:20Z", True),
    ("DateNotEquals", ["1790000000"], "2026-09-21T14:13:20Z", False),
    ("DateGreaterThanEquals", ["1790000000"], "1790000000", True),
    ("DateLessThanEquals", ["1790000000"], "1790000001", False),
    ("Bool", ["true"], "true", True),
    ("Bool", ["False"], "true", False),
    ("IpAddress", ["10.0.0.0/8", "192.0.2.7"], "192.0.2.7", True),
    ("IpAddress", ["10.0.0.0/8"], "11.0.0.1", False),
    ("IpAddress", ["10.0.0.0/8"], "::ffff:10.1.2.3", True),
    ("IpAddress", ["2001:db8::/32"], "2001:db8:1::1", True),
    ("IpAddress", ["0.0.0.0/0"], "::1", False),
    ("NotIpAddress", ["10.0.0.0/8"], "10.1.1.1", False),
    ("NotIpAddress", ["10.0.0.0/8"], "::1", True),
    ("ArnEquals", ["arn:aws:iam:::user/*"], "arn:aws:iam:::user/a", True),
    ("ArnLike", ["arn:aws:*:::user/a"], "arn:aws:iam:::user/b", False),
    ("ArnLike", ["arn:*:x:x:x:x"], "arn:aws:iam:::user/b", False),
    ("ArnNotEquals", ["arn:aws:iam:::user/a"], "arn:aws:iam:::user/a", False),
    ("ArnNotLike", ["arn:aws:iam:::user/a"], "arn:aws:iam:::user/b", True),
)


def holds(operator: str, values: list[str], *actual: str) -> bool:
    """Whether a condition holds of a request with these values of its key."""
    return Condition(operator, "key", values, variables=True).holds(lambda key: actual)


class OperatorTests(SynchronousTestCase):
    def test_table(self) -> None:
        """Every operator says what it should of a value that is there."""
        for operator, values, actual, expected in TABLE:
            self.assertIs(holds(operator, values, actual), expected, (operator, values, actual))
        self.assertEqual(OPERATORS.keys(), {operator for operator, *_ in TABLE})

    def test_absent(self) -> None:
        """Of a key that is not there only negations hold, ``IfExists`` always."""
        for operator, values, _, _ in TABLE:
            self.assertIs(holds(operator, values), "Not" in operator, operator)
            self.assertTrue(holds(f"{operator}IfExists", values), operator)

    def test_if_exists(self) -> None:
        """Of a key that is there ``IfExists`` changes nothing."""
        for operator, values, actual, expected in TABLE:
            self.assertIs(holds(f"{operator}IfExists", values, actual), expected, operator)

    def test_null(self) -> None:
        """Null asks whether the key is there."""
        self.assertTrue(holds("Null", ["true"]))
        self.assertFalse(holds("Null", ["true"], "x"))
        self.assertTrue(holds("Null", ["false"], "x"))
        self.assertFalse(holds("Null", ["false"]))

    def test_several_values(self) -> None:
        """How many of several values have to fit."""
        for operator, actual, expected in (
            ("ForAnyValue:StringEquals", ("a", "x"), True),
            ("ForAnyValue:StringEquals", ("x",), False),
            ("ForAnyValue:StringEquals", (), False),
            ("ForAnyValue:StringEqualsIfExists", (), True),
            ("ForAnyValue:StringNotEquals", ("a", "x"), True),
            ("ForAnyValue:StringNotEquals", ("a", "b"), False),
            ("ForAnyValue:StringNotEquals", (), False),
            ("ForAllValues:StringEquals", ("a", "b"), True),
            ("ForAllValues:StringEquals", ("a", "x"), False),
            ("ForAllValues:StringEquals", (), True),
            ("ForAllValues:StringNotEquals", ("x", "y"), True),
            ("ForAllValues:StringNotEquals", ("a", "y"), False),
            ("StringEquals", ("x", "a"), True),
            ("StringNotEquals", ("x", "a"), False),
        ):
            self.assertIs(holds(operator, ["a", "b"], *actual), expected, (operator, actual))

    def test_variables(self) -> None:
        """A value of the policy may stand for what the request says of itself."""
        said = {"key": ("bob",), "aws:username": ("bob",)}
        for operator, expected in (("StringEquals", True), ("StringNotEquals", False), ("StringLike", True)):
            condition = Condition(operator, "key", ["${aws:username}"], variables=True)
            self.assertIs(condition.holds(lambda key: said.get(key, ())), expected, operator)
            old = Condition(operator, "key", ["${aws:username}"], variables=False)
            self.assertIsNot(old.holds(lambda key: said.get(key, ())), expected, operator)

    def test_unknown(self) -> None:
        """What is no operator is refused."""
        for spelt in (
            "Equals",
            "StringIs",
            "NullIfExists",
            "ForAnyValue:Null",
            "ForSomeValue:Bool",
            "BinaryEquals",
            "",
        ):
            with self.assertRaises(KeyError):
                Condition(spelt, "key", ["true"], variables=True)

    def test_wrong_kind(self) -> None:
        """A value that the operator cannot compare with is refused."""
        for spelt, value in (
            ("NumericEquals", "ten"),
            ("DateEquals", "yesterday"),
            ("Bool", "maybe"),
            ("IpAddress", "10.0.0.0/33"),
            ("ArnLike", "user/a"),
            ("Null", "maybe"),
            ("StringLike", "${"),
        ):
            with self.assertRaises(ValueError):
                Condition(spelt, "key", [value], variables=True)
