"""The decision, as a table of everything that it hangs on, and the table of what operations need."""

from __future__ import annotations

import json
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.access.acl import ALL_USERS, AUTHENTICATED_USERS, FULL_CONTROL, PERMISSIONS, READ, Grants
from s3gw.access.actions import ACTIONS
from s3gw.access.controls import BUCKET_OWNER_ENFORCED, OBJECT_WRITER, PublicAccessBlock
from s3gw.access.decide import Rules, Subject, allowed, resource_of
from s3gw.access.facts import ANONYMOUS, Facts
from s3gw.access.permissions import PERMISSIONS as NEEDED
from s3gw.access.permissions import Of, Permission
from s3gw.access.policy import Policy, parse_policy
from s3gw.model import Grant, Owner
from s3gw.s3.head import RequestHead
from s3gw.s3.routes import OPERATIONS

OWNER, WRITER, OTHER = (Owner(name, name) for name in ("owner", "writer", "other"))
CALLERS = (OWNER, WRITER, OTHER, ANONYMOUS)

EFFECTS = ("", "Allow", "Deny")
LISTS: tuple[Grants, ...] = (
    None,
    (),
    (Grant(READ, "other"),),
    (Grant(FULL_CONTROL, "other"), Grant(READ, "owner")),
    (Grant(READ, group=ALL_USERS),),
    (Grant(READ, group=AUTHENTICATED_USERS),),
    (Grant("WRITE", group=ALL_USERS),),
)
BUCKET = Permission(Of.BUCKET, ("s3:ListBucket",), READ)
UNGRANTED = Permission(Of.BUCKET, ("s3:DeleteBucket",))
KEY = Permission(Of.KEY, ("s3:PutObject",), READ, ("s3:PutObject",))
OBJECT = Permission(Of.OBJECT, ("s3:GetObject",), READ, ("s3:GetObjectVersion",))
UPLOAD = Permission(Of.UPLOAD, ("s3:ListMultipartUploadParts",))


def policy(effect: str, action: str = "*") -> Policy | None:
    """A policy of one statement about everybody and everything; none for no effect."""
    if not effect:
        return None
    statement = {"Effect": effect, "Principal": "*", "Action": action, "Resource": "*"}
    return parse_policy(json.dumps({"Statement": statement}).encode(), "bucket")


POLICIES = {effect: policy(effect) for effect in EFFECTS}


def decided(
    permission: Permission, rules: Rules, caller: Owner, subject: Subject | None = None, *, versioned: bool = False
) -> bool:
    """The decision about one request."""
    facts = Facts(caller, RequestHead("GET", "/", {}))
    return allowed(permission, rules, resource_of("bucket", "key", permission), facts, subject, versioned=versioned)


def granted(grants: Grants, caller: Owner, *, groups: bool) -> bool:
    """Whether a list lets a caller read, read straight from the list."""
    for grant in grants or ():
        if grant.permission not in (READ, FULL_CONTROL):
            continue
        if grant.user == caller.id and grant.user:
            return True
        if groups and grant.group == ALL_USERS:
            return True
        if groups and grant.group == AUTHENTICATED_USERS and caller is not ANONYMOUS:
            return True
    return False


