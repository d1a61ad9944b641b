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
from github_banners.look.aliases import locale_from_tag, name_misspelt_options, theme_from_alias
from github_banners.look.names import quoted
from github_banners.look.options import LISTS, OPTIONS, Locale, Look, Theme, allowed_values, schema

_ALIASES = {"theme": "type"}
OPTION_NAMES = (*OPTIONS, *_ALIASES)
"""Every name of an option, in lower case."""

_REQUEST_NAMES = (*OPTION_NAMES, "username", "format")

_INVISIBLE_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
_MOST_FIELDS, _MOST_CHARACTERS, _MOST_SHOWN = 100, 1024, 64

# An address writes a space as a plus sign, and C++ is often written as it is.
_PLUS_PLUS = re.compile(r"(?<=\S)  $")
# What is left of an ampersand that was written as HTML wants it, once the address is divided at `&`:
# `&amp;type=dark`, `&#38;type=dark`, `&#x26;type=dark`, or escaped twice.
_ESCAPED_AMPERSANDS = re.compile(r"^(?:amp;|#0*38;|#x0*26;)+", re.IGNORECASE)
# What people write that is far from what they mean.
_OTHER_WORDS = {"type": {"light": "default", "white": "default", "black": "dark"}}
_TRUE, _FALSE = {"yes", "on", "y", "t", "enabled"}, {"no", "off", "n", "f", "none", "disabled"}


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
        name = fold_name(spelled)
        given[name] = f"{given[name]},{value}" if name in LISTS and name in given else value
    return given


def fold_name(spelled: str) -> str:
    """Fold the name of an option in an address: its case, and an ampersand that was escaped."""
    return _ESCAPED_AMPERSANDS.sub("", spelled.strip()).lower()


def misspelt_options(raw_options: Mapping[str, Any]) -> dict[str, str]:
    """Return the names that are no option's but close to one, with the option that was meant."""
    return name_misspelt_options(map(str.lower, raw_options), _REQUEST_NAMES)


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
    """Choose what are options, by their names in lower case; an empty value leaves the default."""
    given = {name.lower(): value for name, value in wishes.items() if not _is_empty(value)}
    for alias, name in _ALIASES.items():
        if alias in given:
            given.setdefault(name, given[alias])
    return {name: given[name] for name in OPTIONS if name in given}


def _is_empty(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


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
        return quoted(next(wrong, given))
    return quoted(given)


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
    return [one for one in re.split(r"[\s,;+|\[\]\"']+", given.lower()) if one]


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
    if hint in {Theme, Locale}:
        from_alias = theme_from_alias if hint is Theme else locale_from_tag
        flat = from_alias(flat, allowed_values("type" if hint is Theme else "locale"))
    # The word "null" must not become the option's own None.
    return flat if flat != "null" else "?"


def _whole(digits: str) -> int:
    if not (digits.isascii() and digits.isdecimal()):
        raise TypeError
    return int(digits.lstrip("0")[:9] or "0")


def _prepare_list(given: object) -> list[str]:
    if isinstance(given, str):
        given = [_PLUS_PLUS.sub("++", word.strip("\"'")) for word in _without_brackets(given)]
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise TypeError
    _bound(sum(map(len, given)))
    # Lower case can undo the composition of letters and marks.
    words = {unicodedata.normalize("NFC", _visible(one).lower()) for one in given}
    return sorted(words - {""})


def _without_brackets(given: str) -> list[str]:
    """Divide a list at its commas; `["a", "b"]` as well, which is how programs write it."""
    flat = given.strip()
    if flat.startswith("[") and flat.endswith("]"):
        return [word.strip() for word in flat[1:-1].split(",")]
    return given.split(",")


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
