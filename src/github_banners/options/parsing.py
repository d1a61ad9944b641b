"""
Reading wishes: what a query, a body or a command says becomes a `BannerOptions`, or an error that helps.

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

from github_banners.errors import InvalidOption, InvalidType, closest_match
from github_banners.options.aliases import locale_from_tag, suggest_option_names, theme_from_alias
from github_banners.options.names import to_display_text
from github_banners.options.schema import (
    LIST_OPTIONS,
    OPTIONS,
    BannerOptions,
    Locale,
    Theme,
    allowed_values,
    option_json_schema,
)

_ALIASES = {"theme": "type"}
OPTION_NAMES = (*OPTIONS, *_ALIASES)
"""Every name of an option, in lower case."""

_REQUEST_NAMES = (*OPTION_NAMES, "username", "format")

_INVISIBLE_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
_MAX_FIELDS, _MAX_CHARACTERS, _MAX_COMPARED = 100, 1024, 64

# An address writes a space as a plus sign, and C++ is often written as it is.
_PLUS_PLUS = re.compile(r"(?<=\S)  $")
# What is left of an ampersand that was written as HTML wants it, once the address is divided at `&`:
# `&amp;type=dark`, `&#38;type=dark`, `&#x26;type=dark`, or escaped twice.
_ESCAPED_AMPERSANDS = re.compile(r"^(?:amp;|#0*38;|#x0*26;)+", re.IGNORECASE)
# What people write that is far from what they mean.
_SYNONYMS = {"type": {"light": "default", "white": "default", "black": "dark"}}
_TRUE, _FALSE = {"yes", "on", "y", "t", "enabled"}, {"no", "off", "n", "f", "none", "disabled"}


def parse_query(query: str) -> dict[str, str]:
    """
    Read the query of an address; of a name given twice the last one counts, lists are joined.

    :raises ValueError: there are more options than anybody needs; says how many there may be
    """
    given: dict[str, str] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise ValueError(f"at most {_MAX_FIELDS} options") from None
    for spelled, value in pairs:
        name = fold_name(spelled)
        given[name] = f"{given[name]},{value}" if name in LIST_OPTIONS and name in given else value
    return given


def fold_name(spelled: str) -> str:
    """Fold the name of an option in an address: its case, and an ampersand that was escaped."""
    return _ESCAPED_AMPERSANDS.sub("", spelled.strip()).lower()


def find_misspelt_options(raw_options: Mapping[str, Any]) -> dict[str, str]:
    """Return the names that are no option's but close to one, with the option that was meant."""
    return suggest_option_names(map(str.lower, raw_options), _REQUEST_NAMES)


def parse_options(raw_options: Mapping[str, Any]) -> BannerOptions:
    """
    Read every option out of a query or a body; names in any case, unknown ones ignored.

    :raises InvalidType: there is no such type
    :raises InvalidOption: another option can't be what it is said to be
    """
    chosen = {
        name: _parse_option(name, value) for name, value in _select_options(raw_options).items()
    }
    return msgspec.convert(chosen, BannerOptions)


def parse_options_leniently(raw_options: Mapping[str, Any]) -> BannerOptions:
    """Read what is right of a wish, and leave the rest as it is where nobody wishes."""
    chosen = {}
    for name, value in _select_options(raw_options).items():
        with suppress(InvalidOption, InvalidType):
            chosen[name] = _parse_option(name, value)
    return msgspec.convert(chosen, BannerOptions)


def _select_options(raw_options: Mapping[str, Any]) -> dict[str, Any]:
    """Choose what are options, by their names in lower case; an empty value leaves the default."""
    given = {name.lower(): value for name, value in raw_options.items() if not _is_empty(value)}
    for alias, name in _ALIASES.items():
        if alias in given:
            given.setdefault(name, given[alias])
    return {name: given[name] for name in OPTIONS if name in given}


