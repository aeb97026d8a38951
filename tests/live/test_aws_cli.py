"""aws-cli, the way people use it: ``aws s3`` with files of every size, and ``aws s3api``."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from tests.live.case import BIG, KIB, MIB, LiveCase, program, run_client, some_bytes, trusting
from tests.live.server import REGION

SIZES = {"empty": 0, "one": 1, "mib": MIB, "eight": 8 * MIB, "hundred": 100 * MIB}
"""The last two go up in parts, ten at a time."""

FILES = 2000 if BIG else 120
"""Of a tree."""


class AwsCliMatrix(LiveCase):
    """What works over every listener and authentication; the subclasses run it."""

    sizes = {name: size for name, size in SIZES.items() if size <= MIB}

    def setUp(self) -> None:
        self.program = program("aws")
        super().setUp()
        self.home = self.directory()
        # What aws-cli 1 presigns for us-east-1 is signed by version 2 unless told otherwise.
        (self.home / "config").write_text("[default]\ns3 =\n    signature_version = s3v4\n")

    def aws(self, *arguments: str, status: int = 0) -> str:
        """Run it; what it prints."""
        server = self.server
        common = ["--endpoint-url", server.url, "--region", REGION]
        if self.auth == "none":
            common.append("--no-sign-request")
        variables = {
            "HOME": str(self.home),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_CONFIG_FILE": str(self.home / "config"),
        }
        if self.auth == "sigv4":
            variables |= {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
        if server.ca is not None:
            variables["AWS_CA_BUNDLE"] = str(server.ca)
        return run_client([self.program, *common, *arguments], cwd=self.home, status=status, **variables)

    def files(self, directory: str, sizes: dict[str, int]) -> Path:
        """A directory of files."""
        path = self.home / directory
        path.mkdir()
        for name, size in sizes.items():
            (path / name).write_bytes(some_bytes(size, size))
        return path

    def assertTwins(self, one: Path, other: Path) -> None:
        """Two directories hold the same files."""
        names = [sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()) for root in (one, other)]
        self.assertEqual(names[0], names[1])
        for name in names[0]:
            self.assertSame((other / name).read_bytes(), (one / name).read_bytes())

    def test_life(self) -> None:
        """mb, cp up, ls, presign, cp down, rm, rb."""
        bucket = self.new_name()
        up = self.files("up", self.sizes)
        self.assertIn(f"make_bucket: {bucket}", self.aws("s3", "mb", f"s3://{bucket}"))
        self.aws("s3", "cp", "--recursive", "--no-progress", str(up), f"s3://{bucket}/a b/")
        listed = self.aws("s3", "ls", "--recursive", f"s3://{bucket}").splitlines()
        self.assertEqual({line.split(None, 3)[3]: int(line.split(None, 3)[2]) for line in listed}, {
            f"a b/{name}": size for name, size in self.sizes.items()
        })  # fmt: skip
        self.aws("s3", "cp", "--recursive", "--no-progress", f"s3://{bucket}/a b/", str(self.home / "down"))
        self.assertTwins(up, self.home / "down")
        if self.auth == "sigv4":
            url = self.aws("s3", "presign", f"s3://{bucket}/a b/mib", "--expires-in", "60").strip()
            with trusting(self.server).open(url) as answer:
                self.assertSame(answer.read(), (up / "mib").read_bytes())
        self.aws("s3", "rm", f"s3://{bucket}/a b/one")
        self.aws("s3", "rb", "--force", f"s3://{bucket}")
        self.assertEqual(self.refused(self.server.s3().head_bucket, Bucket=bucket), (404, "404"))


class OverHttp(AwsCliMatrix):
    """http, no authentication."""


class OverHttpSigned(AwsCliMatrix):
    """http, SigV4; and whatever need not be done over each."""

    auth = "sigv4"
    sizes = SIZES

    def test_trees(self) -> None:
        """sync there and back, only what changed the second time; sync from bucket to bucket; mv; rm."""
        s3 = self.server.s3()
        bucket, other = self.new_bucket(s3), self.new_bucket(s3)
        names = [f"{n % 7}/sub {n % 3}/file+{n}" for n in range(FILES)]
        tree = self.home / "tree"
        written = time.time() - 60
        for name in names:
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
            # S3 knows when in whole seconds: what was written in the second of its upload would go up again.
            os.utime(path, (written, written))
        sync = ("s3", "sync", "--no-progress")
        self.assertEqual(self.aws(*sync, str(tree), f"s3://{bucket}").count("upload: "), len(names))
        self.assertEqual(self.aws(*sync, str(tree), f"s3://{bucket}"), "")
        (tree / names[0]).write_text("changed, and longer")
        (tree / names[1]).unlink()
        changed = self.aws(*sync, "--delete", str(tree), f"s3://{bucket}")
        self.assertEqual((changed.count("upload: "), changed.count("delete: ")), (1, 1))
        self.aws(*sync, f"s3://{bucket}", f"s3://{other}")
        self.aws("s3", "mv", "--recursive", "--no-progress", f"s3://{other}", str(self.home / "back"))
        self.assertTwins(tree, self.home / "back")
        self.assertEqual(s3.list_objects_v2(Bucket=other)["KeyCount"], 0)
        self.assertEqual(self.aws("s3", "rm", "--recursive", f"s3://{bucket}").count("delete: "), len(names) - 1)
        self.assertEqual(s3.list_objects_v2(Bucket=bucket)["KeyCount"], 0)

    def test_api(self) -> None:
        """``s3api``: what is asked for comes back as it was given."""
        bucket = self.new_bucket(self.server.s3())
        path = self.home / "body"
        path.write_bytes(some_bytes(70 * KIB))
        given = ("--content-type", "a/b", "--metadata", "one=1,two=2", "--checksum-algorithm", "CRC64NVME")
        put = json.loads(self.aws("s3api", "put-object", "--bucket", bucket, "--key", "k", "--body", "body", *given))
        asked = json.dumps({"Bucket": bucket, "Key": "k", "ChecksumMode": "ENABLED"})
        head = json.loads(self.aws("s3api", "head-object", "--cli-input-json", asked))
        self.assertEqual((head["ETag"], head["ContentType"]), (put["ETag"], "a/b"))
        self.assertEqual(head["Metadata"], {"one": "1", "two": "2"})
        self.assertEqual(head["ChecksumCRC64NVME"], put["ChecksumCRC64NVME"])
        self.aws("s3api", "get-object", "--bucket", bucket, "--key", "k", "--range", "bytes=5-9", "part")
        self.assertEqual((self.home / "part").read_bytes(), path.read_bytes()[5:10])


class OverHttps(AwsCliMatrix):
    """https, no authentication."""

    tls = True


class OverHttpsSigned(AwsCliMatrix):
    """https, SigV4."""

    auth = "sigv4"
    tls = True
    sizes = SIZES


del AwsCliMatrix  # it is no test by itself
