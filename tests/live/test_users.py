"""Several users of one real server: a credentials file, a policy, lists, and callers that do not sign."""

from __future__ import annotations

import json
from pathlib import Path

from tests.live.case import LiveCase
from tests.live.server import LiveServer

FILE = """\
[alice]
aws_access_key_id = AKIDALICE
aws_secret_access_key = alices-secret-key
id = alice-id
display_name = Alice

[alice-laptop]
aws_access_key_id = AKIDALICE2
aws_secret_access_key = alices-other-key
id = alice-id
display_name = Alice

[bob]
aws_access_key_id = AKIDBOB
aws_secret_access_key = bobs-secret-key
id = bob-id
email = bob@example.com
"""


class UserTests(LiveCase):
    """Alice, with two keys, shares with Bob and with everybody."""

    def make_server(self) -> LiveServer:
        """One with their keys."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        path = directory / "credentials"
        path.write_text(FILE)
        path.chmod(0o600)
        server = LiveServer(directory, auth="sigv4", variables={"S3GW_CREDENTIALS_FILE": str(path)})
        self.addCleanup(server.close)
        return server.start()

    def test_sharing(self) -> None:
        """What each of them may, and that it is the same after a restart."""
        alice = self.server.s3(access_key="AKIDALICE", secret_key="alices-secret-key")
        laptop = self.server.s3(access_key="AKIDALICE2", secret_key="alices-other-key")
        alice.create_bucket(Bucket="shared")
        alice.put_object(Bucket="shared", Key="public/a", Body=b"for all", ACL="public-read")
        laptop.put_object(Bucket="shared", Key="bobs", Body=b"for bob", GrantRead="emailAddress=bob@example.com")
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam:::user/bob-id"},
            "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::shared",
            "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
        }
        alice.put_bucket_policy(Bucket="shared", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        self.check()
        self.server.terminate()
        self.server.wait()
        self.server.start()
        self.check()

    def check(self) -> None:
        """Ask as everybody."""
        bob = self.server.s3(access_key="AKIDBOB", secret_key="bobs-secret-key")
        nobody = self.server.s3(unsigned=True)
        listed = bob.list_objects_v2(Bucket="shared")["Contents"]
        self.assertEqual(["bobs", "public/a"], [each["Key"] for each in listed])
        self.assertEqual(b"for bob", bob.get_object(Bucket="shared", Key="bobs")["Body"].read())
        self.assertEqual(b"for all", nobody.get_object(Bucket="shared", Key="public/a")["Body"].read())
        self.assertEqual((404, "NoSuchKey"), self.refused(bob.get_object, Bucket="shared", Key="none"))
        for refused in (
            self.refused(nobody.list_objects_v2, Bucket="shared"),
            self.refused(nobody.get_object, Bucket="shared", Key="bobs"),
            self.refused(nobody.get_object, Bucket="shared", Key="none"),
            self.refused(bob.put_object, Bucket="shared", Key="x", Body=b"x"),
            self.refused(bob.get_bucket_policy, Bucket="shared"),
            self.refused(nobody.put_object, Bucket="shared", Key="x", Body=b"x" * 1_000_000),
        ):
            self.assertEqual((403, "AccessDenied"), refused)
