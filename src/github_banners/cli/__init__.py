"""
The command: reads the settings, starts what is asked for, and says what went wrong.

Everything that is served writes its log to standard error and its address to standard output.
`services` serve, `tools` end, `letters` are what could not be handled; `wishes` are the options of
a banner, `welcome` is what `serve` says when it is ready. What only some commands need is imported
inside of them, so that `--help` answers at once and a service holds no more than it uses.
"""

import sys

from github_banners.cli import letters, services, tools
from github_banners.cli.base import app, fail
from github_banners.errors import BannersError, InvalidSettings

__all__ = ["app", "letters", "main", "services", "tools"]

# structlog imports them where they are installed, and with them some 5 MB: rich to print tracebacks
# in colour, greenlet for a deprecated kind of context. They come with Typer and SQLAlchemy, which
# work without them as we use them.
_UNUSED = ("greenlet", "rich")


def main() -> None:
    """Run one command; what is misconfigured ends it with code 2 and a sentence."""
    for name in _UNUSED:
        # `import name` raises ModuleNotFoundError:
        # https://docs.python.org/3/reference/import.html#the-module-cache
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    try:
        app()
    except InvalidSettings as error:
        fail("These settings can't be used:", *(f"  {one}" for one in error.problems))
    except BannersError as error:
        fail(str(error))
