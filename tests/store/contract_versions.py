"""What `IObjectStore` promises of versions, delete markers and locks, as tests that every store passes."""

from __future__ import annotations

from msgspec.structs import replace

from s3gw.model import (
    ENABLED,
    NULL,
    OBJECT_LOCK,
    SUSPENDED,
    BucketInfo,
    ObjectInfo,
    ObjectLock,
    VersionEntry,
    version_order,
)
from s3gw.store.interface import (
    Condition,
    ConfigureBucket,
    CreateBucket,
    DeleteBucket,
    DeleteObject,
    ExpireObject,
    ExpireVersion,
    HoldObject,
    InlineRow,
    ListQuery,
    RetainObject,
    SetVersioning,
    StaleBody,
    TagObject,
    VersionQuery,
)
from tests.store.contract import Contract


class VersionContract(Contract):
    """A bucket with versioning."""

    def setUp(self) -> None:
        super().setUp()
        self.actor.do(CreateBucket(BucketInfo("b", 1, versioning=ENABLED)))

    def put(self, key: str, body: bytes, *, chunked: bool = False, modified: int = 1000) -> ObjectInfo:
        """Put an object. :return: the version that it became."""
        put = self.actor.chunked(key, body) if chunked else self.actor.inline(key, body)
        made = self.actor.do(replace(put, info=replace(put.info, modified=modified))).made
        assert made is not None
        return made

    def delete(self, key: str, version: str = "", **more: object) -> ObjectInfo | None:
        """Delete. :return: the delete marker, if it made one."""
        return self.actor.do(DeleteObject("b", key, version=version, **more)).made  # type: ignore[arg-type]

    def suspend(self) -> None:
        self.actor.do(SetVersioning("b", SUSPENDED))

    def find_version(self, key: str, version: str = "") -> ObjectInfo | None:
        return self.store.look_up_versions([("b", key, version)])[0]

    def versions(self, key: str = "") -> list[ObjectInfo]:
        """The versions of a key, the newest first, each as it is found by its id; the newest alone is the latest."""
        entries = [entry for entry in self.all_versions() if entry.key == key]
        self.assertEqual([entry.latest for entry in entries], [True, *[False] * (len(entries) - 1)][: len(entries)])
        found = [self.find_version(key, entry.info.version) for entry in entries]
        self.assertEqual([info and info.order for info in found], [entry.info.order for entry in entries])
        self.assertEqual(self.find_version(key), found[0] if found else None)
        return found

    def all_versions(self) -> list[VersionEntry]:
        return list(self.store.list_versions("b", VersionQuery()).entries)

    def bodies(self, key: str) -> list[bytes | None]:
        """The bodies of the versions of a key, the newest first; None for a delete marker."""
        return [None if info.marker else self.actor.read("b", key, info) for info in self.versions(key)]


