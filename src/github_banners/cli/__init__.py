"""
The command: reads the settings, starts what is asked for, and says what went wrong.

Everything that is served writes its log to standard error and its address to standard output.
`services` serve, `tools` end, `letters` are what could not be handled; `wishes` are the options of
a banner, `welcome` is what `serve` says when it is ready.
"""

from github_banners.cli import letters, services, tools
from github_banners.cli.base import app, fail
from github_banners.errors import BannersError, InvalidSettings

__all__ = ["app", "letters", "main", "services", "tools"]


def main() -> None:
    """Run one command; what is misconfigured ends it with code 2 and a sentence."""
    try:
        app()
    except InvalidSettings as error:
        fail("These settings can't be used:", *(f"  {one}" for one in error.problems))
    except BannersError as error:
        fail(str(error))
