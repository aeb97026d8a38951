"""What is remembered of clients' texts."""

from twisted.trial.unittest import SynchronousTestCase

from s3gw.s3.memo import LONGEST, remembered


class RememberedTests(SynchronousTestCase):
    def test_once(self) -> None:
        """A text is worked out once, a long one each time it comes; the results are those of the function."""
        worked: list[str] = []

        @remembered(8)
        def double(text: str) -> str:
            worked.append(text)
            return text + text

        long = "x" * (LONGEST + 1)
        for _ in range(2):
            self.assertEqual(double("a"), "aa")
            self.assertEqual(double(long), long + long)
        self.assertEqual(worked, ["a", long, long])

    def test_bounded(self) -> None:
        """So many results are kept, however many texts come."""
        worked: list[str] = []
        note = remembered(4)(worked.append)
        for number in range(100):
            note(str(number))
            note(str(number))
        self.assertEqual(worked, [str(number) for number in range(100)])
        for number in range(96):
            note(str(number))
        self.assertEqual(len(worked), 196)

    def test_refusal(self) -> None:
        """What raises is not remembered, and raises again."""

        @remembered(4)
        def number(text: str) -> int:
            return int(text)

        for _ in range(2):
            self.assertRaises(ValueError, number, "x")
