"""s3cmd, which checks each transfer by the ETag's MD5. It always signs; without authentication nobody minds."""

from __future__ import annotations

from tests.live.case import BIG, MIB, LiveCase, program, run_client, some_bytes

CONFIGURATION = """[default]
access_key = {server.access_key}
secret_key = {server.secret_key}
host_base = {server.authority}
host_bucket = {server.authority}
bucket_location = us-east-1
use_https = {server.tls}
ca_certs_file = {server.ca}
check_ssl_certificate = True
check_ssl_hostname = True
signature_v2 = False
multipart_chunk_size_mb = 15
max_retries = 1
socket_timeout = 30
progress_meter = False
"""

FILES = 2000 if BIG else 30
"""Of a tree; it takes one at a time."""

NAMES = {
    "empty": 0,
    "one": 1,
    "a+b c%20d": MIB,
    "ümläut ß 日本語": 1000,
    "quote'\"&<>": 1000,
}


class S3cmdMatrix(LiveCase):
    """What works over every listener and authentication; the subclasses run it."""

    sizes = NAMES

    def setUp(self) -> None:
        self.program = program("s3cmd")
        super().setUp()
        self.home = self.directory()
        (self.home / "s3cfg").write_text(CONFIGURATION.format(server=self.server))

    def s3cmd(self, *arguments: str, status: int = 0) -> str:
        """Run it; what it prints."""
        command = [self.program, f"--config={self.home / 's3cfg'}", *arguments]
        return run_client(command, cwd=self.home, status=status, HOME=str(self.home), LC_ALL="C.UTF-8")

    def test_life(self) -> None:
        """mb, put, ls, info, get, cp, sync, del, rb."""
        bucket = self.new_name()
        up, down = self.home / "up", self.home / "down"
        up.mkdir()
        down.mkdir()
        for name, size in self.sizes.items():
            (up / name).write_bytes(some_bytes(size, size))
        self.s3cmd("mb", f"s3://{bucket}")
        self.assertIn(f"s3://{bucket}", self.s3cmd("ls"))
        self.s3cmd("put", *(f"up/{name}" for name in self.sizes), f"s3://{bucket}/dir/")
        listed = self.s3cmd("ls", "--recursive", f"s3://{bucket}").splitlines()
        shown = {line.split(None, 3)[3]: int(line.split(None, 3)[2]) for line in listed}
        self.assertEqual(shown, {f"s3://{bucket}/dir/{name}": size for name, size in self.sizes.items()})
        for name, size in self.sizes.items():
            self.assertIn(f"File size: {size}", self.s3cmd("info", f"s3://{bucket}/dir/{name}"))
        self.s3cmd("get", "--recursive", f"s3://{bucket}/dir/", "down/")
        for name, size in self.sizes.items():
            self.assertSame((down / name).read_bytes(), some_bytes(size, size))
        self.s3cmd("cp", f"s3://{bucket}/dir/a+b c%20d", f"s3://{bucket}/copy")
        self.s3cmd("get", f"s3://{bucket}/copy", "copied")
        self.assertSame((self.home / "copied").read_bytes(), some_bytes(MIB, MIB))
        self.assertEqual(self.s3cmd("sync", "up/", f"s3://{bucket}/dir/").count("upload: "), 0)
        self.s3cmd("get", f"s3://{bucket}/none", status=64)
        self.s3cmd("del", "--recursive", "--force", f"s3://{bucket}")
        self.s3cmd("rb", f"s3://{bucket}")


class OverHttp(S3cmdMatrix):
    """http, no authentication."""


class OverHttpSigned(S3cmdMatrix):
    """http, SigV4; the largest file in seven parts; and whatever need not be done over each."""

    auth = "sigv4"
    sizes = {**NAMES, "hundred": 100 * MIB}

    def test_trees(self) -> None:
        """sync there and back, only what changed the second time; mv; del."""
        bucket, other = self.new_bucket(self.server.s3()), self.new_bucket(self.server.s3())
        names = [f"{n % 7}/sub {n % 3}/file+{n}" for n in range(FILES)]
        for name in names:
            path = self.home / "tree" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        sync = ("sync", "--delete-removed", "tree/", f"s3://{bucket}/a b/")
        self.assertEqual(self.s3cmd(*sync).count("upload: "), len(names))
        self.assertEqual(self.s3cmd(*sync).count("upload: "), 0)
        (self.home / "tree" / names[0]).write_text("changed, and longer")
        (self.home / "tree" / names.pop(1)).unlink()
        changed = self.s3cmd(*sync)
        self.assertEqual((changed.count("upload: "), changed.count("delete: ")), (1, 1))
        self.s3cmd("mv", "--recursive", f"s3://{bucket}/a b/", f"s3://{other}/moved/")
        self.assertEqual(self.s3cmd("ls", "--recursive", f"s3://{bucket}"), "")
        self.s3cmd("sync", f"s3://{other}/moved/", "back/")
        for name in names:
            self.assertEqual((self.home / "back" / name).read_text(), (self.home / "tree" / name).read_text())
        deleted = self.s3cmd("del", "--recursive", "--force", f"s3://{other}")
        self.assertEqual(deleted.count("delete: "), len(names))


class OverHttps(S3cmdMatrix):
    """https, no authentication."""

    tls = True


class OverHttpsSigned(S3cmdMatrix):
    """https, SigV4."""

    auth = "sigv4"
    tls = True


del S3cmdMatrix  # it is no test by itself
