"""aws-cli."""

from __future__ import annotations

from tests.clients.case import ClientCase, Matrix, Place, need


class AwsCli(Matrix, ClientCase):
    """The script of the page, and a tree."""

    section = "aws-cli"

    def exercise(self, place: Place) -> None:
        """Make a bucket, upload a tree, download it."""
        need("aws")
        bucket = self.new_bucket_name(place)
        up, down = self.tree()
        script, config = self.page.snippets[:2]
        if place.virtual:
            config = self.page.variant("signature_version = s3v4", "addressing_style = virtual", config)
        (up.parent / "config").write_text(config)
        (up.parent / "hello.txt").write_text("hello")
        script = place.fill_in(script).replace("s3://bucket", f"s3://{bucket}")
        script += f"aws s3 rm s3://{bucket}/hello.txt\n"
        script += f"aws s3 cp --no-progress --recursive up s3://{bucket}/\n"
        script += f"aws s3 sync --no-progress s3://{bucket}/ down\n"
        variables = {"AWS_CONFIG_FILE": str(up.parent / "config")}
        if place.tls:
            variables["AWS_CA_BUNDLE"] = place.ca
        self.run_script(script, up.parent, **variables)
        self.assertTwins(up, down)
        self.assertStored(bucket)
