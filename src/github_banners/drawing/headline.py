"""
The head of a banner: the names of the owner, and the numbers that the option `show` lists.

Numbers are selected, formatted and get a font size here. Positions are up to the layouts.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import TypeAlias

import msgspec

from github_banners.cache import Memo
from github_banners.drawing.locales import (
    MeasuredText,
    Noun,
    Numeral,
    format_count,
    format_short_count,
    load_translations,
    measure_number,
    numerals,
)
from github_banners.drawing.text import (
    LEFT_TO_RIGHT_ISOLATE,
    POP_ISOLATE,
    Fitted,
    fit,
    isolate,
    sanitize,
    width,
)
from github_banners.errors import contributions_error
from github_banners.models import ContributionAccess, Owner, Snapshot, Stats
from github_banners.options import (
    CONTRIBUTION_NUMBERS,
    BannerOptions,
    HideableField,
    NumberFormat,
    ShownNumber,
)

_STALE_SIZE, _STALE_END, _STALE_GAP = 12, 378, 10

# Looking up a member of an enum takes 0.1 µs in Python 3.11, twenty times as long as a global.
_LOGIN, _SHORT = HideableField.LOGIN, NumberFormat.SHORT


class OwnerNames(msgspec.Struct, frozen=True, gc=False):
    """The owner's names; `byline` is `@login` if the banner shows it below the name, or empty."""

    name: str
    login: str
    byline: str


def names_for(owner: Owner, options: BannerOptions) -> OwnerNames:
    """Choose the name: the title option, else the display name, else the login alone."""
    login = sanitize(owner.login)
    name = (options.title and sanitize(options.title)) or sanitize(owner.display_name or "")
    # A name of combining marks alone has no width and would be invisible.
    if not name or name == login or not (name.isascii() or width(name, 1)):
        return OwnerNames(login, login, byline="")
    return OwnerNames(name, login, byline="" if _LOGIN in options.hide else f"@{login}")


def stale_day_beside(name: Fitted, *, name_x: float, day: str) -> str:
    """Return the day of stale numbers if there is room for it beside the name, at the right edge."""
    start = _STALE_END - width(day, _STALE_SIZE)
    return day if name_x + name.width + _STALE_GAP <= start else ""


def heading(names: OwnerNames) -> str:
    """Return the accessible title: the name, and the login unless they are equal."""
    if names.name == names.login:
        return names.login
    name = isolate(names.name)
    if name == names.name:
        return f"{name} (@{names.login})"
    # The base direction is up to the reader; from right to left, the login would become `login@`.
    return f"{name} ({LEFT_TO_RIGHT_ISOLATE}@{names.login}{POP_ISOLATE})"


def empty_state_text(stats: Stats, options: BannerOptions) -> str:
    """Explain why there are no languages; empty if there are some, or if the options leave them out."""
    if stats.original_repos or stats.languages:
        return ""
    if HideableField.LANGUAGES in options.hide or options.has_selection:
        return ""
    messages = load_translations(options.locale).empty_state
    return messages.only_forks if stats.total_repos else messages.no_repositories


class NumberKind(msgspec.Struct, frozen=True, gc=False):
    """
    A kind of number; `icon` is its id in `templates/icon.svg`, `short` its shortest noun.

    `read` returns the number of a snapshot, None if it is unknown.
    """

    number: ShownNumber
    icon: str
    noun: Noun
    short: Noun
    read: Callable[[Snapshot], int | None]


class NumberSlot(msgspec.Struct, frozen=True, gc=False):
    """A number, its text in the requested format, and the width available for it."""

    kind: NumberKind
    label: Fitted
    number: int
    numeral: Numeral
    text: MeasuredText
    room: int


class SelectedNumbers(msgspec.Struct, frozen=True, gc=False):
    """
    The numbers of a banner, and the same with their nouns for its description.

    `missing` are sentences that explain why other numbers that were requested are left out.
    """

    slots: Sequence[NumberSlot]
    counts: Sequence[tuple[Noun, Numeral]]
    missing: Sequence[str] = ()


