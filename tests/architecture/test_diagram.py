"""The diagram of docs/architecture.md shows the imports of the source."""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_diagram_shows_the_imports_of_the_source() -> None:
    script = [sys.executable, "scripts/draw_imports.py"]
    finished = subprocess.run(script, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    page = (CHECKOUT / "docs/architecture.md").read_text(encoding="utf-8")
    assert finished.stdout.strip() in page, (
        "run scripts/draw_imports.py --write docs/architecture.md"
    )
