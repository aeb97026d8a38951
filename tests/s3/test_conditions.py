"""Tests of `s3gw.s3.conditions`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import InvalidArgument, NotImplemented, PreconditionFailed
from s3gw.s3.conditions import (
    Outcome,
    delete_condition,
    evaluate,
    evaluate_copy_source,
    write_condition,
)
from s3gw.s3.dates import http_date
from s3gw.s3.head import RequestHead

ETAG = "9bb58f26192e4ba00f01e2e7b136bbd8"
MODIFIED = 1_700_000_000_500
NOW = MODIFIED + 3_600_000
BEFORE, SAME, LATER, FUTURE = (http_date(MODIFIED + ms) for ms in (-1000, 0, 1000, 7_200_000))

GO, SEEN = "proceed", "not modified"


def head(**headers: str) -> RequestHead:
    """A head with these headers, ``_`` for ``-``."""
    return RequestHead("GET", "/b/k", {name.replace("_", "-"): value for name, value in headers.items()})


def outcome(**headers: str) -> str:
    """What becomes of a GET of the object: go on, not modified, or the condition that failed."""
    try:
        return evaluate(head(**headers), ETAG, MODIFIED, NOW).value
    except PreconditionFailed as error:
        return error.fields["Condition"]


class ReadTests(SynchronousTestCase):
    """GET and HEAD."""

    def test_etags(self) -> None:
        """ETags match in a list, with quotes or without; ``*`` matches any, a weak one only where that will do."""
        for listed, matches, matches_weakly in (
            (f'"{ETAG}"', True, True),
            (ETAG, True, True),
            (f'"a", "{ETAG}"', True, True),
            (f"a,{ETAG}", True, True),
            ("*", True, True),
            (f'W/"{ETAG}"', False, True),
            ('"a"', False, False),
            (ETAG[:-1], False, False),
            (f'"x{ETAG}"', False, False),
            (f'"{ETAG.upper()}"', False, False),
            ('""', False, False),
            ("", False, False),
        ):
            self.assertEqual(GO if matches else "If-Match", outcome(if_match=listed), listed)
            self.assertEqual(SEEN if matches_weakly else GO, outcome(if_none_match=listed), listed)

    def test_dates(self) -> None:
        """Dates count in whole seconds; those that are none, or lie in the future, say nothing."""
        for date, unmodified, modified in (
            (BEFORE, "If-Unmodified-Since", GO),
            (SAME, GO, SEEN),
            (LATER, GO, SEEN),
            (FUTURE, GO, GO),
            ("yesterday", GO, GO),
        ):
            self.assertEqual(unmodified, outcome(if_unmodified_since=date), date)
            self.assertEqual(modified, outcome(if_modified_since=date), date)

    def test_precedence(self) -> None:
        """An ETag decides where a date says otherwise, as S3 documents it."""
        good, bad = f'"{ETAG}"', '"other"'
        for headers, expected in (
            ({}, GO),
            ({"if_match": good, "if_unmodified_since": BEFORE}, GO),
            ({"if_match": bad, "if_unmodified_since": LATER}, "If-Match"),
            ({"if_none_match": good, "if_modified_since": BEFORE}, SEEN),
            ({"if_none_match": bad, "if_modified_since": LATER}, GO),
            ({"if_match": good, "if_none_match": good}, SEEN),
            ({"if_match": bad, "if_none_match": good}, "If-Match"),
            ({"if_match": good, "if_modified_since": LATER}, SEEN),
            ({"if_unmodified_since": BEFORE, "if_none_match": good}, "If-Unmodified-Since"),
        ):
            self.assertEqual(expected, outcome(**headers), str(headers))

    def test_without_a_clock(self) -> None:
        """Without a ``now``, a date in the future is later than any change."""
        self.assertIs(Outcome.NOT_MODIFIED, evaluate(head(if_modified_since=FUTURE), ETAG, MODIFIED))


class CopyTests(SynchronousTestCase):
    """The source of a copy."""

    def test_failures(self) -> None:
        """Every condition that does not hold is 412 and named, the ones that are 304 elsewhere too."""
        for name, value, condition in (
            ("match", "other", "If-Match"),
            ("none-match", ETAG, "If-None-Match"),
            ("unmodified-since", BEFORE, "If-Unmodified-Since"),
            ("modified-since", SAME, "If-Modified-Since"),
        ):
            request = RequestHead("PUT", "/b/k", {f"x-amz-copy-source-if-{name}": value})
            error = self.assertRaises(PreconditionFailed, evaluate_copy_source, request, ETAG, MODIFIED, NOW)
            self.assertEqual({"Condition": f"x-amz-copy-source-{condition}"}, error.fields)

    def test_others_do_not_count(self) -> None:
        """The conditions on the target are none on the source, and the other way round."""
        evaluate_copy_source(head(if_match="other"), ETAG, MODIFIED, NOW)
        self.assertEqual(GO, outcome(x_amz_copy_source_if_match="other"))


class WriteTests(SynchronousTestCase):
    """PUT and DELETE."""

    def test_what_is_taken(self) -> None:
        """One ETag to match or not to match, or any."""
        for headers, expected in (
            ({}, (None, None, None, None)),
            ({"if_none_match": f'"{ETAG}"'}, (None, ETAG, None, None)),
            ({"if_match": "*"}, ("*", None, None, None)),
            ({"if_none_match": "*"}, (None, "*", None, None)),
            ({"if_match": f'"{ETAG}"'}, (ETAG, None, None, None)),
            ({"if_match": ETAG}, (ETAG, None, None, None)),
        ):
            self.assertEqual(expected, tuple(write_condition(head(**headers))))

    def test_what_is_not_implemented(self) -> None:
        """What is not implemented is refused in S3's words, not overlooked."""
        for value in (f'"{ETAG}", "other"', f"{ETAG},other", f'W/"{ETAG}"', ""):
            error = self.assertRaises(NotImplemented, write_condition, head(if_none_match=value))
            self.assertEqual("A header you provided implies functionality that is not implemented", error.message)
            self.assertEqual(
                {
                    "Header": "If-None-Match",
                    "additionalMessage": "We don't accept the provided value of If-None-Match header for this API",
                },
                error.fields,
            )
        error = self.assertRaises(NotImplemented, write_condition, head(if_none_match="*", if_match=ETAG))
        self.assertEqual("If-Match,If-None-Match", error.fields["Header"])

    def test_delete(self) -> None:
        """A DELETE may ask for an ETag, a time and a size."""
        request = head(if_match=f'"{ETAG}"', x_amz_if_match_last_modified_time=SAME, x_amz_if_match_size="12")
        self.assertEqual((ETAG, None, MODIFIED // 1000, 12), tuple(delete_condition(request)))
        self.assertEqual((None, None, None, None), tuple(delete_condition(head())))
        for headers in ({"x_amz_if_match_last_modified_time": "now"}, {"x_amz_if_match_size": "-1"}):
            self.assertRaises(InvalidArgument, delete_condition, head(**headers))
        self.assertRaises(NotImplemented, delete_condition, head(if_none_match="*"))
