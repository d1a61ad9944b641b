"""
The terminal: what may be written to it, and whose it is when a tool such as `make` has started us.

Ctrl-C signals every process of the terminal's group, and `make` then reports a failure however
cleanly we ended. So we take the terminal for a group of our own, and give it back at the end.
"""

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Control characters, breaks of lines, and format characters, which show text in another order or hide it.
_CONTROL_CHARACTERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


def escape_controls(text: str) -> str:
    """Write what would break a line or steer a terminal as Python's `ascii` does."""
    return _CONTROL_CHARACTERS.sub(lambda found: ascii(found[0])[1:-1], text)


@contextmanager
def foreground_process_group() -> Iterator[None]:
    """Be the only one whom Ctrl-C reaches; nothing happens off a terminal or in a group of our own."""
    if not _is_child_in_foreground():
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


def _is_child_in_foreground() -> bool:
    try:
        is_foreground = os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False
    return is_foreground and os.getpgrp() != os.getpid()
