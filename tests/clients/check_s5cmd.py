"""s5cmd."""

from __future__ import annotations

from twisted.trial.unittest import SkipTest

from tests.clients.case import ClientCase, Matrix, Place, need


class S5cmd(Matrix, ClientCase):
    """A tree, there and back."""

    section = "s5cmd"

    def exercise(self, place: Place) -> None:
        """Make a bucket, upload a tree, list, download it."""
        need("s5cmd")
        if place.virtual:
            raise SkipTest("s5cmd 2.3 puts the bucket into the path of every endpoint but AWS's")
        bucket = self.new_bucket_name(place)
        up, down = self.tree()
        script = place.fill_in(self.page.snippets[0]).replace("s3://bucket", f"s3://{bucket}")
        script += f"s5cmd rm s3://{bucket}/hello.txt; s5cmd cp up/ s3://{bucket}/; s5cmd ls s3://{bucket}/\n"
        script += f"s5cmd cp 's3://{bucket}/*' down/\n"
        (up.parent / "hello.txt").write_text("hello")
        self.run_script(script, up.parent, **({"AWS_CA_BUNDLE": place.ca} if place.tls else {}))
        self.assertTwins(up, down)
        self.assertStored(bucket)
