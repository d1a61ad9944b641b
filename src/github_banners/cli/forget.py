"""The commands `forget` and `allow`: remove all that is stored of a user; serve a denied login again."""

import os
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from github_banners.cli.banner_options import format_input_error
from github_banners.cli.base import (
    app,
    default_banners_dir,
    exit_with,
    find_data_dir,
    read_settings,
    require_unix,
)
from github_banners.errors import ConfigurationError, DatabaseUnavailable, InvalidInput
from github_banners.options import parse_login
from github_banners.settings import Settings, StorageBucket, StorageFolder, StorageLocation, Url

if TYPE_CHECKING:
    from github_banners.app.open_user_removal import Removal, StoredUser

T = TypeVar("T")

_CACHES = """\
Not removed, since it is out of reach:
  - pictures in the caches of the gateway, of a CDN, of GitHub's image proxy and of browsers, which
    are shown for ten minutes, and for longer while no api responds
  - backups of the database and of the storage, earlier versions of objects in a bucket, and logs"""
_KAFKA = """\
  - updates in Kafka, until the retention of the topic `banner-update` ends (a week unless it was
    changed), and dead letters; the storage refuses their pictures"""


@app.command(short_help="Remove everything that is stored of a user.")
def forget(
    user: Annotated[
        str, typer.Argument(metavar="LOGIN", help="A GitHub login, also a former one.")
    ],
    *,
    deny: Annotated[
        bool, typer.Option("--deny", help="Also stop serving all logins of the user.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be removed, and remove nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove it without asking.")] = False,
) -> None:
    """
    Remove everything that is stored of a GitHub user or organisation, under all of its logins.

    That is: numbers, permanent banners and their pictures, and what services have in memory. Updates
    that are still on their way do not bring it back; a new request for the user starts anew, unless
    `--deny` is given. Uses the database of DB_HOST, else the embedded one in DATA_DIR, whether `serve`
    is running or not, and the storage at STORAGE_BASE_URL, else the files at BANNERS_STORAGE_URL or in
    DATA_DIR. If it is interrupted or the storage is down, run it again. Exit codes: 0 if everything is
    removed, 1 if nothing is stored or something is not removed yet, 2 if an argument or a setting is
    invalid or the database is down.
    """
    require_unix()
    from github_banners.app.open_user_removal import find_user, remove_user

    login = _parse_login(user)
    settings = read_settings(errors_only=True)
    location = _find_storage(settings)
    with _open_database(settings) as conninfo:
        stored = _run(settings, find_user(conninfo, login))
        _show(login, stored)
        if dry_run:
            sys.exit(1 if stored.is_empty else 0)
        if stored.is_empty and not deny:
            sys.exit(1)
        _confirm(is_confirmed=yes or stored.is_empty)
        removal = _run(
            settings,
            remove_user(settings, stored, conninfo=conninfo, location=location, deny=deny),
        )
    _report(settings, stored, removal, location=location, is_denied=deny)
    if removal.failure:
        exit_with(
            f"Not removed yet: {_number(removal.failed_pictures, 'picture')}, since the storage"
            f" failed: {removal.failure}. Run the command again, or leave it to a running api, which"
            " tries again every two minutes.",
            code=1,
        )


@app.command(short_help="Serve a login again that `forget --deny` has denied.")
def allow(
    user: Annotated[str, typer.Argument(metavar="LOGIN", help="A GitHub login.")],
) -> None:
    """
    Serve a login again that `forget --deny` has denied.

    Logins in DENIED_USERS stay denied. Exit codes: 0 if it was denied, 1 if it was not, 2 if an
    argument or a setting is invalid or the database is down.
    """
    require_unix()
    from github_banners.app.open_user_removal import allow_login

    login = _parse_login(user)
    settings = read_settings(errors_only=True)
    with _open_database(settings) as conninfo:
        was_denied = _run(settings, allow_login(conninfo, login))
    if not was_denied:
        exit_with(f"{login} is not denied by `forget --deny`.", code=1)
    typer.echo(f"{login} is served again, unless DENIED_USERS or ALLOWED_USERS rule it out.")


def _parse_login(text: str) -> str:
    try:
        return parse_login(text, field="LOGIN")
    except InvalidInput as error:
        exit_with(format_input_error(error))


