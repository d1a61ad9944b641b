"""How many banners one core draws, beside the bare template engine in the same run."""

import json
import random
import string
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import TypeVar

import pytest

from github_banners.drawing import draw
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.printing import print_svg
from github_banners.look import Look, Theme
from github_banners.model import Owner, Snapshot, Stats

T = TypeVar("T")

# Of what the bare template engine does; on one 2026 server core, 0.2 is 8,000 draws a second.
LEAST_SHARE = 0.2
KNOWN: list[str] = list(
    json.loads((files("github_banners.drawing") / "language_colours.json").read_text())
)


def _owner(dice: random.Random) -> Snapshot:
    words = ["".join(dice.choices(string.ascii_lowercase, k=dice.randint(3, 12))) for _ in "ab"]
    languages = {one: dice.randint(1, 60) for one in dice.sample(KNOWN, dice.randint(1, 12))}
    original, forked = sum(languages.values()), dice.randint(0, 99)
    stars, forks = (dice.randint(0, 10 ** dice.randint(1, 7)) for _ in "ab")
    stats = Stats(original + forked, original, forked, stars, forks, languages)
    owner = Owner(1, "-".join(words), None, " ".join(words).title())
    return Snapshot(owner, stats, datetime(2026, 11, 20, tzinfo=UTC))


def _fastest_seconds(act: Callable[[T], object], things: Sequence[T], batch: int = 250) -> float:
    """Take the quickest of many small batches: what else the machine does hurts it least."""
    best = float("inf")
    for _ in range(5):
        for at in range(0, len(things), batch):
            some = things[at : at + batch]
            start = time.perf_counter()
            for one in some:
                act(one)
            best = min(best, (time.perf_counter() - start) / len(some))
    return best


@pytest.mark.benchmark
@pytest.mark.timeout(120)
@pytest.mark.parametrize("theme", Theme)
def test_draws_per_second(theme, capsys):
    dice, look = random.Random(1), Look(theme=theme)
    owners = [_owner(dice) for _ in range(2_000)]
    layout = LAYOUTS[look.layout]
    fixed = [layout.arrange(owners[0], look, None)] * len(owners)
    whole = _fastest_seconds(lambda owner: draw(owner, look), owners)
    bare = _fastest_seconds(lambda values: print_svg(layout.template, values), fixed)
    with capsys.disabled():
        sys.stdout.write(
            f"\nclassic {theme.value}: {1 / whole:,.0f} draws/s, "
            f"{bare / whole:.2f} of the bare template's {1 / bare:,.0f}/s\n"
        )
    assert bare / whole >= LEAST_SHARE
