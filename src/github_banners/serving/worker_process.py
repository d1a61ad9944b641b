"""
Runs a function in a process of its own: because it holds the GIL, or because it may crash.

The worker handles one request at a time. It is started at first use, and killed and restarted if it
takes too long or dies. If this process ends, even by a signal, the worker reads the end of its
input and exits.
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
from github_banners.serving.worker_main import HEADER, MessageKind

_log = structlog.get_logger(__name__)

MAX_QUEUE = 8
WORK_TIMEOUT_SECONDS = 2.0
_START_TIMEOUT_SECONDS = 10.0
# The variables that the worker inherits. It parses pictures in native code, so it gets no secrets.
_ENVIRONMENT = {"PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT"}

Timeout: TypeAlias = Callable[[float], AbstractAsyncContextManager[object]]
"""A context manager that raises TimeoutError in its block after this many seconds."""


class WorkerProcess:
    """
    Calls a function in a worker process that starts at first use.

    `work` is `MODULE:FUNCTION`: this process need not import what only the worker uses.
    """

    def __init__(self, work: str, *, timeout: Timeout = asyncio.timeout) -> None:
        self._work = work
        self._timeout = timeout
        self._lock = asyncio.Lock()
        self._pending = 0
        self._is_closed = False
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Return the id of the running worker process, None while there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self, payload: bytes) -> bytes:
        """
        Call the function in the worker process, after all calls made before.

        :raises Overloaded: the queue is full
        :raises RenderingFailed: the function raised an exception
        :raises Unavailable: the function took too long, or the process died
        """
        if self._pending > MAX_QUEUE:
            raise Overloaded("the queue of the worker process is full")
        self._pending += 1
        try:
            async with self._lock:
                return await self._run(payload)
        finally:
            self._pending -= 1

    async def close(self) -> None:
        """Kill the process; running and queued calls raise Unavailable."""
        self._is_closed = True
        self._kill()
        async with self._lock:
            await self._terminate()

    async def _run(self, payload: bytes) -> bytes:
        if self._is_closed:
            raise Unavailable("the worker process is closed")
        try:
            process = await self._ensure_started()
            async with self._timeout(WORK_TIMEOUT_SECONDS):
                kind, result = await _exchange(process, payload)
        except TimeoutError:
            await self._terminate()
            raise Unavailable("the worker process took too long") from None
        except (EOFError, OSError) as error:
            await self._terminate()
            raise Unavailable("the worker process died") from error
        except BaseException:
            # Cancelled mid-exchange: restart, or the next reply would be mismatched.
            await self._terminate()
            raise
        if kind != MessageKind.DONE:
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
                env={name: value for name, value in os.environ.items() if name in _ENVIRONMENT},
            )
            async with asyncio.timeout(_START_TIMEOUT_SECONDS):
                await _read(self._process)
            _log.info("worker_process.started", work=self._work, pid=self._process.pid)
        if self._is_closed:
            raise Unavailable("the worker process is closed")
        return self._process

    async def _terminate(self) -> None:
        """Kill the process and wait for its end, so that it leaves no zombie."""
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
    process.stdin.write(HEADER.pack(MessageKind.REQUEST, len(payload)) + payload)
    await process.stdin.drain()
    return await _read(process)


async def _read(process: Process) -> tuple[int, bytes]:
    assert process.stdout is not None
    kind, size_bytes = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
    return kind, await process.stdout.readexactly(size_bytes)