def _is_empty(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def _parse_option(name: str, raw: object) -> Any:
    hint = OPTIONS[name]
    try:
        return msgspec.convert(_normalise(hint, raw), hint, strict=False)
    except (msgspec.ValidationError, TypeError, UnicodeError):
        error = InvalidType if name == "type" else InvalidOption
        meant = partial(_suggestion, name, raw)
        raise error(
            name, _offending_value(name, raw), allowed_values(name), find_suggestion=meant
        ) from None


def _offending_value(name: str, raw: object) -> str:
    """Name what is wrong: of a list the first value that can't be."""
    raw = _as_csv(raw)
    if _is_closed_list(name) and isinstance(raw, str):
        wrong = (one for one in _split_list(raw) if one not in allowed_values(name))
        return to_display_text(next(wrong, raw))
    return to_display_text(raw)


def _suggestion(name: str, raw: object) -> str | None:
    """Find what was probably meant; of a list all of it."""
    raw = _as_csv(raw)
    if not isinstance(raw, str | int):
        return None
    if _is_closed_list(name):
        wanted = sorted(set(_split_list(str(raw)[:_MAX_CHARACTERS])))[:_MAX_COMPARED]
        words = {closest_match(one[:_MAX_COMPARED], allowed_values(name)) for one in wanted}
        return None if None in words else ",".join(sorted(one for one in words if one)) or None
    flat = str(raw)[:_MAX_COMPARED].strip().lower()
    if "minimum" in option_json_schema(name):
        bounds = option_json_schema(name)["minimum"], option_json_schema(name)["maximum"]
        is_whole = re.fullmatch(r"-?[0-9]+", flat) is not None
        return str(min(max(int(flat), bounds[0]), bounds[1])) if is_whole else None
    if OPTIONS[name] is bool and flat in _TRUE | _FALSE:
        return "true" if flat in _TRUE else "false"
    if not isinstance(OPTIONS[name], type):
        return None  # what is described by a phrase
    flat = flat.replace("_", "-")
    return _SYNONYMS.get(name, {}).get(flat) or closest_match(flat, allowed_values(name))


def _as_csv(raw: object) -> object:
    """Take a list of texts for the text that it would be in an address."""
    is_list = isinstance(raw, list) and all(isinstance(one, str) for one in raw)
    return ",".join(raw) if is_list else raw  # type: ignore[arg-type]


def _is_closed_list(name: str) -> bool:
    hint = OPTIONS[name]
    return get_origin(hint) is tuple and issubclass(get_args(hint)[0], StrEnum)


def _split_list(text: str) -> list[str]:
    """Divide a list wherever somebody may have thought that it is divided."""
    return [one for one in re.split(r"[\s,;+|\[\]\"']+", text.lower()) if one]


def _normalise(hint: object, raw: object) -> object:
    """Bring a value into its one spelling: case, order, repetition, digits of a colour."""
    if hint in map(OPTIONS.get, LIST_OPTIONS):
        return _normalise_list(raw)
    if not isinstance(raw, str):
        return _require_scalar(raw)
    _check_length(len(raw))
    if hint == OPTIONS["title"]:
        return _strip_invisible(raw) or None
    flat = raw.strip().lower()
    if hint == OPTIONS["bg_color"]:
        return _expand_colour(flat.removeprefix("#"))
    if hint in {OPTIONS["radius"], OPTIONS["langs_count"]}:
        return _parse_digits(flat)
    if hint in {Theme, Locale}:
        from_alias = theme_from_alias if hint is Theme else locale_from_tag
        flat = from_alias(flat, allowed_values("type" if hint is Theme else "locale"))
    # The word "null" must not become the option's own None.
    return flat if flat != "null" else "?"


def _parse_digits(digits: str) -> int:
    if not (digits.isascii() and digits.isdecimal()):
        raise TypeError
    return int(digits.lstrip("0")[:9] or "0")


def _normalise_list(raw: object) -> list[str]:
    if isinstance(raw, str):
        raw = [_PLUS_PLUS.sub("++", word.strip("\"'")) for word in _split_at_commas(raw)]
    if not isinstance(raw, list) or not all(isinstance(one, str) for one in raw):
        raise TypeError
    _check_length(sum(map(len, raw)))
    # Lower case can undo the composition of letters and marks.
    words = {unicodedata.normalize("NFC", _strip_invisible(one).lower()) for one in raw}
    return sorted(words - {""})


def _split_at_commas(text: str) -> list[str]:
    """Divide a list at its commas; `["a", "b"]` as well, which is how programs write it."""
    flat = text.strip()
    if flat.startswith("[") and flat.endswith("]"):
        return [word.strip() for word in flat[1:-1].split(",")]
    return text.split(",")


def _check_length(length: int) -> None:
    """Refuse long texts first: to bring 60,000 combining marks into order takes seconds."""
    if length > _MAX_CHARACTERS:
        raise TypeError


def _require_scalar(raw: object) -> object:
    if isinstance(raw, bool | int):
        return raw
    raise TypeError


def _strip_invisible(text: str) -> str:
    return unicodedata.normalize("NFC", "".join(filter(_is_visible, text))).strip()


def _is_visible(character: str) -> bool:
    """
    Tell what may stand in a text.

    What Unicode has not assigned yet may, so that a newer Python gives no banner another name.
    """
    code = ord(character)
    is_noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return not is_noncharacter and unicodedata.category(character) not in _INVISIBLE_CATEGORIES


def _expand_colour(digits: str) -> str:
    """Write a hex colour with 6 digits, or 8 where it is translucent."""
    if len(digits) in {3, 4}:
        digits = "".join(digit * 2 for digit in digits)
    return digits[:6] if len(digits) == 8 and digits.endswith("ff") else digits
