"""
The terminal, when a tool such as `make` stands between it and us.

Ctrl-C signals every process of the terminal's group, and `make` then reports a failure however
cleanly we ended. So we take the terminal for a group of our own, and give it back at the end.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def own_terminal() -> Iterator[None]:
    """Be the only one whom Ctrl-C reaches; nothing happens off a terminal or in a group of our own."""
    if not _is_foreground_guest():
        yield
        return
    host_group = os.getpgrp()
    # Changing the terminal's group from the background would stop us; being stopped would hang it.
    for number in (signal.SIGTTOU, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(sys.stdin.fileno(), os.getpid())
    try:
        yield
    finally:
        # The host can be gone by now, and its terminal with it.
        with suppress(OSError):
            os.tcsetpgrp(sys.stdin.fileno(), host_group)


def _is_foreground_guest() -> bool:
    try:
        is_foreground = os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False
    return is_foreground and os.getpgrp() != os.getpid()
