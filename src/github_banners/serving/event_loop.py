"""
Runs the event loop of a process, and handles the signals that stop it.

SIGINT (Ctrl-C) and SIGTERM are treated alike. The first one starts a clean shutdown, a second one
exits at once. Tasks and threads that do not end after they were cancelled (such as a library's
task, or a thread waiting for a lock) are abandoned after a timeout.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, NoReturn, TypeVar

import structlog

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# systemd signals the whole control group and `timeout` signals its child twice: one request to
# stop.
_SAME_REQUEST_SECONDS = 0.3
_CANCEL_TIMEOUT_SECONDS = 2.0
_THREADS_TIMEOUT_SECONDS = 1.0
# References kept until the process ends: a garbage-collected task would use its closed event loop.
_abandoned_tasks: list[asyncio.Task[Any]] = []


class SignalState:
    """The action of the first signal, and the monotonic time when it came."""

    action: Callable[[], object] | None = None
    first_at: float | None = None


def on_first_signal(action: Callable[[], object]) -> None:
    """
    Run `action` in the main thread at the first signal, or now if there was one; a second exits.

    Replaces the previous action. A signal that arrives during this call may run both.
    """
    SignalState.action = action
    for signal_number in _SIGNALS:
        signal.signal(signal_number, _handle_signal)
    if _is_signalled():
        action()


def _handle_signal(number: int, frame: FrameType | None) -> None:
    """Run the action at the first signal; exit at a second one that is a request of its own."""
    now = time.monotonic()
    if SignalState.first_at is None:
        SignalState.first_at = now
        if SignalState.action is not None:
            SignalState.action()
    elif now - SignalState.first_at >= _SAME_REQUEST_SECONDS:
        _exit_at_once(128 + number)


def _is_signalled() -> bool:
    return SignalState.first_at is not None


def interrupt() -> NoReturn:
    """
    Raise KeyboardInterrupt, as Python does by default at Ctrl-C.

    Raised in a finalizer it is lost and only reported; `run` still knows that a signal came.
    """
    sys.unraisablehook = _report_unraisable
    raise KeyboardInterrupt


def _report_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


def run(work: Coroutine[Any, Any, T]) -> T:
    """
    Run a coroutine in an event loop of uvloop until it ends; a signal cancels it.

    The standard event loop is used on Windows only, where uvloop is missing. It releases the
    interpreter's lock while another thread wakes it: a process that exits right after a call of
    obstore, whose threads do that, was ended by SIGABRT in one of four cases.

    Unlike `asyncio.run`, it waits only some seconds for remaining tasks, threads and lookups of names.
    Exit the process with `exit_without_waiting` afterwards.

    :raises KeyboardInterrupt: a signal cancelled the coroutine
    """
    loop = _new_event_loop()
    try:
        task = loop.create_task(work, name="main")
        on_first_signal(partial(loop.call_soon_threadsafe, task.cancel))
        try:
            return loop.run_until_complete(task)
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            loop.run_until_complete(_cancel_remaining(loop))
    finally:
        if not _is_signalled():
            on_first_signal(interrupt)
        _close(loop)


async def _cancel_remaining(loop: asyncio.AbstractEventLoop) -> None:
    remaining = asyncio.all_tasks() - {asyncio.current_task()}
    for task in remaining:
        task.cancel()
    if remaining:
        _, stuck = await asyncio.wait(remaining, timeout=_CANCEL_TIMEOUT_SECONDS)
        for task in stuck:
            _log.warning("shutdown.task_abandoned", task=task.get_name())
        _abandoned_tasks.extend(stuck)
    await loop.shutdown_asyncgens()
    ending_threads = asyncio.ensure_future(loop.shutdown_default_executor())
    await asyncio.wait({ending_threads}, timeout=_THREADS_TIMEOUT_SECONDS)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    # uvloop can't cancel a lookup of a name, and closing waits for it: for half a minute if a name
    # server does not respond, without handling signals.
    closing = threading.Thread(target=loop.close, name="event-loop-close")
    closing.start()
    closing.join(_THREADS_TIMEOUT_SECONDS)


def exit_without_waiting(code: int) -> None:
    """Exit at once if threads or tasks remain that the interpreter would wait for, else return."""
    main = threading.main_thread()
    threads = [thread for thread in threading.enumerate() if not thread.daemon and thread != main]
    if threads or _abandoned_tasks:
        _exit_at_once(code)


def _exit_at_once(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, RuntimeError):
            stream.flush()
    os._exit(code)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415 - not on Windows

    return uvloop.new_event_loop()
