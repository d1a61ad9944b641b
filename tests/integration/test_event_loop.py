"""Signals and shutdown of the event loop, each case in a process of its own."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

SIGNALS = [signal.SIGTERM, signal.SIGINT]
PRELUDE = """
import asyncio, os, signal, threading, time
from types import SimpleNamespace
from github_banners.serving import event_loop
from github_banners.serving.event_loop import (
    exit_without_waiting, interrupt, on_first_signal, run
)

def ready():
    print("ready", flush=True)

def report_signal():
    while event_loop.SignalState.first_at is None:
        time.sleep(0.01)
    print("signalled", flush=True)

"""
REPORT_SIGNAL = "threading.Thread(target=report_signal, daemon=True).start()\n"


class Program:
    """A program that prints `ready`; `send` signals it."""

    def __init__(self, source: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(source)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.read_line("ready")

    def read_line(self, text: str) -> None:
        """Wait until the program prints a line."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{text}\n"

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and the remaining output."""
        timer = threading.Timer(30, self._process.kill)
        timer.start()
        # Not communicate(): it does not return what was read together with an earlier line.
        with self._process as process:
            assert process.stdout is not None
            assert process.stderr is not None
            output, errors = process.stdout.read(), process.stderr.read()
        timer.cancel()
        assert "Traceback" not in errors, errors
        return process.returncode, output


def run_and_signal(source: str, *numbers: signal.Signals) -> tuple[int, str]:
    """Run a program, and send each signal after it has handled the one before."""
    program = Program(REPORT_SIGNAL * (len(numbers) > 1) + textwrap.dedent(source))
    for number in numbers[:1]:
        program.send(number)
    for number in numbers[1:]:
        program.read_line("signalled")
        time.sleep(0.4)
        program.send(number)
    return program.end()


CANCELLED = """
async def main():
    ready()
    try:
        await asyncio.Event().wait()
    finally:
        print("closed")

try:
    run(main())
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_run_signal_cancels_the_coroutine(number: signal.Signals) -> None:
    assert run_and_signal(CANCELLED, number) == (0, "closed\ninterrupted\n")


LAST_CALL_OF_OBSTORE = """
import sys
from obstore.store import LocalStore

async def main():
    store = LocalStore(sys.argv[1])
    await asyncio.gather(*(store.put_async(str(number), b"x") for number in range(8)))

run(main())
"""


def test_run_process_exiting_after_calls_of_obstore_is_not_aborted(tmp_path: Path) -> None:
    """In the standard event loop, one process of four is."""
    command = [sys.executable, "-c", PRELUDE + LAST_CALL_OF_OBSTORE, str(tmp_path)]
    with ThreadPoolExecutor(4) as threads:
        codes = list(
            threads.map(lambda _: subprocess.run(command, check=False).returncode, range(24))
        )
    assert codes == [0] * 24


TASK_IGNORING_CANCELLATION = """
async def swallow():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

async def main():
    swallowing = asyncio.create_task(swallow())
    await asyncio.sleep(0)
    ready()
    await asyncio.Event().wait()

try:
    run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
    exit_without_waiting(0)
"""


def test_run_task_ignoring_cancellation_is_abandoned() -> None:
    code, output = run_and_signal(TASK_IGNORING_CANCELLATION, signal.SIGTERM)
    assert code == 0
    assert "shutdown.task_abandoned" in output
    assert output.endswith("interrupted\n")


BLOCKED_THREAD = """
async def main():
    waiting = asyncio.create_task(asyncio.to_thread(threading.Event().wait))
    await asyncio.sleep(0.05)
    ready()
    await waiting

try:
    run(main())
except KeyboardInterrupt:
    exit_without_waiting(3)
print("waiting for the thread", flush=True)
"""


def test_exit_without_waiting_running_thread_exits() -> None:
    assert run_and_signal(BLOCKED_THREAD, signal.SIGTERM) == (3, "")


SLOW_LOOKUP = """
import uvloop
from github_banners.serving import event_loop

class Loop(uvloop.Loop):
    def close(self):
        # As libuv does while a name server does not respond.
        time.sleep(60)

event_loop._new_event_loop = Loop

async def main():
    ready()
    await asyncio.sleep({seconds})

try:
    run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
exit_without_waiting(0)
"""


@pytest.mark.parametrize(
    ("seconds", "signals", "code", "output"),
    [
        (0, [], 0, ""),
        (60, [signal.SIGTERM], 0, "interrupted\n"),
        (60, [signal.SIGTERM, signal.SIGTERM], 128 + signal.SIGTERM, ""),
    ],
)
def test_run_does_not_wait_for_a_lookup_of_a_name(
    seconds: int, signals: list[signal.Signals], code: int, output: str
) -> None:
    program = SLOW_LOOKUP.format(seconds=seconds)
    assert run_and_signal(program, *signals) == (code, output)


HANGING = {
    "event loop": """
async def main():
    ready()
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

run(main())
""",
    "blocked event loop": """
async def main():
    ready()
    while True:
        try:
            threading.Event().wait()
        finally:
            pass

run(main())
""",
    "before the event loop": """
on_first_signal(interrupt)
try:
    ready()
    threading.Event().wait()
finally:
    threading.Event().wait()
""",
}


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("where", HANGING)
def test_second_signal_exits_at_once(where: str, number: signal.Signals) -> None:
    code, output = run_and_signal(HANGING[where], number, number)
    assert (code, output) == (128 + number, "")


def test_second_signal_immediately_after_is_ignored() -> None:
    source = """
    times = iter([10, 10.01, 10.29])
    event_loop.time = SimpleNamespace(monotonic=lambda: next(times))

    async def main():
        ready()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            print("closed; times of further signals:", *times)

    try:
        run(main())
    except KeyboardInterrupt:
        pass
    """
    assert run_and_signal(source) == (0, "closed; times of further signals:\n")


def test_on_first_signal_earlier_signal_runs_action() -> None:
    source = """
    stopped = []
    on_first_signal(lambda: stopped.append("first"))
    ready()
    while not stopped:
        time.sleep(0.01)
    on_first_signal(lambda: stopped.append("second"))
    print(stopped)
    """
    assert run_and_signal(source, signal.SIGTERM) == (0, "['first', 'second']\n")


def test_signal_after_run_raises_keyboard_interrupt() -> None:
    source = """
    async def main():
        pass

    run(main())
    try:
        ready()
        threading.Event().wait()
    except KeyboardInterrupt:
        print("interrupted")
    """
    assert run_and_signal(source, signal.SIGINT) == (0, "interrupted\n")


def test_on_first_signal_signal_during_installation_runs_action() -> None:
    source = """
    import signal
    install, stopped = signal.signal, []

    def install_and_raise(number, handler):
        install(number, handler)
        if number == signal.SIGINT and not stopped:
            signal.raise_signal(number)

    signal.signal = install_and_raise
    on_first_signal(lambda: stopped.append("first"))
    on_first_signal(lambda: stopped.append("second"))
    ready()
    raise SystemExit((stopped[0], stopped[-1]) != ("first", "second"))
    """
    assert run_and_signal(source) == (0, "")
