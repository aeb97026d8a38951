"""rclone."""

from __future__ import annotations

from tests.clients.case import ClientCase, Matrix, Place, need


class Rclone(Matrix, ClientCase):
    """A tree, there and back, and checked by rclone itself."""

    section = "rclone"

    def exercise(self, place: Place) -> None:
        """Make a bucket, upload a tree, let rclone compare, download it."""
        need("rclone")
        bucket = self.new_bucket_name(place)
        up, down = self.tree()
        config = place.fill_in(self.page.snippets[0])
        if place.virtual:
            config = self.page.variant("force_path_style = true", "force_path_style = false", config)
        (up.parent / "rclone.conf").write_text(config)
        rclone = "rclone --config rclone.conf --s3-upload-cutoff 5M --retries 1"
        if place.tls:
            rclone += f" --ca-cert {place.ca}"
        script = f"{rclone} mkdir s3gw:{bucket}; {rclone} copy up s3gw:{bucket}; {rclone} check up s3gw:{bucket}\n"
        script += f"{rclone} check --download up s3gw:{bucket}; {rclone} copy s3gw:{bucket} down\n"
        self.run_script(script, up.parent)
        self.assertTwins(up, down)
        self.assertStored(bucket)
