"""Every option, declared once: its name, what it may be, its default; and the canonical form."""

from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Self, get_args, get_origin

import msgspec
from msgspec import Meta

# A light theme and the dark ones that go with it; the light one itself means the first of them.
_FAMILIES = """
default dark dimmed
contrast-light contrast-dark
safe-light safe-dark
paper ink
tide tide-night
iris iris-night
ember ember-night
moss moss-night
dracula-light dracula
nord-light nord
gruvbox-light gruvbox
tokyo-day tokyo-night
catppuccin-latte catppuccin-mocha catppuccin-frappe catppuccin-macchiato
solarized-light solarized-dark
rose-pine-dawn rose-pine
one-light one-dark
"""


def _name_types() -> dict[str, tuple[str, ...]]:
    """Name every type, with its one palette or its light and its dark one."""
    families = [row.split() for row in _FAMILIES.strip().splitlines()]
    single = {name: (name,) for family in families for name in family}
    pairs = {
        f"auto-{name}": (light, darks[0] if name == light else name)
        for light, *darks in families
        for name in (*darks, light)
    }
    return {"auto": pairs["auto-default"], **single, **pairs}


_TYPES = _name_types()


def _first_names() -> dict[str, str]:
    """Fold the names of the same palettes into the first: the dark theme's, for a pair."""
    first: dict[tuple[str, ...], str] = {}
    return {name: first.setdefault(palettes, name) for name, palettes in _TYPES.items()}


class _Choice(StrEnum):
    """The values of an option; hashed as text, since the hash of an enum is slow Python."""

    __hash__ = str.__hash__


class Theme(_Choice):
    """The banner types: a palette each, or a light and a dark one as `auto-NAME`."""

    DEFAULT = "default"
    DARK = "dark"
    AUTO = "auto"
    # All others come from the rows: https://docs.python.org/3/howto/enum.html#timeperiod
    vars().update(_first_names())

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        """Know the second name of a pair, wherever a theme is read: in a wish or in a message."""
        return cls[value] if isinstance(value, str) and value in _TYPES else None

    @property
    def palettes(self) -> tuple[str, ...]:
        """Name the palette, or the light and the dark one of a pair."""
        return _TYPES[self]


class Layout(_Choice):
    """The arrangements of a banner."""

    CLASSIC = "classic"
    CARD = "card"
    COMPACT = "compact"
    LANGUAGES = "languages"


class Shape(_Choice):
    """How the layout `languages` shows shares."""

    BAR = "bar"
    DONUT = "donut"


class CountBy(_Choice):
    """What a language's share is a share of."""

    REPOSITORIES = "repositories"


class NumberFormat(_Choice):
    """How large numbers are written."""

    SHORT = "short"
    LONG = "long"


class Locale(_Choice):
    """The languages that the banner's own words are written in."""

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


class Field(_Choice):
    """The parts of a banner that can be hidden."""

    FORKS = "forks"
    LANGUAGES = "languages"
    LOGIN = "login"
    REPOSITORIES = "repositories"
    STARS = "stars"


Colour = Annotated[
    str,
    Meta(
        pattern="^(?:[0-9a-f]{3}|[0-9a-f]{4}|[0-9a-f]{6}|[0-9a-f]{8})$",
        description="a hex colour of 3, 4, 6 or 8 digits",
    ),
]


class Look(
    msgspec.Struct, frozen=True, omit_defaults=True, rename={"theme": "type"}, cache_hash=True
):
    """Every wish about a banner's look; a value of None leaves it to the layout or the theme."""

    theme: Theme = Theme.DEFAULT
    layout: Layout = Layout.CLASSIC
    shape: Shape = Shape.BAR
    count_by: CountBy = CountBy.REPOSITORIES
    hide: tuple[Field, ...] = ()
    hide_langs: Annotated[tuple[str, ...], Meta(max_length=50)] = ()
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


def canonical(look: Look) -> bytes:
    """Write a look as JSON that holds only what differs from the defaults, sorted by name."""
    return msgspec.json.encode(look, order="sorted")


@cache
def schema(name: str) -> dict[str, Any]:
    """Describe an option as JSON Schema does."""
    description = msgspec.json.schema(OPTIONS[name])
    if "anyOf" in description:
        description = next(one for one in description["anyOf"] if one.get("type") != "null")
    return description


@cache
def allowed_values(name: str) -> tuple[str, ...]:
    """Say what an option may be: its values, or one phrase for an open set."""
    hint = OPTIONS[name]
    member = get_args(hint)[0] if get_origin(hint) is tuple else hint
    if isinstance(member, type) and issubclass(member, StrEnum):
        return tuple(_TYPES if member is Theme else (value.value for value in member))
    if hint is bool:
        return ("true", "false")
    description = schema(name)
    if "minimum" in description:
        return (f"{description['minimum']} to {description['maximum']}",)
    if "maxLength" in description:
        return (f"at most {description['maxLength']} characters",)
    if "maxItems" in description:
        return (f"names separated by commas, at most {description['maxItems']}",)
    return (description["description"],)


OPTIONS: dict[str, Any] = {field.encode_name: field.type for field in msgspec.structs.fields(Look)}
"""The name and the type of every option, as the outside writes them."""

LISTS = {field.encode_name for field in msgspec.structs.fields(Look) if field.default == ()}
"""The options that may have several values."""
