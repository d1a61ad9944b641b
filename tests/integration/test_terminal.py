"""The foreground process group of a terminal is replaced and restored."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from github_banners.serving.terminal import foreground_process_group

pytestmark = pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")

# Behaves like `make`: leads the session, starts a child in its own group, survives Ctrl-C.
PARENT = """
import fcntl, os, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
subprocess.run([sys.executable, "-c", sys.argv[1]])
print("parent in foreground:", os.tcgetpgrp(0) == os.getpgrp(), flush=True)
"""
CHILD = """
import os, signal
from github_banners.serving.terminal import foreground_process_group
parent = os.getpgrp()
print("child:", parent != os.getpid(), flush=True)
with foreground_process_group():
    try:
        print("own group in foreground:", os.getpgrp() == os.getpid() == os.tcgetpgrp(0), flush=True)
        signal.pause()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
print("restored:", os.tcgetpgrp(0) == parent, flush=True)
"""


@contextmanager
def terminal(program: str) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """Run a program as a child process on a pseudo-terminal; yield the input side."""
    keyboard, screen = os.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-c", PARENT, program],
            stdin=screen,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as parent:
            try:
                yield keyboard, parent
            finally:
                parent.kill()
    finally:
        os.close(keyboard)
        os.close(screen)


def test_ctrl_c_reaches_child_and_not_parent() -> None:
    with terminal(CHILD) as (keyboard, parent):
        assert parent.stdout is not None
        assert parent.stdout.readline() == "child: True\n"
        assert parent.stdout.readline() == "own group in foreground: True\n"
        os.write(keyboard, b"\x03")
        rest = parent.stdout.read().splitlines()
        assert rest == ["interrupted", "restored: True", "parent in foreground: True"]
        assert parent.wait(timeout=10) == 0


def test_process_in_background_keeps_its_group() -> None:
    child = f"import os; os.setpgid(0, 0); print('x'); exec({CHILD.replace('signal.pause()', 'pass')!r})"
    with terminal(child) as (_, parent):
        assert parent.stdout is not None
        assert parent.stdout.read().splitlines()[1:3] == [
            "child: False",
            "own group in foreground: False",
        ]


def test_process_without_terminal_keeps_its_group() -> None:
    group = os.getpgrp()
    with foreground_process_group():
        assert os.getpgrp() == group
    assert os.getpgrp() == group