class VersionTests(VersionContract):
    def test_kept(self) -> None:
        """What is put over stays, whichever way its body is kept; ids go up, and the newest is the object."""
        made = [self.put("k", b"one"), self.put("k", b"two" * 50_000, chunked=True), self.put("k", b"three")]
        self.assertEqual(self.bodies("k"), [b"three", b"two" * 50_000, b"one"])
        self.assertEqual(self.versions("k"), made[::-1])
        self.assertEqual(sorted(info.version for info in made), [info.version for info in made])
        self.assertEqual(self.actor.find("k"), made[2])
        self.assertEqual([key for key, _ in self.store.list_objects("b", ListQuery()).entries], ["k"])

    def test_order(self) -> None:
        """The id of a version tells when it was made, and is greater than the one before even when the clock is not."""
        first = self.put("k", b"1", modified=1_790_000_000_000)
        second = self.put("k", b"2", modified=1_700_000_000_000)
        self.assertEqual(first.order >> 20, 1_790_000_000_000)
        self.assertEqual(second.order, first.order + 1)
        self.assertEqual(version_order(second.version), second.order)

    def test_marker(self) -> None:
        """A delete hides the object behind a marker, of a key that never was as well; what was is still there."""
        one = self.put("k", b"one")
        marker = self.delete("k", now=5, owner="me")
        assert marker is not None
        self.assertEqual((marker.marker, marker.modified, marker.owner, marker.size), (True, 5, "me", 0))
        self.assertEqual((self.actor.find("k"), self.store.peek("b", "k")), (None, None))
        self.assertEqual(self.store.list_objects("b", ListQuery()).entries, ())
        self.assertEqual(self.versions("k"), [marker, one])
        again = self.delete("k")
        self.assertEqual(self.versions("k"), [again, marker, one])
        self.delete("never")
        self.assertEqual([info.marker for info in self.versions("never")], [True])

    def test_marker_name(self) -> None:
        """There is no marker of a key that no object can have."""
        self.fails(DeleteObject("b", "a\0b"), "InvalidArgument")

    def test_marker_deleted(self) -> None:
        """Without its marker the object is back, unless there is another marker."""
        one = self.put("k", b"one")
        first, second = self.delete("k"), self.delete("k")
        self.delete("k", first.version)
        self.assertEqual(self.versions("k"), [second, one])
        self.assertIsNone(self.actor.find("k"))
        self.delete("k", second.version)
        self.assertEqual((self.versions("k"), self.actor.body("k")), ([one], b"one"))

    def test_version_deleted(self) -> None:
        """A version that is deleted is gone for good with its bytes; the newest of the others takes its place."""
        one, two, three = self.put("k", b"1"), self.put("k", b"2" * 99, chunked=True), self.put("k", b"3")
        outcome = self.actor.do(DeleteObject("b", "k", version=two.version))
        self.assertEqual((outcome.previous, outcome.retired, outcome.made), (two, (two.extents[0].blob,), None))
        self.assertEqual(self.bodies("k"), [b"3", b"1"])
        self.assertEqual(self.actor.do(DeleteObject("b", "k", version=three.version)).previous, three)
        self.assertEqual(self.actor.body("k"), b"1")
        (gone,) = self.store.read([InlineRow("b", "k", three.inline, three.order)])
        self.assertIsInstance(gone, StaleBody)
        self.delete("k", one.version)
        self.assertEqual(self.versions("k"), [])
        self.actor.do(DeleteBucket("b"))

    def test_version_missing(self) -> None:
        """There is nothing to delete or to find under an id that no version has."""
        one = self.put("k", b"1")
        for version in (f"{one.order + 1:016x}", NULL, "none", "0" * 17):
            self.assertEqual(self.actor.do(DeleteObject("b", "k", version=version)).previous, None)
            self.assertIsNone(self.find_version("k", version))
            self.fails(TagObject("b", "k", (), version=version), "NoSuchVersion", Key="k", VersionId=version)
        self.assertEqual(self.versions("k"), [one])

    def test_in_one_commit(self) -> None:
        """Versions of one commit see each other."""
        puts = [self.actor.inline("k", b"%d" % number) for number in range(3)]
        delete = DeleteObject("b", "k")
        made = [it.made for it in self.store.commit([puts[0], delete, puts[1], delete, puts[2]])]
        self.assertEqual(self.versions("k"), made[::-1])
        undo = [DeleteObject("b", "k", version=info.version) for info in made[:0:-1]]
        self.store.commit(undo)
        self.assertEqual((self.versions("k"), self.actor.body("k")), (made[:1], b"0"))

    def test_bucket_not_empty(self) -> None:
        """A bucket with nothing but versions and markers is not empty."""
        one = self.put("k", b"1")
        marker = self.delete("k")
        self.fails(DeleteBucket("b"), "BucketNotEmpty", BucketName="b")
        self.delete("k", one.version)
        self.fails(DeleteBucket("b"), "BucketNotEmpty", BucketName="b")
        self.delete("k", marker.version)
        self.actor.do(DeleteBucket("b"))

    def test_conditions(self) -> None:
        """A condition is about the object, which a marker is not, or about the version that is named."""
        one = self.put("k", b"1")
        self.fails(self.actor.inline("k", b"2", if_none_match="*"), "PreconditionFailed", Condition="If-None-Match")
        self.delete("k")
        self.actor.do(self.actor.inline("k", b"2", if_none_match="*"))
        wrong = DeleteObject("b", "k", self.actor.inline("", b"", if_match="wrong").condition, version=one.version)
        self.fails(wrong, "PreconditionFailed", Condition="If-Match")
        self.assertEqual(self.bodies("k"), [b"2", None, b"1"])

    def test_conditions_on_marker(self) -> None:
        """A marker that is deleted again has a time and a size, and no ETag."""
        self.put("k", b"1")
        self.delete("k")
        for condition, error in (
            ({"if_match": "*"}, "NoSuchKey"),
            ({"if_size": 1}, "PreconditionFailed"),
            ({"if_modified": 1}, "PreconditionFailed"),
        ):
            (outcome,) = self.store.commit([DeleteObject("b", "k", Condition(**condition))])
            self.assertEqual(getattr(outcome, "code", None), error, condition)
        self.actor.do(DeleteObject("b", "k", Condition(if_size=0, if_modified=0)))
        self.actor.do(DeleteObject("b", "none", Condition(if_size=1, if_modified=1)))

    def test_upload(self) -> None:
        """A completed upload is a version as well."""
        one = self.put("k", b"one")
        self.actor.begin()
        part = self.actor.part(1, b"part")
        self.actor.do(part)
        outcome = self.actor.do(self.actor.completion([part.part]))
        self.assertEqual((outcome.previous, outcome.retired), (None, ()))
        self.assertEqual(self.versions("k"), [outcome.made, one])
        self.assertEqual(self.bodies("k"), [b"part", b"one"])

    def test_tags(self) -> None:
        """Tags are those of one version."""
        one, two = self.put("k", b"1"), self.put("k", b"2")
        self.actor.do(TagObject("b", "k", (("a", "1"),), version=one.version))
        self.actor.do(TagObject("b", "k", (("a", "2"),)))
        self.assertEqual([info.tags for info in self.versions("k")], [(("a", "2"),), (("a", "1"),)])
        self.assertEqual(self.bodies("k"), [b"2", b"1"])
        marker = self.delete("k")
        self.fails(TagObject("b", "k", ()), "NoSuchKey", Key="k")
        refused = TagObject("b", "k", (), version=marker.version)
        self.fails(refused, "MethodNotAllowed", Method="PUT", ResourceType="DeleteMarker")
        self.assertEqual(self.find_version("k", two.version).tags, (("a", "2"),))


