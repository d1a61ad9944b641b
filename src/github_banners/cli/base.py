"""The Typer application, and what its commands share: settings, logs, paths, error messages."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NoReturn, TypeAlias

import msgspec
import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from github_banners import __version__
from github_banners.errors import BannersError, ConfigurationError, InvalidSettings
from github_banners.settings import (
    VARIABLES,
    ListenHost,
    LogLevel,
    ServiceName,
    Settings,
    find_warnings,
)
from github_banners.settings.addresses import find_listen_address
from github_banners.settings.parsers import parse_value, strip, unquote

# Without a default, Typer converts an absent `--help` with pydantic, whose import takes 7 MB and
# 0.1 s. Commands with other options need pydantic anyway, unless these stay text.
_NO_HELP = {"help": False}
_DRAWING_VARIABLES = (
    *("GITHUB_TOKENS", "GITHUB_TOKENS_FILE", "GITHUB_TOKEN", "GITHUB_TOKEN_FILE"),
    *("GITHUB_API_URL", "REQUEST_TIMEOUT", "LOG_LEVEL", "LOG_FORMAT"),
)
COMMANDS_WITHOUT_CONVERSION = ("api", "renderer", "storage", "worker", "migrate", "check")

app = typer.Typer(
    add_completion=False,
    context_settings={
        "default_map": _NO_HELP | dict.fromkeys(COMMANDS_WITHOUT_CONVERSION, _NO_HELP)
    },
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""
    Live banners with a developer's GitHub statistics.

    Settings are read from environment variables: see docs/configuration.md.
    `check` validates them.
    """,
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"github-banners {__version__}")
        raise typer.Exit


@app.callback()
def _read_common_options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


HostOption: TypeAlias = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to listen on; overrides HOST.")
]
PortOption: TypeAlias = Annotated[
    str | None, typer.Option(metavar="PORT", help="Port to listen on; overrides PORT.")
]


class TextOption(TyperOption):
    """An option that stays text: Typer would import pydantic to convert it, even if it is absent."""

    def process_value(self, ctx: Any, value: Any) -> Any:
        """Return the value unchanged."""
        return value


class _WithTextOptions:
    """A command whose options with a value stay text."""

    params: list[Any]

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self.params = [
            TextOption(
                param_decls=option.opts,
                type_descriptor=option.type_descriptor,
                metavar=option.metavar,
                help=option.help,
            )
            for option in self.params
        ]


class TextCommand(_WithTextOptions, TyperCommand):
    """A command whose options, such as `HostOption` and `PortOption`, stay text."""


class TextGroup(_WithTextOptions, TyperGroup):
    """A command group whose options stay text."""


def override_listen_address(host: str | None, port: str | None) -> None:
    """
    Put the values of `--host` and `--port` into the environment, which worker processes inherit.

    :raises InvalidSettings: a value is invalid
    """
    problems = []
    for name, text in (("HOST", host), ("PORT", port)):
        if text is None:
            continue
        os.environ[name] = text
        try:
            if value := unquote(strip(text)):
                parse_value(value, VARIABLES[name])
        except ValueError as error:
            problems.append(f"--{name.lower()} {error}")
    if problems:
        raise InvalidSettings(problems)


def read_settings(
    *,
    errors_only: bool = False,
    drawing_only: bool = False,
    is_worker: bool = False,
    service: ServiceName = ServiceName.ALL_IN_ONE,
    secret_files: dict[str, str] | None = None,
) -> Settings:
    """
    Read the settings from the environment, configure logging and log warnings about the settings.

    With `errors_only`, log errors only unless LOG_LEVEL is set. With `drawing_only`, settings of serving
    have their defaults: a variable such as PORT may belong to another program. With `is_worker`, log no
    warnings: the parent process has logged them. `secret_files` are those of `Settings.from_environment`.
    """
    environment: Mapping[str, str] = os.environ
    if drawing_only:
        environment = {name: os.environ.get(name, "") for name in _DRAWING_VARIABLES}
    settings = Settings.from_environment(environment, service=service, secret_files=secret_files)
    is_silent = errors_only and not os.environ.get("LOG_LEVEL")
    level = LogLevel.ERROR if is_silent else settings.log_level
    start_logs(msgspec.structs.replace(settings, log_level=level))
    if not (errors_only or is_worker):
        for warning in find_warnings(os.environ, settings, service=service):
            _warn(warning)
    return settings


def with_listen_address(settings: Settings) -> Settings:
    """Replace HOST by the address to listen on; log a warning if it differs from the setting."""
    address, warning = find_listen_address(settings.host)
    if warning is not None:
        _warn(warning)
    return msgspec.structs.replace(settings, host=ListenHost(address))


def _warn(reason: str) -> None:
    import structlog

    structlog.get_logger(__name__).warning("settings.questionable", reason=reason)


def start_logs(settings: Settings) -> None:
    """Configure logging from settings, whose secrets are redacted."""
    from github_banners.serving.logs import configure_logs

    configure_logs(
        level=settings.log_level, log_format=settings.log_format, secrets=settings.secrets
    )


@contextmanager
def service_process() -> Iterator[None]:
    """
    Run the block as a service in the foreground of the terminal.

    Ctrl-C ends it without a traceback; our own errors exit with their message.
    """
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


def find_data_dir(settings: Settings) -> Path:
    """
    Return DATA_DIR, or its default.

    :raises ConfigurationError: it is not set, and the user has no home directory
    """
    if settings.data_dir is not None:
        return settings.data_dir
    # The account that PostgreSQL runs as can't read root's home directory.
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/github-banners")
    base = os.environ.get("XDG_DATA_HOME")
    try:
        share = Path(base).absolute() if base else Path.home() / ".local" / "share"
    except RuntimeError:
        raise ConfigurationError(
            "This user has no home directory: set DATA_DIR to a writable folder."
        ) from None
    return share / "github-banners"


def require_unix() -> None:
    """
    Check that file locks, signals and Unix sockets are available, which serving needs.

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
    """Return the folder of drawn banners if BANNERS_STORAGE_URL is not set."""
    return data_dir / ("demo-files" if demo else "files") / "banners"


def import_sandbox() -> ModuleType:
    """
    Import the fake GitHub.

    :raises ConfigurationError: the extra `sandbox` with its dependencies is not installed
    """
    try:
        import github_sandbox
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{error.name} is not installed: install the extra `sandbox`,"
            " in a checkout by pip install '.[sandbox]'"
        ) from error
    return github_sandbox


def exit_with_error(error: BannersError) -> NoReturn:
    """Exit with the message of an error, or with all problems of invalid settings."""
    if isinstance(error, InvalidSettings):
        exit_with("These settings can't be used:", *(f"  {problem}" for problem in error.problems))
    exit_with(str(error))


def exit_with(*lines: str, code: int = 2) -> NoReturn:
    """Print lines to standard error and exit with a code."""
    from github_banners.serving.terminal import escape_controls

    typer.echo("\n".join(map(escape_controls, lines)), err=True)
    sys.exit(code)
