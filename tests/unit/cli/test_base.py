"""Commands without options to convert are listed: `--help` and others must not import pydantic."""

from typer.main import get_command

from github_banners.cli import app
from github_banners.cli.base import COMMANDS_WITHOUT_CONVERSION, TextOption


def test_without_conversion_lists_all_such_commands() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    without_conversion = {
        name
        for name, command in commands.items()
        if all(isinstance(option, TextOption) for option in command.params)
    }
    assert without_conversion - {"dlq"} == set(COMMANDS_WITHOUT_CONVERSION)