class NullVersionTests(VersionContract):
    def setUp(self) -> None:
        Contract.setUp(self)
        self.actor.create()

    def test_plain(self) -> None:
        """An object of before is the null version, and the oldest; so it can be asked for in a plain bucket too."""
        self.actor.do(self.actor.inline("k", b"plain"))
        plain = self.find_version("k", NULL)
        self.assertEqual((plain, plain.order), (self.actor.find("k"), 0))
        self.actor.do(SetVersioning("b", ENABLED))
        two = self.put("k", b"two")
        self.assertEqual(self.versions("k"), [two, plain])
        self.assertEqual(self.bodies("k"), [b"two", b"plain"])
        self.delete("k", two.version)
        self.assertEqual(self.actor.body("k"), b"plain")
        self.put("k", b"three")
        self.delete("k", NULL)
        self.assertEqual(self.bodies("k"), [b"three"])

    def test_plain_deleted(self) -> None:
        """In a plain bucket the null version is the object, and there is no other."""
        self.actor.do(self.actor.inline("k", b"plain"))
        self.delete("k", f"{5:016x}")
        self.assertEqual(self.actor.body("k"), b"plain")
        self.delete("k", NULL)
        self.assertIsNone(self.actor.find("k"))
        self.actor.do(DeleteBucket("b"))

    def test_suspended(self) -> None:
        """While versioning is suspended there is one null version, which is replaced, among those with ids."""
        self.actor.do(SetVersioning("b", ENABLED))
        one = self.put("k", b"one")
        self.suspend()
        first = self.put("k", b"null 1", chunked=True)
        self.assertEqual((first.version, self.bodies("k")), (NULL, [b"null 1", b"one"]))
        put = self.actor.inline("k", b"null 2")
        self.assertEqual(self.actor.do(put).retired, (first.extents[0].blob,))
        self.assertEqual(self.bodies("k"), [b"null 2", b"one"])
        self.actor.do(SetVersioning("b", ENABLED))
        three = self.put("k", b"three")
        self.suspend()
        self.put("k", b"null 3")
        self.assertEqual(self.bodies("k"), [b"null 3", b"three", b"one"])
        self.assertEqual([info.version for info in self.versions("k")], [NULL, three.version, one.version])

    def test_suspended_delete(self) -> None:
        """A delete then puts a null delete marker in place of the null version."""
        self.actor.do(self.actor.inline("k", b"plain"))
        self.suspend()
        marker = self.delete("k")
        self.assertEqual((marker.version, self.versions("k")), (NULL, [marker]))
        self.put("k", b"null")
        self.assertEqual(self.bodies("k"), [b"null"])
        self.actor.do(SetVersioning("b", ENABLED))
        self.put("k", b"two")
        self.suspend()
        self.delete("k")
        self.assertEqual(self.bodies("k"), [None, b"two"])
        self.delete("k", NULL)
        self.assertEqual((self.bodies("k"), self.actor.body("k")), ([b"two"], b"two"))

    def test_copied_out(self) -> None:
        """What is put into a plain bucket has no order, even when it is the copy of a version."""
        put = self.actor.inline("k", b"x")
        self.actor.do(replace(put, info=replace(put.info, order=7, null=False)))
        self.assertEqual((self.find_version("k", NULL).order, self.actor.body("k")), (0, b"x"))


