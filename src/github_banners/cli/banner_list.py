"""
The command `render-list`, which draws several banners into a folder, and its list.

A line of the list is the path of a file, and options as in a URL: `banner.svg layout=card theme=auto`.
A banner that can't be drawn does not prevent the others; a list with a wrong line is not drawn at all.
"""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated
from urllib.parse import urlencode

import typer

from github_banners.cli.banner_options import format_github_error, format_input_error
from github_banners.cli.base import exit_with, read_settings
from github_banners.errors import ConfigurationError, InvalidInput, RenderingFailed
from github_banners.options import (
    OPTION_NAMES,
    BannerOptions,
    find_misspelt_options,
    parse_login,
    parse_options,
    parse_query,
)

_USERNAME = "username"
_SUFFIXES = (".svg", ".png")


@dataclass(frozen=True, slots=True)
class ListedBanner:
    """A line of a list; `path` is relative to the folder of all banners and does not leave it."""

    line: int
    path: PurePosixPath
    login: str
    options: BannerOptions


def render_list(
    banner_list: Annotated[
        Path, typer.Argument(metavar="LIST", allow_dash=True, help="A file; - is standard input.")
    ],
    *,
    user: Annotated[
        str,
        typer.Option(metavar="LOGIN", help="GitHub login for lines without the option username."),
    ] = "",
    folder: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder to which the paths are relative.")
    ] = Path(),
) -> None:
    """
    Draw several banners from GitHub into files: each line of LIST has a path and options.

    An example of a line: "my banner.svg" layout=card theme=auto title="Hello". The options are those of
    the HTTP API, and username. Empty lines and those that begin with # are ignored. A path that ends in
    .png gives a PNG. Exit codes: 1 if a banner can't be drawn, with the others written; 2 if a line is
    invalid, with nothing written.
    """
    from github_banners.render_once import render_banners
    from github_banners.serving.event_loop import run

    settings = read_settings(errors_only=True, drawing_only=True)
    banners, problems = parse_banner_list(read_list(banner_list), user=user)
    if problems or not banners:
        exit_with(*(problems or [f"{_describe_list(banner_list)} lists no banner."]))
    requests = [(banner.login, banner.options) for banner in banners]
    for banner, result in zip(banners, run(render_banners(settings, requests)), strict=True):
        try:
            if isinstance(result, Exception):
                problem = format_github_error(result, banner.login, settings)
                problems.append(f"Line {banner.line}: {problem}")
            else:
                write_banner(folder, banner.path, result)
                typer.echo(f"Wrote {banner.path}.")
        except (ConfigurationError, RenderingFailed) as error:
            problems.append(f"Line {banner.line}: {error}")
    if problems:
        exit_with(*problems, code=1)


def parse_banner_list(text: str, *, user: str = "") -> tuple[list[ListedBanner], list[str]]:
    """Return the banners of a list, and one sentence for each line that can't be used."""
    banners: list[ListedBanner] = []
    problems = []
    lines_by_path: dict[PurePosixPath, int] = {}
    for line, content in enumerate(text.splitlines(), start=1):
        if not content.strip() or content.lstrip().startswith("#"):
            continue
        try:
            banner = _parse_line(line, content, user=user)
            _check_place(banner.path, lines_by_path)
            lines_by_path[banner.path] = line
            banners.append(banner)
        except InvalidInput as error:
            problems.append(f"Line {line}: {format_input_error(error, is_flag=False)}")
        except ValueError as error:
            problems.append(f"Line {line}: {error}")
    return banners, problems


def _parse_line(line: int, content: str, *, user: str) -> ListedBanner:
    """
    Parse a line of a list.

    :raises ValueError: the line can't be used; the message is a sentence
    :raises InvalidInput: the value of an option is invalid
    """
    try:
        path, *words = shlex.split(content)
    except ValueError as error:
        raise ValueError(f"{error}.") from None
    raw_options = parse_query(urlencode([_parse_word(word) for word in words]))
    username = raw_options.pop(_USERNAME, user)
    if not username:
        raise ValueError("there is no username: add username=LOGIN.")
    login = parse_login(username, field=_USERNAME)
    return ListedBanner(line, _parse_path(path), login, parse_options(raw_options))


def _check_place(path: PurePosixPath, lines_by_path: Mapping[PurePosixPath, int]) -> None:
    """
    Check that a file can be written beside those of earlier lines.

    :raises ValueError: another line has it, or needs a folder in place of a file; the message is a sentence
    """
    for other, line in lines_by_path.items():
        if path == other:
            raise ValueError(f"{path} is the file of line {line}.")
        if other in path.parents:
            raise ValueError(f"{path} can't be below {other}, which is the file of line {line}.")
        if path in other.parents:
            raise ValueError(f"{path} can't be a file, because line {line} needs it as a folder.")


def _parse_word(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    name = name.lower()
    if not equals:
        raise ValueError(f"{word!r} is not an option: write name=value, and quote spaces.")
    if name not in (_USERNAME, *OPTION_NAMES):
        suggestion = find_misspelt_options({name: value}).get(name)
        end = f"; did you mean {suggestion}?" if suggestion else "."
        raise ValueError(f"there is no option {name!r}{end}")
    return name, value


def _parse_path(text: str) -> PurePosixPath:
    path = PurePosixPath(text)
    # A hook or a configuration written to .git would be run by the next git command.
    is_inside = not path.is_absolute() and {"..", ".git"}.isdisjoint(map(str.lower, path.parts))
    if not is_inside or not text.isprintable():
        raise ValueError(f"{text!r} must be a path inside of the folder of all banners.")
    if path.suffix.lower() not in _SUFFIXES:
        raise ValueError(f"{text!r} must end in {' or '.join(_SUFFIXES)}.")
    return path


def read_list(path: Path) -> str:
    """
    Read a list from a file, or from standard input if the path is `-`.

    :raises ConfigurationError: the file can't be read, or is not UTF-8
    """
    try:
        content = sys.stdin.buffer.read() if path == Path("-") else path.read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"Can't read {_describe_list(path)}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"Can't read {_describe_list(path)}: it is not UTF-8.") from error


def _describe_list(path: Path) -> str:
    return "standard input" if path == Path("-") else str(path)


def write_banner(folder: Path, path: PurePosixPath, svg: bytes) -> None:
    """
    Write a banner below a folder, in the format of its path; missing folders are created.

    :raises ConfigurationError: the file can't be written, or a symlink leads out of the folder
    :raises RenderingFailed: the conversion to PNG failed
    """
    from github_banners.render_once import encode_for_path, ensure_writable, write_atomically

    file = folder / path
    if not file.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError(f"Can't write {path}: a symlink leads out of {folder}.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"Can't write {file}: {error.strerror}.") from error
    ensure_writable(file)
    write_atomically(file, encode_for_path(file, svg))