class FittedNumbers(msgspec.Struct, frozen=True, gc=False):
    """Formatted numbers that fit, all in one font size."""

    size: float
    values: Sequence[MeasuredText]


class HeadlineNumber(msgspec.Struct, frozen=True, gc=False):
    """A number with its icon, label and position."""

    icon: str
    label: str
    x: int
    value: str


class HeadlineNumbers(msgspec.Struct, frozen=True, gc=False):
    """The numbers side by side: one font size for all numbers, one for all labels."""

    items: Sequence[HeadlineNumber]
    size: float
    label_size: float


def _read_activity(field: str) -> Callable[[Snapshot], int | None]:
    """Return a function that reads a field of the activity, if that is known."""
    read = attrgetter(field)
    return lambda snapshot: None if snapshot.activity is None else read(snapshot.activity)


NUMBER_KINDS = (
    NumberKind(ShownNumber.STARS, "s", Noun.STARS, Noun.STARS, attrgetter("stats.total_stars")),
    NumberKind(ShownNumber.FORKS, "f", Noun.FORKS, Noun.FORKS, attrgetter("stats.total_forks")),
    NumberKind(
        ShownNumber.REPOSITORIES,
        "p",
        Noun.REPOSITORIES,
        Noun.REPOS,
        attrgetter("stats.total_repos"),
    ),
    *(
        NumberKind(number, icon, noun, short, _read_activity(number.value))
        for number, icon, noun, short in (
            (ShownNumber.COMMITS, "c", Noun.COMMITS, Noun.COMMITS),
            (ShownNumber.PULL_REQUESTS, "l", Noun.PULL_REQUESTS, Noun.PRS),
            (ShownNumber.ISSUES, "i", Noun.ISSUES, Noun.ISSUES),
            (ShownNumber.REVIEWS, "v", Noun.REVIEWS, Noun.REVIEWS),
            (ShownNumber.CONTRIBUTIONS, "d", Noun.CONTRIBUTIONS, Noun.CONTRIBS),
        )
    ),
    NumberKind(ShownNumber.FOLLOWERS, "o", Noun.FOLLOWERS, Noun.FOLLOWERS, attrgetter("followers")),
)
_KINDS = {kind.number: kind for kind in NUMBER_KINDS}

_LABEL_SIZES, _ICON_WIDTH = (13, 12, 11), 21
_REPOSITORIES_LAST = (ShownNumber.REPOSITORIES,)


def has_repositories_last(options: BannerOptions) -> bool:
    """Return True if the last of three numbers are the repositories, whose place is wider."""
    return options.show[2:] == _REPOSITORIES_LAST


def select_numbers(
    snapshot: Snapshot, options: BannerOptions, rooms: tuple[int, ...]
) -> SelectedNumbers:
    """
    Return the numbers that the option `show` lists, without hidden and unknown ones.

    `rooms` are the widths available for the listed numbers; those beyond have none and are left out.

    :raises TokenRequired, ContributionsHidden, NoContributions: none of them is known
    """
    slots, counts, missing = [], [], []
    is_short, cached_numerals = options.number_format is _SHORT, numerals(options.locale)
    for kind, label, room in _visible_kinds(options, rooms):
        number = kind.read(snapshot)
        if number is None:
            missing.append(kind.number)
            continue
        numeral = cached_numerals[number]
        text = numeral.short if is_short else measure_number(numeral.full)
        slots.append(NumberSlot(kind, label, number, numeral, text, room))
        counts.append((kind.noun, numeral))
    if not missing:
        return SelectedNumbers(slots, counts)
    access = snapshot.contribution_access
    if not slots and access is not ContributionAccess.VISIBLE:
        raise contributions_error(access, snapshot.owner.login)
    return SelectedNumbers(slots, counts, _explain_missing(missing, snapshot, options.locale))


