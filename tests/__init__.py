"""The tests. Their process ends when they are done, even if a thread that one of them has left behind does not."""

from tests.bounded import end_with_main_thread

end_with_main_thread()
