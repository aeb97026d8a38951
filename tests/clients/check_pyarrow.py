"""pyarrow's S3FileSystem, which sends chunked bodies with trailers."""

from __future__ import annotations

from twisted.trial.unittest import SkipTest

from tests.clients.case import SIZES, ClientCase, Matrix, Place, body_of

try:
    from pyarrow import fs as arrow
except ImportError:
    arrow = None


class Pyarrow(Matrix, ClientCase):
    """Streams, random access, listings."""

    section = "pyarrow"

    def exercise(self, place: Place) -> None:
        """Write streams, read them whole and at places, list, delete."""
        if arrow is None:
            raise SkipTest("pyarrow is not installed")
        self.with_environment()
        bucket = self.new_bucket_name(place)
        snippet = place.fill_in(self.page.snippets[0])
        if place.tls:
            snippet = self.page.variant('scheme="http"', 'scheme="https"', snippet)
            snippet = snippet.replace("\n)", f'\n    tls_ca_file_path="{place.ca}",\n)')
            assert '`tls_ca_file_path="/path/to/ca.pem"`' in self.page.text
        if place.virtual:
            old, new = "force_virtual_addressing=False", "force_virtual_addressing=True"
            snippet = self.page.variant(old, new, snippet)
        filesystem = self.run_python(snippet)["filesystem"]
        filesystem.create_dir(bucket)
        for key in SIZES:
            with filesystem.open_output_stream(f"{bucket}/{key}") as stream:
                stream.write(body_of(key))
            with filesystem.open_input_stream(f"{bucket}/{key}") as stream:
                self.assertSame(stream.read(), body_of(key))
        with filesystem.open_input_file(f"{bucket}/parts") as file:
            file.seek(5_000_000)
            self.assertSame(file.read(1000), body_of("parts")[5_000_000:5_001_000])
        self.assertStored(bucket)
        found = filesystem.get_file_info(arrow.FileSelector(bucket, recursive=True))
        sizes = {each.path: each.size for each in found if each.type == arrow.FileType.File}
        self.assertEqual(sizes, {f"{bucket}/{key}": size for key, size in SIZES.items()})
        filesystem.delete_dir_contents(bucket)
        self.assertEqual(self.stored(bucket), {})
