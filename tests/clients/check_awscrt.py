"""The S3 client of AWS CRT, which LMCache, mountpoint and s3torchconnector are made of."""

from __future__ import annotations

from typing import Any

from tests.clients.case import SIZES, ClientCase, Matrix, Place, body_of
from tests.clients.crt import Crt


class AwsCrt(Matrix, ClientCase):
    """Objects of every size, ranges of every kind."""

    section = "AWS CRT"

    def exercise(self, place: Place) -> None:
        """PUT and GET of every size, which goes in parts from 8 MiB on; ranges; HEAD; what is missing."""
        bucket = self.new_bucket_name(place)
        self.server.s3().create_bucket(Bucket=bucket)
        snippet = place.fill_in(self.page.snippets[0])
        if place.tls:
            # The client trusts what the page tells it to.
            snippet = self.page.variant("tls = None", self.page.snippets[1].strip(), snippet)
            snippet = place.fill_in(snippet)
        client = Crt(self.run_python(snippet)["client"], place, bucket)
        for key in SIZES:
            self.assertEqual(client.put(key, body_of(key)), 200, key)
            status, body = client.get(key)
            self.assertIn(status, (200, 206))
            self.assertSame(body, body_of(key))
        self.assertStored(bucket)
        whole = body_of("large")
        ranges: dict[str, Any] = {
            "bytes=-1000": whole[-1000:],
            "bytes=-9000000": whole[-9_000_000:],
            "bytes=5-9": whole[5:10],
            "bytes=1000000-20000000": whole[1_000_000:20_000_001],
            "bytes=60000000-999999999": whole[60_000_000:],
        }
        for asked, expected in ranges.items():
            status, body = client.get("large", asked)
            self.assertEqual(status, 206, asked)
            self.assertSame(body, expected)
        self.assertEqual(client.head("large"), (200, len(whole)))
        self.assertEqual(client.head("missing")[0], 404)
        self.assertEqual(client.get("missing")[0], 404)