class TableTests(SynchronousTestCase):
    """Every combination, against the rules as a person would say them."""

    def test_buckets_and_keys(self) -> None:
        """Deny; allow, unless public policies are restricted; the owner; the list, unless lists mean nothing."""
        for permission, effect, grants, ignore, restrict, ownership, caller in product(
            (BUCKET, UNGRANTED, KEY),
            EFFECTS,
            LISTS,
            (False, True),
            (False, True),
            (OBJECT_WRITER, BUCKET_OWNER_ENFORCED),
            CALLERS,
        ):
            block = PublicAccessBlock(ignore_acls=ignore, restrict=restrict)
            rules = Rules("owner", POLICIES[effect], grants, block, ownership)
            if effect == "Deny":
                expected = False
            elif caller is OWNER or (effect == "Allow" and not restrict):
                expected = True
            elif permission is UNGRANTED or ownership == BUCKET_OWNER_ENFORCED:
                expected = False
            else:
                expected = granted(grants, caller, groups=not ignore)
            found = decided(permission, rules, caller)
            self.assertIs(found, expected, (permission, effect, grants, block, ownership, caller.name))

    def test_objects(self) -> None:
        """The same, but the object's owner and list count, and a policy allows nothing of others' objects."""
        for effect, grants, ignore, restrict, ownership, writer, caller in product(
            EFFECTS,
            LISTS,
            (False, True),
            (False, True),
            (OBJECT_WRITER, BUCKET_OWNER_ENFORCED),
            ("owner", "writer", ""),
            CALLERS,
        ):
            block = PublicAccessBlock(ignore_acls=ignore, restrict=restrict)
            # The list of the bucket must not matter.
            rules = Rules("owner", POLICIES[effect], (Grant(FULL_CONTROL, group=ALL_USERS),), block, ownership)
            enforced = ownership == BUCKET_OWNER_ENFORCED
            owner = "owner" if enforced or not writer else writer
            if effect == "Deny":
                expected = False
            elif caller.id == owner or (effect == "Allow" and owner == "owner" and not restrict):
                expected = True
            else:
                expected = not enforced and granted(grants, caller, groups=not ignore)
            found = decided(OBJECT, rules, caller, Subject(writer, grants))
            self.assertIs(found, expected, (effect, grants, block, ownership, writer, caller.name))

    def test_tags_and_locks(self) -> None:
        """What no list can grant is the object owner's and the bucket owner's, whose policy can allow it to others."""
        permission = Permission(Of.OBJECT, ("s3:GetObjectTagging",), "", ("s3:GetObjectVersionTagging",))
        for effect, grants, caller in product(EFFECTS, LISTS, CALLERS):
            rules = Rules("owner", POLICIES[effect])
            expected = effect != "Deny" and (effect == "Allow" or caller in (OWNER, WRITER))
            self.assertIs(decided(permission, rules, caller, Subject("writer", grants)), expected, (effect, grants))

    def test_uploads(self) -> None:
        """The bucket's owner and who began it, unless a policy says otherwise; no list matters."""
        for effect, caller in product(EFFECTS, CALLERS):
            rules = Rules("owner", POLICIES[effect], (Grant(FULL_CONTROL, group=ALL_USERS),))
            expected = effect != "Deny" and (effect == "Allow" or caller in (OWNER, WRITER))
            self.assertIs(decided(UPLOAD, rules, caller, Subject("writer")), expected, (effect, caller.name))

    def test_own_policy(self) -> None:
        """An owner gets at the policy whatever that says; others do not."""
        for action, caller in product(("GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"), CALLERS):
            permission = Permission(Of.BUCKET, (f"s3:{action}",))
            self.assertIs(decided(permission, Rules("owner", POLICIES["Deny"]), caller), caller is OWNER)

    def test_nobodys_bucket(self) -> None:
        """A bucket without an owner belongs to all who sign."""
        for caller in CALLERS:
            for permission, subject in ((BUCKET, None), (UNGRANTED, None), (OBJECT, Subject(""))):
                self.assertIs(decided(permission, Rules(""), caller, subject), caller is not ANONYMOUS)

    def test_anonymous_owner(self) -> None:
        """What was written without a signature belongs to all who do not sign, and not to the bucket's owner."""
        subject = Subject(ANONYMOUS.id)
        self.assertEqual(
            [False, False, False, True], [decided(OBJECT, Rules("owner"), caller, subject) for caller in CALLERS]
        )

    def test_service(self) -> None:
        """Buckets are listed and created by who signs; a preflight by anybody."""
        for caller in CALLERS:
            self.assertIs(decided(Permission(Of.SERVICE, ("s3:CreateBucket",)), Rules(""), caller), caller != ANONYMOUS)
            self.assertTrue(decided(Permission(Of.NOTHING), Rules(""), caller))

    def test_versions(self) -> None:
        """A version takes another permission than the object."""
        for named, action in ((False, "s3:GetObject"), (True, "s3:GetObjectVersion")):
            rules = Rules("owner", policy("Allow", action))
            for versioned in (False, True):
                found = decided(OBJECT, rules, OTHER, Subject("owner"), versioned=versioned)
                self.assertIs(found, named is versioned)

    def test_several_actions(self) -> None:
        """What takes two permissions takes both."""
        permission = NEEDED["GetObjectAttributes"]
        for action, expected in (("s3:GetObject", False), ("s3:GetObjectAttributes", False), ("s3:GetObject*", True)):
            self.assertIs(
                decided(permission, Rules("owner", policy("Allow", action)), OTHER, Subject("owner")), expected
            )

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(["Allow", "Deny"]), st.sampled_from(["*", "other", "writer"])), max_size=3),
        st.lists(
            st.builds(
                Grant,
                st.sampled_from(PERMISSIONS),
                st.sampled_from(["", "other", "writer"]),
                st.sampled_from(["", ALL_USERS, AUTHENTICATED_USERS]),
            ).filter(lambda grant: bool(grant.user) != bool(grant.group)),
            max_size=3,
        ),
        st.sampled_from(CALLERS),
    )
    def test_policies_and_lists(self, statements: list[tuple[str, str]], grants: list[Grant], caller: Owner) -> None:
        """Deny, allow, owner, list, nobody: in this order, whatever policies and lists there are."""
        written = [
            {
                "Effect": effect,
                "Principal": "*" if who == "*" else {"AWS": who},
                "Action": "s3:ListBucket",
                "Resource": "arn:aws:s3:::bucket",
            }
            for effect, who in statements
        ]
        made = parse_policy(json.dumps({"Statement": written}).encode(), "bucket") if written else None
        about = {effect for effect, who in statements if who in ("*", caller.id)}
        if "Deny" in about:
            expected = False
        else:
            expected = "Allow" in about or caller is OWNER or granted(tuple(grants), caller, groups=True)
        self.assertIs(decided(BUCKET, Rules("owner", made, tuple(grants)), caller), expected)


class NeededTests(SynchronousTestCase):
    def test_every_operation(self) -> None:
        """Every operation that a request can be has its permission, and there is no other."""
        self.assertEqual(OPERATIONS, NEEDED.keys())

    def test_actions(self) -> None:
        """Every action is one that a policy can name; what is about a version has its own where S3 has one."""
        for name, permission in NEEDED.items():
            for action in (*permission.actions, *permission.versioned):
                self.assertIn(action, ACTIONS, name)
                version = action.replace("Object", "ObjectVersion")
                if permission.versioned and action != version in ACTIONS and "Version" not in action:
                    self.assertNotIn(action, permission.versioned, name)
            self.assertEqual(bool(permission.actions), permission.of is not Of.NOTHING, name)
            self.assertIs(bool(permission.versioned), permission.of in (Of.KEY, Of.OBJECT, Of.UPLOAD), name)
            self.assertIn(permission.grant, ("", *PERMISSIONS[:-1]), name)

    def test_names(self) -> None:
        """What reads, lists or tells is no permission to change something."""
        for name, permission in NEEDED.items():
            if name.startswith(("Get", "Head", "List")) and permission.of is not Of.SERVICE:
                for action in permission.actions:
                    self.assertRegex(action, "^s3:(Get|List)", name)
