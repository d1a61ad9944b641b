"""
Terminal handling: escaping of control characters, and process groups for a clean Ctrl-C.

Ctrl-C signals every process in the foreground process group of the terminal, and `make` then
reports a failure however cleanly we exit. So a process started by such a tool moves to a group of
its own in the foreground, and restores the old one at the end.
"""

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# Control characters, line breaks, and format characters, which can reorder or hide text.
_CONTROL_CHARACTERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


def escape_controls(text: str) -> str:
    """Escape characters that could break a line or control a terminal, as `ascii` does."""
    return _CONTROL_CHARACTERS.sub(lambda match: ascii(match[0])[1:-1], text)


@contextmanager
def foreground_process_group() -> Iterator[None]:
    """
    Run the block as the terminal's only foreground process, so that Ctrl-C reaches no parent.

    Does nothing without a terminal, in the background or in a process group of our own.
    """
    if not _is_child_in_foreground():
        yield
        return
    parent_group = os.getpgrp()
    # SIGTTOU would stop us when we restore the group from the background; a stopped process
    # (SIGTSTP) would leave the terminal without a foreground process.
    for signal_number in (signal.SIGTTOU, signal.SIGTSTP):
        signal.signal(signal_number, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(sys.stdin.fileno(), os.getpid())
    try:
        yield
    finally:
        # The parent may have ended by now, and the terminal with it.
        with suppress(OSError):
            os.tcsetpgrp(sys.stdin.fileno(), parent_group)


def _is_child_in_foreground() -> bool:
    try:
        is_foreground = os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False
    return is_foreground and os.getpgrp() != os.getpid()
