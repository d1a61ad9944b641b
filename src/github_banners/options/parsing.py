"""
Parse what requests contain: banner options, logins, and names of permanent banners.

Raw option values come from queries, request bodies and command lines. They are normalised first (case,
order, aliases) and then converted and validated by msgspec. Errors name the option, the invalid value
and the allowed ones.
"""

import base64
import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from github_banners.errors import InvalidInput, InvalidOption, InvalidType, closest_match
from github_banners.logins import LOGIN, LOGIN_CHARACTERS
from github_banners.options.aliases import locale_from_tag, suggest_option_names, theme_from_alias
from github_banners.options.css_colours import expand_hex
from github_banners.options.schema import (
    MAX_SHOWN_NUMBERS,
    BannerOptions,
    Colour,
    Layout,
    Locale,
    Theme,
    options_digest,
)
from github_banners.options.values import (
    LIST_OPTIONS,
    MAY_BE_EMPTY,
    OPTIONS,
    allowed_values,
    option_json_schema,
)

_NAME_BY_ALIAS = {"theme": "type"}
OPTION_NAMES = (*OPTIONS, *_NAME_BY_ALIAS)
"""All option names and their aliases, in lower case."""

_REQUEST_NAMES = (*OPTION_NAMES, "username", "format")

_INVISIBLE_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
_MAX_FIELDS, _MAX_CHARACTERS, _MAX_COMPARED = 100, 1024, 64

# In a query a plus sign stands for a space, but `C++` is often left unescaped: restore its signs.
_PLUS_PLUS = re.compile(r"(?<=\S)  $")
# What remains of an HTML-escaped ampersand after the query has been split at `&`:
# `&amp;type=dark`, `&#38;type=dark`, `&#x26;type=dark`, or escaped twice.
_ESCAPED_AMPERSANDS = re.compile(r"^(?:amp;|#0*38;|#x0*26;)+", re.IGNORECASE)
# Common values that are spelled too differently from the right one for a suggestion.
_SYNONYMS = {"type": {"light": "default", "white": "default", "black": "dark"}}
_TRUE, _FALSE = {"yes", "on", "y", "t", "enabled"}, {"no", "off", "n", "f", "none", "disabled"}

_MAX_NAME_CHARACTERS = 128
_MAX_QUOTED_CHARACTERS = 64
_NAME = re.compile(f"[{LOGIN_CHARACTERS}]{{1,{_MAX_NAME_CHARACTERS}}}")
_ALLOWED_LOGIN = ("a GitHub login: up to 39 letters, digits, hyphens and underscores",)


def parse_query(query: str | bytes) -> dict[str, str]:
    """
    Parse a URL query into options by folded name; the last of repeated ones wins, lists are joined.

    Bytes that are not UTF-8 become replacement characters.

    :raises ValueError: the query has too many options; the message holds the limit
    """
    if isinstance(query, bytes):
        query = query.decode(errors="replace")
    raw_options: dict[str, str] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise ValueError(f"at most {_MAX_FIELDS} options") from None
    for raw_name, value in pairs:
        name = fold_name(raw_name)
        is_repeated_list = name in LIST_OPTIONS and name in raw_options
        raw_options[name] = f"{raw_options[name]},{value}" if is_repeated_list else value
    return raw_options


def fold_name(raw_name: str) -> str:
    """Return an option name of a URL query in lower case, without an escaped ampersand before it."""
    return _ESCAPED_AMPERSANDS.sub("", raw_name.strip()).lower()


def find_misspelt_options(raw_options: Mapping[str, Any]) -> dict[str, str]:
    """Map unknown option names to the known name that each was probably meant to be."""
    return suggest_option_names(map(str.lower, raw_options), _REQUEST_NAMES)


def parse_options(raw_options: Mapping[str, Any]) -> BannerOptions:
    """
    Parse the options of a query or a request body; names in any case, unknown names ignored.

    :raises InvalidType: the banner type does not exist
    :raises InvalidOption: another option has an invalid value
    """
    try:
        values = {
            name: _parse_option(name, value) for name, value in _select_options(raw_options).items()
        }
    except InvalidInput as error:
        error.written_field = _written_name(error.field, raw_options)
        raise
    options = msgspec.convert(values, BannerOptions)
    if (problem := _find_conflict(options)) is not None:
        raise problem
    return options


def parse_options_leniently(raw_options: Mapping[str, Any]) -> BannerOptions:
    """Parse the valid options and use the defaults for the invalid ones."""
    values = {}
    for name, value in _select_options(raw_options).items():
        with suppress(InvalidOption, InvalidType):
            values[name] = _parse_option(name, value)
    options = msgspec.convert(values, BannerOptions)
    if len(options.show) > (limit := MAX_SHOWN_NUMBERS.get(options.layout, len(options.show))):
        options = msgspec.structs.replace(options, show=options.show[:limit])
    return options


