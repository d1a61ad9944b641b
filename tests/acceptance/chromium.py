"""The browser that pictures are looked at in, and the fonts that are tried where they are there."""

from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
FAMILIES = ["DejaVu Sans", "Noto Sans", "Noto Sans Display", "Liberation Sans", "Roboto", "Inter"]

IN_A_BROWSER = [
    pytest.mark.browser,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}"),
]
"""The marks of a file whose every test needs it."""
