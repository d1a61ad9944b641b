"""
The layout `repository`, 420 x 150: name and description of one repository, and a row of facts.

Two of them fit side by side in a README, also beside `card`. The rows are centred: a repository
without a description leaves no gap. Positions here and in `templates/repository.svg` are in user
units; the y of text is its baseline.
"""

import math
from collections.abc import Sequence
from datetime import date
from functools import cache

import msgspec

from github_banners.drawing.headline import stale_day_beside
from github_banners.drawing.language_charts import ITEM_GAP, USUAL_WIDTH, rank_languages
from github_banners.drawing.layouts.layout_spec import LayoutSpec
from github_banners.drawing.locales import (
    MeasuredText,
    is_mirrored,
    load_translations,
    measure_number,
    numerals,
    repository_description,
    stale_label,
)
from github_banners.drawing.text import (
    POP_ISOLATE,
    RIGHT_TO_LEFT_ISOLATE,
    Fitted,
    fit_isolated,
    fit_paragraph,
    isolate,
    sanitize,
    starts_right_to_left,
    width,
)
from github_banners.drawing.themes import Canvas, Frame, Scheme, frame, scheme
from github_banners.errors import RenderingFailed
from github_banners.models import MAX_DESCRIPTION_CHARACTERS, RepositoryDetails, Snapshot
from github_banners.options import BannerOptions, NumberFormat

_CANVAS = Canvas(420, 150)

_START, _END = 24, 396
_ROOM = _END - _START
_NAME_X, _NAME_SIZES = 52, (19, 18, 17, 16, 15)
_ARCHIVED_SIZE, _ARCHIVED_GAP = 12.5, 12

_DESCRIPTION_SIZES, _MAX_LINES = (14, 13), 2
# GitHub's own limit.
_MAX_NAME = 100

# The y of the name, by the number of lines of the description, and the distances below it.
_NAME_Y = (64, 52, 43)
_DESCRIPTION_BELOW, _LINE_PITCH, _FACTS_BELOW, _FACTS_BELOW_NAME = 27, 19, 33, 37

_FACT_SIZES = (13, 12)
_DOT_WIDTH, _ICON_WIDTH = 17, 19
_TRUNCATED_ICONS = "lw"
_MIN_GAP = 8


class DescriptionLine(msgspec.Struct, frozen=True, gc=False):
    """A line of the description."""

    y: int
    text: Fitted


class Fact(msgspec.Struct, frozen=True, gc=False):
    """
    A fact with its icon.

    `icon` is `l` for the dot of a language, `s` for stars, `f` for forks, `w` for a licence; `x` is
    where the icon starts, and `text_x` where the text does.
    """

    icon: str
    x: int
    text_x: int
    text: str


class RepositoryBanner(msgspec.Struct, frozen=True, gc=False):
    """The values of `templates/repository.svg`; empty texts and sequences are left out."""

    frame: Frame
    glow: str
    title: str
    desc: str
    is_fork: bool
    name_y: int
    name: Fitted
    archived: str
    lines: Sequence[DescriptionLine]
    facts: Sequence[Fact]
    facts_y: int
    facts_size: int
    language_colour: str
    has_stale_mark: bool
    stale_text: str


class _Part(msgspec.Struct, frozen=True, gc=False):
    """The text of a fact before it is placed; `lead` is the width of its icon."""

    icon: str
    lead: int
    text: str
    width: float


def compute_layout(
    snapshot: Snapshot, options: BannerOptions, as_of: date | None
) -> RepositoryBanner:
    """
    Compute all positions and texts of the layout.

    :raises RenderingFailed: the snapshot has no repository
    """
    repository, locale = snapshot.repository, options.locale
    if repository is None:
        raise RenderingFailed("the layout needs a repository")
    colours = scheme(options)
    login = sanitize(snapshot.owner.login)
    repository_name = sanitize(repository.name, max_graphemes=_MAX_NAME) or login
    shown_name = (options.title and sanitize(options.title)) or repository_name
    mirrored = is_mirrored(shown_name, locale)
    language, language_colour = _language(repository.language, colours)
    description = sanitize(repository.description or "", max_graphemes=MAX_DESCRIPTION_CHARACTERS)
    lines = _description_lines(description)
    name_y = _NAME_Y[len(lines)]
    archived, archived_width = _archived(locale) if repository.is_archived else ("", 0)
    name = fit_isolated(shown_name, _NAME_SIZES, _END - _NAME_X - archived_width, bold=True)
    licence = sanitize(repository.licence or "")
    facts, facts_size = _facts(repository, language, licence, options)
    return RepositoryBanner(
        frame=frame(_CANVAS, options, is_mirrored=mirrored),
        glow=language_colour if colours.tints_glow else "",
        title=_heading(shown_name, f"{login}/{repository_name}", options),
        desc=repository_description(
            repository,
            as_of,
            locale=locale,
            description=description,
            language=language,
            licence=licence,
        ),
        is_fork=repository.is_fork,
        name_y=name_y,
        name=name,
        archived=archived,
        lines=lines,
        facts=facts,
        facts_y=lines[-1].y + _FACTS_BELOW if lines else name_y + _FACTS_BELOW_NAME,
        facts_size=facts_size,
        language_colour=language_colour,
        has_stale_mark=as_of is not None,
        stale_text=stale_day_beside(name, name_x=_NAME_X, day=stale_label(as_of, locale)),
    )


