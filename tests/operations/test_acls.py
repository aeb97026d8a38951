"""Access control lists of buckets and objects, and whose what is written in somebody else's bucket is."""

from __future__ import annotations

from s3gw.store.interface import Committed, Mutation, SetObjectAcl
from tests.operations.access import AccessCase, acl
from tests.operations.harness import ALICE, BOB, GatewayTestCase


class ListTests(AccessCase):
    """Access control lists of buckets and objects."""

    def test_public_read(self) -> None:
        """An object that all may read can be read by all, and nothing more."""
        self.set_acl("/bucket/key", name="public-read")
        self.assertEqual([200, 200, 200], self.statuses("GET", "/bucket/key"))
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket/key", "acl"))
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket"))
        self.set_acl("/bucket/key", name="authenticated-read")
        self.assertEqual([200, 200, 403], self.statuses("GET", "/bucket/key"))
        self.set_acl("/bucket/key", name="private")
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket/key"))

    def test_written_with_a_list(self) -> None:
        """PutObject, CopyObject and uploads take a list; a copy does not take its source's; another PUT forgets it."""
        public = {"x-amz-acl": "public-read"}
        self.put("/bucket/a", b"x", public)
        self.request("PUT", "/bucket/b", {**public, "x-amz-copy-source": "bucket/key"})
        self.request("PUT", "/bucket/c", {"x-amz-copy-source": "bucket/a"})
        upload = self.request("POST", "/bucket/d", public, query="uploads").text("UploadId")
        etag = self.request("PUT", "/bucket/d", query=f"partNumber=1&uploadId={upload}", body=b"x").headers["etag"]
        done = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
        body = f"{done}</CompleteMultipartUpload>".encode()
        self.request("POST", "/bucket/d", query=f"uploadId={upload}", body=body)
        found = {key: self.request("GET", f"/bucket/{key}", sign=None).status for key in "abcd"}
        self.assertEqual({"a": 200, "b": 200, "c": 403, "d": 200}, found)
        self.put("/bucket/a", b"y")
        self.denied(self.request("GET", "/bucket/a", sign=None))

    def test_public_write(self) -> None:
        """Who may write a bucket owns what it writes there; the bucket's owner can delete it, but not read it. What
        nobody in particular wrote is the bucket owner's."""
        self.set_acl("/bucket", name="public-read-write")
        self.assertEqual(200, self.request("PUT", "/bucket/bobs", body=b"bob", sign=BOB).status)
        self.assertEqual([403, 200, 403], self.statuses("GET", "/bucket/bobs"))
        listed = self.client().list_objects_v2(Bucket="bucket", FetchOwner=True)["Contents"]
        self.assertEqual([BOB.owner.id, ALICE.owner.id], [each["Owner"]["ID"] for each in listed])
        self.assertEqual(200, self.request("PUT", "/bucket/anybodys", body=b"x", sign=None).status)
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket/anybodys"))
        self.assertEqual(ALICE.owner.id, self.request("GET", "/bucket/anybodys", query="acl").text("ID"))
        self.assertEqual([204, 204], [self.request("DELETE", f"/bucket/{k}").status for k in ("bobs", "anybodys")])

    def test_uploads_of_others(self) -> None:
        """An upload is for its initiator and for the bucket's owner."""
        self.set_acl("/bucket", name="public-read-write")
        upload = self.request("POST", "/bucket/up", query="uploads", sign=BOB).text("UploadId")
        self.assertEqual([200, 200, 403], self.statuses("GET", "/bucket/up", f"uploadId={upload}"))
        self.denied(self.request("DELETE", "/bucket/up", query=f"uploadId={upload}", sign=None))
        self.assertEqual(204, self.request("DELETE", "/bucket/up", query=f"uploadId={upload}", sign=BOB).status)

    def test_giving_access_on(self) -> None:
        """Who may write a list may, and does not become the owner by it."""
        self.set_acl("/bucket/key", acl(("WRITE_ACP", BOB.owner.id)))
        body = acl(("READ", BOB.owner.id), owner=BOB.owner.id)
        self.denied(self.request("PUT", "/bucket/key", {}, body, "acl", BOB))
        self.set_acl("/bucket/key", acl(("READ", BOB.owner.id)), sign=BOB)
        self.assertEqual([200, 200, 403], self.statuses("GET", "/bucket/key"))
        self.denied(self.request("PUT", "/bucket/key", {"x-amz-acl": "private"}, b"", "acl", BOB))

    def test_replaced_meanwhile(self) -> None:
        """A list that somebody may set on an object is not set on the one that replaces it, unless there too."""
        self.set_acl("/bucket/key", acl(("WRITE_ACP", BOB.owner.id)))
        commit = self.gateway.storage.commit
        replaced: list[Mutation] = []

        async def overtaken(mutation: Mutation) -> Committed:
            if isinstance(mutation, SetObjectAcl) and not replaced:
                replaced.append(mutation)
                self.put("/bucket/key", b"new")
            return await commit(mutation)

        self.patch(self.gateway.storage, "commit", overtaken)
        self.denied(self.request("PUT", "/bucket/key", {"x-amz-acl": "public-read"}, b"", "acl", BOB))
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket/key"))
        replaced.clear()
        self.set_acl("/bucket/key", name="public-read")
        self.assertEqual([200, 200, 200], self.statuses("GET", "/bucket/key"))

    def test_requests(self) -> None:
        """A request says what it wants in one way."""
        for headers, body, code in (
            ({}, b"", "MissingSecurityHeader"),
            ({"x-amz-acl": "private"}, acl(), "InvalidRequest"),
            ({"x-amz-acl": "public"}, b"", "InvalidArgument"),
            ({"x-amz-acl": "log-delivery-write"}, b"", "NotImplemented"),
            ({}, acl(("READ", "nobody")), "InvalidArgument"),
            ({}, b"<x/>", "MalformedXML"),
        ):
            for path in ("/bucket", "/bucket/key"):
                self.assertEqual(code, self.request("PUT", path, headers, body, "acl").error)
        self.assert_error("NotImplemented", 501, self.request("PUT", "/bucket/x", {"x-amz-acl": "aws-exec-read"}))

    def test_times(self) -> None:
        """A list changes nothing else about an object."""
        before = self.request("HEAD", "/bucket/key").headers
        self.gateway.clock.advance(5)
        self.set_acl("/bucket/key", name="public-read")
        after = self.request("HEAD", "/bucket/key").headers
        for name in ("last-modified", "etag", "x-amz-tagging-count"):
            self.assertEqual(before[name], after[name])

    def test_bucket_created_with_a_list(self) -> None:
        """A bucket may be created with a list; creating it again with another is refused."""
        public = {"x-amz-acl": "public-read"}
        self.assertEqual(200, self.request("PUT", "/open", public).status)
        self.assertEqual([200, 200, 200], self.statuses("GET", "/open"))
        self.assertEqual(200, self.request("PUT", "/open", public).status)
        self.assert_error("BucketAlreadyExists", 409, self.request("PUT", "/open"))
        self.assert_error("BucketAlreadyExists", 409, self.request("PUT", "/bucket", public))

    def test_response_headers(self) -> None:
        """Who does not sign cannot choose the headers of an answer."""
        self.set_acl("/bucket/key", name="public-read")
        answer = self.request("GET", "/bucket/key", query="response-content-type=text/html", sign=None)
        self.assert_error("InvalidRequest", 400, answer)


