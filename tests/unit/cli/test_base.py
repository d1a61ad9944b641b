"""`--version`, and the list of commands without options to convert, which must not import pydantic."""

import pytest
from typer.main import get_command

from github_banners import __version__
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


@pytest.mark.parametrize("arguments", [["--version"], ["--version", "serve"]])
def test_version_is_printed_and_nothing_is_run(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        app(arguments)
    assert capsys.readouterr().out == f"github-banners {__version__}\n"
