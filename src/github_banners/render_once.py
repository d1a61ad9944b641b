"""
Render banners directly from GitHub, without a database or a cache.

An output file is replaced atomically, and only after its banner was rendered.
"""

import os
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from github_banners.drawing import draw
from github_banners.drawing.png import to_png
from github_banners.errors import (
    ConfigurationError,
    NotFound,
    Unavailable,
    UnknownRepository,
)
from github_banners.github.client import GitHubClient
from github_banners.github.credentials import create_accounts
from github_banners.github.data_fetcher import DataFetcher
from github_banners.github.transport import open_github_http
from github_banners.models import (
    Clock,
    Repository,
    Snapshot,
    aggregate,
    utc_now,
    without_numbers,
)
from github_banners.options import BannerOptions, DataKind, data_needs
from github_banners.settings import Settings
from github_banners.stats.banner_data import complete, suggest_repository, to_shown_data
from github_banners.stats.data_fetch import DataRequest, fetch_data
from github_banners.stats.selection import find_counted_forks


async def render_banner(
    settings: Settings, login: str, options: BannerOptions, *, clock: Clock = utc_now
) -> bytes:
    """
    Fetch from GitHub what a banner shows and render it as SVG, encoded in UTF-8.

    :raises NotFound: there is no such owner or repository, or there are no visible contributions
    :raises Unavailable: GitHub is unavailable, or needs a token
    """
    async with _open_client(settings, clock=clock) as github:
        return draw(await fetch_snapshot(github, login, options, clock=clock), options)


async def render_banners(
    settings: Settings, requests: Iterable[tuple[str, BannerOptions]], *, clock: Clock = utc_now
) -> list[bytes | NotFound | Unavailable]:
    """
    Render a banner for each login with its options, as `render_banner` does.

    In place of a banner that can't be rendered, the list has its error.
    """
    results: list[bytes | NotFound | Unavailable] = []
    async with _open_client(settings, clock=clock) as github:
        for login, options in requests:
            try:
                results.append(
                    draw(await fetch_snapshot(github, login, options, clock=clock), options)
                )
            except (NotFound, Unavailable) as error:
                results.append(error)
    return results


@asynccontextmanager
async def _open_client(settings: Settings, *, clock: Clock) -> AsyncIterator[GitHubClient]:
    async with open_github_http(
        timeout=settings.request_timeout, api_url=settings.github_api_url
    ) as http:
        yield GitHubClient(
            http,
            api_url=settings.github_api_url,
            accounts=create_accounts(settings.github_tokens),
            timeout=settings.request_timeout,
            clock=clock,
        )


async def fetch_snapshot(
    github: GitHubClient, login: str, options: BannerOptions, *, clock: Clock
) -> Snapshot:
    """
    Fetch the numbers of a user and the other data that a banner needs.

    :raises BannersError: the user or the repository does not exist, or GitHub is unavailable
    """
    needs, fetcher = data_needs(options), DataFetcher(github)
    repositories: Sequence[Repository] = ()
    if DataKind.REPOSITORIES in needs:
        fetched = await github.fetch(login)
        repositories = fetched.repositories
        snapshot = Snapshot(
            fetched.owner,
            aggregate(repositories),
            fetched.fetched_at,
            followers=fetched.followers,
        )
    else:
        snapshot = without_numbers(await fetcher.identify(login))
    data = {}
    for kind in needs - {DataKind.REPOSITORIES, DataKind.FOLLOWERS}:
        forks = find_counted_forks(repositories, options)
        request = DataRequest(snapshot.owner, kind, options.repo or "", forks=forks)
        fetched_at = clock()
        try:
            content = await fetch_data(fetcher, request, repositories=repositories)
        except UnknownRepository as error:
            others = await github.fetch(login)
            suggestion = suggest_repository(error.name, others.repositories)
            raise UnknownRepository(error.name, suggestion) from error
        data[kind] = to_shown_data(content, fetched_at)
    return complete(snapshot, options, data, repositories)


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
    try:
        is_folder = path.is_dir()
    except OSError as error:  # such as a name that is too long
        raise ConfigurationError(f"Can't write {path}: {error.strerror}.") from error
    if is_folder:
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
