"""
The embedded server's programs as child processes: started, stopped, and told by their logs.

They are deaf to Ctrl-C, get none of our environment, and die with us.
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
def run_process(
    command: list[str], *, log: Path, account: ServerAccount | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that is stopped at the end."""
    with stop_on_exit(start_process(command, log=log, account=account)) as child:
        yield child


@contextmanager
def stop_on_exit(child: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Stop a program at the end."""
    try:
        yield child
    finally:
        stop_process(child)


def start_process(
    command: list[str], *, log: Path, account: ServerAccount | None
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, deaf to Ctrl-C."""
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
    Let signals that stop us come after a fork.

    Their handler raises, and in the hooks at a fork (those of `logging` take and release a lock) that
    would be dropped or leave half of them done.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _child_environment() -> dict[str, str]:
    """Pass on what programs need and no more: no secrets, and no PG variables that change things."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C"}


def _make_preexec() -> Callable[[], None]:
    """Make what runs in a child: let signals in, and have the kernel stop it when we die."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    parent = os.getpid()

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def stop_process(child: subprocess.Popen[bytes]) -> None:
    """Stop fast (SIGINT), else at once (SIGQUIT), else by force."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if child.poll() is None:
            child.send_signal(number)
            try:
                child.wait(_STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                continue


def find_reason(log: Path) -> str:
    """
    Find why a program failed: its last error, which need not be its last line.

    After `FATAL: could not write ...: No space left on device` follow lines that only say that it ends.
    """
    lines = log.read_text(errors="replace").strip().splitlines()[-_MAX_LOG_LINES:]
    if not lines:
        return f"it wrote nothing to {log}"
    errors = [match for match in map(_ERROR_LINE.search, lines) if match is not None]
    reason = errors[-1][1] if errors else lines[-1]
    return f"{reason.strip()} (see {log})"
