"""The file of a single banner: whole or not at all; and what is said while it is waited for."""

import io
import os
from pathlib import Path

import pytest

from github_banners.errors import ConfigurationError
from github_banners.render_once import ensure_writable, show_progress, write_atomically


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "banner.svg"
    for content in (b"old", b"new"):
        ensure_writable(file)
        write_atomically(file, content)
        assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "banner.svg", tmp_path / "link.svg"
    file.write_bytes(b"old")
    link.symlink_to(file)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"


def test_what_fails_on_the_way_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "banner.svg"
    file.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_device_is_written_to() -> None:
    ensure_writable(Path("/dev/null"))
    write_atomically(Path("/dev/null"), b"new")
    assert not Path("/dev/null").is_file()


def test_where_nothing_can_be_written_is_said_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, words in ((tmp_path, "it is a folder"), (tmp_path / "no" / "x.svg", "no folder")):
        with pytest.raises(ConfigurationError, match=words):
            ensure_writable(path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ConfigurationError, match="permission denied"):
        ensure_writable(tmp_path / "x.svg")


async def test_elsewhere_than_on_a_terminal_one_plain_line_is_said() -> None:
    stream = io.StringIO()
    async with show_progress("Asking GitHub about mia", stream=stream):
        assert stream.getvalue() == "Asking GitHub about mia.\n"
    assert stream.getvalue() == "Asking GitHub about mia.\n"
