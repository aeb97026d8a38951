"""Lifecycle rules: what is one, what it says, and when."""

from __future__ import annotations

from datetime import datetime, timezone

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import S3Error
from s3gw.model import ObjectInfo
from s3gw.s3.dates import MS_PER_DAY
from s3gw.s3.lifecycle import Calendar, Rule, abortion, expiration, parse_lifecycle, rules_of, shared_prefix

EXPIRATION = "<Expiration><Days>1</Days></Expiration>"
PLAIN = f"<Rule><ID>one</ID><Prefix>p/</Prefix><Status>Enabled</Status>{EXPIRATION}</Rule>"


def document(*rules: str) -> bytes:
    """A configuration."""
    return f"<LifecycleConfiguration>{''.join(rules)}</LifecycleConfiguration>".encode()


def rule(inner: str = EXPIRATION, place: str = "<Filter/>", status: str = "Enabled") -> str:
    """One rule."""
    return f"<Rule><ID>r</ID>{place}<Status>{status}</Status>{inner}</Rule>"


def moment(*parts: int) -> int:
    """ms since the epoch."""
    return int(datetime(*parts, tzinfo=timezone.utc).timestamp() * 1000)  # type: ignore[arg-type]


def filtered(conditions: str) -> Rule:
    """The rule with these conditions in its Filter."""
    (found,) = rules_of(parse_lifecycle(document(rule(place=f"<Filter>{conditions}</Filter>")), lambda: "x"))
    return found


TAG = "<Tag><Key>a</Key><Value>{}</Value></Tag>"

BAD = (
    (document(), "MalformedXML"),
    (document(rule(status="enabled")), "MalformedXML"),
    (document(rule(place="")), "MalformedXML"),
    (document(rule(place="<Prefix/><Filter/>")), "MalformedXML"),
    (document(rule(place="<Filter/><Filter/>")), "MalformedXML"),
    (document(rule("")), "InvalidRequest"),
    (document(rule("<Expiration/>")), "MalformedXML"),
    (document(rule("<Expiration><Days>1</Days><Date>2030-01-01T00:00:00Z</Date></Expiration>")), "MalformedXML"),
    (document(rule("<Expiration><Days>0</Days></Expiration>")), "InvalidArgument"),
    (document(rule("<Expiration><Days>-1</Days></Expiration>")), "InvalidArgument"),
    (document(rule("<Expiration><Days>one</Days></Expiration>")), "MalformedXML"),
    (document(rule("<Expiration><Date>2030-01-01T00:00:01Z</Date></Expiration>")), "InvalidArgument"),
    (document(rule("<Expiration><Date>2030</Date></Expiration>")), "MalformedXML"),
    (
        document(rule("<Expiration><ExpiredObjectDeleteMarker>no</ExpiredObjectDeleteMarker></Expiration>")),
        "MalformedXML",
    ),
    (document(rule(f"{EXPIRATION}{EXPIRATION}")), "MalformedXML"),
    (document(rule("<NoncurrentVersionExpiration/>")), "MalformedXML"),
    (
        document(
            rule(
                "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
                "<NewerNoncurrentVersions>101</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
            )
        ),
        "InvalidArgument",
    ),
    (document(rule("<AbortIncompleteMultipartUpload/>")), "MalformedXML"),
    (
        document(
            rule(
                "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
                "</AbortIncompleteMultipartUpload>",
                f"<Filter>{TAG.format('b')}</Filter>",
            )
        ),
        "InvalidRequest",
    ),
    (document(rule("<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>")), "NotImplemented"),
    (document(rule(f"{EXPIRATION}<NoncurrentVersionTransition/>")), "NotImplemented"),
    (document(rule(f"{EXPIRATION}<Transition><Date>2030-01-01T01:00:00Z</Date></Transition>")), "InvalidArgument"),
    (document(rule(), rule()), "InvalidArgument"),
    (document(rule().replace("<ID>r</ID>", f"<ID>{'x' * 256}</ID>")), "InvalidArgument"),
    (document(rule(place=f"<Filter><And>{TAG.format('b') * 2}</And></Filter>")), "InvalidTag"),
    (document(rule(place="<Filter><ObjectSizeLessThan>-1</ObjectSizeLessThan></Filter>")), "InvalidArgument"),
    (
        document(
            rule(
                place="<Filter><And><ObjectSizeLessThan>5</ObjectSizeLessThan>"
                "<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And></Filter>"
            )
        ),
        "InvalidRequest",
    ),
    (document(*[rule().replace("<ID>r</ID>", "")] * 1001), "MalformedXML"),
)


