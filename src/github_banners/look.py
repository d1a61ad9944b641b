"""
How a banner shall look: every option, declared once.

A query, a JSON body and the command line all end here as a `Look`. Parsing refuses what an option
can't be and says what it may be; nothing here draws.
"""

import base64
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Self, get_args, get_origin

import msgspec
from msgspec import Meta

from github_banners.errors import InvalidOption, InvalidType

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


class Theme(StrEnum):
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


class Layout(StrEnum):
    """The arrangements of a banner."""

    CLASSIC = "classic"
    CARD = "card"
    COMPACT = "compact"
    LANGUAGES = "languages"


class Shape(StrEnum):
    """How the layout `languages` shows shares."""

    BAR = "bar"
    DONUT = "donut"


class CountBy(StrEnum):
    """What a language's share is a share of."""

    REPOSITORIES = "repositories"


class NumberFormat(StrEnum):
    """How large numbers are written."""

    SHORT = "short"
    LONG = "long"


class Locale(StrEnum):
    """The languages that the banner's own words are written in."""

    # That of an enum is Python, and a banner asks for its locale's words dozens of times.
    __hash__ = str.__hash__

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


class Field(StrEnum):
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


class Look(msgspec.Struct, frozen=True, omit_defaults=True, rename={"theme": "type"}):
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


_LOGIN = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*", re.ASCII | re.IGNORECASE)
_LOGIN_MAX_CHARACTERS = 39
_ALIASES = {"theme": "type"}
_INVISIBLE_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
_MOST_CHARACTERS = 1024


def parse_login(given: object, *, field: str = "username") -> str:
    """
    Take a login as GitHub allows it, in the case it was given in.

    Letters, digits and single inner hyphens, at most 39; managed users have one underscore.
    https://docs.github.com/en/enterprise-cloud@latest/admin/identity-and-access-management/iam-configuration-reference/username-considerations-for-external-authentication

    :raises InvalidOption: GitHub can't have such a login
    """
    if (
        isinstance(given, str)
        and len(given) <= _LOGIN_MAX_CHARACTERS
        and _LOGIN.fullmatch(given) is not None
    ):
        return given
    allowed = ("a GitHub login: up to 39 letters, digits and single inner hyphens",)
    raise InvalidOption(field, _shown(given), allowed)


def parse_look(wishes: Mapping[str, Any]) -> Look:
    """
    Read every option out of a query or a body; names in any case, unknown ones ignored.

    :raises InvalidType: there is no such type
    :raises InvalidOption: another option can't be what it is said to be
    """
    chosen = {name: _convert(name, value) for name, value in _options(wishes).items()}
    return msgspec.convert(chosen, Look)


def salvage_look(wishes: Mapping[str, Any]) -> Look:
    """Read what is right of a wish, and leave the rest as it is where nobody wishes."""
    chosen = {}
    for name, value in _options(wishes).items():
        with suppress(InvalidOption, InvalidType):
            chosen[name] = _convert(name, value)
    return msgspec.convert(chosen, Look)


def _options(wishes: Mapping[str, Any]) -> dict[str, Any]:
    """Choose what are options, by their names in lower case."""
    given = {name.lower(): value for name, value in wishes.items()}
    for alias, name in _ALIASES.items():
        if alias in given:
            given.setdefault(name, given[alias])
    return {name: given[name] for name in OPTIONS if name in given}


def canonical(look: Look) -> bytes:
    """Write a look as JSON that holds only what differs from the defaults, sorted by name."""
    return msgspec.json.encode(look, order="sorted")


def permanent_names(login: str, look: Look, *, owner_id: int) -> tuple[str, str]:
    """
    Name a banner for ever: the name to try first, and the one to take if that belongs to another.

    The second has the owner's GitHub id in its digest, so no two owners can share it.
    """
    stem = f"{login}-{look.theme}".lower()
    wish = canonical(look)
    first = stem if look == Look(theme=look.theme) else f"{stem}-{_digest(wish)}"
    return first, f"{stem}-{_digest(wish + b'#%d' % owner_id)}"


