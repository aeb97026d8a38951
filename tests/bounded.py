"""`BoundedTestCase`: a test that cannot finish in its time fails by itself, and says what it waited for.

Trial's own timeout needs a reactor that runs, so it never fires for a test that blocks. Here a timer interrupts the
main thread, wherever it waits, with `TooLong`, whose text has the stack of every thread. What waits inside of a library
and cannot be interrupted ends the whole run instead, a while later and with the same stacks on stderr. So does a thread
that is left behind, for which the interpreter would wait for ever once all tests are done.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.torture import RUNS

CLEANUP_SECONDS = 60.0
"""How long a test that was interrupted may take to clean up."""

END_SECONDS = 60.0
"""How long threads may go on when the main thread has ended."""

FRAMES = 12
"""Of each stack, the innermost."""


class TooLong(AssertionError):
    """The time of a test is up."""


def stacks() -> str:
    """Where each thread is, the main thread first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    main = threading.main_thread().ident
    frames = sorted(sys._current_frames().items(), key=lambda found: found[0] != main)
    return "\n".join(
        f"{names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame)[-FRAMES:])}" for ident, frame in frames
    )


@contextmanager
def bound(what: str, seconds: float) -> Iterator[None]:
    """Raise `TooLong` in the main thread if this is not left in time."""

    def too_long(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, CLEANUP_SECONDS)
        raise TooLong(f"{what} did not end within {seconds:.0f} s; it waited here:\n{stacks()}")

    before = signal.signal(signal.SIGALRM, too_long)
    faulthandler.dump_traceback_later(seconds + 3 * CLEANUP_SECONDS, exit=True, file=sys.__stderr__)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


def end_with_main_thread() -> None:
    """End the process some time after its main thread, whoever else goes on; stderr says who does."""

    def watch() -> None:
        threading.main_thread().join()
        time.sleep(END_SECONDS)
        print(f"the tests are done, and some threads are not:\n{stacks()}", file=sys.__stderr__, flush=True)
        os._exit(1)

    threading.Thread(target=watch, name="end", daemon=True).start()


class BoundedTestCase(SynchronousTestCase):
    """:cvar seconds: what one test may take on a slow machine, for each of the `tests.torture.RUNS`."""

    seconds = 120.0

    def run(self, result: Any) -> None:
        """Run, and interrupt it when its time is up."""
        with bound(self.id(), self.seconds * RUNS):
            super().run(result)


def join_all(threads: list[threading.Thread], seconds: float) -> None:
    """Wait for threads to end. :raises TooLong: with their names, if one does not."""
    for thread in threads:
        thread.join(seconds)
    late = [thread.name for thread in threads if thread.is_alive()]
    if late:
        raise TooLong(f"{', '.join(late)} did not end within {seconds:.0f} s:\n{stacks()}")


def wait_until(come: Callable[[], object], what: str, seconds: float = 30.0, pause: float = 0.01) -> None:
    """Look again and again until something has come. :raises TooLong: with what that is, if it does not."""
    waited = threading.Event()
    for _ in range(int(seconds / pause)):
        if come():
            return
        waited.wait(pause)
    raise TooLong(f"{what} did not come within {seconds:.0f} s")
