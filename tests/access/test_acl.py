"""Access control lists: as a canned name, as headers, as a document."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from s3gw.access.acl import (
    ALL_USERS,
    AUTHENTICATED_USERS,
    LOG_DELIVERY,
    MAX_GRANTS,
    canned,
    from_stored,
    of_headers,
    parse_acl,
    stored,
)
from s3gw.access.facts import ANONYMOUS
from s3gw.errors import ERRORS, S3Error
from s3gw.model import Grant

FULL = Grant("FULL_CONTROL", "me")


class Users:
    """A directory of two."""

    def knows(self, user: str) -> bool:
        """Those two."""
        return user in ("me", "you")

    def id_of_email(self, address: str) -> str | None:
        """One has an address."""
        return "you" if address == "you@example.com" else None


def document(grants: str, owner: str = "me") -> bytes:
    """An AccessControlPolicy."""
    return (
        f"<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList>{grants}</AccessControlList>"
        "</AccessControlPolicy>"
    ).encode()


def grant(grantee: str, permission: str = "READ") -> str:
    """One grant of a document."""
    return f"<Grant><Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant>"


class CannedTests(SynchronousTestCase):
    def test_objects(self) -> None:
        """What each name stands for."""
        for name, expected in (
            ("private", None),
            ("public-read", (Grant("READ", group=ALL_USERS), FULL)),
            ("public-read-write", (Grant("READ", group=ALL_USERS), Grant("WRITE", group=ALL_USERS), FULL)),
            ("authenticated-read", (Grant("READ", group=AUTHENTICATED_USERS), FULL)),
            ("bucket-owner-read", (FULL, Grant("READ", "you"))),
            ("bucket-owner-full-control", (FULL, Grant("FULL_CONTROL", "you"))),
        ):
            self.assertEqual(expected, canned(name, "me", "you"))
            self.assertEqual(expected, of_headers({"x-amz-acl": name}, "me", "you", Users()))
            if name.startswith("bucket-owner"):
                self.assertIsNone(canned(name, "me", None))
                self.assertIsNone(canned(name, "me", "me"))

    def test_refused(self) -> None:
        """Names that S3 has not, and names that grant to its own services."""
        for name, code in (("public", "InvalidArgument"), ("", "InvalidArgument"), ("aws-exec-read", "NotImplemented")):
            self.assertRaises(ERRORS[code], canned, name, "me", None)
        self.assertRaises(ERRORS["NotImplemented"], canned, "log-delivery-write", "me", None)


class HeaderTests(SynchronousTestCase):
    def test_grants(self) -> None:
        """Grantees by id, address and group, quoted or not, several in one header."""
        headers = {
            "x-amz-grant-read": f'id="you", uri="{ALL_USERS}"',
            "x-amz-grant-write-acp": "emailAddress=you@example.com",
            "x-amz-grant-full-control": f"ID=me,id={ANONYMOUS.id}",
        }
        self.assertEqual(
            (
                Grant("READ", "you"),
                Grant("READ", group=ALL_USERS),
                Grant("WRITE_ACP", "you"),
                Grant("FULL_CONTROL", "me"),
                Grant("FULL_CONTROL", ANONYMOUS.id),
            ),
            of_headers(headers, "me", "me", Users()),
        )
        self.assertIsNone(of_headers({}, "me", "me", Users()))

    def test_refused(self) -> None:
        """Nobody who is not there, and no form but this one."""
        for value, code in (
            ("id=them", "InvalidArgument"),
            ("emailAddress=them@example.com", "UnresolvableGrantByEmailAddress"),
            ("uri=http://example.com/everybody", "InvalidArgument"),
            (f"uri={LOG_DELIVERY}", "NotImplemented"),
            ("you", "InvalidArgument"),
            ("id=you;id=me", "InvalidArgument"),
            ("name=you", "InvalidArgument"),
            ('id="you', "InvalidArgument"),
            (",".join(["id=you"] * (MAX_GRANTS + 1)), "MalformedACLError"),
        ):
            self.assertRaises(ERRORS[code], of_headers, {"x-amz-grant-read": value}, "me", "me", Users())
        both = {"x-amz-acl": "private", "x-amz-grant-read": "id=you"}
        self.assertRaises(ERRORS["InvalidRequest"], of_headers, both, "me", "me", Users())


class DocumentTests(SynchronousTestCase):
    def test_grants(self) -> None:
        """Every kind of grantee, and none at all."""
        body = document(
            grant("<ID>you</ID><DisplayName>You</DisplayName>", "FULL_CONTROL")
            + grant(f"<URI>{AUTHENTICATED_USERS}</URI>", "WRITE")
            + grant("<EmailAddress>you@example.com</EmailAddress>", "READ_ACP")
        )
        self.assertEqual(
            (Grant("FULL_CONTROL", "you"), Grant("WRITE", group=AUTHENTICATED_USERS), Grant("READ_ACP", "you")),
            parse_acl(body, "me", Users()),
        )
        self.assertEqual((), parse_acl(document(""), "me", Users()))
        without_owner = b"<AccessControlPolicy><AccessControlList/></AccessControlPolicy>"
        self.assertEqual((), parse_acl(without_owner, "me", Users()))

    def test_refused(self) -> None:
        """What is no such document, and what would give the thing to somebody else."""
        for body, code in (
            (b"", "MalformedXML"),
            (b"<AccessControlPolicy/>", "MalformedACLError"),
            (document("", owner="you"), "AccessDenied"),
            (document(grant("<ID>you</ID>", "LOOK")), "MalformedACLError"),
            (document(grant("<ID>you</ID>", "")), "MalformedACLError"),
            (document(grant("<Name>you</Name>")), "MalformedACLError"),
            (document("<Grant><Permission>READ</Permission></Grant>"), "MalformedACLError"),
            (document(grant("<ID>them</ID>")), "InvalidArgument"),
            (document(grant("<EmailAddress>them</EmailAddress>")), "UnresolvableGrantByEmailAddress"),
            (document(grant("<ID>you</ID>") * (MAX_GRANTS + 1)), "MalformedACLError"),
        ):
            error = self.assertRaises(S3Error, parse_acl, body, "me", Users())
            self.assertEqual(code, error.code, body)

    def test_stored(self) -> None:
        """A list comes back as it was kept; the one that everything begins with takes no room."""
        for grants in (None, (), (FULL, Grant("READ", group=ALL_USERS))):
            self.assertEqual(grants, from_stored(stored(grants)))
        self.assertIsNone(stored(None))
