"""Tests of `s3gw.s3.form`: what browsers and libraries send, and what nobody should."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from s3gw.errors import InvalidArgument, MalformedPOSTRequest, MaxPostPreDataLengthExceeded
from s3gw.s3.form import MAX_FIELDS_BYTES, FileDecoder, Form, boundary_of, expand_filename

TYPE = "multipart/form-data; boundary=xYz"

WHOLE = (
    b"--xYz\r\n"
    b'Content-Disposition: form-data; name="Key"\r\n\r\nuploads/${filename}\r\n'
    b"--xYz\r\n"
    b'content-disposition: form-data; name="x-amz-meta-\xc3\xa4"; filename="x"\r\nContent-Type: text/plain\r\n\r\n\r\n'
    b"--xYz \t\r\n"
    b'Content-Type: image/jpeg\r\nContent-Disposition: form-data; name=file; filename="C:\\\\p\\a \\"1\\".jpg"\r\n\r\n'
    b"\r\n--xY\r\r\n--xYand the rest\r\n\r\n--xYz--\r\n"
)


def whole(data: bytes) -> Iterable[bytes]:
    """All at once."""
    return [data]


def bytewise(data: bytes) -> Iterable[bytes]:
    """One byte at a time."""
    return [data[n : n + 1] for n in range(len(data))]


CUTS: tuple[Callable[[bytes], Iterable[bytes]], ...] = (whole, bytewise)


def read(pieces: Iterable[bytes], content_type: str = TYPE) -> tuple[Form, bytes]:
    """A form and the bytes of its file."""
    form = Form(content_type)
    decoder: FileDecoder | None = None
    found: list[bytes] = []
    for piece in pieces:
        if decoder is not None:
            found += decoder.feed(piece)
            continue
        form.feed(piece)
        if form.at_file:
            decoder, rest = form.file()
            found += decoder.feed(rest)
    if decoder is None:
        form.finish()
        raise AssertionError("a form without a file")
    decoder.finish()
    return form, b"".join(found)


class GoodTests(SynchronousTestCase):
    """Forms that are right."""

    def test_whole_and_bytewise(self) -> None:
        """Fields, file name and file come out the same however the body is cut, and with more behind it."""
        for cut in CUTS:
            for more in (b"", b"--xYz\r\nfurther fields are ignored", b"\r\n" * 100):
                form, body = read(cut(WHOLE + more))
                self.assertEqual({"key": "uploads/${filename}", "x-amz-meta-ä": ""}, form.fields)
                self.assertEqual('a "1".jpg', form.filename)
                self.assertEqual(b"\r\n--xY\r\r\n--xYand the rest\r\n", body)

    def test_preamble(self) -> None:
        """What stands before the first boundary is ignored."""
        for before in (b"\r\n", b"This is a form.\r\n", b"--xY\r\n"):
            for cut in CUTS:
                self.assertEqual("uploads/${filename}", read(cut(before + WHOLE))[0].fields["key"])

    def test_repeated(self) -> None:
        """The values of a repeated field are joined, as those of a repeated header are."""
        part = b'--xYz\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        form, body = read([part % (b"a", b"1"), part % (b"A", b"2"), part % (b"FILE", b"x"), b"--xYz--"])
        self.assertEqual(({"a": "1,2"}, b"x", ""), (form.fields, body, form.filename))

    def test_filename(self) -> None:
        """Directories are left out, and ``filename*`` is understood."""
        for spelt, expected in (
            (b'filename="a/b/c.txt"', "c.txt"),
            (b'filename="C:\\x\\y.txt"', "y.txt"),
            (b"filename=plain.txt", "plain.txt"),
            (b"filename*=utf-8''%e2%82%ac%20rates", "€ rates"),
            (b'filename="\xe2\x82\xac"', "€"),
            (b"", ""),
        ):
            data = b'--xYz\r\nContent-Disposition: form-data; name="file"; ' + spelt + b"\r\n\r\n\r\n--xYz--"
            self.assertEqual(expected, read([data])[0].filename)

    def test_expand(self) -> None:
        """The name of the file stands in for its variable in every field."""
        self.assertEqual(
            {"key": "u/a/a", "b": "c"}, expand_filename({"key": "u/${filename}/${filename}", "b": "c"}, "a")
        )

    def test_boundaries(self) -> None:
        """A boundary may be quoted, and the parameter may stand anywhere."""
        for content_type, expected in (
            ("multipart/form-data; boundary=abc", "abc"),
            ("multipart/form-data; charset=utf-8; Boundary=abc; x=y", "abc"),
            ('multipart/form-data;boundary="a b\\"c"', 'a b"c'),
            ("multipart/form-data; boundary=" + "b" * 70, "b" * 70),
        ):
            self.assertEqual(expected, boundary_of(content_type))

    @given(st.binary(max_size=200), st.lists(st.integers(0, 400)), st.sampled_from(["-", "xYz", "a-"]))
    def test_any_file(self, content: bytes, cuts: list[int], boundary: str) -> None:
        """Any file comes out as it went in, wherever the body is cut."""
        if f"\r\n--{boundary}".encode() in b"\r\n" + content:
            return
        data = f'--{boundary}\r\nContent-Disposition: form-data; name="file"\r\n\r\n'.encode()
        data += content + f"\r\n--{boundary}--\r\n".encode()
        edges = [0, *sorted(cuts), len(data) + 400]
        pieces = [data[start:end] for start, end in pairwise(edges)]
        self.assertEqual(content, read(pieces, f"multipart/form-data; boundary={boundary}")[1])


class BadTests(SynchronousTestCase):
    """Forms that are wrong."""

    def test_malformed(self) -> None:
        """What is no form, or ends early, is refused."""
        disposition = b'Content-Disposition: form-data; name="file"\r\n\r\n'
        for data in (
            b"",
            b"key=value",
            b"--xYz",
            b"--xYz\r\n",
            b"--xYzz\r\n" + disposition + b"x\r\n--xYz--",
            b"--xYz\n" + disposition + b"x\r\n--xYz--",
            b"--xYz\r\n\r\nx\r\n--xYz--",
            b"--xYz\r\nContent-Type: text/plain\r\n\r\nx\r\n--xYz--",
            b"--xYz\r\nContent-Disposition: form-data\r\n\r\nx\r\n--xYz--",
            b"--xYz\r\nContent-Disposition: attachment; name=file\r\n\r\nx\r\n--xYz--",
            b'--xYz\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--xYz\r\n'
            + disposition
            + b"\r\n--xYz--",
            b"--xYz\r\n" + disposition + b"x",
            b"--xYz\r\n" + disposition + b"x\r\n--xYz",
            b"--xYz\r\n" + disposition + b"x\r\n--xYz-",
            b"--xYz\r\n" + disposition + b"x\r\n--xYz?",
            b"--xYz\r\n" + disposition + b"x\r\n--xYz" + b" " * 300,
        ):
            for cut in CUTS:
                self.assertRaises(MalformedPOSTRequest, read, cut(data))

    def test_no_boundary(self) -> None:
        """A Content-Type without a boundary, or with too long a one, is refused."""
        for content_type in ("", "multipart/form-data", "multipart/form-data; boundary=", f"a; boundary={'b' * 71}"):
            self.assertRaises(MalformedPOSTRequest, Form, content_type)

    def test_no_file(self) -> None:
        """A form that ends without a file is told that it needs one."""
        field = b'--xYz\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n'
        for data in (field + b"--xYz--", b"--xYz--\r\n"):
            for cut in CUTS:
                error = self.assertRaises(InvalidArgument, read, cut(data))
                self.assertEqual("POST requires exactly one file upload per request.", error.message)

    def test_bounded(self) -> None:
        """Fields take 20 KiB and not a byte more, whether or not they ever end."""
        start = b'--xYz\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
        end = b'\r\n--xYz\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        fitting = MAX_FIELDS_BYTES - len(start) - len(end)
        data = start + b"v" * fitting + end + b"f" * 100_000 + b"\r\n--xYz--"
        for cut in CUTS:
            form, body = read(cut(data))
            self.assertEqual((fitting, 100_000), (len(form.fields["a"]), len(body)))
        for data in (start + b"v" * (fitting + 1) + end, start + b"v" * 2 * MAX_FIELDS_BYTES):
            for cut in CUTS:
                self.assertRaises(MaxPostPreDataLengthExceeded, read, cut(data))

    def test_constant_memory(self) -> None:
        """Pieces of the file go out as they are, but for what could begin a boundary."""
        form = Form(TYPE)
        form.feed(b'--xYz\r\nContent-Disposition: form-data; name="file"\r\n\r\n')
        decoder, rest = form.file()
        self.assertEqual((b"", []), (rest, decoder.feed(rest)))
        piece = b"x" * 65536
        self.assertIs(piece, decoder.feed(piece)[0])
        self.assertEqual([b"abc\r"], decoder.feed(b"abc\r\r\n--x"))
        self.assertEqual([b"\r\n--xy"], decoder.feed(b"y"))