def _find_storage(settings: Settings) -> Url | StorageLocation:
    """
    Return the storage that the services use: a service, a bucket or a folder.

    :raises ConfigurationError: it is unknown, or this user must not write to it
    """
    if settings.storage_base_url is not None:
        return settings.storage_base_url
    if isinstance(settings.banners_storage_url, StorageBucket):
        return settings.banners_storage_url
    folder = settings.banners_storage_url or StorageFolder(
        default_banners_dir(find_data_dir(settings))
    )
    if not folder.exists():
        if settings.db_host is not None:
            raise ConfigurationError(
                f"There are no pictures in {folder}: set STORAGE_BASE_URL or BANNERS_STORAGE_URL"
                " to the storage that the services use."
            )
        return folder
    # The services could not open lock files that another user has created.
    if folder.stat().st_uid != os.geteuid():
        raise ConfigurationError(
            f"{folder} belongs to another user: run this command as the user who runs the service."
        )
    return folder


@contextmanager
def _open_database(settings: Settings) -> Iterator[str]:
    """Yield the connection string of the configured database, or of the embedded one."""
    if settings.conninfo is not None:
        yield settings.conninfo
        return
    from github_banners.database.embedded import use_embedded_server

    folder = find_data_dir(settings) / "postgresql"
    with use_embedded_server(
        folder, on_progress=lambda text: typer.echo(text, err=True)
    ) as conninfo:
        yield conninfo


def _run(settings: Settings, work: Coroutine[Any, Any, T]) -> T:
    from github_banners.serving.event_loop import run

    try:
        return run(work)
    except DatabaseUnavailable as error:
        name = f"PostgreSQL at {settings.database_address}" if settings.db_host else "The database"
        raise ConfigurationError(f"{name} can't be used: {error}") from error


def _show(login: str, stored: "StoredUser") -> None:
    from github_banners.serving.terminal import escape_controls

    if stored.owner is None:
        typer.echo(f"Nothing is stored of {login}.")
    else:
        others = [name for name in stored.logins if name != stored.owner.login.lower()]
        known_as = f", also known as {', '.join(others)}" if others else ""
        heading = f"Stored of {stored.owner.login} (id {stored.owner.id}){known_as}:"
        typer.echo(escape_controls(heading))
        rows = stored.rows
        for name, count in {
            "permanent banners": rows.banners,
            "logins": rows.logins,
            "repositories": rows.repositories,
            "other data": rows.data,
        }.items():
            typer.echo(f"  {name:<18}{count:>7,}")
    if stored.waiting_pictures:
        typer.echo(f"Pictures to be removed since earlier: {stored.waiting_pictures:,}.")


def _confirm(*, is_confirmed: bool) -> None:
    """Ask for a confirmation, unless `--yes` was given; exit without one."""
    if is_confirmed:
        return
    if not sys.stdin.isatty():
        exit_with("Nothing was removed: add --yes, since there is no terminal to ask on.")
    if not typer.confirm("Remove it for good?"):
        exit_with("Nothing was removed.", code=1)


def _report(
    settings: Settings,
    stored: "StoredUser",
    removal: "Removal",
    *,
    location: Url | StorageLocation,
    is_denied: bool,
) -> None:
    rows = removal.rows
    if rows.users:
        typer.echo(
            f"Removed from the database: {_number(rows.banners, 'banner')},"
            f" {_number(rows.logins, 'login')},"
            f" {_number(rows.repositories, 'repository', 'repositories')},"
            f" {_number(rows.data, 'row of other data', 'rows of other data')}."
            " Running services drop it from memory at once, or within a minute."
        )
    if removal.pictures or removal.absent_pictures:
        pictures = _number(removal.pictures, "picture")
        absent = f"; not there: {removal.absent_pictures:,}" * bool(removal.absent_pictures)
        typer.echo(f"Removed from the storage {location}: {pictures}{absent}.")
    if is_denied:
        typer.echo(f"Denied from now on: {', '.join(stored.logins)}. `allow` takes that back.")
    if stored.is_empty:
        return
    typer.echo(_CACHES)
    if settings.kafka_brokers_addrs or settings.storage_base_url:
        typer.echo(_KAFKA)


def _number(count: int, singular: str, plural: str = "") -> str:
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"