class OwnershipTests(AccessCase):
    """Whose what is written in somebody else's bucket is."""

    def own(self, ownership: str) -> None:
        """Alice sets the ownership controls, and lets everybody write."""
        body = f"<OwnershipControls><Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule></OwnershipControls>"
        answer = self.request("PUT", "/bucket", body=body.encode(), query="ownershipControls")
        self.assertEqual(200, answer.status, answer.body)
        self.set_policy({})

    def owners(self) -> list[str | None]:
        """Who owns what Bob writes: without a list, with full control for the bucket's owner, with a private one."""
        found: list[str | None] = []
        for headers in ({}, {"x-amz-acl": "bucket-owner-full-control"}, {"x-amz-acl": "private"}):
            answer = self.request("PUT", "/bucket/x", headers, b"x", sign=BOB)
            if answer.status != 200:
                found.append(answer.error)
                continue
            listed = self.client().list_objects_v2(Bucket="bucket", Prefix="x", FetchOwner=True)["Contents"]
            found.append({ALICE.owner.id: "alice", BOB.owner.id: "bob"}[listed[0]["Owner"]["ID"]])
        return found

    def test_writer(self) -> None:
        """By default, and by name, the writer's."""
        self.set_policy({})
        self.assertEqual(["bob", "bob", "bob"], self.owners())
        self.own("ObjectWriter")
        self.assertEqual(["bob", "bob", "bob"], self.owners())

    def test_preferred(self) -> None:
        """The bucket owner's, if the writer says so."""
        self.own("BucketOwnerPreferred")
        self.assertEqual(["bob", "alice", "bob"], self.owners())

    def test_enforced(self) -> None:
        """The bucket owner's, what was there before too; and lists mean nothing."""
        self.set_acl("/bucket/key", name="public-read")
        self.set_policy({})
        self.request("PUT", "/bucket/bobs", body=b"x", sign=BOB)
        self.own("BucketOwnerEnforced")
        self.assertEqual(["alice", "alice", "AccessControlListNotSupported"], self.owners())
        for path in ("/bucket", "/bucket/key"):
            answer = self.request("PUT", path, {"x-amz-acl": "private"}, b"", "acl")
            self.assert_error("AccessControlListNotSupported", 400, answer)
            self.assertEqual(["FULL_CONTROL"], self.request("GET", path, query="acl").texts("Permission"))
        self.request("DELETE", "/bucket", query="policy")
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket/key"))
        self.assertEqual([200, 403, 403], self.statuses("GET", "/bucket/bobs"))
        self.request("DELETE", "/bucket", query="ownershipControls")
        self.assertEqual([200, 200, 200], self.statuses("GET", "/bucket/key"))
        self.assertEqual([403, 200, 403], self.statuses("GET", "/bucket/bobs"))

    def test_documents(self) -> None:
        """It comes back; a bucket whose list grants to others cannot have it enforced; nonsense is refused."""
        self.own("BucketOwnerPreferred")
        rules = self.client().get_bucket_ownership_controls(Bucket="bucket")["OwnershipControls"]["Rules"]
        self.assertEqual([{"ObjectOwnership": "BucketOwnerPreferred"}], rules)
        self.set_acl("/bucket", name="public-read")
        body = b"<OwnershipControls><Rule><ObjectOwnership>%s</ObjectOwnership></Rule></OwnershipControls>"
        answer = self.request("PUT", "/bucket", body=body % b"BucketOwnerEnforced", query="ownershipControls")
        self.assert_error("InvalidBucketAclWithObjectOwnership", 400, answer)
        for nonsense in (b"", b"<OwnershipControls/>", body % b"Nobody"):
            answer = self.request("PUT", "/bucket", body=nonsense, query="ownershipControls")
            self.assert_error("MalformedXML", 400, answer)

    def test_new_bucket(self) -> None:
        """A bucket may be created with it, but not with lists at the same time."""
        headers = {"x-amz-object-ownership": "BucketOwnerEnforced"}
        both = {**headers, "x-amz-acl": "public-read"}
        self.assert_error("InvalidBucketAclWithObjectOwnership", 400, self.request("PUT", "/new", both))
        self.assertEqual(200, self.request("PUT", "/new", headers).status)
        found = self.request("GET", "/new", query="ownershipControls").text("ObjectOwnership")
        self.assertEqual("BucketOwnerEnforced", found)


class OpenTests(GatewayTestCase):
    """``--auth=none``, where everybody is one user without a name."""

    keys = ()

    def test_as_it_was(self) -> None:
        """A list can be put as it was read, as s3cmd does after a copy."""
        self.make_bucket()
        self.put("/bucket/key", b"body")
        for path in ("/bucket", "/bucket/key"):
            read = self.request("GET", path, query="acl")
            self.assertEqual(200, self.request("PUT", path, body=read.body, query="acl").status)
            self.assertEqual(read.body, self.request("GET", path, query="acl").body)
