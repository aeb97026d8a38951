"""s3fs, for fsspec."""

from __future__ import annotations

from twisted.trial.unittest import SkipTest

from tests.clients.case import SIZES, ClientCase, Matrix, Place, body_of

try:
    import s3fs
except ImportError:
    s3fs = None


class S3fs(Matrix, ClientCase):
    """Files, ranges, exclusive creation."""

    section = "s3fs (fsspec)"

    def exercise(self, place: Place) -> None:
        """Make a bucket, write, read whole and in ranges, create once, list, remove."""
        if s3fs is None:
            raise SkipTest("s3fs is not installed")
        self.with_environment(**({"AWS_CA_BUNDLE": place.ca} if place.tls else {}))
        s3fs.S3FileSystem.clear_instance_cache()
        snippet = place.fill_in(self.page.snippets[0])
        if place.virtual:
            snippet = self.page.variant('"addressing_style": "path"', '"addressing_style": "virtual"', snippet)
        fs = self.run_python(snippet)["fs"]
        bucket = self.new_bucket_name(place)
        fs.mkdir(bucket)
        for key in SIZES:
            with fs.open(f"{bucket}/{key}", "wb", block_size=5 << 20) as file:
                file.write(body_of(key))
            self.assertSame(fs.cat_file(f"{bucket}/{key}"), body_of(key))
        self.assertStored(bucket)
        self.assertSame(fs.cat_file(f"{bucket}/chunk", start=-1000), body_of("chunk")[-1000:])
        self.assertRaises(FileExistsError, fs.pipe_file, f"{bucket}/one", b"other", mode="create")
        self.assertEqual(sorted(fs.find(bucket)), sorted(f"{bucket}/{key}" for key in SIZES))
        fs.rm(bucket, recursive=True)
        self.assertFalse(fs.exists(bucket))
