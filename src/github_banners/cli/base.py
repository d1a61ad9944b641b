"""What every command needs: the command itself, settings, logs, and an end that says what it was."""

import os
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import msgspec
import typer

from github_banners.errors import BannersError, ConfigurationError, InvalidSettings
from github_banners.settings import ListenHost, LogLevel, ServiceName, Settings, find_warnings
from github_banners.settings.addresses import find_listen_address

# Typer converts a `--help` that is not there by pydantic, which takes 5 MB and a tenth of a second,
# unless it has a default. Commands with other options need pydantic anyway.
_NO_HELP = {"help": False}
_WITHOUT_OPTIONS = ("api", "renderer", "storage", "worker", "migrate", "check")

app = typer.Typer(
    add_completion=False,
    context_settings={"default_map": _NO_HELP | dict.fromkeys(_WITHOUT_OPTIONS, _NO_HELP)},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""
    Live banners of a developer's GitHub work.

    Settings come from the environment; README lists them, `check` tries them.
    """,
)


def read_settings(
    *,
    errors_only: bool = False,
    is_worker: bool = False,
    service: ServiceName = ServiceName.ALL_IN_ONE,
) -> Settings:
    """
    Read the environment and start the logs.

    With `is_quiet` only errors are logged, unless LOG_LEVEL is set. For `is_worker` the parent has
    warned already.
    """
    settings = Settings.from_environment(os.environ, service=service)
    is_silent = errors_only and not os.environ.get("LOG_LEVEL")
    level = LogLevel.ERROR if is_silent else settings.log_level
    start_logs(msgspec.structs.replace(settings, log_level=level))
    if not (errors_only or is_worker):
        for warning in find_warnings(os.environ, settings, service=service):
            _warn(warning)
    return settings


def with_listen_address(settings: Settings) -> Settings:
    """Replace HOST by the address to listen on, with a warning where it says something else."""
    address, warning = find_listen_address(settings.host)
    if warning is not None:
        _warn(warning)
    return msgspec.structs.replace(settings, host=ListenHost(address))


def _warn(reason: str) -> None:
    import structlog

    structlog.get_logger(__name__).warning("settings.questionable", reason=reason)


def start_logs(settings: Settings) -> None:
    """Log as settings say, and none of their secrets."""
    from github_banners.serving.logs import configure_logs

    configure_logs(
        level=settings.log_level, log_format=settings.log_format, secrets=settings.secrets
    )


@contextmanager
def service_process() -> Iterator[None]:
    """Own the terminal, and end in one sentence what our own errors end."""
    from github_banners.serving.event_loop import interrupt, on_first_signal
    from github_banners.serving.terminal import foreground_process_group

    try:
        on_first_signal(interrupt)
        with foreground_process_group():
            yield
    except KeyboardInterrupt:
        pass
    except BannersError as error:
        exit_with_error(error)


def run_until_signal(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a service until its end or a signal, which raises KeyboardInterrupt."""
    from github_banners.serving.event_loop import make_event_loop, run

    run(coroutine, loop_factory=make_event_loop)


def default_data_dir() -> Path:
    """Choose a folder that lasts; root's own home is closed to the account PostgreSQL runs as."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/github-banners")
    base = os.environ.get("XDG_DATA_HOME")
    try:
        share = Path(base).absolute() if base else Path.home() / ".local" / "share"
    except RuntimeError:
        raise ConfigurationError(
            "This user has no home directory: set DATA_DIR to a folder that it can write to."
        ) from None
    return share / "github-banners"


def require_unix() -> None:
    """
    Refuse to go on where what serving needs is missing: locks of files, signals, Unix sockets.

    :raises ConfigurationError: on Windows
    """
    try:
        import fcntl  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "This command needs Linux or macOS: on Windows run it in WSL or Docker."
            " `github-banners render` works here."
        ) from None


def default_banners_dir(data_dir: Path, *, demo: bool = False) -> Path:
    """Choose where drawn banners are kept unless BANNERS_STORAGE_URL says otherwise."""
    return data_dir / ("demo-files" if demo else "files") / "banners"


def import_sandbox() -> ModuleType:
    """Import the fake GitHub, whose dependencies are an extra."""
    try:
        import github_sandbox
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{error.name} is not installed: pip install 'github-banners[sandbox]'"
        ) from error
    return github_sandbox


def exit_with_error(error: BannersError) -> NoReturn:
    """End with what an error says, all of its problems if it has several."""
    if isinstance(error, InvalidSettings):
        exit_with("These settings can't be used:", *(f"  {problem}" for problem in error.problems))
    exit_with(str(error))


def exit_with(*lines: str, code: int = 2) -> NoReturn:
    """End with sentences, a line each, and a code."""
    from github_banners.serving.terminal import escape_controls

    typer.echo("\n".join(map(escape_controls, lines)), err=True)
    sys.exit(code)
