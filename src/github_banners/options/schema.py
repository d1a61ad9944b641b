"""
All banner options, declared once with type, limits and default.

    BannerOptions            the options, and the types of their values
    drop_redundant_options   the canonical form: two banners that look the same have the same options
    data_needs               which data of GitHub a banner shows: nothing else is fetched for it
"""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta

from github_banners.options.css_colours import HEX_PATTERN
from github_banners.options.palettes import COLOURS, PALETTE_NAMES, PALETTES


def _canonical_theme_names() -> dict[str, str]:
    """Map every type to the first type with the same palettes; for a pair that of the dark theme."""
    first: dict[tuple[str, ...], str] = {}
    return {name: first.setdefault(palettes, name) for name, palettes in PALETTE_NAMES.items()}


class _Choice(StrEnum):
    """
    Base class of option values; the docstrings of its subclasses are help texts of the command.

    Values are hashed as text, because `Enum.__hash__` is slow.
    """

    __hash__ = str.__hash__


class Theme(_Choice):
    """Type of the banner: one palette, or a light and a dark one for `auto-NAME`."""

    DEFAULT = "default"
    DARK = "dark"
    AUTO = "auto"
    # The other members are generated: https://docs.python.org/3/howto/enum.html#timeperiod
    vars().update(_canonical_theme_names())

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        """Accept the second name of a pair, in requests and in messages."""
        return cls[value] if isinstance(value, str) and value in PALETTE_NAMES else None

    @property
    def palette_names(self) -> tuple[str, ...]:
        """The name of the palette, or of the light and the dark palette."""
        return PALETTE_NAMES[self]


class Layout(_Choice):
    """Layout of the banner."""

    CLASSIC = "classic"
    CARD = "card"
    COMPACT = "compact"
    LANGUAGES = "languages"
    ACTIVITY = "activity"
    REPOSITORY = "repository"


class ShownNumber(_Choice):
    """Numbers to show, in this order."""

    STARS = "stars"
    FORKS = "forks"
    REPOSITORIES = "repositories"
    COMMITS = "commits"
    PULL_REQUESTS = "pull_requests"
    ISSUES = "issues"
    REVIEWS = "reviews"
    CONTRIBUTIONS = "contributions"
    FOLLOWERS = "followers"


class Inclusion(_Choice):
    """Repositories to count besides original ones that are not archived."""

    ARCHIVED = "archived"
    FORKS = "forks"


class ChartType(_Choice):
    """Chart of the language shares in the layout `languages`."""

    BAR = "bar"
    DONUT = "donut"


class CountBy(_Choice):
    """Unit in which language shares are counted."""

    REPOSITORIES = "repositories"
    BYTES = "bytes"


class NumberFormat(_Choice):
    """Format of large numbers."""

    SHORT = "short"
    LONG = "long"


class Locale(_Choice):
    """Language of the captions."""

    EN = "en"
    DE = "de"
    FR = "fr"
    ES = "es"
    PT_BR = "pt-br"
    IT = "it"
    NL = "nl"
    PL = "pl"
    RU = "ru"
    UK = "uk"
    TR = "tr"
    JA = "ja"
    KO = "ko"
    ZH_CN = "zh-cn"
    ZH_TW = "zh-tw"
    AR = "ar"
    HE = "he"
    FA = "fa"
    HI = "hi"


class HideableField(_Choice):
    """Parts of the banner to hide."""

    FORKS = "forks"
    LANGUAGES = "languages"
    LOGIN = "login"
    REPOSITORIES = "repositories"
    STARS = "stars"


RepositoryName = Annotated[
    str,
    # GitHub has no repositories of these two names, which would be folders in a URL.
    Meta(pattern=r"^(?!\.\.?$)[a-z0-9._-]{1,100}$", description="a repository's name"),
]

Colour = Annotated[
    str,
    Meta(pattern=f"^{HEX_PATTERN}$", description="a hex colour of 3, 4, 6 or 8 digits"),
]


_DEFAULT_INCLUDE = (Inclusion.ARCHIVED,)
_DEFAULT_SHOW = (ShownNumber.STARS, ShownNumber.FORKS, ShownNumber.REPOSITORIES)

MAX_LIST_LENGTH = 50
"""The limit of names in `hide_langs`, and of those in `exclude_repos`."""


