"""`render` as users run it: a picture on standard output or in a file, or one sentence."""

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


def test_a_picture_on_standard_output(env: dict[str, str]) -> None:
    plain = run("render", "Mia-Maintains", env=env)
    with_token = run("render", "mia-maintains", env={**env, "GITHUB_TOKENS": "ghp_sandbox"})
    assert plain.returncode == with_token.returncode == 0
    assert plain.stdout == with_token.stdout
    root = ET.fromstring(plain.stdout)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "@mia-maintains" in plain.stdout
    assert plain.stderr == "Fetching Mia-Maintains from GitHub.\n"


def test_every_kind_of_wish(env: dict[str, str]) -> None:
    wishes = ["--theme", "DARK", "--title", "Hello <there>", "--hide", "stars,forks"]
    wishes += ["--border", "false", "--bg-color", "#123456", "--radius", "3"]
    ended = run("render", "mia-maintains", *wishes, env=env)
    assert ended.returncode == 0
    assert "Hello &lt;there&gt;" in ended.stdout
    assert "#123456" in ended.stdout


def test_a_file_is_replaced_when_the_banner_is_drawn(env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "banner.svg"
    file.write_bytes(OLD)
    ended = run("render", "mia-maintains", "-o", str(file), env=env)
    assert ended.returncode == 0
    assert ended.stdout == ""
    assert str(file) in ended.stderr
    assert ET.fromstring(file.read_bytes()).tag.endswith("svg")
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("user", "settings", "word"),
    [
        ("nobody-of-this-name", {}, "nobody-of-this-name"),
        ("mia-maintains", {"GITHUB_API_URL": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
    ],
)
def test_without_an_answer_the_old_file_stays(
    env: dict[str, str], tmp_path: Path, user: str, settings: dict[str, str], word: str
) -> None:
    file = tmp_path / "banner.svg"
    file.write_bytes(OLD)
    ended = run("render", user, "-o", str(file), env={**env, **settings})
    assert ended.returncode == 1
    asking, sentence = ended.stderr.splitlines()
    assert asking == f"Fetching {user} from GitHub."
    assert word in sentence
    assert file.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [file]


def test_a_slow_github_is_waited_for_no_longer_than_wished() -> None:
    with running("sandbox", "--port", "0", "--latency", "2s") as slow:
        settings = environment(GITHUB_API_URL=slow.url, REQUEST_TIMEOUT="200ms")
        ended = run("render", "mia-maintains", env=settings)
    assert ended.returncode == 1
    assert "did not answer" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mia", "--type", "drak"], ["--type", "'drak'", "default, dark", "mean dark?"]),
        (["mia", "--radius", "99"], ["--radius", "'99'", "0 to 20"]),
        (["mia", "--hide", "star"], ["--hide", "stars", "did you mean stars?"]),
        (["mia", "--title", "x" * 65], ["--title", "at most 64 characters"]),
        (["a.b"], ["USER", "'a.b'", "39 letters"]),
        (["mia", "-o", "/no/such/folder/x.svg"], ["/no/such/folder"]),
        (["mia", "-o", "/"], ["/", "folder"]),
    ],
)
def test_what_cannot_be_is_one_sentence(
    env: dict[str, str], arguments: list[str], words: list[str]
) -> None:
    ended = run("render", *arguments, env=env)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert [word for word in words if word not in ended.stderr] == []


def test_a_device_is_written_to(env: dict[str, str]) -> None:
    ended = run("render", "mia-maintains", "-o", "/dev/stdout", env=env)
    assert ended.returncode == 0
    assert ET.fromstring(ended.stdout).tag.endswith("svg")
    dashed = run("render", "mia-maintains", "-o", "-", env=env)
    assert dashed.stdout == ended.stdout


def test_on_a_terminal_the_waiting_is_counted_and_wiped_away(tmp_path: Path) -> None:
    """The terminal is where errors go; what is drawn goes elsewhere."""
    host, guest = pty.openpty()
    with (
        running("sandbox", "--port", "0", "--latency", "300ms") as slow,
        (tmp_path / "out.svg").open("wb") as out,
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "github_banners", "render", "mia-maintains"],
            env=environment(GITHUB_API_URL=slow.url),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=guest,
            timeout=20,
            check=False,
        )
    os.close(guest)
    said = os.read(host, 1 << 16).decode()
    os.close(host)
    assert ended.returncode == 0
    assert "Fetching mia-maintains from GitHub … 0.0 s" in said
    assert said.endswith("\r\x1b[K")
    assert "\n" not in said
