"""
One banner, straight from GitHub: nothing is remembered, no database is asked.

Its file is written only when it was drawn, and whole: until then the old one stays.
"""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TextIO

from github_banners.drawing import draw
from github_banners.drawing.png import to_png
from github_banners.errors import ConfigurationError
from github_banners.github.client import GitHubClient
from github_banners.github.credentials import create_accounts
from github_banners.github.transport import open_http
from github_banners.models import Clock, Snapshot, utc_now
from github_banners.options import BannerOptions
from github_banners.settings import Settings
from github_banners.stats.aggregation import aggregate

_PROGRESS_INTERVAL_SECONDS = 0.1
_CLEAR_LINE = "\r\x1b[K"


async def render_banner(
    settings: Settings, login: str, look: BannerOptions, *, clock: Clock = utc_now
) -> bytes:
    """
    Draw the banner of a login as UTF-8 SVG.

    :raises UnknownUser: GitHub knows nobody of this name
    :raises GitHubUnavailable: GitHub can't be asked now
    """
    async with open_http(timeout=settings.request_timeout, api_url=settings.github_api_url) as http:
        github = GitHubClient(
            http,
            api_url=settings.github_api_url,
            accounts=create_accounts(settings.github_tokens),
            timeout=settings.request_timeout,
            clock=clock,
        )
        portfolio = await github.fetch(login)
    stats = aggregate(portfolio.repositories)
    return draw(Snapshot(portfolio.owner, stats, portfolio.fetched_at), look)


def encode_for_path(path: Path, svg: bytes) -> bytes:
    """
    Bring a drawing into the form that a file's name asks for: PNG for `.png`, else as it is.

    :raises RenderingFailed: it can't be drawn as PNG
    """
    return to_png(svg) if path.suffix.lower() == ".png" else svg


def ensure_writable(path: Path) -> None:
    """
    See before anybody is asked whether a file could be written.

    :raises ConfigurationError: it could not
    """
    if path.is_dir():
        raise ConfigurationError(f"Can't write {path}: it is a folder.")
    is_plain = path.is_file() or not path.exists()
    target = path.resolve().parent if is_plain else path
    if not target.exists():
        raise ConfigurationError(f"Can't write {path}: there is no folder {target}.")
    if not os.access(target, os.W_OK):
        raise ConfigurationError(f"Can't write {path}: permission denied.")


def write_atomically(path: Path, content: bytes) -> None:
    """
    Put a whole file in the place of an old one; a pipe or a device is written to instead.

    :raises ConfigurationError: it can't be written; the old one stays
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            _write_and_rename(path.resolve(), content)
    except OSError as error:
        raise ConfigurationError(f"Can't write {path}: {error.strerror}.") from error


def _write_and_rename(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@asynccontextmanager
async def show_progress(message: str, *, stream: TextIO) -> AsyncIterator[None]:
    """Say what is waited for: on a terminal in a line that counts and goes away, else in a plain one."""
    if not stream.isatty():
        stream.write(f"{message}.\n")
        stream.flush()
        yield
        return
    counting = asyncio.create_task(_count_seconds(message, stream), name="progress")
    try:
        yield
    finally:
        counting.cancel()
        await asyncio.wait({counting})
        stream.write(_CLEAR_LINE)
        stream.flush()


async def _count_seconds(message: str, stream: TextIO) -> None:
    begun = time.monotonic()
    while True:
        stream.write(f"{_CLEAR_LINE}{message} … {time.monotonic() - begun:.1f} s")
        stream.flush()
        await asyncio.sleep(_PROGRESS_INTERVAL_SECONDS)