def _find_conflict(options: BannerOptions) -> InvalidOption | None:
    """Return the error of an option that is invalid in the banner's layout."""
    limit = MAX_SHOWN_NUMBERS.get(options.layout)
    if limit is not None and len(options.show) > limit:
        shown = ",".join(options.show)
        suggestion = ",".join(options.show[:limit])
        allowed = (f"at most {limit} names in the layout {options.layout}",)
        return InvalidOption("show", shown, allowed, find_suggestion=lambda: suggestion)
    if options.layout is Layout.REPOSITORY and options.repo is None:
        return InvalidOption("repo", "", allowed_values("repo"))
    return None


def normalise_names(raw_options: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return options by canonical name, in lower case; a name comes before its alias.

    Empty values mean the default and are left out, except those of `MAY_BE_EMPTY`.
    """
    options = {
        name.lower(): value
        for name, value in raw_options.items()
        if name.lower() in MAY_BE_EMPTY or not (isinstance(value, str) and not value.strip())
    }
    for alias, name in _NAME_BY_ALIAS.items():
        if alias in options:
            options.setdefault(name, options.pop(alias))
    return options


def _written_name(name: str, raw_options: Mapping[str, Any]) -> str:
    """Return the alias under which an option was given; a name comes before its alias."""
    own = {key: value for key, value in raw_options.items() if key.lower() == name}
    aliases = (alias for alias, target in _NAME_BY_ALIAS.items() if target == name)
    return name if normalise_names(own) else next(aliases, name)


def canonical_option_name(name: str) -> str:
    """Return the name that an option's alias stands for, else the name itself."""
    return _NAME_BY_ALIAS.get(name, name)


def _select_options(raw_options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known options by name, in the order of `OPTIONS`."""
    options = normalise_names(raw_options)
    return {name: options[name] for name in OPTIONS if name in options}


def _parse_option(name: str, raw: object) -> Any:
    hint = OPTIONS[name]
    try:
        return msgspec.convert(_normalise(name, raw), hint, strict=False)
    except (msgspec.ValidationError, TypeError, UnicodeError):
        error = InvalidType if name == "type" else InvalidOption
        # A lazy suggestion: comparing with 70 types takes time, and most callers never show it.
        find_suggestion = partial(_suggestion, name, raw)
        raise error(
            name, _offending_value(name, raw), allowed_values(name), find_suggestion=find_suggestion
        ) from None


def _offending_value(name: str, raw: object) -> str:
    """Return the invalid value as text; for a list the first invalid member."""
    raw = _as_csv(raw)
    if _is_closed_list(name) and isinstance(raw, str):
        invalid = (value for value in split_list(raw) if value not in allowed_values(name))
        return to_display_text(next(invalid, raw))
    return to_display_text(raw)


def _suggestion(name: str, raw: object) -> str | None:
    """Return a valid value close to an invalid one, None if there is none; for a list, a whole list."""
    raw = _as_csv(raw)
    if not isinstance(raw, str | int):
        return None
    if _is_closed_list(name):
        values = [*dict.fromkeys(split_list(str(raw)[:_MAX_CHARACTERS]))][:_MAX_COMPARED]
        matches = [closest_match(value[:_MAX_COMPARED], allowed_values(name)) for value in values]
        known = _in_canonical_order(name, [match for match in matches if match is not None])
        return ",".join(known) or None if None not in matches else None
    normalised = str(raw)[:_MAX_COMPARED].strip().lower()
    if "minimum" in option_json_schema(name):
        bounds = option_json_schema(name)["minimum"], option_json_schema(name)["maximum"]
        is_whole = re.fullmatch(r"-?[0-9]+", normalised) is not None
        return str(min(max(int(normalised), bounds[0]), bounds[1])) if is_whole else None
    if OPTIONS[name] is bool and normalised in _TRUE | _FALSE:
        return "true" if normalised in _TRUE else "false"
    if not isinstance(OPTIONS[name], type):
        return None  # an open set, described by a phrase
    normalised = normalised.replace("_", "-")
    return _SYNONYMS.get(name, {}).get(normalised) or closest_match(
        normalised, allowed_values(name)
    )


def _as_csv(raw: object) -> object:
    """Join a list of texts with commas, as it would be written in a URL."""
    is_list = isinstance(raw, list) and all(isinstance(member, str) for member in raw)
    return ",".join(raw) if is_list else raw  # type: ignore[arg-type]


def _is_closed_list(name: str) -> bool:
    hint = OPTIONS[name]
    return get_origin(hint) is tuple and issubclass(get_args(hint)[0], StrEnum)


def split_list(text: str) -> list[str]:
    """Split a list at every separator that people use by mistake."""
    return [value for value in re.split(r"[\s,;+|\[\]\"']+", text.lower()) if value]


def _normalise(name: str, raw: object) -> object:
    """
    Return the canonical spelling of a value: case, order and duplicates of lists, colour digits.

    :raises TypeError: the value has the wrong type or is too long
    """
    hint, kind = OPTIONS[name], option_json_schema(name).get("type")  # no type: an enumeration
    if kind == "array":
        values = _normalise_list(raw)
        if name == "exclude_repos":
            values = [text for value in values if (text := _repository_name(value))]
        return _in_canonical_order(name, values)
    if not isinstance(raw, str):
        return _require_scalar(raw)
    _check_length(len(raw))
    normalised = raw.strip().lower()
    if kind == "integer":
        return _parse_digits(normalised)
    if Colour in {hint, *get_args(hint)}:
        return expand_hex(normalised.removeprefix("#"))
    if kind == "string":
        text = _repository_name(normalised) if name == "repo" else raw
        return _strip_invisible(text) or None
    if hint is Theme:
        normalised = theme_from_alias(normalised, allowed_values("type"))
    if hint is Locale:
        normalised = locale_from_tag(normalised, allowed_values("locale"))
    # msgspec's lax mode would convert the text "null" to None.
    return normalised if normalised != "null" else "?"


def _repository_name(text: str) -> str:
    """Return the name of a repository that may be written as `owner/name`, or as a URL."""
    owner, _, name = text.rpartition("/")
    # The URL of a repository may end with a slash.
    name = name or owner.rpartition("/")[2] * ("/" in owner)
    return name.removesuffix(".git")


def _parse_digits(digits: str) -> int:
    if not (digits.isascii() and digits.isdecimal()):
        raise TypeError
    return int(digits.lstrip("0")[:9] or "0")


def _normalise_list(raw: object) -> list[str]:
    if isinstance(raw, str):
        raw = [_PLUS_PLUS.sub("++", value.strip("\"'")) for value in _split_at_commas(raw)]
    if not isinstance(raw, list) or not all(isinstance(value, str) for value in raw):
        raise TypeError
    _check_length(sum(map(len, raw)))
    # Normalised again after lower(), which can decompose a letter and its mark.
    values = [unicodedata.normalize("NFC", _strip_invisible(value).lower()) for value in raw]
    return [value for value in values if value]


def _in_canonical_order(name: str, values: list[str]) -> list[str]:
    """Return the members of a list once each, sorted; those of `show` stay in the banner's order."""
    return [*dict.fromkeys(values)] if name == "show" else sorted({*values})


def _split_at_commas(text: str) -> list[str]:
    """Split a list at its commas; also one written as JSON or Python does, `["a", "b"]`."""
    stripped = text.strip()
    if stripped.startswith("[") and stripped.endswith("]"):
        return [value.strip() for value in stripped[1:-1].split(",")]
    return text.split(",")


def _check_length(length: int) -> None:
    """Reject long texts before normalisation: NFC of 60,000 combining marks takes seconds."""
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
    Return True if a character may appear in a text.

    Unassigned code points are allowed: a newer Python with a newer Unicode version would otherwise
    change the digest in a banner's name.
    """
    code = ord(character)
    is_noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return not is_noncharacter and unicodedata.category(character) not in _INVISIBLE_CATEGORIES


def parse_login(value: object, *, field: str = "username") -> str:
    """
    Validate a login and return it unchanged, upper and lower case included.

    :raises InvalidOption: GitHub can have no such login
    """
    if isinstance(value, str) and LOGIN.fullmatch(value):
        return value
    raise InvalidOption(field, to_display_text(value), _ALLOWED_LOGIN)


def parse_banner_name(text: str) -> str | None:
    """Return the name of a permanent banner in lower case, None if it is not a valid name."""
    return text.lower() if _NAME.fullmatch(text) else None


def candidate_banner_names(login: str, options: BannerOptions, *, owner_id: int) -> tuple[str, str]:
    """
    Return two names for a new permanent banner: the preferred one, and one for when it is taken.

    A banner with no option but its type is called `LOGIN-TYPE`, unless that could also be the name
    of a shorter login's banner: `torvalds-auto` with `nord` equals `torvalds` with `auto-nord`. All
    other names end with a digest of the options. The digest of the second name covers the owner's
    GitHub id too, so no two owners share it.
    """
    prefix = f"{login}-{options.theme}".lower()
    has_type_only = options == BannerOptions(theme=options.theme)
    if has_type_only and not _is_name_of_shorter_login(prefix, login):
        preferred = prefix
    else:
        preferred = f"{prefix}-{_to_suffix(options_digest(options))}"
    with_owner = options_digest(options, salt=b"#%d" % owner_id)
    return preferred, f"{prefix}-{_to_suffix(with_owner)}"


def to_display_text(value: object) -> str:
    """Return a value as text for a message, truncated with an ellipsis if it is long."""
    try:
        text = "" if value is None else str(value)
    except (ValueError, RecursionError):  # thousands of digits, or of nested lists
        return type(value).__name__
    is_short = len(text) <= _MAX_QUOTED_CHARACTERS
    return text if is_short else f"{text[: _MAX_QUOTED_CHARACTERS - 1]}…"


def _is_name_of_shorter_login(name: str, login: str) -> bool:
    hyphens = (index for index in range(1, len(login)) if name[index] == "-")
    return any(name[index + 1 :] in allowed_values("type") for index in hyphens)


def _to_suffix(digest: bytes) -> str:
    return base64.b32encode(digest)[:8].decode().lower()
