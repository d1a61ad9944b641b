"""WorkerProcess: order, time limits, crashes, and the environment of the process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from github_banners.errors import Overloaded, RenderingFailed, Unavailable
from github_banners.serving.worker_main import HEADER, MessageKind
from github_banners.serving.worker_process import WORK_TIMEOUT_SECONDS, WorkerProcess

CHECKOUT = Path(__file__).parents[2]
FUNCTIONS = "tests.integration.worker_functions"


class FakeTimeout:
    """A replacement for `asyncio.timeout` that expires when a test calls `end`."""

    def __init__(self) -> None:
        self.requested: list[float] = []
        self._running: set[asyncio.Timeout] = set()

    def __call__(self, seconds: float) -> AbstractAsyncContextManager[object]:
        self.requested.append(seconds)
        return self._until_over()

    @asynccontextmanager
    async def _until_over(self) -> AsyncIterator[None]:
        async with asyncio.timeout(None) as running:
            self._running.add(running)
            yield
        self._running.discard(running)

    def end(self) -> None:
        for timeout in self._running:
            timeout.reschedule(0)


@pytest.fixture
def fake_timeout() -> FakeTimeout:
    return FakeTimeout()


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))


@pytest.fixture
async def worker(fake_timeout: FakeTimeout) -> AsyncIterator[WorkerProcess]:
    worker = WorkerProcess(f"{FUNCTIONS}:obey", timeout=fake_timeout)
    yield worker
    await worker.close()


def is_alive(pid: int | None) -> bool:
    """Return whether a process exists, a zombie included."""
    assert pid is not None
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe, whose reader blocks until it is written to."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


async def wait_until_hanging(pipe: Path) -> None:
    """Wait until the worker process has started the command `hang`."""
    assert await asyncio.to_thread(pipe.read_bytes) == b"hanging"


async def test_run_starts_process_at_first_use() -> None:
    worker = WorkerProcess(f"{FUNCTIONS}:get_pid")
    assert worker.pid is None
    first, second = await worker.run(b""), await worker.run(b"")
    assert first == second != b"%d" % os.getpid()
    await worker.close()
    assert not is_alive(int(first))


@pytest.mark.parametrize("size_bytes", [0, 1, 1 << 10, 3 << 20])
async def test_run_payload_of_any_size_is_processed(size_bytes: int) -> None:
    worker = WorkerProcess(f"{FUNCTIONS}:reverse")
    payload = os.urandom(size_bytes)
    assert await worker.run(payload) == payload[::-1]
    await worker.close()


async def test_run_concurrent_calls_get_their_own_results(worker: WorkerProcess) -> None:
    payloads = [b"piece %d" % number for number in range(9)]
    results = await asyncio.gather(*map(worker.run, payloads))
    assert results == [b"done: " + payload for payload in payloads]


async def test_run_full_queue_raises_overloaded(worker: WorkerProcess, pipe: Path) -> None:
    payloads = [b"read %s" % os.fsencode(pipe), *(b"piece %d" % index for index in range(8))]
    tasks = [asyncio.create_task(worker.run(payload)) for payload in payloads]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await worker.run(b"one too many")
    # The worker was busy all the time, and this event loop was not blocked.
    await asyncio.to_thread(pipe.write_bytes, b"at last")
    assert (await asyncio.gather(*tasks))[:2] == [b"at last", b"done: piece 0"]
    assert await worker.run(b"again") == b"done: again"


async def test_run_timeout_kills_the_process(
    worker: WorkerProcess, fake_timeout: FakeTimeout, pipe: Path
) -> None:
    hanging = asyncio.create_task(worker.run(b"hang %s" % os.fsencode(pipe)))
    waiting = asyncio.create_task(worker.run(b"next"))
    await wait_until_hanging(pipe)
    killed = worker.pid
    fake_timeout.end()
    with pytest.raises(Unavailable, match="too long"):
        await hanging
    assert not is_alive(killed)
    assert await waiting == b"done: next"
    assert worker.pid != killed
    assert fake_timeout.requested == [WORK_TIMEOUT_SECONDS] * 2


async def test_run_process_dies_raises_and_restarts(worker: WorkerProcess) -> None:
    await worker.run(b"x")
    died = worker.pid
    aborting, waiting = (
        asyncio.create_task(worker.run(payload)) for payload in (b"abort", b"next")
    )
    with pytest.raises(Unavailable, match="died"):
        await aborting
    assert await waiting == b"done: next"
    assert not is_alive(died)
    assert worker.pid != died


async def test_run_after_idle_process_was_killed_restarts(
    worker: WorkerProcess,
) -> None:
    await worker.run(b"x")
    killed = worker.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    while worker.pid is not None:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0.01)
    assert await worker.run(b"x") == b"done: x"
    assert worker.pid != killed


async def test_run_function_raises_process_survives(worker: WorkerProcess) -> None:
    with pytest.raises(RenderingFailed, match="ValueError: invalid payload"):
        await worker.run(b"fail")
    working = worker.pid
    assert await worker.run(b"x") == b"done: x"
    assert worker.pid == working


async def test_run_printed_output_is_not_a_response(worker: WorkerProcess) -> None:
    assert await worker.run(b"print") == b"done: print"


async def test_run_cancelled_call_does_not_mix_responses(worker: WorkerProcess, pipe: Path) -> None:
    hanging = asyncio.create_task(worker.run(b"hang %s" % os.fsencode(pipe)))
    await wait_until_hanging(pipe)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert await worker.run(b"x") == b"done: x"


async def test_close_kills_process_and_refuses_queued_calls(
    worker: WorkerProcess, pipe: Path
) -> None:
    tasks = [asyncio.create_task(worker.run(b"hang %s" % os.fsencode(pipe)))]
    tasks += [asyncio.create_task(worker.run(b"x")) for _ in range(3)]
    await wait_until_hanging(pipe)
    working = worker.pid
    await worker.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 4
    assert not is_alive(working)
    with pytest.raises(Unavailable):
        await worker.run(b"x")
    assert worker.pid is None


async def test_close_during_start_leaves_no_process(worker: WorkerProcess) -> None:
    starting = asyncio.create_task(worker.run(b"x"))
    while (pid := worker.pid) is None:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    await worker.close()
    assert isinstance((await asyncio.gather(starting, return_exceptions=True))[0], Unavailable)
    assert not is_alive(pid)


def test_worker_main_input_ends_exits() -> None:
    """The kernel closes the pipe of a parent, however it ended."""
    ended = subprocess.run(
        [sys.executable, "-m", "github_banners.serving.worker_main", f"{FUNCTIONS}:reverse"],
        input=b"",
        capture_output=True,
        timeout=20,
        check=True,
        cwd=CHECKOUT,
    )
    assert ended.stdout == HEADER.pack(MessageKind.READY, 0)


async def test_run_environment_has_no_secrets(
    monkeypatch: pytest.MonkeyPatch, fake_timeout: FakeTimeout
) -> None:
    monkeypatch.setenv("GITHUB_TOKENS", "ghp_secret")
    worker = WorkerProcess(f"{FUNCTIONS}:obey", timeout=fake_timeout)
    try:
        assert await worker.run(b"getenv GITHUB_TOKENS") == b"nothing"
        assert await worker.run(b"getenv PYTHONPATH") == str(CHECKOUT).encode()
    finally:
        await worker.close()
