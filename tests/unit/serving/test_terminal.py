"""The terminal is ours alone for a while, and given back."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from github_banners.serving.terminal import foreground_process_group

pytestmark = pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")

# Plays `make`: leads the session, starts a guest in its own group, lives on after Ctrl-C.
HOST = """
import fcntl, os, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
subprocess.run([sys.executable, "-c", sys.argv[1]])
print("host in front:", os.tcgetpgrp(0) == os.getpgrp(), flush=True)
"""
GUEST = """
import os, signal
from github_banners.serving.terminal import foreground_process_group
host = os.getpgrp()
print("guest:", host != os.getpid(), flush=True)
with foreground_process_group():
    try:
        print("own group in front:", os.getpgrp() == os.getpid() == os.tcgetpgrp(0), flush=True)
        signal.pause()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
print("given back:", os.tcgetpgrp(0) == host, flush=True)
"""


@contextmanager
def terminal(program: str) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """Run a program as the guest of a host on a pseudo-terminal; gives the keyboard's end."""
    keyboard, screen = os.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-c", HOST, program],
            stdin=screen,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as host:
            try:
                yield keyboard, host
            finally:
                host.kill()
    finally:
        os.close(keyboard)
        os.close(screen)


def test_ctrl_c_reaches_us_and_not_our_host() -> None:
    with terminal(GUEST) as (keyboard, host):
        assert host.stdout is not None
        assert host.stdout.readline() == "guest: True\n"
        assert host.stdout.readline() == "own group in front: True\n"
        os.write(keyboard, b"\x03")
        rest = host.stdout.read().splitlines()
        assert rest == ["interrupted", "given back: True", "host in front: True"]
        assert host.wait(timeout=10) == 0


def test_in_the_background_the_terminal_stays_whose_it_is() -> None:
    guest = f"import os; os.setpgid(0, 0); print('x'); exec({GUEST.replace('signal.pause()', 'pass')!r})"
    with terminal(guest) as (_, host):
        assert host.stdout is not None
        assert host.stdout.read().splitlines()[1:3] == [
            "guest: False",
            "own group in front: False",
        ]


def test_off_a_terminal_nothing_happens() -> None:
    group = os.getpgrp()
    with foreground_process_group():
        assert os.getpgrp() == group
    assert os.getpgrp() == group
