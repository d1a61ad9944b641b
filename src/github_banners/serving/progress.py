"""The progress of a command: in one line of a terminal that is rewritten, else as plain lines."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TextIO

from github_banners.tasks import cancel_and_wait

_TERMINAL_INTERVAL_SECONDS = 0.1
_LINE_INTERVAL_SECONDS = 10.0
_CLEAR_LINE = "\r\x1b[K"


@asynccontextmanager
async def show_progress(describe: Callable[[float], str], *, stream: TextIO) -> AsyncIterator[None]:
    """
    Show a text while the context lasts: in one line of a terminal, else in a line every ten seconds.

    `describe` returns the text; it gets the seconds since the start.
    """
    progress = asyncio.create_task(_write_progress(describe, stream), name="progress")
    try:
        yield
    finally:
        await cancel_and_wait([progress])
        if stream.isatty():
            stream.write(_CLEAR_LINE)
            stream.flush()


async def _write_progress(describe: Callable[[float], str], stream: TextIO) -> None:
    started_at, is_terminal = time.monotonic(), stream.isatty()
    start, end = (_CLEAR_LINE, "") if is_terminal else ("", "\n")
    if not is_terminal:
        await asyncio.sleep(_LINE_INTERVAL_SECONDS)
    while True:
        stream.write(f"{start}{describe(time.monotonic() - started_at)}{end}")
        stream.flush()
        await asyncio.sleep(_TERMINAL_INTERVAL_SECONDS if is_terminal else _LINE_INTERVAL_SECONDS)