def _heading(shown_name: str, full_name: str, options: BannerOptions) -> str:
    return f"{isolate(shown_name)} ({full_name})" if options.title else full_name


def _language(name: str | None, colours: Scheme) -> tuple[str, str]:
    """Return the language and its colour in the theme; empty if there is none."""
    if not name:
        return "", ""
    language = rank_languages({name: 1}, scheme=colours, other_label="").first[0]
    return language.name, language.colour


@cache
def _archived(locale: str) -> tuple[str, float]:
    """Return the mark of archived repositories, and the width it takes from the name."""
    text = load_translations(locale).repository.archived
    return text, width(text, _ARCHIVED_SIZE) + _ARCHIVED_GAP


def _description_lines(description: str) -> list[DescriptionLine]:
    """Break the description into lines; each has the direction of the whole."""
    fitted = fit_paragraph(description, _DESCRIPTION_SIZES, _ROOM, max_lines=_MAX_LINES)
    # Combining marks alone have no width and would be invisible.
    if not any(line.width for line in fitted):
        return []
    if starts_right_to_left(description):
        fitted = [
            msgspec.structs.replace(line, text=f"{RIGHT_TO_LEFT_ISOLATE}{line.text}{POP_ISOLATE}")
            for line in fitted
        ]
    first_y = _NAME_Y[len(fitted)] + _DESCRIPTION_BELOW
    return [
        DescriptionLine(first_y + _LINE_PITCH * index, line) for index, line in enumerate(fitted)
    ]


def _facts(
    repository: RepositoryDetails, language: str, licence: str, options: BannerOptions
) -> tuple[list[Fact], int]:
    """
    Place language, stars, forks and licence in a row; return them with their font size.

    If they do not fit, numbers are written short, then all texts are smaller, and at last language
    and licence are truncated.
    """
    cached = numerals(options.locale)
    stars, forks = cached[repository.stars], cached[repository.forks]
    attempts = [((stars.short, forks.short), size) for size in _FACT_SIZES]
    if options.number_format is NumberFormat.LONG:
        in_full = (measure_number(stars.full), measure_number(forks.full))
        attempts.insert(0, (in_full, _FACT_SIZES[0]))
    parts: list[_Part] = []
    size = _FACT_SIZES[-1]
    for numbers, size in attempts:
        parts = _parts(language, numbers, licence, size=size)
        if _row_width(parts) <= _ROOM:
            break
    else:
        parts = _parts(language, numbers, licence, size=size, rooms=_truncated_rooms(parts))
    x, facts = float(_START), []
    for part in parts:
        facts.append(Fact(part.icon, round(x), round(x) + part.lead, part.text))
        x += _step(part)
    return facts, size


def _truncated_rooms(parts: Sequence[_Part]) -> tuple[float, float]:
    """Divide what the numbers leave between language and licence, equally unless one needs less."""
    widths = {part.icon: part.width for part in parts if part.icon in _TRUNCATED_ICONS}
    without_texts = [
        msgspec.structs.replace(part, width=0) if part.icon in widths else part for part in parts
    ]
    room = _ROOM - _row_width(without_texts)
    language_width, licence_width = widths.get("l", 0), widths.get("w", 0)
    if language_width <= room / 2:
        return language_width, room - language_width
    if licence_width <= room / 2:
        return room - licence_width, licence_width
    return room / 2, room / 2


def _parts(
    language: str,
    numbers: tuple[MeasuredText, MeasuredText],
    licence: str,
    *,
    size: int,
    rooms: tuple[float, float] = (math.inf, math.inf),
) -> list[_Part]:
    """Measure the texts; `rooms` are the widths available for language and licence."""
    parts = [
        _Part(icon, _ICON_WIDTH, number.text, number.em_width * size)
        for icon, number in zip("sf", numbers, strict=True)
    ]
    if language:
        fitted = fit_isolated(language, (size,), rooms[0])
        parts.insert(0, _Part("l", _DOT_WIDTH, fitted.text, fitted.width))
    if licence:
        fitted = fit_isolated(licence, (size,), rooms[1])
        parts.append(_Part("w", _ICON_WIDTH, fitted.text, fitted.width))
    return parts


def _row_width(parts: Sequence[_Part]) -> float:
    last = parts[-1]
    return sum(map(_step, parts[:-1])) + last.lead + last.width


def _step(part: _Part) -> float:
    """Return the distance to the next part: a usual gap in usual fonts, a small one in wide fonts."""
    return part.lead + max(USUAL_WIDTH * part.width + ITEM_GAP, part.width + _MIN_GAP)


LAYOUT_SPEC = LayoutSpec(_CANVAS, "repository.svg", compute_layout)
