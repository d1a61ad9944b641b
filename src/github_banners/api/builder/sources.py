"""What the builder page is made from: its template and files, and the numbers of a sample user."""

from importlib.resources import files

from github_banners.models import EPOCH, Owner, Snapshot, Stats

SAMPLE = Snapshot(
    owner=Owner(id=1, login="miraokafor", display_name="Mira Okafor"),
    stats=Stats(
        total_repos=148,
        original_repos=112,
        forked_repos=36,
        total_stars=12_432,
        total_forks=1_635,
        languages={
            "TypeScript": 34,
            "Rust": 22,
            "Go": 15,
            "Python": 12,
            "Shell": 7,
            "Vue": 4,
            "C": 6,
        },
    ),
    fetched_at=EPOCH,
)
"""The user whose banners are shown while none is named."""


def read_lean(name: str) -> str:
    """Read a file without indentation, empty lines and the comments of scripts, an eighth of its size."""
    source = (files(__package__) / name).read_text(encoding="utf-8")
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))
