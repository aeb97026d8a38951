"""obstore: the object_store crate, with its conditional puts."""

from __future__ import annotations

from twisted.trial.unittest import SkipTest

from tests.clients.case import SIZES, ClientCase, Matrix, Place, body_of

try:
    import obstore
    from obstore.exceptions import AlreadyExistsError, PreconditionError
except ImportError:
    obstore = None


class Obstore(Matrix, ClientCase):
    """Objects whole and in parts, ranges, and both kinds of conditional put."""

    section = "obstore"

    def exercise(self, place: Place) -> None:
        """Put, get, ranges, list, create once, swap, delete."""
        if obstore is None:
            raise SkipTest("obstore is not installed")
        if place.tls:
            self.with_environment(SSL_CERT_FILE=place.ca)
        bucket = self.new_bucket_name(place)
        self.server.s3().create_bucket(Bucket=bucket)
        snippet = place.fill_in(self.page.snippets[0]).replace('"bucket"', f'"{bucket}"')
        if place.virtual:
            snippet = self.page.variant(
                "virtual_hosted_style_request=False", "virtual_hosted_style_request=True", snippet
            ).replace(place.url, f"{place.server.scheme}://{bucket}.{place.authority}")
        store = self.run_python(snippet)["store"]
        for key in SIZES:
            obstore.put(store, key, body_of(key), chunk_size=5 << 20)
            self.assertSame(bytes(obstore.get(store, key).bytes()), body_of(key))
        self.assertStored(bucket)
        ranges = obstore.get_ranges(store, "parts", starts=[0, 8 << 20], ends=[10, (8 << 20) + 1])
        self.assertEqual([bytes(each) for each in ranges], [body_of("parts")[:10], body_of("parts")[8 << 20 :]])
        listed = [each["path"] for page in obstore.list(store) for each in page]
        self.assertEqual(sorted(listed), sorted(SIZES))
        first = {"e_tag": obstore.put(store, "lock", b"first", mode="create")["e_tag"]}
        self.assertRaises(AlreadyExistsError, obstore.put, store, "lock", b"second", mode="create")
        obstore.put(store, "lock", b"third", mode=first)
        self.assertRaises(PreconditionError, obstore.put, store, "lock", b"fourth", mode=first)
        self.assertEqual(bytes(obstore.get(store, "lock").bytes()), b"third")
        obstore.delete(store, [*SIZES, "lock"])
        self.assertEqual(self.stored(bucket), {})
