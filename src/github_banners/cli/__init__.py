"""
The command-line interface `github-banners`.

`services` has the commands that run until stopped, `standalone` those that end by themselves,
`storage` the storage service and its copies, `dlq` dead letters, `forget` removal and readmission of
users; `banner_options` builds the options of `render`, and `banner_list` reads the lines of
`render-list`. Services log to standard error and print their address to standard output. Commands
import what they need inside their functions, so that `--help` is fast and a service loads only what it
uses.
"""

import io
import os
import signal
import sys
from types import ModuleType

import typer

from github_banners.cli import dlq, forget, services, standalone, storage
from github_banners.cli.base import app, exit_with_error
from github_banners.errors import BannersError

__all__ = ["app", "dlq", "forget", "main", "services", "standalone", "storage"]

# structlog imports these if they are installed, which takes some 5 MB: rich for coloured
# tracebacks, greenlet for a deprecated kind of context. rich is a dependency of Typer, which needs
# it only for `rich_markup_mode`; greenlet is installed for tests with a browser.
_UNUSED = ("greenlet", "rich")


class _UvicornCommand(ModuleType):
    """Stands for uvicorn's own command, which its package imports: with click it takes 1.5 MB."""

    Server = main = run = None


def main() -> None:
    """Run one command; a configuration error exits with code 2 and one message."""
    sys.modules.setdefault("uvicorn.main", _UvicornCommand("uvicorn.main"))
    for name in _UNUSED:
        # `import name` raises ModuleNotFoundError:
        # https://docs.python.org/3/reference/import.html#the-module-cache
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    # psycopg finds the fastest of its installed implementations by itself; this variable makes its
    # import fail if it names another one.
    os.environ.pop("PSYCOPG_IMPL", None)
    # Characters that the terminal's encoding lacks are escaped in place of an exception.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _run_command()
    except SystemExit as system_exit:
        code = system_exit.code if isinstance(system_exit.code, int) else 0
        if not _flush_output():
            code = code or 1
        if "asyncio" in sys.modules:
            from github_banners.serving.event_loop import exit_without_waiting

            exit_without_waiting(code)
        sys.exit(code)


def _run_command() -> None:
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BannersError as error:
        exit_with_error(error)
    except OSError:
        # If standard output was the cause, it fails again.
        if _flush_output():
            raise
        sys.exit(1)


def _flush_output() -> bool:
    """Write what is buffered for standard output; if that fails, drop it with a message."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        typer.echo(f"Standard output can't be written: {error.strerror}.", err=True)
        # Else the interpreter tries it again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
