"""The browser that renders pictures in tests, and the fonts that are tested if installed."""

from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
FAMILIES = ["DejaVu Sans", "Noto Sans", "Noto Sans Display", "Liberation Sans", "Roboto", "Inter"]

IN_A_BROWSER = [
    pytest.mark.browser,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed"),
]
"""Marks of a test file that needs the browser."""
