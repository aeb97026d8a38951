"""restic: a repository in a bucket."""

from __future__ import annotations

from tests.clients.case import ClientCase, Matrix, Place, need


class Restic(Matrix, ClientCase):
    """A backup, verified and restored."""

    section = "restic"

    def exercise(self, place: Place) -> None:
        """init, backup twice, check every byte, forget and prune, restore."""
        need("restic")
        bucket = self.new_bucket_name(place)
        up, down = self.tree()
        script = place.fill_in(self.page.snippets[0]).replace("/bucket", f"/{bucket}").replace("~/documents", "up")
        options = f" --cacert {place.ca}" if place.tls else ""
        if place.virtual:
            assert "`-o s3.bucket-lookup=dns`" in self.page.text
            options += " -o s3.bucket-lookup=dns"
        script += "restic backup up; restic check --read-data; restic forget --keep-last 1 --prune\n"
        script += "restic restore latest --target down\n"
        self.run_script(script.replace("restic ", f"restic{options} "), up.parent)
        self.assertTwins(up, down / "up")
