"""
Reading wishes: what a query, a body or a command says becomes a `Look`, or an error that helps.

A value is brought into its one spelling before it is looked at.
"""

import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from github_banners.errors import InvalidOption, InvalidType, nearest
from github_banners.look.options import LISTS, OPTIONS, Look, allowed_values, schema

_LOGIN = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*", re.ASCII | re.IGNORECASE)
_LOGIN_MAX_CHARACTERS = 39
_ALIASES = {"theme": "type"}
OPTION_NAMES = (*OPTIONS, *_ALIASES)
"""Every name of an option, in lower case."""

_INVISIBLE_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
_MOST_FIELDS, _MOST_CHARACTERS, _MOST_SHOWN = 100, 1024, 64

# An address writes a space as a plus sign, and C++ is often written as it is.
_PLUS_PLUS = re.compile(r"(?<=\S)  $")
# What people write that is far from what they mean.
_OTHER_WORDS = {
    "type": {"light": "default", "white": "default", "black": "dark"},
    "locale": {
        **dict.fromkeys(("zh-hans", "zh-sg"), "zh-cn"),
        **dict.fromkeys(("zh-hant", "zh-hk", "zh-mo"), "zh-tw"),
        "iw": "he",
    },
}
_TRUE, _FALSE = {"yes", "on", "y", "t", "enabled"}, {"no", "off", "n", "f", "none", "disabled"}


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


def read_query(query: str) -> dict[str, str]:
    """
    Read the query of an address; of a name given twice the last one counts, lists are joined.

    :raises ValueError: there are more options than anybody needs; says how many there may be
    """
    given: dict[str, str] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise ValueError(f"at most {_MOST_FIELDS} options") from None
    for spelled, value in pairs:
        name = spelled.lower()
        given[name] = f"{given[name]},{value}" if name in LISTS and name in given else value
    return given


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


def _convert(name: str, given: object) -> Any:
    hint = OPTIONS[name]
    try:
        return msgspec.convert(_prepare(hint, given), hint, strict=False)
    except (msgspec.ValidationError, TypeError, UnicodeError):
        error = InvalidType if name == "type" else InvalidOption
        meant = partial(_nearest, name, given)
        raise error(name, _wrong(name, given), allowed_values(name), meant=meant) from None


def _wrong(name: str, given: object) -> str:
    """Name what is wrong: of a list the first value that can't be."""
    given = _joined(given)
    if _is_closed_list(name) and isinstance(given, str):
        wrong = (one for one in _words(given) if one not in allowed_values(name))
        return _shown(next(wrong, given))
    return _shown(given)


def _nearest(name: str, given: object) -> str | None:
    """Find what was probably meant; of a list all of it."""
    given = _joined(given)
    if not isinstance(given, str | int):
        return None
    if _is_closed_list(name):
        wanted = sorted(set(_words(str(given)[:_MOST_CHARACTERS])))[:_MOST_SHOWN]
        words = {nearest(one[:_MOST_SHOWN], allowed_values(name)) for one in wanted}
        return None if None in words else ",".join(sorted(one for one in words if one)) or None
    flat = str(given)[:_MOST_SHOWN].strip().lower()
    if "minimum" in schema(name):
        bounds = schema(name)["minimum"], schema(name)["maximum"]
        is_whole = re.fullmatch(r"-?[0-9]+", flat) is not None
        return str(min(max(int(flat), bounds[0]), bounds[1])) if is_whole else None
    if OPTIONS[name] is bool and flat in _TRUE | _FALSE:
        return "true" if flat in _TRUE else "false"
    if not isinstance(OPTIONS[name], type):
        return None  # what is described by a phrase
    flat = flat.replace("_", "-")
    return _OTHER_WORDS.get(name, {}).get(flat) or nearest(flat, allowed_values(name))


def _joined(given: object) -> object:
    """Take a list of texts for the text that it would be in an address."""
    is_list = isinstance(given, list) and all(isinstance(one, str) for one in given)
    return ",".join(given) if is_list else given  # type: ignore[arg-type]


def _is_closed_list(name: str) -> bool:
    hint = OPTIONS[name]
    return get_origin(hint) is tuple and issubclass(get_args(hint)[0], StrEnum)


def _words(given: str) -> list[str]:
    """Divide a list wherever somebody may have thought that it is divided."""
    return [one for one in re.split(r"[\s,;+|]+", given.lower()) if one]


def _prepare(hint: object, given: object) -> object:
    """Bring a value into its one spelling: case, order, repetition, digits of a colour."""
    if hint in map(OPTIONS.get, LISTS):
        return _prepare_list(given)
    if not isinstance(given, str):
        return _only_scalar(given)
    _bound(len(given))
    if hint == OPTIONS["title"]:
        return _visible(given) or None
    flat = given.strip().lower()
    if hint == OPTIONS["bg_color"]:
        return _full_colour(flat.removeprefix("#"))
    if hint in {OPTIONS["radius"], OPTIONS["langs_count"]}:
        return _whole(flat)
    # An empty value or the word "null" must not become the option's own None.
    return flat if flat not in {"", "null"} else "?"


def _whole(digits: str) -> int:
    if not (digits.isascii() and digits.isdecimal()):
        raise TypeError
    return int(digits.lstrip("0")[:9] or "0")


def _prepare_list(given: object) -> list[str]:
    if isinstance(given, str):
        given = [_PLUS_PLUS.sub("++", one) for one in given.split(",")]
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


def _shown(given: object) -> str:
    """Quote what was given; what is cut shows that it is."""
    try:
        text = "" if given is None else str(given)
    except (ValueError, RecursionError):  # thousands of digits or of nested lists
        return type(given).__name__
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"