class DocumentTests(SynchronousTestCase):
    """Configurations as they come, and as they are kept."""

    def test_kept(self) -> None:
        """What comes is what is given back; a rule without an id gets one."""
        stored = parse_lifecycle(document(PLAIN, rule().replace("<ID>r</ID>", "")), lambda: "made")
        text = stored.decode()
        self.assertIn(PLAIN, text)
        self.assertIn(f"<Rule><ID>made</ID><Filter></Filter><Status>Enabled</Status>{EXPIRATION}</Rule>", text)
        self.assertEqual([each.id for each in rules_of(stored)], ["one", "made"])
        self.assertEqual(parse_lifecycle(stored, lambda: "never"), stored)

    def test_refused(self) -> None:
        """What S3 does not take is refused with its error."""
        for body, code in BAD:
            with self.assertRaises(S3Error) as caught:
                parse_lifecycle(body, lambda: "x")
            self.assertEqual(caught.exception.code, code, body)

    def test_transition_by_name(self) -> None:
        """The refusal of a transition names it."""
        with self.assertRaises(S3Error) as caught:
            parse_lifecycle(document(rule(f"{EXPIRATION}<NoncurrentVersionTransition/>")), lambda: "x")
        self.assertEqual(caught.exception.fields, {"Element": "NoncurrentVersionTransition"})

    def test_actions(self) -> None:
        """Each action is read."""
        inner = (
            "<Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>"
            "<NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays>"
            "<NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
            "<AbortIncompleteMultipartUpload><DaysAfterInitiation>4</DaysAfterInitiation>"
            "</AbortIncompleteMultipartUpload>"
        )
        (found,) = rules_of(parse_lifecycle(document(rule(inner, "<Prefix>p</Prefix>", "Disabled")), lambda: "x"))
        expected = Rule("r", False, "p", date=moment(2030, 1, 1), noncurrent_days=3, newer=2, abort_days=4)
        self.assertEqual(found, expected)


class FilterTests(SynchronousTestCase):
    """What a rule is about."""

    def test_conditions(self) -> None:
        """All conditions must hold, in And or beside it."""
        tagged = ObjectInfo(5, 0, "", tags=(("a", "b"), ("c", "d")))
        for conditions, fits in (
            ("", True),
            ("<Prefix>k</Prefix>", True),
            ("<Prefix>kk</Prefix>", False),
            (TAG.format("b"), True),
            (TAG.format("x"), False),
            ("<ObjectSizeGreaterThan>4</ObjectSizeGreaterThan>", True),
            ("<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>", False),
            ("<ObjectSizeLessThan>6</ObjectSizeLessThan>", True),
            ("<ObjectSizeLessThan>5</ObjectSizeLessThan>", False),
            (f"<And><Prefix>k</Prefix>{TAG.format('b')}</And>", True),
            (f"<And><Prefix>x</Prefix>{TAG.format('b')}</And>", False),
            (f"<Prefix>k</Prefix>{TAG.format('x')}", False),
            (f"{TAG.format('b')}<And><Prefix>x</Prefix></And>", False),
            (f"{TAG.format('b')}<And><Prefix>k</Prefix></And>", True),
        ):
            self.assertEqual(filtered(conditions).admits("key", tagged), fits, conditions)

    @given(st.lists(st.text("ab", max_size=4), min_size=1, max_size=4))
    def test_shared_prefix(self, prefixes: list[str]) -> None:
        """It is the longest that all rules have."""
        found = shared_prefix([Rule("r", True, prefix) for prefix in prefixes])
        self.assertTrue(all(prefix.startswith(found) for prefix in prefixes))
        longer = {prefix[: len(found) + 1] for prefix in prefixes}
        self.assertTrue(found in longer or len(longer) > 1)


class CalendarTests(SynchronousTestCase):
    """When days have passed."""

    def test_true_days(self) -> None:
        """They end at midnight UTC, behind the moment of day."""
        calendar = Calendar()
        self.assertEqual(calendar.after(moment(2026, 9, 21, 14, 13), 1), moment(2026, 9, 23))
        self.assertEqual(calendar.after(moment(2026, 9, 21), 1), moment(2026, 9, 22))
        self.assertEqual(calendar.after(moment(2026, 9, 21, 0, 0, 1), 30), moment(2026, 10, 22))

    def test_short_days(self) -> None:
        """They just pass; what clients are told is of true days all the same."""
        self.assertEqual(Calendar(2000).after(moment(2026, 9, 21, 14), 3), moment(2026, 9, 21, 14, 0, 6))
        info = ObjectInfo(1, moment(2026, 9, 21, 14), "")
        told = expiration([Rule("r", True, days=3)], "k", info)
        self.assertEqual(told, 'expiry-date="Fri, 25 Sep 2026 00:00:00 GMT", rule-id="r"')

    def test_expiration(self) -> None:
        """The first of the rules that end an object is told, its id percent-encoded."""
        info = ObjectInfo(1, moment(2026, 9, 21, 14), "", tags=(("a", "b"),))
        rules = [
            Rule("late", True, days=3),
            Rule("first one", True, days=2, tags=(("a", "b"),)),
            Rule("off", False, days=1),
            Rule("other", True, "x", days=1),
            Rule("noncurrent", True, noncurrent_days=1),
            Rule("date", True, date=moment(2030, 1, 1)),
        ]
        self.assertIn('24 Sep 2026 00:00:00 GMT", rule-id="first%20one"', str(expiration(rules, "k", info)))
        self.assertIn('rule-id="late"', str(expiration(rules, "k", ObjectInfo(1, info.modified, ""))))
        self.assertIn("01 Jan 2030", str(expiration(rules[-1:], "k", info)))
        self.assertIsNone(expiration(rules[2:5], "k", info))

    def test_abortion(self) -> None:
        """So is the first that aborts an upload."""
        rules = [Rule("a", True, "p", abort_days=2), Rule("b", True, "p/", abort_days=1)]
        begun = moment(2026, 9, 21, 14)
        self.assertEqual(abortion(rules, "p/k", begun), ("Wed, 23 Sep 2026 00:00:00 GMT", "b"))
        self.assertEqual(abortion(rules, "pk", begun), ("Thu, 24 Sep 2026 00:00:00 GMT", "a"))
        self.assertIsNone(abortion(rules, "k", begun))
        self.assertEqual(MS_PER_DAY, 86_400_000)
