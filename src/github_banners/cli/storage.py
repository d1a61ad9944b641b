"""The command `storage`, which runs the storage service, and `storage copy`."""

import os
import sys
from typing import Annotated, Any

import typer

from github_banners.cli.base import (
    HostOption,
    PortOption,
    TextGroup,
    app,
    default_banners_dir,
    exit_with,
    find_data_dir,
    override_listen_address,
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
    parse_storage_argument,
)

storage = typer.Typer(cls=TextGroup, invoke_without_command=True, rich_markup_mode=None)
app.add_typer(storage, name="storage", short_help="Run the storage service, or copy banners.")


@storage.callback()
def run_storage(
    context: typer.Context, *, host: HostOption = None, port: PortOption = None
) -> None:
    """
    Run the storage service: store the newest version of each drawn banner, until Ctrl-C.

    Banners are stored at BANNERS_STORAGE_URL, or in DATA_DIR if it is not set.
    """
    if context.invoked_subcommand is not None:
        return
    require_unix()
    from github_banners.storage.storage_service import open_storage

    def open_configured_storage(settings: Settings, **options: Any) -> Any:
        folder = default_banners_dir(find_data_dir(settings))
        return open_storage(settings, banners_dir=folder, **options)

    override_listen_address(host, port)
    serve_single(ServiceName.STORAGE, open_configured_storage)


@storage.command(short_help="Copy banners to another folder or bucket.")
def copy(
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="A folder, or a URL as BANNERS_STORAGE_URL.")
    ],
    target: Annotated[str, typer.Argument(metavar="TO", help="A folder or URL, as for FROM.")],
) -> None:
    """
    Copy all drawn banners from one folder or bucket to another.

    Skips what TO has at the same version or a newer one, and never replaces a newer one: stopped
    in the middle, start it again. Services may use both meanwhile. The AWS_ variables apply to
    both. Exit codes: 0 if TO has everything, 1 if not or if FROM has no banners, 2 if an argument
    or a setting is invalid.
    """
    require_unix()
    from github_banners.serving.event_loop import run
    from github_banners.serving.terminal import escape_controls
    from github_banners.storage.store_copy import CopyCounts, copy_with_progress

    arguments = {"FROM": source, "TO": target}
    (source_location, target_location), settings = _read_arguments_and_settings(arguments)
    counts, stop = CopyCounts(), None
    try:
        run(
            copy_with_progress(
                source_location, target_location, settings, counts=counts, stream=sys.stderr
            )
        )
    except StorageUnavailable as error:
        advice = "" if error.is_permanent else " Start it again to continue."
        stop = f"Stopped: {error}.{advice}"
    except KeyboardInterrupt:
        typer.echo(f"{counts} Stopped: start it again to continue.", err=True)
        raise
    for failure in counts.failures:
        typer.echo(f"Not copied: {escape_controls(failure)}", err=True)
    if stop is not None:
        exit_with(f"{counts} {stop}", code=1)
    if counts.copied + counts.skipped + counts.failed == 0:
        exit_with(f"FROM has no banners: {source_location} has no files NAME.svg.", code=1)
    typer.echo(str(counts))
    sys.exit(1 if counts.failed else 0)


def _read_arguments_and_settings(texts: dict[str, str]) -> tuple[list[StorageLocation], Settings]:
    """
    Parse the arguments, and read the settings, which must give access to a bucket if there is one.

    :raises InvalidSettings: with everything that is wrong
    """
    locations: list[StorageLocation] = []
    problems: list[str] = []
    for name, text in texts.items():
        try:
            locations.append(parse_storage_argument(text))
        except ValueError as error:
            problems.append(f"{name} {error}")
    if len(locations) == 2 and locations[0] == locations[1]:
        problems.append("FROM and TO must not be the same")
    # The AWS_ variables are those of a bucket in BANNERS_STORAGE_URL, and ignored without one.
    for location in locations:
        if isinstance(location, StorageBucket):
            os.environ["BANNERS_STORAGE_URL"] = str(location)
    try:
        settings = read_settings(errors_only=True)
    except InvalidSettings as error:
        raise InvalidSettings([*problems, *error.problems]) from None
    if problems:
        raise InvalidSettings(problems)
    return locations, settings
