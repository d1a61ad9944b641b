"""
What share each language has: order, the rest as `Other`, percentages, colours.

Pure arithmetic over names and counts; where and how wide a share is drawn is decided elsewhere.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files

import msgspec

from github_banners.drawing.cleaning import clean
from github_banners.drawing.colours import readable_on_all
from github_banners.drawing.memo import Memo
from github_banners.drawing.themes import Scheme

_NAMELESS = "?"
_MOST_SHOWN = 11  # the most that can be wished for, and one instead of Other
PERCENTS = ("<1%", *(f"{point}%" for point in range(1, 100)), ">99%")
"""Percentages where several share a whole: none has nothing or all of it."""


class Share(msgspec.Struct, frozen=True, gc=False):
    """A language, or Other: how many repositories, and which part of all, 0 to 1."""

    name: str
    colour: str
    amount: int
    part: float


class Ranking(msgspec.Struct, frozen=True, gc=False):
    """
    Languages by count, then name.

    `first` are those that may be shown, `number` and `whole` are of all; the rest is `other` in the
    colour `neutral`.
    """

    first: tuple[Share, ...]
    number: int
    whole: int
    other: str
    neutral: str

    def top(self, keep: int) -> tuple[Share, ...]:
        """Show at most so many and the rest as Other, which never stands for a single one."""
        if self.number <= keep + 1:
            return self.first[: self.number]
        shown = self.first[:keep]
        rest = self.whole - sum([share.amount for share in shown])
        return (*shown, Share(self.other, self.neutral, rest, rest / self.whole))


def ranked(
    languages: Mapping[str, int],
    *,
    scheme: Scheme,
    other: str,
    without: Sequence[str] = (),
    most: int = _MOST_SHOWN,
) -> Ranking:
    """
    Order languages; `without` are names in lower case to leave out.

    Of more than `most` languages no share is computed: they are counted only.
    """
    counts = languages
    if without or min(languages.values(), default=1) <= 0:
        counts = {
            name: count
            for name, count in languages.items()
            if count > 0 and name.lower() not in without
        }
    # Two stable sorts need no tuple for each language.
    names = sorted(counts)
    names.sort(key=counts.__getitem__, reverse=True)
    whole = sum(counts.values())
    known, ladder = _languages(scheme), scheme.ladder
    first: list[Share] = []
    for name in names[:most]:
        shown, colour = known[name]
        if ladder:
            colour = ladder[len(first) % len(ladder)]
        count = counts[name]
        first.append(Share(shown, colour, count, count / whole))
    return Ranking(tuple(first), len(names), whole, other, scheme.neutral)


def percentages(counts: Sequence[int]) -> list[str]:
    """
    Write counts as whole percentages that add up to 100.

    By largest remainder, https://en.wikipedia.org/wiki/Quota_method. What is below 1 is `<1%`, and
    100 is written only for what is alone.
    """
    if len(counts) < 2:
        return ["100%"] * len(counts)
    whole = sum(counts)
    points = [count * 100 // whole for count in counts]
    if missing := 100 - sum(points):
        remainders = [count * 100 % whole for count in counts]
        by_remainder = sorted(range(len(counts)), key=remainders.__getitem__, reverse=True)
        for index in by_remainder[:missing]:
            if points[index]:  # what is below 1 is written so, even if it is rounded up
                points[index] += 1
    return [PERCENTS[point] for point in points]


@lru_cache(8)
def _languages(scheme: Scheme) -> Memo[str, tuple[str, str]]:
    """Find how languages are written, and their colours moved until every ground shows them."""

    def show(name: str) -> tuple[str, str]:
        own = _known_colours().get(name.lower())
        if own is None:
            return clean(name) or _NAMELESS, scheme.neutral
        return name, readable_on_all(own, scheme.grounds, scheme.least_contrast)

    return Memo(show)


@cache
def _known_colours() -> dict[str, str]:
    data = (files(__package__) / "language_colours.json").read_text(encoding="utf-8")
    known: dict[str, str] = json.loads(data)
    # GitHub has changed the case of names before (Vim script), and old ones are still answered.
    return {name.lower(): colour for name, colour in known.items()}