class VersionListingTests(VersionContract):
    def test_pages(self) -> None:
        """Versions come by key, the newest first, and page by page without loss, also of null versions."""
        for key in ("a", "b/1", "b/2", "b/2", "c", "c", "c"):
            self.put(key, key.encode())
        self.delete("b/1")
        self.suspend()
        for key in ("c", "d"):
            self.put(key, b"null")
        self.delete("a")
        everything = self.all_versions()
        keys = [entry.key for entry in everything]
        self.assertEqual(keys, ["a", "a", "b/1", "b/1", "b/2", "b/2", "c", "c", "c", "c", "d"])
        orders = [(entry.key, -entry.info.order) for entry in everything]
        self.assertEqual(orders, sorted(orders))
        for limit in range(1, 12):
            found: list[VersionEntry] = []
            query = VersionQuery(limit=limit)
            while (page := self.store.list_versions("b", query)).truncated:
                found += page.entries
                query = VersionQuery(after=page.last, after_order=page.last_order, limit=limit)
            self.assertEqual(found + list(page.entries), everything)

    def test_rolled_up(self) -> None:
        """They have common prefixes as objects have; with no order, a page begins behind all versions of a key."""
        for key in ("a", "j/x", "j/x", "j/y", "k", "k"):
            self.put(key, b"x")
        page = self.store.list_versions("b", VersionQuery(delimiter="/"))
        self.assertEqual(([entry.key for entry in page.entries], page.prefixes), (["a", "k", "k"], ("j/",)))
        page = self.store.list_versions("b", VersionQuery(delimiter="/", limit=2))
        self.assertEqual((page.truncated, page.last, page.last_order), (True, "j/", None))
        page = self.store.list_versions("b", VersionQuery(prefix="j/", after="j/x"))
        self.assertEqual([entry.key for entry in page.entries], ["j/y"])
        newest = self.versions("k")[0]
        page = self.store.list_versions("b", VersionQuery(after="k", after_order=newest.order))
        self.assertEqual([(entry.key, entry.latest) for entry in page.entries], [("k", False)])


