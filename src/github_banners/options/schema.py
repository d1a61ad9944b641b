"""All banner options, declared once with type, limits and default, and their canonical form."""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Self, get_args, get_origin

import msgspec
from msgspec import Meta

from github_banners.options.palettes import COLOURS, FAMILIES, PALETTES


def _build_palette_names() -> dict[str, tuple[str, ...]]:
    """Map every type to the name of its palette, or to those of its light and its dark palette."""
    single = {name: (name,) for name in PALETTES}
    pairs = {
        f"auto-{name}": (light, darks[0] if name == light else name)
        for light, *darks in FAMILIES
        for name in (*darks, light)
    }
    return {"auto": pairs["auto-default"], **single, **pairs}


_PALETTE_NAMES = _build_palette_names()


def _canonical_theme_names() -> dict[str, str]:
    """Map every type to the first type with the same palettes; for a pair that of the dark theme."""
    first: dict[tuple[str, ...], str] = {}
    return {name: first.setdefault(palettes, name) for name, palettes in _PALETTE_NAMES.items()}


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
        return cls[value] if isinstance(value, str) and value in _PALETTE_NAMES else None

    @property
    def palette_names(self) -> tuple[str, ...]:
        """The name of the palette, or of the light and the dark palette."""
        return _PALETTE_NAMES[self]


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
    Meta(
        pattern="^(?:[0-9a-f]{3}|[0-9a-f]{4}|[0-9a-f]{6}|[0-9a-f]{8})$",
        description="a hex colour of 3, 4, 6 or 8 digits",
    ),
]


_DEFAULT_INCLUDE = (Inclusion.ARCHIVED,)
_DEFAULT_SHOW = (ShownNumber.STARS, ShownNumber.FORKS, ShownNumber.REPOSITORIES)


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
    hide_langs: Annotated[tuple[str, ...], Meta(max_length=50)] = ()
    exclude_repos: Annotated[tuple[str, ...], Meta(max_length=50)] = ()
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


@cache
def option_json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of an option, without the null of an optional one; enums have no `type`."""
    schema = msgspec.json.schema(OPTIONS[name])
    if "anyOf" in schema:
        schema = next(variant for variant in schema["anyOf"] if variant.get("type") != "null")
    return schema


@cache
def allowed_values(name: str) -> tuple[str, ...]:
    """Return the allowed values of an option, or one phrase that describes an open set."""
    hint = OPTIONS[name]
    member = get_args(hint)[0] if get_origin(hint) is tuple else hint
    if isinstance(member, type) and issubclass(member, StrEnum):
        return tuple(_PALETTE_NAMES if member is Theme else (value.value for value in member))
    if hint is bool:
        return ("true", "false")
    schema = option_json_schema(name)
    if "minimum" in schema:
        return (f"{schema['minimum']} to {schema['maximum']}",)
    if "maxLength" in schema:
        return (f"at most {schema['maxLength']} characters",)
    if "maxItems" in schema:
        return (f"names separated by commas, at most {schema['maxItems']}",)
    return (schema["description"],)


OPTIONS: dict[str, Any] = {
    field.encode_name: field.type for field in msgspec.structs.fields(BannerOptions)
}
"""The type of every option, by its public name."""

LIST_OPTIONS = {
    field.encode_name
    for field in msgspec.structs.fields(BannerOptions)
    if isinstance(field.default, tuple)
}
"""Names of the options that take several values."""

MAY_BE_EMPTY = {"include"}
"""Names of the options whose empty value differs from their default."""
