"""What the builder page is made from: its template and files, and the numbers of a sample user."""

import re
from datetime import date, timedelta
from importlib.resources import files
from zlib import crc32

from github_banners.models import EPOCH, Activity, Owner, RepositoryDetails, Snapshot, Stats

_LAST_DAY = date(2026, 11, 20)
_DAYS_SHOWN, _BEST_DAY, _HOLIDAYS, _CURRENT_STREAK = 370, 156, range(225, 239), 12


def _sample_contributions(day: int) -> int:
    """Return the contributions of a day: more on working days, none in the holidays."""
    if day == _BEST_DAY:
        return 19
    if day in _HOLIDAYS or day == _DAYS_SHOWN - _CURRENT_STREAK - 1:
        return 0
    is_weekend = day % 7 in {0, 6}
    noise = crc32(b"%d" % day)
    count = max(0, noise % 8 - 5) if is_weekend else max(0, noise % 13 - 3)
    return max(count, 1) if day >= _DAYS_SHOWN - _CURRENT_STREAK else count


_DAYS = tuple(map(_sample_contributions, range(_DAYS_SHOWN)))

SAMPLE_REPOSITORY = RepositoryDetails(
    id=1,
    name="lantern",
    description="A small static site generator with live preview, incremental builds and"
    " templates that are plain HTML",
    language="TypeScript",
    stars=4_218,
    forks=312,
    licence="MIT",
)

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
    followers=2_318,
    language_sizes={
        "TypeScript": 4_810_000,
        "Rust": 3_920_000,
        "Python": 1_340_000,
        "Go": 1_120_000,
        "C": 610_000,
        "Shell": 190_000,
        "Vue": 150_000,
        "": 90_000,
    },
    activity=Activity(
        commits=9_412,
        pull_requests=1_203,
        issues=486,
        reviews=731,
        contributions=11_832,
        current_streak=_CURRENT_STREAK,
        longest_streak=41,
        last_year=sum(_DAYS[-365:]),
        best_day=_LAST_DAY - timedelta(days=_DAYS_SHOWN - 1 - _BEST_DAY),
        best_count=_DAYS[_BEST_DAY],
        last_day=_LAST_DAY,
        days=_DAYS,
    ),
    repository=SAMPLE_REPOSITORY,
)
"""The user whose banners are shown while none is named."""


def read_minified(name: str) -> str:
    """
    Read a file without indentation, empty lines and the comments of scripts: about a seventh smaller.

    Style sheets also lose the spaces that only people need.
    """
    source = (files(__package__) / name).read_text(encoding="utf-8")
    lines = (line.strip() for line in source.splitlines())
    text = "\n".join(line for line in lines if line and not line.startswith("//"))
    if name.endswith(".css"):
        text = re.sub(r"\s*([{};,])\s*", r"\1", text).replace(": ", ":")
    return text
