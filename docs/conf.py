"""Settings of Sphinx, which builds these pages as a site: `make docs-site`."""

import re
import tomllib
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
REPOSITORY = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["urls"]["Homepage"]

project = "GitHub Banners"
copyright = "the authors of GitHub Banners"  # noqa: A001 - the name that Sphinx reads
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
html_theme = "furo"
html_title = project
html_copy_source = False
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]


def link_to_repository(app: Any, page: str, source: list[str]) -> None:
    """Let links to files outside of docs/ lead to the repository."""
    source[0] = re.sub(r"\]\(\.\./([^)]+)\)", rf"]({REPOSITORY}/blob/main/\1)", source[0])


def setup(app: Any) -> None:
    """Register the function that Sphinx calls for each page."""
    app.connect("source-read", link_to_repository)
