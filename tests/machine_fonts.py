"""Replace the fonts of the machine, so that a picture is the same on each."""

from pathlib import Path

import pytest

from github_banners.drawing import png_text
from github_banners.drawing.fallback_fonts import FallbackFonts


def set_machine_fonts(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Let PNGs use the fonts in these folders in place of those of the machine."""
    fonts = FallbackFonts([str(folder) for folder in folders])
    monkeypatch.setattr(png_text, "machine_fonts", lambda: fonts)