class BannerOptions(
    msgspec.Struct, frozen=True, omit_defaults=True, rename={"theme": "type"}, cache_hash=True
):
    """The options of a banner; None means that the layout or the theme decides."""

    theme: Theme = Theme.DEFAULT
    layout: Layout = Layout.CLASSIC
    shape: ChartType = ChartType.BAR
    count_by: CountBy = CountBy.REPOSITORIES
    show: tuple[ShownNumber, ...] = _DEFAULT_SHOW
    hide: tuple[HideableField, ...] = ()
    hide_langs: Annotated[tuple[str, ...], Meta(max_length=MAX_LIST_LENGTH)] = ()
    exclude_repos: Annotated[tuple[str, ...], Meta(max_length=MAX_LIST_LENGTH)] = ()
    include: tuple[Inclusion, ...] = _DEFAULT_INCLUDE
    repo: RepositoryName | None = None
    langs_count: Annotated[int, Meta(ge=1, le=10)] | None = None
    title: Annotated[str, Meta(max_length=64)] | None = None
    locale: Locale = Locale.EN
    number_format: NumberFormat = NumberFormat.SHORT
    radius: Annotated[int, Meta(ge=0, le=20)] | None = None
    border: bool = True
    animate: bool = True
    bg_color: Colour | None = None
    title_color: Colour | None = None
    text_color: Colour | None = None
    muted_color: Colour | None = None
    accent_color: Colour | None = None
    border_color: Colour | None = None

    def __post_init__(self) -> None:
        """
        Use the default objects of lists, since `omit_defaults` compares by identity.

        A banner without numbers is one with the default ones, as for every other empty value.
        """
        if self.include == _DEFAULT_INCLUDE:
            msgspec.structs.force_setattr(self, "include", _DEFAULT_INCLUDE)
        if not self.show or self.show == _DEFAULT_SHOW:
            msgspec.structs.force_setattr(self, "show", _DEFAULT_SHOW)

    @property
    def has_selection(self) -> bool:
        """Whether the options select other repositories than those that count by default."""
        return bool(self.exclude_repos) or self.include != _DEFAULT_INCLUDE


DEFAULT_RADIUS: Mapping[Layout, int] = {
    Layout.CLASSIC: 12,
    Layout.CARD: 12,
    Layout.COMPACT: 10,
    Layout.LANGUAGES: 12,
    Layout.ACTIVITY: 12,
    Layout.REPOSITORY: 12,
}
"""The corner radius without the option `radius`."""

DEFAULT_LANGS_COUNT: Mapping[Layout, Mapping[ChartType, int]] = {
    Layout.CLASSIC: dict.fromkeys(ChartType, 6),
    Layout.CARD: dict.fromkeys(ChartType, 5),
    Layout.COMPACT: dict.fromkeys(ChartType, 5),
    Layout.LANGUAGES: {ChartType.BAR: 7, ChartType.DONUT: 5},
    Layout.ACTIVITY: dict.fromkeys(ChartType, 0),
    Layout.REPOSITORY: dict.fromkeys(ChartType, 0),
}
"""The number of languages without the option `langs_count`."""


MAX_SHOWN_NUMBERS: Mapping[Layout, int] = {
    Layout.CLASSIC: 3,
    Layout.CARD: 6,
    Layout.COMPACT: 3,
}
"""The most numbers of the option `show`, for the layouts that have it."""

_WITHOUT_LANGUAGES = {
    "shape": ChartType.BAR,
    "count_by": CountBy.REPOSITORIES,
    "hide": (),
    "hide_langs": (),
    "exclude_repos": (),
    "include": _DEFAULT_INCLUDE,
    "langs_count": None,
}
"""The defaults of options that layouts without languages ignore."""


def drop_redundant_options(options: BannerOptions) -> BannerOptions:
    """
    Reset options that change nothing in the layout or theme: the same banner is drawn.

    A colour is dropped if all palettes of the theme have it. Defaults of the options themselves are
    left out by `to_canonical_json`.
    """
    ignored = ignored_options(options.layout)
    if any(getattr(options, name) != default for name, default in ignored.items()):
        options = msgspec.structs.replace(options, **ignored)
    defaults: dict[str, object] = {
        "radius": DEFAULT_RADIUS[options.layout],
        "langs_count": DEFAULT_LANGS_COUNT[options.layout][options.shape],
    }
    palettes = [PALETTES[name] for name in options.theme.palette_names]
    for option, colour in COLOURS.items():
        values = {getattr(palette, colour) for palette in palettes}
        defaults[option] = values.pop() if len(values) == 1 else None
    redundant = {
        name: None for name, default in defaults.items() if getattr(options, name) == default
    }
    return msgspec.structs.replace(options, **redundant) if redundant else options


