"""The command `storage`, which runs the storage service, and `storage copy`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import msgspec
import typer

from github_banners.cli.base import (
    app,
    default_banners_dir,
    default_data_dir,
    exit_with,
    read_settings,
    require_unix,
)
from github_banners.cli.services import serve_single
from github_banners.errors import InvalidSettings, StorageUnavailable
from github_banners.settings import (
    ServiceName,
    Settings,
    StorageBucket,
    StorageLocation,
    find_bucket_problems,
    parse_storage_argument,
)

if TYPE_CHECKING:
    from github_banners.storage.store_copy import CopyCounts

_TERMINAL_INTERVAL_SECONDS = 0.2
_LINE_INTERVAL_SECONDS = 10.0
_CLEAR_LINE = "\r\x1b[K"

storage = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
app.add_typer(storage, name="storage", short_help="Run the storage service, or copy banners.")


@storage.callback()
def run_storage(context: typer.Context) -> None:
    """
    Run the storage service: store the newest version of each drawn banner, until Ctrl-C.

    Banners are stored at BANNERS_STORAGE_URL, or in DATA_DIR if it is not set.
    """
    if context.invoked_subcommand is not None:
        return
    require_unix()
    from github_banners.storage.storage_service import open_storage

    def open_configured_storage(settings: Settings) -> Any:
        folder = default_banners_dir(settings.data_dir or default_data_dir())
        return open_storage(settings, banners_dir=folder)

    serve_single(ServiceName.STORAGE, open_configured_storage)


@storage.command(short_help="Copy banners to another folder or bucket.")
def copy(
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="A folder, or a URL as BANNERS_STORAGE_URL.")
    ],
    target: Annotated[str, typer.Argument(metavar="TO", help="Likewise.")],
) -> None:
    """
    Copy all drawn banners from one folder or bucket to another.

    Skips what TO has at the same version or a newer one, and never replaces a newer one: stopped
    in the middle, start it again. Services may use both meanwhile. The AWS_ variables apply to
    both. Exit codes: 0 if TO has everything, 1 if not, 2 if an argument or a setting is invalid.
    """
    require_unix()
    from github_banners.serving.event_loop import run
    from github_banners.storage.store_copy import CopyCounts

    settings = read_settings(errors_only=True)
    locations = {"FROM": source, "TO": target}
    counts = CopyCounts()
    try:
        run(_copy(settings, *_parse_locations(settings, locations), counts=counts))
    except StorageUnavailable as error:
        exit_with(f"{_summary(counts)} Stopped: {error}. Start it again to continue.", code=1)
    except KeyboardInterrupt:
        typer.echo(f"{_summary(counts)} Stopped: start it again to continue.", err=True)
        raise
    for failure in counts.failures:
        typer.echo(f"Not copied: {failure}", err=True)
    typer.echo(_summary(counts))
    sys.exit(1 if counts.failed else 0)


def _parse_locations(settings: Settings, texts: dict[str, str]) -> list[StorageLocation]:
    """
    Parse the arguments, and check the settings if one of them is a bucket.

    :raises InvalidSettings: with everything that is wrong
    """
    locations: list[StorageLocation] = []
    problems: list[str] = []
    for name, text in texts.items():
        try:
            locations.append(parse_storage_argument(text))
        except ValueError as error:
            problems.append(f"{name} {error}")
    if any(isinstance(location, StorageBucket) for location in locations):
        problems += find_bucket_problems(msgspec.structs.asdict(settings), os.environ)
    if len(locations) == 2 and locations[0] == locations[1]:
        problems.append("FROM and TO must not be the same")
    if problems:
        raise InvalidSettings(problems)
    return locations


async def _copy(
    settings: Settings, source: StorageLocation, target: StorageLocation, *, counts: "CopyCounts"
) -> None:
    from github_banners.storage.open_store import open_store
    from github_banners.storage.store_copy import copy_pictures

    async with (
        open_store(source, settings) as source_store,
        open_store(target, settings) as target_store,
        _show_progress(counts, stream=sys.stderr),
    ):
        await copy_pictures(source_store, target_store, counts=counts)


@asynccontextmanager
async def _show_progress(counts: "CopyCounts", *, stream: TextIO) -> AsyncIterator[None]:
    """Show the counts while the context lasts: in one line of a terminal, else as plain lines."""
    progress = asyncio.create_task(_write_progress(counts, stream), name="progress")
    try:
        yield
    finally:
        progress.cancel()
        await asyncio.wait({progress})
        if stream.isatty():
            stream.write(_CLEAR_LINE)
            stream.flush()


async def _write_progress(counts: "CopyCounts", stream: TextIO) -> None:
    is_terminal = stream.isatty()
    start, end = (_CLEAR_LINE, "") if is_terminal else ("", "\n")
    while True:
        await asyncio.sleep(_TERMINAL_INTERVAL_SECONDS if is_terminal else _LINE_INTERVAL_SECONDS)
        stream.write(f"{start}{_summary(counts)}{end}")
        stream.flush()


def _summary(counts: "CopyCounts") -> str:
    parts = [f"Copied {counts.copied:,}", f"up to date {counts.skipped:,}"]
    parts += [f"failed {counts.failed:,}"] if counts.failed else []
    return f"{', '.join(parts)}."
