"""s3cmd, which checks each transfer by the MD5 of its ETag."""

from __future__ import annotations

from tests.clients.case import ClientCase, Matrix, Place, need


class S3cmd(Matrix, ClientCase):
    """A tree, there and back."""

    section = "s3cmd"

    def exercise(self, place: Place) -> None:
        """Make a bucket, upload a tree, download it."""
        need("s3cmd")
        bucket = self.new_bucket_name(place)
        up, down = self.tree()
        config = place.fill_in(self.page.snippets[0])
        if place.virtual:
            host = place.authority.partition(":")[0]
            shown = "host_bucket = %(bucket)s.localhost:9000"
            assert f"`{shown}`" in self.page.text
            config = config.replace(
                f"host_bucket = {place.authority}", f"host_bucket = %(bucket)s.{host}:{place.server.port}"
            )
        if place.tls:
            config = self.page.variant("use_https = False", "use_https = True", config)
            config += f"ca_certs_file = {place.ca}\n"
        (up.parent / "s3cfg").write_text(config)
        s3cmd = "s3cmd --config=s3cfg --no-progress"
        script = f"{s3cmd} mb s3://{bucket}; {s3cmd} sync up/ s3://{bucket}/; {s3cmd} sync s3://{bucket}/ down/"
        self.run_script(script, up.parent)
        self.assertTwins(up, down)
        self.assertStored(bucket)
