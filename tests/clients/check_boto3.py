"""boto3, which every other check compares with."""

from __future__ import annotations

from tests.clients.case import SIZES, ClientCase, Matrix, Place, body_of


class Boto3(Matrix, ClientCase):
    """Upload and download by s3transfer, which goes in parts."""

    section = "boto3"

    def exercise(self, place: Place) -> None:
        """Make a bucket, upload, list, download, delete."""
        if place.tls:
            self.with_environment(AWS_CA_BUNDLE=place.ca)
        snippet = place.fill_in(self.page.snippets[0])
        if place.virtual:
            snippet = self.page.variant('"addressing_style": "path"', '"addressing_style": "virtual"', snippet)
        s3 = self.run_python(snippet)["s3"]
        bucket = self.new_bucket_name(place)
        up, down = self.tree()
        s3.create_bucket(Bucket=bucket)
        for key in SIZES:
            s3.upload_file(str(up / key), bucket, key)
            (down / key).parent.mkdir(exist_ok=True)
            s3.download_file(bucket, key, str(down / key))
        self.assertTwins(up, down)
        self.assertStored(bucket)
        got = s3.get_object(Bucket=bucket, Key="chunk", Range="bytes=-1000")["Body"].read()
        self.assertSame(got, body_of("chunk")[-1000:])
        gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in SIZES]})["Deleted"]
        self.assertEqual(len(gone), len(SIZES))
        s3.delete_bucket(Bucket=bucket)
