"""What is remembered of clients' texts."""

from twisted.trial.unittest import SynchronousTestCase

from s3gw.s3.memo import LONGEST, remembered


class RememberedTests(SynchronousTestCase):
    def test_once(self) -> None:
        """A text is worked out once, a long one each time it comes; the results are those of the function."""
        worked: list[str] = []

        @remembered(8)
        def double(text: str, suffix: str = "") -> str:
            worked.append(text)
            return text + text + suffix

        long = "x" * (LONGEST + 1)
        for _ in range(2):
            self.assertEqual(double("a"), "aa")
            self.assertEqual(double("a", "!"), "aa!")
            self.assertEqual(double(long), long + long)
        self.assertEqual(worked, ["a", "a", long, long])
