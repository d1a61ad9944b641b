"""The progress of a command, on a terminal and elsewhere."""

import asyncio
import io

import pytest

from github_banners.serving.progress import show_progress

CLEAR_LINE = "\r\x1b[K"


@pytest.mark.parametrize(
    ("is_terminal", "written"), [(True, f"{CLEAR_LINE}Copied 0.{CLEAR_LINE}"), (False, "")]
)
async def test_show_progress_writes_at_once_and_clears_on_terminals_only(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, written: str
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    async with show_progress(lambda seconds: f"Copied {seconds:.0f}.", stream=stream):
        await asyncio.sleep(0)
    assert stream.getvalue() == written
