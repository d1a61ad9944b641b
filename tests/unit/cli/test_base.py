"""Commands without options are listed, so that one of them is recognised without importing it."""

from typer.main import get_command

from github_banners.cli import app
from github_banners.cli.base import COMMANDS_WITHOUT_OPTIONS


def test_without_options_lists_all_such_commands() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    without_options = {name for name, command in commands.items() if not command.params}
    assert without_options - {"dlq"} == set(COMMANDS_WITHOUT_OPTIONS)
