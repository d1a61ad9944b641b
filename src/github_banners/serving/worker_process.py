"""
Work that must not be done in this process: it holds the interpreter's lock, or may abort all of it.

One process of our own does one piece after the other. It is started at first use, and killed and
started anew when it takes too long or dies. When this process is gone, however it went, the other
reads the end of its input and ends. Knows nothing of the work.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import TypeAlias

import structlog

from github_banners.errors import Overloaded, RenderingFailed, Unavailable
from github_banners.serving.worker_main import DONE, HEADER

_log = structlog.get_logger(__name__)

MAX_QUEUE = 8
WORK_TIMEOUT_SECONDS = 2.0
_START_TIMEOUT_SECONDS = 10.0
# What a program needs to run. It reads pictures in native code: secrets are none of its business.
_ENVIRONMENT = {"PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT"}

Timeout: TypeAlias = Callable[[float], AbstractAsyncContextManager[object]]
"""Gives a block so many seconds, and then raises TimeoutError in it."""


class WorkerProcess:
    """Has work done by a function that stands in a module; starts nothing before the first use."""

    def __init__(
        self,
        work: Callable[[bytes], bytes],
        *,
        max_queue: int = MAX_QUEUE,
        timeout: Timeout = asyncio.timeout,
    ) -> None:
        self._work = f"{work.__module__}:{work.__qualname__}"
        self._max_queue = max_queue
        self._timeout = timeout
        self._lock = asyncio.Lock()
        self._pending = 0
        self._is_closed = False
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Tell which process works, if one does."""
        return self._process.pid if self._process is not None else None

    async def run(self, payload: bytes) -> bytes:
        """
        Have one piece of work done, when it is its turn.

        :raises Overloaded: too many pieces wait already
        :raises RenderingFailed: the work itself has refused this piece
        :raises Unavailable: it took too long, or the process died of it
        """
        if self._pending > self._max_queue:
            raise Overloaded("too many pieces of work are waiting")
        self._pending += 1
        try:
            async with self._lock:
                return await self._run(payload)
        finally:
            self._pending -= 1

    async def close(self) -> None:
        """End the process; what is at work and what waits is refused."""
        self._is_closed = True
        self._kill()
        async with self._lock:
            await self._terminate()

    async def _run(self, payload: bytes) -> bytes:
        if self._is_closed:
            raise Unavailable("the workshop is closed")
        try:
            process = await self._ensure_started()
            async with self._timeout(WORK_TIMEOUT_SECONDS):
                kind, result = await _exchange(process, payload)
        except TimeoutError:
            await self._terminate()
            raise Unavailable("the work took too long") from None
        except (EOFError, OSError) as error:
            await self._terminate()
            raise Unavailable("the process has died of its work") from error
        except BaseException:
            # Called off in the middle: what comes out next would be taken for another's.
            await self._terminate()
            raise
        if kind != DONE:
            raise RenderingFailed(result.decode(errors="replace"))
        return result

    async def _ensure_started(self) -> Process:
        if self._process is not None and self._process.returncode is not None:
            await self._terminate()
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "github_banners.serving.worker_main", self._work),
                stdin=PIPE,
                stdout=PIPE,
                start_new_session=True,
                env={name: one for name, one in os.environ.items() if name in _ENVIRONMENT},
            )
            async with asyncio.timeout(_START_TIMEOUT_SECONDS):
                await _read(self._process)
            _log.info("workshop.started", work=self._work, pid=self._process.pid)
        if self._is_closed:
            raise Unavailable("the workshop is closed")
        return self._process

    async def _terminate(self) -> None:
        """Wait for the process's end, so that it leaves no zombie; it has nothing to lose."""
        self._kill()
        process, self._process = self._process, None
        if process is not None:
            await process.communicate()

    def _kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()


async def _exchange(process: Process, payload: bytes) -> tuple[int, bytes]:
    assert process.stdin is not None
    process.stdin.write(HEADER.pack(0, len(payload)) + payload)
    await process.stdin.drain()
    return await _read(process)


async def _read(process: Process) -> tuple[int, bytes]:
    assert process.stdout is not None
    kind, size_bytes = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
    return kind, await process.stdout.readexactly(size_bytes)
