"""Language shares: ranking, the rest as `Other`, whole percentages, colours."""

import json
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files

import msgspec

from github_banners.drawing.colours import readable_on_all
from github_banners.drawing.memo import Memo
from github_banners.drawing.sanitize import sanitize
from github_banners.drawing.themes import Scheme
from github_banners.models import sort_languages

_NAMELESS = "?"
_MAX_RANKED = 11  # the largest `langs_count`, and one that is shown instead of Other
PERCENTS = ("<1%", *(f"{point}%" for point in range(1, 100)), ">99%")
"""All percentages of several shares: none of them is 0 % or 100 %."""


class Share(msgspec.Struct, frozen=True, gc=False):
    """A language, or Other: its number of repositories, and that as a fraction of all, 0 to 1."""

    name: str
    colour: str
    amount: int
    fraction: float


class Ranking(msgspec.Struct, frozen=True, gc=False):
    """
    Languages by count, then name.

    `first` are those that can be shown; `number` and `total` are the number of all languages and
    the sum of their counts. `other_label` and `neutral` are the name and the colour of Other.
    """

    first: tuple[Share, ...]
    number: int
    total: int
    other_label: str
    neutral: str

    def top(self, limit: int) -> tuple[Share, ...]:
        """Return at most `limit` languages, and the rest as Other if that is more than one."""
        if self.number <= limit + 1:
            return self.first[: self.number]
        shares = self.first[:limit]
        rest = self.total - sum([share.amount for share in shares])
        return (*shares, Share(self.other_label, self.neutral, rest, rest / self.total))


def rank_languages(
    languages: Mapping[str, int],
    *,
    scheme: Scheme,
    other_label: str,
    excluded: Sequence[str] = (),
    max_ranked: int = _MAX_RANKED,
) -> Ranking:
    """
    Rank languages by count, then name.

    `excluded` are names in lower case to leave out. Only the first `max_ranked` get a `Share`; the
    others are counted only.
    """
    names, total = sort_languages(languages), sum(languages.values())
    if excluded or (names and languages[names[-1]] <= 0):
        names = [name for name in names if languages[name] > 0 and name.lower() not in excluded]
        total = sum([languages[name] for name in names])
    names_and_colours, rank_colours = _names_and_colours(scheme), scheme.rank_colours
    first: list[Share] = []
    for rank, name in enumerate(names[:max_ranked]):
        clean_name, colour = names_and_colours[name]
        if rank_colours:
            colour = rank_colours[rank % len(rank_colours)]
        count = languages[name]
        first.append(Share(clean_name, colour, count, count / total))
    return Ranking(tuple(first), len(names), total, other_label, scheme.neutral)


def percentages(counts: Sequence[int]) -> list[str]:
    """
    Return whole percentages of positive counts that add up to 100.

    Rounds by largest remainder, https://en.wikipedia.org/wiki/Quota_method. Shares below 1 % are
    `<1%`, and only a single count is `100%`: what would be rounded to that is `>99%`.
    """
    if len(counts) < 2:
        return ["100%"] * len(counts)
    total = sum(counts)
    points = [count * 100 // total for count in counts]
    if missing := 100 - sum(points):
        remainders = [count * 100 % total for count in counts]
        by_remainder = sorted(range(len(counts)), key=remainders.__getitem__, reverse=True)
        for index in by_remainder[:missing]:
            if points[index]:  # shares below 1 % stay `<1%`, even if they would be rounded up
                points[index] += 1
    return [PERCENTS[point] for point in points]


@lru_cache(8)
def _names_and_colours(scheme: Scheme) -> Memo[str, tuple[str, str]]:
    """Return a cache of clean names, and colours that are readable on every background."""

    def name_and_colour(name: str) -> tuple[str, str]:
        colour = _github_colours().get(name.lower())
        if colour is None:
            return sanitize(name) or _NAMELESS, scheme.neutral
        return name, readable_on_all(colour, scheme.backgrounds, scheme.min_contrast)

    return Memo(name_and_colour)


@cache
def _github_colours() -> dict[str, str]:
    data = (files(__package__) / "language_colours.json").read_text(encoding="utf-8")
    colours: dict[str, str] = json.loads(data)
    # GitHub has changed the case of names (Vim script), and its API still returns the old ones.
    return {name.lower(): colour for name, colour in colours.items()}
