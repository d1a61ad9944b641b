"""Output file of a single banner, and the progress message."""

import os
from pathlib import Path

import pytest

from github_banners.errors import ConfigurationError
from github_banners.render_once import ensure_writable, write_atomically


def test_write_atomically_replaces_file(tmp_path: Path) -> None:
    file = tmp_path / "banner.svg"
    for content in (b"old", b"new"):
        ensure_writable(file)
        write_atomically(file, content)
        assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


def test_write_atomically_keeps_symlink(tmp_path: Path) -> None:
    file, link = tmp_path / "banner.svg", tmp_path / "link.svg"
    file.write_bytes(b"old")
    link.symlink_to(file)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"


def test_write_atomically_failure_keeps_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "banner.svg"
    file.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", raise_disk_full)
    with pytest.raises(ConfigurationError, match="No space left"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_write_atomically_writes_to_device() -> None:
    ensure_writable(Path("/dev/null"))
    write_atomically(Path("/dev/null"), b"new")
    assert not Path("/dev/null").is_file()


def test_ensure_writable_rejects_unwritable_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, message in ((tmp_path, "it is a folder"), (tmp_path / "no" / "x.svg", "no folder")):
        with pytest.raises(ConfigurationError, match=message):
            ensure_writable(path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ConfigurationError, match="permission denied"):
        ensure_writable(tmp_path / "x.svg")