@cache
def allowed_values(name: str) -> tuple[str, ...]:
    """Say what an option may be: its values, or one phrase for an open set."""
    hint = OPTIONS[name]
    member = get_args(hint)[0] if get_origin(hint) is tuple else hint
    if isinstance(member, type) and issubclass(member, StrEnum):
        return tuple(_TYPES if member is Theme else (value.value for value in member))
    if hint is bool:
        return ("true", "false")
    description = msgspec.json.schema(hint)
    if "anyOf" in description:
        description = next(one for one in description["anyOf"] if one.get("type") != "null")
    if "minimum" in description:
        return (f"{description['minimum']} to {description['maximum']}",)
    if "maxLength" in description:
        return (f"at most {description['maxLength']} characters",)
    if "maxItems" in description:
        return (f"names separated by commas, at most {description['maxItems']}",)
    return (description["description"],)


def _convert(name: str, given: object) -> Any:
    hint = OPTIONS[name]
    try:
        return msgspec.convert(_prepare(hint, given), hint, strict=False)
    except (msgspec.ValidationError, TypeError, UnicodeError):
        error = InvalidType if name == "type" else InvalidOption
        raise error(name, _shown(given), allowed_values(name)) from None


def _prepare(hint: object, given: object) -> object:
    """Bring a value into its one spelling: case, order, repetition, digits of a colour."""
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if get_origin(bare) is tuple:
        return _prepare_list(given)
    if not isinstance(given, str):
        return _only_scalar(given)
    _bound(len(given))
    if hint == OPTIONS["title"]:
        return _visible(given) or None
    flat = given.strip().lower()
    if hint == OPTIONS["bg_color"]:
        return _full_colour(flat.removeprefix("#"))
    if hint in {OPTIONS["radius"], OPTIONS["langs_count"]} and not flat.isdecimal():
        raise TypeError
    # An empty value or the word "null" must not become the option's own None.
    return flat if flat not in {"", "null"} else "?"


def _prepare_list(given: object) -> list[str]:
    if isinstance(given, str):
        given = given.split(",")
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise TypeError
    _bound(sum(map(len, given)))
    # Lower case can undo the composition of letters and marks.
    words = {unicodedata.normalize("NFC", _visible(one).lower()) for one in given}
    return sorted(words - {""})


def _bound(characters: int) -> None:
    """Refuse long texts first: to bring 60,000 combining marks into order takes seconds."""
    if characters > _MOST_CHARACTERS:
        raise TypeError


def _only_scalar(given: object) -> object:
    if isinstance(given, bool | int):
        return given
    raise TypeError


def _visible(text: str) -> str:
    return unicodedata.normalize("NFC", "".join(filter(_is_visible, text))).strip()


def _is_visible(character: str) -> bool:
    """
    Tell what may stand in a text.

    What Unicode has not assigned yet may, so that a newer Python gives no banner another name.
    """
    code = ord(character)
    is_noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return not is_noncharacter and unicodedata.category(character) not in _INVISIBLE_CATEGORIES


def _full_colour(digits: str) -> str:
    """Write a hex colour with 6 digits, or 8 where it is translucent."""
    if len(digits) in {3, 4}:
        digits = "".join(digit * 2 for digit in digits)
    return digits[:6] if len(digits) == 8 and digits.endswith("ff") else digits


def _digest(wish: bytes) -> str:
    return base64.b32encode(hashlib.sha256(wish).digest())[:8].decode().lower()


def _shown(given: object) -> str:
    try:
        return "" if given is None else str(given)[:64]
    except (ValueError, RecursionError):  # thousands of digits or of nested lists
        return type(given).__name__


OPTIONS: dict[str, Any] = {field.encode_name: field.type for field in msgspec.structs.fields(Look)}
"""The name and the type of every option, as the outside writes them."""
