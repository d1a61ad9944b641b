"""Measure how many banners one core draws, compared with the bare template engine."""

import gzip
import json
import random
import string
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from typing import TypeVar

import msgspec
import pytest
from msgspec.structs import replace

from github_banners.drawing import draw
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.rendering import render_svg
from github_banners.models import Activity, Owner, RepositoryDetails, Snapshot, Stats
from github_banners.options import BannerOptions, ChartType, Layout, Locale, Theme
from tests.benchmarks.report import Budget, Report, Row, Title
from tests.benchmarks.sizes import sized

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(300)]

T = TypeVar("T")

BATCHES = sized(short=1, medium=5, full=20)
BATCH = sized(short=20, medium=250, full=250)
CLASSIC = BannerOptions()
LANGUAGES = BannerOptions(layout=Layout.LANGUAGES)
ACTIVITY = BannerOptions(layout=Layout.ACTIVITY)
OPTIONS_BY_NAME = {
    "classic": CLASSIC,
    "classic, dark": BannerOptions(theme=Theme.DARK),
    "classic, auto": BannerOptions(theme=Theme.AUTO),
    "card": BannerOptions(layout=Layout.CARD),
    "compact": BannerOptions(layout=Layout.COMPACT),
    "languages": LANGUAGES,
    "donut": replace(LANGUAGES, shape=ChartType.DONUT),
    "activity": ACTIVITY,
    "repository": BannerOptions(layout=Layout.REPOSITORY),
    **{
        f"classic, {locale}": BannerOptions(locale=locale)
        for locale in Locale
        if locale != CLASSIC.locale
    },
}
MIN_RATIO = 0.3
# A picture of activity has the levels of a year of days to compute.
MIN_RATIOS = {"activity": 0.15}
MAX_BYTES, MAX_GZIPPED_BYTES = 6 << 10, 2 << 10
LAST_DAY = date(2026, 11, 20)
KNOWN_LANGUAGES: list[str] = list(
    json.loads((files("github_banners.drawing") / "language_colours.json").read_text())
)


def test_draws_per_second(report: Report) -> None:
    rows = [measure_draws(name, seed) for seed, name in enumerate(OPTIONS_BY_NAME)]
    dice = random.Random(len(OPTIONS_BY_NAME))
    pictures = [draw(build_owner(dice), CLASSIC) for _ in range(BATCH)]
    report.add(
        Title.DRAWING,
        *rows,
        size_row("size of classic", [len(picture) for picture in pictures], limit=MAX_BYTES),
        size_row(
            "size of classic, gzipped",
            [len(gzip.compress(picture)) for picture in pictures],
            limit=MAX_GZIPPED_BYTES,
        ),
        text=(
            "One core draws pictures of owners with words and numbers that it has never drawn, in "
            f"batches of {BATCH}, each beside as many of the bare template with the same values, "
            "per second of CPU time. A round is a batch, or a picture for sizes."
        ),
    )


def measure_draws(name: str, seed: int) -> Row:
    """Draw batches of owners with some options, and render as many bare templates of classic."""
    dice, options, classic = random.Random(seed), OPTIONS_BY_NAME[name], LAYOUTS[CLASSIC.layout]
    draw(build_owner(dice), options)  # reads templates and catalogs

    def draw_owner(owner: Snapshot) -> bytes:
        return draw(owner, options)

    def render_template_only(values: msgspec.Struct) -> bytes:
        return render_svg(classic.template, values)

    draws, template_only_draws = [], []
    for _ in range(BATCHES):
        # Each owner is drawn once, so no cache knows its texts.
        owners = [build_owner(dice) for _ in range(BATCH)]
        draws.append(per_second(draw_owner, owners))
        # After the draws, since computing the values of classic fills the same caches.
        values = [classic.compute_layout(owner, CLASSIC, None) for owner in owners]
        template_only_draws.append(per_second(render_template_only, values))
    return Row(
        what=name,
        unit="/s",
        values=draws,
        reference="bare template of classic",
        reference_values=template_only_draws,
        budget=Budget(MIN_RATIOS.get(name, MIN_RATIO), "at least", "ratio"),
    )


def build_owner(dice: random.Random) -> Snapshot:
    words = ["".join(dice.choices(string.ascii_lowercase, k=dice.randint(3, 12))) for _ in "ab"]
    names = dice.sample(KNOWN_LANGUAGES, dice.randint(1, 12))
    languages = {name: dice.randint(1, 60) for name in names}
    original, forked = sum(languages.values()), dice.randint(0, 99)
    stars, forks = (dice.randint(0, 10 ** dice.randint(1, 7)) for _ in "ab")
    stats = Stats(original + forked, original, forked, stars, forks, languages)
    owner = Owner(1, "-".join(words), None, " ".join(words).title())
    moment = datetime(2026, 11, 20, tzinfo=UTC)
    return Snapshot(
        owner,
        stats,
        moment,
        activity=build_activity(dice),
        repository=build_repository(dice, names[0], stars, forks),
    )


def build_activity(dice: random.Random) -> Activity:
    busy = dice.random()
    days = [int(dice.expovariate(0.2)) + 1 if dice.random() < busy else 0 for _ in range(371)]
    return Activity(
        current_streak=dice.randint(0, 60),
        longest_streak=dice.randint(60, 400),
        last_year=sum(days),
        best_day=LAST_DAY - timedelta(days=dice.randint(0, 364)),
        best_count=max(days),
        last_day=LAST_DAY,
        days=tuple(days),
    )


def build_repository(
    dice: random.Random, language: str, stars: int, forks: int
) -> RepositoryDetails:
    """Invent a repository with a description of up to 25 words."""
    words = [
        "".join(dice.choices(string.ascii_lowercase, k=dice.randint(1, 12)))
        for _ in range(dice.randint(4, 25))
    ]
    return RepositoryDetails(
        1, "-".join(words[:2]), " ".join(words), language, stars, forks, dice.choice(["MIT", None])
    )


def per_second(function: Callable[[T], object], items: Sequence[T]) -> float:
    """Call a function with each item, and return the calls per second of this thread's CPU time."""
    start = time.thread_time()
    for item in items:
        function(item)
    return len(items) / (time.thread_time() - start)


def size_row(what: str, sizes: Sequence[int], *, limit: int) -> Row:
    return Row(what=what, unit="bytes", values=sizes, budget=Budget(limit, "at most", "highest"))
