"""
The command: reads the settings, starts what is asked for, and says what went wrong.

Everything that is served writes its log to standard error and its address to standard output.
`services` run until stopped, `standalone` commands end by themselves, `dlq` handles dead letters; `banner_options` are the options of
a banner, `startup_message` is what `serve` prints when it is ready. What only some commands need is imported
inside of them, so that `--help` answers at once and a service holds no more than it uses.
"""

import io
import signal
import sys

from github_banners.cli import dlq, services, standalone
from github_banners.cli.base import app, exit_with_error
from github_banners.errors import BannersError

__all__ = ["app", "dlq", "main", "services", "standalone"]

# structlog imports them where they are installed, and with them some 5 MB: rich to print tracebacks
# in colour, greenlet for a deprecated kind of context. Typer brings rich, which it needs only for a
# `rich_markup_mode`; greenlet is there for tests with a browser.
_UNUSED = ("greenlet", "rich")


def main() -> None:
    """Run one command; what is misconfigured ends it with code 2 and a sentence."""
    for name in _UNUSED:
        # `import name` raises ModuleNotFoundError:
        # https://docs.python.org/3/reference/import.html#the-module-cache
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    # A name that the terminal's encoding lacks is escaped, and ends nothing.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _run_command()
    except SystemExit as end:
        if "asyncio" in sys.modules:
            from github_banners.serving.event_loop import exit_without_waiting

            exit_without_waiting(end.code if isinstance(end.code, int) else 0)
        raise


def _run_command() -> None:
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BannersError as error:
        exit_with_error(error)
