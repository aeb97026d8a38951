"""minio-py."""

from __future__ import annotations

from twisted.trial.unittest import SkipTest

from tests.clients.case import SIZES, ClientCase, Matrix, Place, body_of

try:
    import minio
except ImportError:
    minio = None


class MinioPy(Matrix, ClientCase):
    """Files, whole and in parts, there and back."""

    section = "minio-py"

    def exercise(self, place: Place) -> None:
        """Make a bucket, upload, stat, download, remove."""
        if minio is None:
            raise SkipTest("minio-py is not installed")
        if place.tls:
            self.with_environment(SSL_CERT_FILE=place.ca)
        snippet = place.fill_in(self.page.snippets[0])
        if place.tls:
            snippet = self.page.variant("secure=False", "secure=True", snippet)
        client = self.run_python(snippet)["client"]
        if place.virtual:
            assert "`client.enable_virtual_style_endpoint()`" in self.page.text
            client.enable_virtual_style_endpoint()
        bucket = self.new_bucket_name(place)
        up, down = self.tree()
        client.make_bucket(bucket)
        for key in SIZES:
            client.fput_object(bucket, key, str(up / key), part_size=5 << 20)
            self.assertEqual(client.stat_object(bucket, key).size, SIZES[key])
            client.fget_object(bucket, key, str(down / key))
        self.assertTwins(up, down)
        self.assertStored(bucket)
        got = client.get_object(bucket, "parts", offset=5, length=100)
        self.assertSame(got.read(), body_of("parts")[5:105])
        got.close()
        self.assertEqual(
            sorted(each.object_name for each in client.list_objects(bucket, recursive=True)), sorted(SIZES)
        )
        for key in SIZES:
            client.remove_object(bucket, key)
        client.remove_bucket(bucket)
