"""
Run the programs of the embedded PostgreSQL as child processes.

They ignore Ctrl-C, get none of our environment variables but the search paths, and die with the
parent process.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from github_banners.database.embedded_binaries import ServerAccount

_STOP_TIMEOUT_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1
_MAX_LOG_LINES = 20
# `2026-11-29 19:51:19.123 UTC [42] FATAL:  ...`, `initdb: error: ...`
_ERROR_LINE = re.compile(r"\b(?:FATAL:|PANIC:|error:)\s+(.+)")
_STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM}


@contextmanager
def stop_on_exit(child: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Stop a program when the context exits."""
    try:
        yield child
    finally:
        stop_process(child)


def start_process(
    command: list[str], *, log: Path, account: ServerAccount | None
) -> subprocess.Popen[bytes]:
    """Start a program in a new session, so that Ctrl-C does not reach it."""
    with log.open("ab") as output, _signals_blocked():
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=_child_environment(),
            start_new_session=True,
            preexec_fn=_make_preexec(),  # noqa: PLW1509
            **(account.popen_options if account else {}),
        )


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """
    Delay stop signals until after a fork.

    Their handlers raise an exception. Inside of fork hooks (those of `logging` acquire and release a
    lock) it would be dropped, or leave a lock held.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _child_environment() -> dict[str, str]:
    """Return an environment without secrets and without PG variables, which change defaults."""
    names = ("PATH", "LD_LIBRARY_PATH")
    inherited = {name: os.environ[name] for name in names if name in os.environ}
    return {"PATH": os.defpath, **inherited, "LC_ALL": "C"}


def _make_preexec() -> Callable[[], None]:
    """Return a function for the child: unblock signals, and let the kernel stop it with the parent."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    parent = os.getpid()

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))
            # The parent may have died before the call.
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def stop_process(child: subprocess.Popen[bytes]) -> None:
    """Stop a server: SIGINT for a fast shutdown, then SIGQUIT for an immediate one, then SIGKILL."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if child.poll() is None:
            child.send_signal(number)
            try:
                child.wait(_STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                continue


def find_reason(log: Path) -> str:
    """
    Return why a program failed: the last error in its log, or the last line.

    An error is often followed by lines about the shutdown.
    """
    lines = log.read_text(errors="replace").strip().splitlines()[-_MAX_LOG_LINES:]
    if not lines:
        return f"its log {log} is empty"
    errors = [match for match in map(_ERROR_LINE.search, lines) if match is not None]
    reason = errors[-1][1] if errors else lines[-1]
    return f"{reason.strip()} (see {log})"
