"""Work in a process of its own: one piece after the other, whatever a piece does to the process."""

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
from tests.unit.serving.pieces import obey, reverse, tell_pid

CHECKOUT = Path(__file__).parents[3]


class Patience:
    """In place of two seconds: a limit that is over when the test says so."""

    def __init__(self) -> None:
        self.granted: list[float] = []
        self._running: set[asyncio.Timeout] = set()

    def __call__(self, seconds: float) -> AbstractAsyncContextManager[object]:
        self.granted.append(seconds)
        return self._until_over()

    @asynccontextmanager
    async def _until_over(self) -> AsyncIterator[None]:
        async with asyncio.timeout(None) as running:
            self._running.add(running)
            yield
        self._running.discard(running)

    def end(self) -> None:
        for one in self._running:
            one.reschedule(0)


@pytest.fixture
def patience() -> Patience:
    return Patience()


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))


@pytest.fixture
async def workshop(patience: Patience) -> AsyncIterator[WorkerProcess]:
    workshop = WorkerProcess(obey, timeout=patience)
    yield workshop
    await workshop.close()


def is_alive(pid: int | None) -> bool:
    """Whether there is such a process; a zombie would count."""
    assert pid is not None
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe: who reads it waits for who writes."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


async def begun(pipe: Path) -> None:
    """Wait for what the other process writes when it begins."""
    assert await asyncio.to_thread(pipe.read_bytes) == b"hanging"


async def test_work_is_done_elsewhere_and_only_when_there_is_some() -> None:
    workshop = WorkerProcess(tell_pid)
    assert workshop.pid is None
    first, second = await workshop.run(b""), await workshop.run(b"")
    assert first == second != b"%d" % os.getpid()
    await workshop.close()
    assert not is_alive(int(first))


@pytest.mark.parametrize("size_bytes", [0, 1, 1 << 10, 3 << 20])
async def test_pieces_of_any_size_pass(size_bytes: int) -> None:
    workshop = WorkerProcess(reverse)
    material = os.urandom(size_bytes)
    assert await workshop.run(material) == material[::-1]
    await workshop.close()


async def test_each_gets_its_own_answer(workshop: WorkerProcess) -> None:
    materials = [b"piece %d" % number for number in range(9)]
    results = await asyncio.gather(*map(workshop.run, materials))
    assert results == [b"done: " + one for one in materials]


async def test_more_than_eight_do_not_wait(workshop: WorkerProcess, pipe: Path) -> None:
    materials = [b"read %s" % os.fsencode(pipe), *(b"piece %d" % at for at in range(8))]
    tasks = [asyncio.create_task(workshop.run(one)) for one in materials]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await workshop.run(b"one too many")
    # Here a piece has been at work all the time, and this loop was free.
    await asyncio.to_thread(pipe.write_bytes, b"at last")
    assert (await asyncio.gather(*tasks))[:2] == [b"at last", b"done: piece 0"]
    assert await workshop.run(b"again") == b"done: again"


async def test_who_takes_too_long_is_killed(
    workshop: WorkerProcess, patience: Patience, pipe: Path
) -> None:
    hanging = asyncio.create_task(workshop.run(b"hang %s" % os.fsencode(pipe)))
    waiting = asyncio.create_task(workshop.run(b"next"))
    await begun(pipe)
    killed = workshop.pid
    patience.end()
    with pytest.raises(Unavailable, match="too long"):
        await hanging
    assert not is_alive(killed)
    assert await waiting == b"done: next"
    assert workshop.pid != killed
    assert patience.granted == [WORK_TIMEOUT_SECONDS] * 2


async def test_a_process_that_dies_is_replaced(workshop: WorkerProcess) -> None:
    await workshop.run(b"x")
    died = workshop.pid
    aborting, waiting = (asyncio.create_task(workshop.run(one)) for one in (b"abort", b"next"))
    with pytest.raises(Unavailable, match="died"):
        await aborting
    assert await waiting == b"done: next"
    assert not is_alive(died)
    assert workshop.pid != died


async def test_one_that_was_killed_while_it_had_nothing_to_do_is_replaced(
    workshop: WorkerProcess,
) -> None:
    await workshop.run(b"x")
    process = workshop._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert await workshop.run(b"x") == b"done: x"
    assert workshop.pid != process.pid


async def test_work_that_refuses_a_piece_goes_on(workshop: WorkerProcess) -> None:
    with pytest.raises(RenderingFailed, match="ValueError: not this piece"):
        await workshop.run(b"refuse")
    working = workshop.pid
    assert await workshop.run(b"x") == b"done: x"
    assert workshop.pid == working


async def test_what_work_prints_is_no_answer(workshop: WorkerProcess) -> None:
    assert await workshop.run(b"print") == b"done: print"


async def test_what_is_called_off_gives_its_answer_to_nobody(
    workshop: WorkerProcess, pipe: Path
) -> None:
    hanging = asyncio.create_task(workshop.run(b"hang %s" % os.fsencode(pipe)))
    await begun(pipe)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert await workshop.run(b"x") == b"done: x"


async def test_closing_ends_what_hangs_and_refuses_what_waits(
    workshop: WorkerProcess, pipe: Path
) -> None:
    tasks = [asyncio.create_task(workshop.run(b"hang %s" % os.fsencode(pipe)))]
    tasks += [asyncio.create_task(workshop.run(b"x")) for _ in range(3)]
    await begun(pipe)
    working = workshop.pid
    await workshop.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in results] == [Unavailable] * 4
    assert not is_alive(working)
    with pytest.raises(Unavailable):
        await workshop.run(b"x")
    assert workshop.pid is None


async def test_closing_while_it_starts_leaves_no_process(workshop: WorkerProcess) -> None:
    starting = asyncio.create_task(workshop.run(b"x"))
    while (pid := workshop.pid) is None:  # noqa: ASYNC110 - it says nothing before
        await asyncio.sleep(0)
    await workshop.close()
    assert isinstance((await asyncio.gather(starting, return_exceptions=True))[0], Unavailable)
    assert not is_alive(pid)


def test_when_its_parent_is_gone_it_ends() -> None:
    """However the parent went: its end of the pipe is closed by the kernel."""
    ended = subprocess.run(
        [sys.executable, "-m", "github_banners.serving.worker_main", f"{__name__}:reverse"],
        input=b"",
        capture_output=True,
        timeout=20,
        check=True,
        cwd=CHECKOUT,
    )
    assert ended.stdout == HEADER.pack(MessageKind.READY, 0)


async def test_secrets_stay_outside(monkeypatch: pytest.MonkeyPatch, patience: Patience) -> None:
    monkeypatch.setenv("GITHUB_TOKENS", "ghp_secret")
    workshop = WorkerProcess(obey, timeout=patience)
    try:
        assert await workshop.run(b"tell GITHUB_TOKENS") == b"nothing"
        assert await workshop.run(b"tell PYTHONPATH") == str(CHECKOUT).encode()
    finally:
        await workshop.close()