class LockTests(VersionContract):
    def setUp(self) -> None:
        super().setUp()
        self.actor.do(ConfigureBucket("b", OBJECT_LOCK, b"on"))
        self.version = self.put("k", b"locked").version

    def retain(self, mode: str, until: int, now: int = 0, *, bypass: bool = False) -> RetainObject:
        return RetainObject("b", "k", ObjectLock(mode, until), now, bypass, version=self.version)

    def delete_at(self, now: int, *, bypass: bool = False) -> DeleteObject:
        return DeleteObject("b", "k", version=self.version, now=now, bypass=bypass)

    def test_bucket(self) -> None:
        """Versions can be locked only where versioning is enabled, and there it stays so."""
        self.fails(SetVersioning("b", SUSPENDED), "InvalidBucketState")
        self.actor.do(SetVersioning("b", ENABLED))
        self.actor.create("c")
        self.fails(ConfigureBucket("c", OBJECT_LOCK, b"on"), "InvalidBucketState")

    def test_retention(self) -> None:
        """A version under retention is not deleted before its time; the object may be hidden and put over."""
        self.actor.do(self.retain("COMPLIANCE", 100))
        for bypass in (False, True):
            self.fails(self.delete_at(99, bypass=bypass), "AccessDenied")
        self.delete("k")
        self.put("k", b"other")
        self.assertEqual(self.bodies("k"), [b"other", None, b"locked"])
        self.actor.do(self.delete_at(100))
        self.assertEqual(self.bodies("k"), [b"other", None])

    def test_governance(self) -> None:
        """Governance can be bypassed, by whoever says so."""
        self.actor.do(self.retain("GOVERNANCE", 100))
        self.fails(self.delete_at(99), "AccessDenied")
        self.fails(self.retain("GOVERNANCE", 99), "AccessDenied")
        self.fails(self.retain("", 0), "AccessDenied")
        self.fails(self.retain("COMPLIANCE", 200), "AccessDenied")
        self.actor.do(self.retain("GOVERNANCE", 101))
        self.actor.do(self.retain("GOVERNANCE", 50, bypass=True))
        self.actor.do(self.delete_at(49, bypass=True))
        self.assertEqual(self.versions("k"), [])

    def test_compliance(self) -> None:
        """Compliance can only be prolonged, until it has ended."""
        self.actor.do(self.retain("COMPLIANCE", 100))
        for wanted in (("COMPLIANCE", 99), ("GOVERNANCE", 200), ("", 0)):
            self.fails(self.retain(*wanted, bypass=True), "AccessDenied")
        self.actor.do(self.retain("COMPLIANCE", 150))
        self.actor.do(self.retain("GOVERNANCE", 200, now=150))
        self.assertEqual(self.find_version("k", self.version).lock, ObjectLock("GOVERNANCE", 200))

    def test_hold(self) -> None:
        """A legal hold holds whatever the time, beside a retention."""
        self.actor.do(self.retain("GOVERNANCE", 100))
        self.actor.do(HoldObject("b", "k", "ON"))
        self.fails(self.delete_at(1000, bypass=True), "AccessDenied")
        self.assertEqual(self.actor.find("k").lock, ObjectLock("GOVERNANCE", 100, "ON"))
        self.actor.do(HoldObject("b", "k", "OFF", version=self.version))
        self.actor.do(self.delete_at(1000))

    def test_expiry(self) -> None:
        """A rule does not delete what is locked."""
        self.actor.do(self.retain("GOVERNANCE", 100))
        self.delete("k")
        seen = self.find_version("k", self.version)
        self.fails(ExpireVersion("b", "k", seen, now=99), "AccessDenied")
        self.actor.do(ExpireVersion("b", "k", seen, now=100))


class ExpiryTests(VersionContract):
    def test_object(self) -> None:
        """An object expires if it is the one that was looked at: with versioning behind a marker, without for good."""
        one = self.put("k", b"1")
        two = self.put("k", b"2")
        self.fails(ExpireObject("b", "k", one), "PreconditionFailed")
        self.actor.do(TagObject("b", "k", (("a", "b"),)))
        self.fails(ExpireObject("b", "k", two), "PreconditionFailed")
        marker = self.actor.do(ExpireObject("b", "k", self.actor.find("k"), now=7, owner="me")).made
        self.assertEqual((marker.modified, marker.owner), (7, "me"))
        self.assertEqual(self.bodies("k"), [None, b"2", b"1"])
        self.actor.create("plain")
        put = self.actor.chunked("k", b"x", "plain")
        self.actor.do(put)
        self.assertEqual(self.actor.do(ExpireObject("plain", "k", put.info)).retired, put.staged)
        self.assertIsNone(self.actor.find("k", "plain"))

    def test_version(self) -> None:
        """A version that is not the object expires if it is as it was looked at."""
        one, two = self.put("k", b"1"), self.put("k", b"2")
        self.fails(ExpireVersion("b", "k", two), "PreconditionFailed")
        self.fails(ExpireVersion("b", "k", replace(one, size=9)), "PreconditionFailed")
        self.actor.do(ExpireVersion("b", "k", one))
        self.assertEqual(self.versions("k"), [two])

    def test_marker(self) -> None:
        """A marker with nothing behind it can be told from others."""
        one = self.put("k", b"1")
        marker = self.delete("k")
        self.fails(ExpireVersion("b", "k", marker, alone=True), "PreconditionFailed")
        self.delete("k", one.version)
        self.actor.do(ExpireVersion("b", "k", marker, alone=True))
        self.assertEqual(self.versions("k"), [])
        self.actor.do(DeleteBucket("b"))