@cache
def ignored_options(layout: Layout) -> dict[str, Any]:
    """Return the options that a layout ignores, with their defaults."""
    ignored: dict[str, Any] = {} if layout is Layout.REPOSITORY else {"repo": None}
    if layout not in MAX_SHOWN_NUMBERS:
        ignored["show"] = _DEFAULT_SHOW
    if layout in {Layout.ACTIVITY, Layout.REPOSITORY}:
        ignored |= _WITHOUT_LANGUAGES
    return ignored


def to_canonical_json(options: BannerOptions) -> bytes:
    """Encode the options that differ from the defaults as JSON, sorted by name."""
    return msgspec.json.encode(options, order="sorted")


def options_digest(options: BannerOptions, *, salt: bytes = b"") -> bytes:
    """Return the SHA-256 of the canonical JSON, followed by the salt: equal for equal options."""
    return hashlib.sha256(to_canonical_json(options) + salt).digest()


class DataKind(StrEnum):
    """
    A kind of data; each has an age, a refresh time and a version of its own.

    The values are stored in PostgreSQL. Followers arrive with the repositories, but only the banners
    that show them change when they do.
    """

    __hash__ = str.__hash__  # the hash of an enum is several times slower

    REPOSITORIES = "repositories"
    FOLLOWERS = "followers"
    LANGUAGE_SIZES = "language_sizes"
    CONTRIBUTIONS = "contributions"
    REPOSITORY = "repository"


CONTRIBUTION_NUMBERS = frozenset(
    {
        ShownNumber.COMMITS,
        ShownNumber.PULL_REQUESTS,
        ShownNumber.ISSUES,
        ShownNumber.REVIEWS,
        ShownNumber.CONTRIBUTIONS,
    }
)
"""The numbers of the option `show` that need contributions, and so a token."""


def data_needs(options: BannerOptions) -> frozenset[DataKind]:
    """Return the kinds of data that a banner shows."""
    if options.layout is Layout.ACTIVITY:
        return frozenset({DataKind.CONTRIBUTIONS})
    if options.layout is Layout.REPOSITORY:
        return frozenset({DataKind.REPOSITORY})
    needs = {DataKind.REPOSITORIES}
    if options.count_by is CountBy.BYTES and HideableField.LANGUAGES not in options.hide:
        needs.add(DataKind.LANGUAGE_SIZES)
    if options.layout in MAX_SHOWN_NUMBERS:
        if not CONTRIBUTION_NUMBERS.isdisjoint(options.show):
            needs.add(DataKind.CONTRIBUTIONS)
        if ShownNumber.FOLLOWERS in options.show:
            needs.add(DataKind.FOLLOWERS)
    return frozenset(needs)


def shows_only_totals(options: BannerOptions) -> bool:
    """Return whether a banner shows only the numbers of an owner, over all repositories that count."""
    return data_needs(options) == {DataKind.REPOSITORIES} and not options.has_selection


def banner_needs(options: BannerOptions, *, repository_id: int | None = None) -> tuple[str, ...]:
    """
    Return the needs of a permanent banner as they are stored: kinds, sorted.

    The need of one repository has its id, since the repository can be renamed.
    """
    kinds = data_needs(options)
    return tuple(
        sorted(
            repository_need(repository_id)
            if kind is DataKind.REPOSITORY and repository_id is not None
            else kind.value
            for kind in kinds
        )
    )


def repository_need(repository_id: int) -> str:
    """Return the need of a banner that shows one repository: `repository/123`."""
    return f"{DataKind.REPOSITORY}/{repository_id}"


def parse_need(need: str) -> tuple[DataKind, int | None]:
    """
    Return the kind of a stored need, and the repository's id if it has one.

    :raises ValueError: a newer release has stored it
    """
    kind, _, repository_id = need.partition("/")
    return DataKind(kind), int(repository_id) if repository_id else None
