"""
Runs several worker processes of one service, which share a port.

The parent restarts a worker that dies. It holds the other end of each worker's standard input: if
the parent ends, even by SIGKILL, the workers read the end of their input and stop.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress

import structlog

from github_banners.errors import ConfigurationError

_log = structlog.get_logger(__name__)

_CONFIGURATION_ERROR_CODE = 2
_RESTART_DELAY_SECONDS = 1.0
_STOP_TIMEOUT_SECONDS = 8.0


async def supervise(
    arguments: Sequence[str], *, first_lines: Sequence[bytes], pass_fds: Sequence[int] = ()
) -> None:
    """
    Run a worker for each of `first_lines` until cancelled, then stop them.

    A worker is this program with `arguments`; it reads its line from standard input and inherits
    the file descriptors `pass_fds`.

    :raises ConfigurationError: a worker reports invalid settings
    """
    try:
        async with asyncio.TaskGroup() as group:
            for number, first_line in enumerate(first_lines):
                group.create_task(
                    _restart_forever(arguments, first_line, pass_fds), name=f"worker {number}"
                )
    except BaseExceptionGroup as errors:
        configuration_errors = errors.subgroup(ConfigurationError)
        if configuration_errors is not None:
            raise configuration_errors.exceptions[0] from errors
        raise


async def wait_for_parent_exit() -> None:
    """Wait in a worker process until its parent ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass


async def _restart_forever(
    arguments: Sequence[str], first_line: bytes, pass_fds: Sequence[int]
) -> None:
    while True:
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "github_banners", *arguments),
            stdin=PIPE,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        try:
            await _send_first_line(worker, first_line)
            code = await worker.wait()
        finally:
            await _stop(worker)
        if code == _CONFIGURATION_ERROR_CODE:
            raise ConfigurationError(
                "A worker process can't start; its own error is printed above."
            )
        _log.error("workers.died", code=code)
        await asyncio.sleep(_RESTART_DELAY_SECONDS)


async def _send_first_line(worker: Process, first_line: bytes) -> None:
    if worker.stdin is not None:
        worker.stdin.write(first_line + b"\n")
        with suppress(ConnectionError):
            await worker.stdin.drain()


async def _stop(worker: Process) -> None:
    if worker.returncode is not None:
        return
    # Closing the input replaces a signal: the worker may have received one already, and a second
    # one would make it exit at once.
    if worker.stdin is not None:
        worker.stdin.close()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_SECONDS):
            await worker.wait()
    except TimeoutError:
        worker.kill()
        await worker.wait()
