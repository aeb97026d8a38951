"""What is told to malloc."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SkipTest, SynchronousTestCase

FAULTS = """
import resource, sys
from s3gw.allocator import keep_buffers
if sys.argv[1] == "told" and not keep_buffers():
    sys.exit(3)
def faults():
    for _ in range(20):
        held = [bytes(1 << 20) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(-faults() + faults())
"""


class AllocatorTests(SynchronousTestCase):
    """`keep_buffers`."""

    def faults(self, how: str) -> int:
        """Page faults of taking 160 buffers of 1 MiB, in a process of its own."""
        ran = subprocess.run(
            [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, timeout=60, check=False
        )
        if ran.returncode == 3:
            raise SkipTest("this C library has no mallopt")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return int(ran.stdout)

    def test_buffers_are_kept(self) -> None:
        """A buffer that was used before costs no page faults when it is used again."""
        self.assertLess(self.faults("told"), self.faults("untold") / 10)
