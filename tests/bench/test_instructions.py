"""What is counted is answered rightly, and the counts are read, compared and printed as they are."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from bench.in_process import WrongAnswer, compare, gateways
from bench.instructions import CannotCount, chosen, compile_library, main, read_counts, rehearse, rounds, table, works
from bench.load import Request, Window

DUMP = """\
# callgrind format
desc: Trigger: Client Request: {name} {count}

positions: line
events: Ir
summary: {total}
"""


class WorkTests(SynchronousTestCase):
    """The gateway in this process, and what is asked of it."""

    def test_answers(self) -> None:
        """Every request that is ever counted gets the answer that it should, byte by byte, and is accounted for."""
        with gateways(alone=False) as gateway:
            for serial, work in enumerate(works()):
                one = gateway(work.signed)
                (status,) = {request.status for request in work.make(one.wire, serial)}
                before = one.answered(status)
                filled = 0 if work.needs is None or one.has(work.needs) else work.needs.count
                rehearse(one, work, serial)
                asked = len(work.make(one.wire, serial)[:96])
                self.assertEqual(one.answered(status) - before, asked + (filled if status < 300 else 0), work.name)

    def test_wrong_answers(self) -> None:
        """A wrong status, a wrong byte and a body of a HEAD are noticed."""
        window = Window(0, 4)
        good = b"HTTP/1.1 200 OK\r\n\r\n" + b"".join(window.slices())
        get, head = Request(b"", 200, expected=window), Request(b"", 200, expected=window, no_body=True)
        compare(get, good)
        compare(head, good[:-4])
        for request, answer in (
            (get, good[:-1]),
            (get, good.replace(b"200", b"206")),
            (get, b""),
            (head, good),
        ):
            self.assertRaises(WrongAnswer, compare, request, answer)

    def test_rounds(self) -> None:
        """Requests begin again when there are no more, and so many go together."""
        requests = [Request(b"a", 200), Request(b"b", 200)]
        self.assertEqual(rounds(requests, 5, 2), [[[b"a"], [b"b"]], [[b"a"], [b"b"]], [[b"a"]]])


class CountTests(SynchronousTestCase):
    """Figures, from callgrind's files to the table."""

    def test_read_counts(self) -> None:
        """Instructions are divided by requests, the smaller of two counts is taken, other files are none."""
        dumps = [DUMP.format(name=name, count=count, total=total) for name, count, total in COUNTS]
        self.assertEqual(read_counts([*dumps, "# callgrind format\nsummary: 7\n"]), {"head": 90, "get-1k": 7})

    def test_table(self) -> None:
        """One line each, in the order of the works; beside an earlier figure, if there is one, the quotient."""
        self.assertEqual(
            [line.split() for line in table({"head": 90_000, "get-1k": 110_000}, {"head": 100_000}).splitlines()],
            [
                ["work", "instructions", "then", "now", "/", "then"],
                ["get-1k", "110,000"],
                ["head", "90,000", "100,000", "0.900"],
            ],
        )

    def test_unknown_work(self) -> None:
        """A work that does not exist is named, with those that do."""
        self.assertEqual([work.name for work in chosen(["head"])], ["head"])
        error = self.assertRaises(CannotCount, chosen, ["head", "hed"])
        self.assertIn("'hed'; there are get-1k, ", str(error))

    def test_program(self) -> None:
        """The whole program, if there is valgrind: a HEAD costs more than nothing, and as much as the file says."""
        if shutil.which("valgrind") is None:
            raise SkipTest("valgrind is not installed")
        file = Path(self.mktemp())
        try:
            file.parent.mkdir(exist_ok=True, parents=True)
            compile_library(file.parent)
        except CannotCount as error:
            raise SkipTest(str(error)) from None
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            self.assertEqual(main(["head", "--json", str(file)]), 0)
        counts = json.loads(file.read_text())
        self.assertEqual(said.getvalue().splitlines()[1].split(), ["head", f"{counts['head']:,}"])
        self.assertGreater(counts["head"], 10_000)


COUNTS = [("head", 10, 1000), ("head", 10, 900), ("get-1k", 2, 14)]
