"""`render` writes a picture to standard output or a file, or prints one sentence."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.acceptance.processes import Running, environment, run, running

OLD = b"<svg>the old one</svg>"


@pytest.fixture(scope="module")
def github() -> Iterator[Running]:
    with running("sandbox", "--port", "0") as sandbox:
        yield sandbox


@pytest.fixture
def env(github: Running) -> dict[str, str]:
    return environment(GITHUB_API_URL=github.url)


def test_render_writes_svg_to_stdout(env: dict[str, str]) -> None:
    plain = run("render", "Mia-Maintains", env=env)
    with_token = run("render", "mia-maintains", env={**env, "GITHUB_TOKENS": "ghp_sandbox"})
    assert plain.returncode == with_token.returncode == 0
    assert plain.stdout == with_token.stdout
    root = ET.fromstring(plain.stdout)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "@mia-maintains" in plain.stdout
    assert plain.stderr == "Fetching Mia-Maintains from GitHub.\n"


def test_render_accepts_every_option(env: dict[str, str]) -> None:
    options = ["--theme", "DARK", "--title", "Hello <there>", "--hide", "stars,forks"]
    options += ["--border", "false", "--bg-color", "#123456", "--radius", "3"]
    result = run("render", "mia-maintains", *options, env=env)
    assert result.returncode == 0
    assert "Hello &lt;there&gt;" in result.stdout
    assert "#123456" in result.stdout


def test_render_replaces_file(env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "banner.svg"
    file.write_bytes(OLD)
    result = run("render", "mia-maintains", "-o", str(file), env=env)
    assert result.returncode == 0
    assert result.stdout == ""
    assert str(file) in result.stderr
    assert ET.fromstring(file.read_bytes()).tag.endswith("svg")
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("user", "settings", "word"),
    [
        ("nobody-of-this-name", {}, "nobody-of-this-name"),
        ("mia-maintains", {"GITHUB_API_URL": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
    ],
)
def test_render_without_github_keeps_old_file(
    env: dict[str, str], tmp_path: Path, user: str, settings: dict[str, str], word: str
) -> None:
    file = tmp_path / "banner.svg"
    file.write_bytes(OLD)
    result = run("render", user, "-o", str(file), env={**env, **settings})
    assert result.returncode == 1
    progress, sentence = result.stderr.splitlines()
    assert progress == f"Fetching {user} from GitHub."
    assert word in sentence
    assert file.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [file]


def test_render_with_slow_github_stops_at_request_timeout() -> None:
    with running("sandbox", "--port", "0", "--latency", "2s") as slow:
        settings = environment(GITHUB_API_URL=slow.url, REQUEST_TIMEOUT="200ms")
        result = run("render", "mia-maintains", env=settings)
    assert result.returncode == 1
    assert "did not answer" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mia", "--theme", "drak"], ["--theme can't be 'drak'", "mean dark?"]),
        (["mia", "--type", "drak"], ["--type", "'drak'", "default, dark", "mean dark?"]),
        (["mia", "--radius", "99"], ["--radius", "'99'", "0 to 20"]),
        (["mia", "--hide", "star"], ["--hide", "stars", "did you mean stars?"]),
        (["mia", "--title", "x" * 65], ["--title", "at most 64 characters"]),
        (["a.b"], ["USER", "'a.b'", "39 letters"]),
        (["mia", "-o", "/no/such/folder/x.svg"], ["/no/such/folder"]),
        (["mia", "-o", "/"], ["/", "folder"]),
    ],
)
def test_render_with_invalid_input_prints_one_sentence(
    env: dict[str, str], arguments: list[str], words: list[str]
) -> None:
    result = run("render", *arguments, env=env)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert [word for word in words if word not in result.stderr] == []


def test_render_writes_to_device(env: dict[str, str]) -> None:
    result = run("render", "mia-maintains", "-o", "/dev/stdout", env=env)
    assert result.returncode == 0
    assert ET.fromstring(result.stdout).tag.endswith("svg")
    dashed = run("render", "mia-maintains", "-o", "-", env=env)
    assert dashed.stdout == result.stdout


def test_render_on_terminal_shows_and_clears_progress(tmp_path: Path) -> None:
    """Standard error is a terminal, and standard output a file."""
    host, guest = pty.openpty()
    with (
        running("sandbox", "--port", "0", "--latency", "300ms") as slow,
        (tmp_path / "out.svg").open("wb") as out,
    ):
        result = subprocess.run(
            [sys.executable, "-m", "github_banners", "render", "mia-maintains"],
            env=environment(GITHUB_API_URL=slow.url),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=guest,
            timeout=30,
            check=False,
        )
    os.close(guest)
    output = os.read(host, 1 << 16).decode()
    os.close(host)
    assert result.returncode == 0
    assert "Fetching mia-maintains from GitHub … 0.0 s" in output
    assert output.endswith("\r\x1b[K")
    assert "\n" not in output


def test_render_list_writes_files_and_reports_each_failure(
    env: dict[str, str], tmp_path: Path
) -> None:
    env = {**env, "PORT": "abc", "SOFT_TTL": "soon"}  # settings of serving do not matter
    banner_list = tmp_path / "list.txt"
    banner_list.write_bytes(
        b"\xef\xbb\xbfbanner.svg\n'a folder/card.png' layout=card\ngone.svg username=nobody-of-this\n"
    )
    folder = tmp_path / "out"
    arguments = ["render-list", str(banner_list), "--user", "mia-maintains", "--folder"]
    result = run(*arguments, str(folder), env=env)
    assert result.returncode == 1
    assert result.stdout == "Wrote banner.svg.\nWrote a folder/card.png.\n"
    assert result.stderr == "Line 3: GitHub has no user or organisation called nobody-of-this.\n"
    assert (
        run("render", "mia-maintains", env=env).stdout.encode()
        == (folder / "banner.svg").read_bytes()
    )
    assert (folder / "a folder/card.png").read_bytes().startswith(b"\x89PNG")


def test_render_list_with_invalid_line_writes_nothing(tmp_path: Path) -> None:
    banner_list, folder = tmp_path / "list.txt", tmp_path / "out"
    banner_list.write_text("banner.svg\nbanner.gif\n")
    arguments = ["render-list", str(banner_list), "--user", "mia", "--folder", str(folder)]
    result = run(*arguments, env=environment(GITHUB_API_URL="http://127.0.0.1:1"))
    assert result.returncode == 2
    assert result.stderr == "Line 2: 'banner.gif' must end in .svg or .png.\n"
    assert not folder.exists()
