"""The browser that renders pictures in tests, and the fonts that are tested if installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path("/usr/bin/chromium")
FAMILIES = ["DejaVu Sans", "Noto Sans", "Noto Sans Display", "Liberation Sans", "Roboto", "Inter"]

IN_A_BROWSER = [
    pytest.mark.browser,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed"),
]
"""Marks of a test file that needs the browser."""


@contextmanager
def running_chromium(*options: str) -> "Iterator[Browser]":
    """Run the browser with these options besides the usual ones; skip the test without a browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", *options]
        )
        yield browser
        browser.close()
