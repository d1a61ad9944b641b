"""
The event loop of a process, from its first task to its end, and the signals that end it.

SIGINT (Ctrl-C) and SIGTERM are the same. The first one lets the process finish, whenever it comes; a
second one ends it at once. What does not end although it was cancelled (a library's task, a thread
that waits for a lock) is abandoned.
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
# systemd signals a whole control group and `timeout` its child twice: that is one request to stop.
_SAME_REQUEST_SECONDS = 0.3
_CANCEL_TIMEOUT_SECONDS = 2.0
_THREADS_TIMEOUT_SECONDS = 1.0
# Held until the process ends: a task that is collected earlier would use its closed event loop.
_abandoned_tasks: list[asyncio.Task[Any]] = []


class _SignalState:
    """What a signal does, and when the first one came."""

    action: Callable[[], object] | None = None
    first_at: float | None = None


def on_first_signal(action: Callable[[], object]) -> None:
    """
    Do `action` in the main thread at the first signal, at once if one has come; a second one exits.

    Replaces the action that was set before. A signal that comes meanwhile may run both.
    """
    _SignalState.action = action
    for each in _SIGNALS:
        signal.signal(each, _handle_signal)
    if _is_signalled():
        action()


def _handle_signal(number: int, frame: FrameType | None) -> None:
    """End the process at once, unless this is the first signal or belongs to it."""
    now = time.monotonic()
    if _SignalState.first_at is None:
        _SignalState.first_at = now
        if _SignalState.action is not None:
            _SignalState.action()
    elif now - _SignalState.first_at >= _SAME_REQUEST_SECONDS:
        _exit_at_once(128 + number)


def _is_signalled() -> bool:
    return _SignalState.first_at is not None


def interrupt() -> NoReturn:
    """
    Unwind what runs, as Ctrl-C does by default.

    Python drops what is raised in a finalizer, and reports it; `run` still finds that a signal came.
    """
    sys.unraisablehook = _report_unraisable
    raise KeyboardInterrupt


def _report_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


def run(
    work: Coroutine[Any, Any, T],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> T:
    """
    Run a coroutine to its end; a signal cancels it.

    Unlike `asyncio.run` it waits for tasks and threads that are left only for some seconds.

    End the process with `exit_without_waiting` then.

    :raises KeyboardInterrupt: a signal came
    """
    loop = loop_factory()
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
        loop.close()


async def _cancel_remaining(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        _, stuck = await asyncio.wait(left, timeout=_CANCEL_TIMEOUT_SECONDS)
        for task in stuck:
            _log.warning("shutdown.task_abandoned", task=task.get_name())
        _abandoned_tasks.extend(stuck)
    await loop.shutdown_asyncgens()
    ending_threads = asyncio.ensure_future(loop.shutdown_default_executor())
    await asyncio.wait({ending_threads}, timeout=_THREADS_TIMEOUT_SECONDS)


def exit_without_waiting(code: int) -> None:
    """Exit at once if threads or tasks are left that the interpreter would wait for; else return."""
    main = threading.main_thread()
    threads = [thread for thread in threading.enumerate() if not thread.daemon and thread != main]
    if threads or _abandoned_tasks:
        _exit_at_once(code)


def _exit_at_once(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, RuntimeError):
            stream.flush()
    os._exit(code)


def make_event_loop() -> asyncio.AbstractEventLoop:
    """Make uvloop's event loop, which has no build for Windows, or the standard one there."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415 - not on Windows

    return uvloop.new_event_loop()
