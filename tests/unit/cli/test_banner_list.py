"""Lists of banners for `render-list`: paths, options, and a sentence for each wrong line."""

from pathlib import Path, PurePosixPath

import pytest

from github_banners.cli.banner_list import parse_banner_list, read_list, write_banner
from github_banners.errors import ConfigurationError
from github_banners.options import parse_options

LIST = """
# banners of my profile
banner.svg
"my banners/languages of mine.png" LAYOUT=languages shape=donut username=torvalds

  card.SVG layout=card theme=auto title="Hello <there>" bg_color=#123 hide=stars hide=forks
"""


def test_parse_banner_list_reads_paths_and_options() -> None:
    banners, problems = parse_banner_list(LIST, user="mia")
    assert problems == []
    assert [(banner.line, str(banner.path), banner.login) for banner in banners] == [
        (3, "banner.svg", "mia"),
        (4, "my banners/languages of mine.png", "torvalds"),
        (6, "card.SVG", "mia"),
    ]
    assert [banner.options for banner in banners] == [
        parse_options({}),
        parse_options({"layout": "languages", "shape": "donut"}),
        parse_options(
            {
                "layout": "card",
                "type": "auto",
                "title": "Hello <there>",
                "bg_color": "#123",
                "hide": "stars,forks",
            }
        ),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/etc/banner.svg", ["'/etc/banner.svg'", "inside"]),
        ("../banner.svg", ["'../banner.svg'", "inside"]),
        ("a/../../banner.svg", ["inside"]),
        (".git/hooks/x.svg", ["inside"]),
        ("a/.GIT/x.svg", ["inside"]),
        ("'a\x1bb.svg'", ["inside"]),
        ("''", ["''", ".svg or .png"]),
        ("banner", ["'banner'", ".svg or .png"]),
        ("banner.jpg", [".svg or .png"]),
        ('"banner.svg', ["quotation"]),
        ("banner.svg auto", ["'auto'", "name=value"]),
        ("banner.svg layuot=card", ["'layuot'", "did you mean layout?"]),
        ("banner.svg format=png", ["'format'"]),
        ("banner.svg zzz=1", ["no option 'zzz'."]),
        ("banner.svg type=drak", ["type can't be 'drak'", "did you mean dark?"]),
        ("banner.svg THEME=drak", ["theme can't be 'drak'", "did you mean dark?"]),
        ("banner.svg type= theme=drak", ["theme can't be 'drak'"]),
        ("banner.svg type=drak theme=dark", ["type can't be 'drak'"]),
        ("banner.svg layout=repository", ["repo"]),
        ("banner.svg username=a.b", ["username can't be 'a.b'"]),
        ("banner.svg username=", ["no username"]),
        ("other.svg", ["other.svg", "line 1"]),
        ("./other.svg", ["other.svg", "line 1"]),
        ("other.svg/a/b.svg", ["other.svg/a/b.svg can't be below other.svg", "line 1"]),
    ],
)
def test_parse_banner_list_reports_wrong_line(line: str, words: list[str]) -> None:
    banners, problems = parse_banner_list(f"other.svg\n{line}\nthird.svg", user="mia")
    assert [banner.path for banner in banners] == [
        PurePosixPath("other.svg"),
        PurePosixPath("third.svg"),
    ]
    (problem,) = problems
    assert problem.startswith("Line 2: ")
    assert problem.endswith((".", "?"))
    assert [word for word in words if word not in problem] == []


def test_parse_banner_list_reports_file_in_place_of_folder() -> None:
    _, (problem,) = parse_banner_list("a.svg/b.svg\na.svg", user="mia")
    assert problem == "Line 2: a.svg can't be a file, because line 1 needs it as a folder."


def test_parse_banner_list_reports_every_wrong_line() -> None:
    _, problems = parse_banner_list("a\nb.svg type=x\nc.svg", user="")
    assert [problem.partition(":")[0] for problem in problems] == ["Line 1", "Line 2", "Line 3"]


def test_read_list_that_is_no_text_file_fails(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(b"\xef\xbb\xbfbanner.svg")
    assert read_list(file) == "banner.svg"
    file.write_bytes(b"\xff.svg")
    for path, message in ((file, "it is not UTF-8"), (tmp_path / "none", "No such file")):
        with pytest.raises(ConfigurationError, match=message):
            read_list(path)


def test_written_banner_stays_in_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    (folder / "file").touch()
    write_banner(folder, PurePosixPath("a/b/banner.svg"), b"<svg/>")
    assert (folder / "a/b/banner.svg").read_bytes() == b"<svg/>"
    for path, message in (
        ("link/banner.svg", "symlink"),
        ("file/banner.svg", "Can't write"),
        (f"{'a' * 300}.svg", "File name too long"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            write_banner(folder, PurePosixPath(path), b"<svg/>")
    assert not (tmp_path / "banner.svg").exists()