@lru_cache(1024)
def _visible_kinds(
    options: BannerOptions, rooms: tuple[int, ...]
) -> list[tuple[NumberKind, Fitted, int]]:
    """Return the kinds that are not hidden, with their labels in one font size and their rooms."""
    hidden = set(map(str, options.hide))
    labels = _labels(options.show, rooms, options.locale)
    return [
        (_KINDS[number], label, room)
        for number, label, room in zip(options.show, labels, rooms, strict=False)
        if number not in hidden
    ]


def _explain_missing(missing: Sequence[ShownNumber], snapshot: Snapshot, locale: str) -> list[str]:
    """Return a sentence for each reason, with the labels of the numbers that it concerns."""
    translations = load_translations(locale)
    labels_by_reason: dict[str, list[str]] = {}
    for number in missing:
        reason = _missing_reason(number, snapshot.contribution_access)
        label = getattr(translations.labels, number.value)
        labels_by_reason.setdefault(reason, []).append(label)
    return [
        getattr(translations.missing, reason).format(
            numbers=translations.sentences.comma.join(labels)
        )
        for reason, labels in labels_by_reason.items()
    ]


def _missing_reason(number: ShownNumber, access: ContributionAccess) -> str:
    """Return the key of the reason in the catalogs."""
    if access is ContributionAccess.ORGANISATION:
        return "organisation"
    if access is ContributionAccess.HIDDEN:
        return "hidden"
    if number in CONTRIBUTION_NUMBERS and access is ContributionAccess.NEEDS_TOKEN:
        return "needs_token"
    return "unknown"


def fit_numbers(numbers: Sequence[NumberSlot], sizes: Sequence[float]) -> FittedNumbers:
    """
    Choose one font size for all numbers; a number that does not fit in full is written short.

    Digits are never cut, since a truncated number would be wrong. Locales with long units can need
    less than the last size even for short numbers: then the size is what fits, in steps of 0.5.
    """
    fitted, index, max_size, last_size = [], 0, sizes[0], sizes[-1]
    for number in numbers:
        value, room = number.text, number.room
        if value.em_width * last_size > room:
            value = number.numeral.short
            if value.em_width * last_size > room:
                max_size = min(max_size, int(2 * room / value.em_width) / 2)
        while value.em_width * sizes[index] > room and index + 1 < len(sizes):
            index += 1
        fitted.append(value)
    return FittedNumbers(min(max_size, sizes[index]), fitted)


def place_numbers(
    numbers: Sequence[NumberSlot], fitted: FittedNumbers, positions: Sequence[int]
) -> HeadlineNumbers:
    """Place numbers side by side from the first position on; hidden ones leave no gap."""
    items = [
        HeadlineNumber(number.kind.icon, number.label.text, x, value.text)
        for number, value, x in zip(numbers, fitted.values, positions, strict=False)
    ]
    return HeadlineNumbers(items, fitted.size, numbers[0].label.size if numbers else 0)


MeasuredCounts: TypeAlias = Memo[int, tuple[str, float]]


@lru_cache(64)
def counts(noun: Noun, locale: str, number_format: NumberFormat, size: float) -> MeasuredCounts:
    """Return a cache of numbers with their noun, such as `57 forked`, and the text's width."""
    format_number = format_count if number_format is NumberFormat.LONG else format_short_count

    def measure_count(number: int) -> tuple[str, float]:
        text = format_number(noun, number, locale)
        return text, width(text, size)

    return Memo(measure_count)


def _labels(show: tuple[ShownNumber, ...], rooms: tuple[int, ...], locale: str) -> list[Fitted]:
    """Fit all labels beside their icons, in one font size."""
    labels = load_translations(locale).labels
    texts = [
        (getattr(labels, number.value), room - _ICON_WIDTH)
        for number, room in zip(show, rooms, strict=False)
    ]
    for size in _LABEL_SIZES:
        if all(width(text, size) <= room for text, room in texts):
            break
    return [fit(text, (size,), room) for text, room in texts]
