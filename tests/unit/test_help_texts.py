"""
docs/cli.md shows the output of `--help` of each command.

`HELP_TEXTS=rewrite pytest tests/unit/test_help_texts.py` rewrites it, as `make help-texts` does.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from github_banners.cli import app
from github_banners.options import OPTIONS, allowed_values

PAGE = Path(__file__).parents[2] / "docs/cli.md"
ALONE = [
    command.name or command.callback.__name__
    for command in app.registered_commands
    if command.callback is not None and not command.hidden
]
GROUPS = [
    f"{group.name} {command.name or command.callback.__name__}"
    for group in app.registered_groups
    if group.typer_instance is not None
    for command in group.typer_instance.registered_commands
    if command.callback is not None
]
# Groups that also work without a subcommand.
GROUPS_ALONE = [
    str(group.name)
    for group in app.registered_groups
    if group.typer_instance is not None and group.typer_instance.registered_callback is not None
]
COMMANDS = ALONE + GROUPS_ALONE + GROUPS
_SECTION = re.compile(r"(?<=make help-texts` -->\n)(.*?)(?=<!-- end of help texts -->)", re.DOTALL)

Help = Callable[..., str]


@pytest.fixture
def help_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Help:
    """Return a function that runs a command with `--help` on a terminal of 80 columns."""

    def run(*arguments: str) -> str:
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit, match=r"^0$"):
            app([*arguments, "--help"], prog_name="github-banners")
        return capsys.readouterr().out.strip()

    return run


def test_page_shows_help_texts(help_text: Help) -> None:
    blocks = []
    for arguments in ([], *(command.split() for command in COMMANDS)):
        words = " ".join(["github-banners", *arguments, "--help"])
        blocks.append(f"```\n$ {words}\n{help_text(*arguments)}\n```\n")
    before, shown, after = _SECTION.split(PAGE.read_text(encoding="utf-8"))
    now = "\n" + "\n".join(blocks) + "\n"
    if os.environ.get("HELP_TEXTS") == "rewrite":
        PAGE.write_text(before + now + after, encoding="utf-8")
    else:
        assert shown == now, "run `make help-texts`"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns_and_names_the_command(command: str, help_text: Help) -> None:
    lines = help_text(*command.split()).splitlines()
    assert lines[0].startswith(f"Usage: github-banners {command} ")
    assert max(map(len, lines)) <= 80
    assert command.partition(" ")[0] in help_text()


@pytest.mark.parametrize("name", OPTIONS)
def test_help_of_render_lists_allowed_values_of_each_option(name: str, help_text: Help) -> None:
    words = " ".join(help_text("render").split())
    assert f"--{name.replace('_', '-')}" in words
    allowed = allowed_values(name)
    # Of a long list the help names a few; docs/http-api.md has all.
    named = allowed if len(allowed) <= 20 else allowed[:3]
    assert all(name in words.lower() for name in named if "hex" not in name)
    assert "--theme" in words
