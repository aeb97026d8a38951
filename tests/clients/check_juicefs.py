"""juicefs objbench, which tests what JuiceFS needs of its object store before it measures."""

from __future__ import annotations

import re

from twisted.trial.unittest import SkipTest

from tests.clients.case import ClientCase, Matrix, Place, need

WARNED = {"get partial object": "failed to get object with the offset out of r..."}
"""What objbench calls a warning: S3 answers a range behind the end by 416, where other stores have no bytes."""


class JuiceFS(Matrix, ClientCase):
    """The functional tests of objbench, and a small bench."""

    section = "JuiceFS"

    def exercise(self, place: Place) -> None:
        """Everything that objbench asks for passes, or is what it calls unsupported by S3."""
        need("juicefs")
        if place.virtual:
            raise SkipTest("JuiceFS puts the bucket into the host name only for the endpoints that it knows")
        bucket = self.new_bucket_name(place)
        home = self.directory()
        script = place.fill_in(self.page.snippets[0]).replace("/bucket", f"/{bucket}")
        told = self.run_script(script, home, **({"SSL_CERT_FILE": place.ca} if place.tls else {}))
        rows = dict(
            re.findall(r"^\| +(?:basic|sync) +\| +(.+?) +\| +(.+?) +\|$", re.sub("\x1b\\[[0-9;]*m", "", told), re.M)
        )
        self.assertGreater(len(rows), 10, told)
        wrong = {name: outcome for name, outcome in rows.items() if outcome not in ("pass", "not support")}
        self.assertEqual(wrong, WARNED, told)
