"""
Render one banner directly from GitHub, without a database or a cache.

The output file is replaced atomically, and only after the banner was rendered.
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
from github_banners.github.transport import open_github_http
from github_banners.models import Clock, Snapshot, utc_now
from github_banners.options import BannerOptions
from github_banners.settings import Settings
from github_banners.stats.selection import aggregate_selected

_PROGRESS_INTERVAL_SECONDS = 0.1
_CLEAR_LINE = "\r\x1b[K"


async def render_banner(
    settings: Settings, login: str, options: BannerOptions, *, clock: Clock = utc_now
) -> bytes:
    """
    Fetch a user from GitHub and render the banner as SVG, encoded in UTF-8.

    :raises UnknownUser: GitHub has no user or organisation with this login
    :raises GitHubUnavailable: GitHub is unavailable
    """
    async with open_github_http(
        timeout=settings.request_timeout, api_url=settings.github_api_url
    ) as http:
        github = GitHubClient(
            http,
            api_url=settings.github_api_url,
            accounts=create_accounts(settings.github_tokens),
            timeout=settings.request_timeout,
            clock=clock,
        )
        owner_repositories = await github.fetch(login)
    stats = aggregate_selected(owner_repositories.repositories, options)
    snapshot = Snapshot(owner_repositories.owner, stats, owner_repositories.fetched_at)
    return draw(snapshot, options)


def encode_for_path(path: Path, svg: bytes) -> bytes:
    """
    Convert an SVG to PNG if the file name ends in `.png`; otherwise return it unchanged.

    :raises RenderingFailed: the conversion failed
    """
    return to_png(svg) if path.suffix.lower() == ".png" else svg


def ensure_writable(path: Path) -> None:
    """
    Check that a file can be written, before GitHub is requested.

    :raises ConfigurationError: the file can't be written
    """
    if path.is_dir():
        raise ConfigurationError(f"Can't write {path}: it is a folder.")
    # A regular file is replaced, which needs permission for its folder; a device is written to.
    is_regular = path.is_file() or not path.exists()
    target = path.resolve().parent if is_regular else path
    if not target.exists():
        raise ConfigurationError(f"Can't write {path}: there is no folder {target}.")
    if not os.access(target, os.W_OK):
        raise ConfigurationError(f"Can't write {path}: permission denied.")


def write_atomically(path: Path, content: bytes) -> None:
    """
    Replace a file in one step; pipes and devices are written to directly.

    :raises ConfigurationError: the file can't be written; the old one is unchanged
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            _write_and_rename(path.resolve(), content)
    except OSError as error:
        raise ConfigurationError(f"Can't write {path}: {error.strerror}.") from error


def _write_and_rename(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@asynccontextmanager
async def show_progress(message: str, *, stream: TextIO) -> AsyncIterator[None]:
    """Show a message while the context runs: on a terminal with a timer, else as one plain line."""
    if not stream.isatty():
        stream.write(f"{message}.\n")
        stream.flush()
        yield
        return
    progress = asyncio.create_task(_count_seconds(message, stream), name="progress")
    try:
        yield
    finally:
        progress.cancel()
        await asyncio.wait({progress})
        stream.write(_CLEAR_LINE)
        stream.flush()


async def _count_seconds(message: str, stream: TextIO) -> None:
    started_at = time.monotonic()
    while True:
        stream.write(f"{_CLEAR_LINE}{message} … {time.monotonic() - started_at:.1f} s")
        stream.flush()
        await asyncio.sleep(_PROGRESS_INTERVAL_SECONDS)
