"""The words of the builder page: its languages, their choice by `Accept-Language`, their files."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, TypeAlias

from github_banners.drawing.locales import LOCALES, is_right_to_left, native_name
from github_banners.options import allowed_values
from github_banners.options.aliases import locale_from_tag

Words: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Texts by table and key: `page`, `live`, `options`, and `values` with a table for each option."""

_LOCALES = ("en", "de", "es", "fr", "pt-br", "ja", "zh-cn", "ar")
_MAX_LANGUAGES = 20


@dataclass(frozen=True, slots=True)
class PageLanguage:
    """A language of the page; `tag` is its BCP 47 tag, `name` its own name for itself."""

    locale: str
    name: str

    @property
    def tag(self) -> str:
        """The language tag for `lang` and `hreflang`."""
        language, _, region = self.locale.partition("-")
        return f"{language}-{region.upper()}" if region else language

    @property
    def direction(self) -> str:
        """The reading direction, `ltr` or `rtl`."""
        return "rtl" if is_right_to_left(self.locale) else "ltr"


@cache
def languages() -> tuple[PageLanguage, ...]:
    """Return the languages of the page; English, the default, is the first."""
    return tuple(PageLanguage(locale, native_name(locale)) for locale in _LOCALES)


@cache
def read_words(locale: str) -> Words:
    """Return the words of a language of the page."""
    file = files("github_banners.drawing.locales") / "page" / f"{locale}.toml"
    return MappingProxyType(tomllib.loads(file.read_text(encoding="utf-8")))


def negotiate_language(chosen: str, accept_language: str) -> PageLanguage:
    """Return the language that was chosen, else the first of `Accept-Language` that the page has."""
    by_locale = {language.locale: language for language in languages()}
    for tag in (chosen, *_by_preference(accept_language)):
        locale = locale_from_tag(tag.strip().lower(), allowed_values("locale"))
        if locale in by_locale:
            return by_locale[locale]
    return languages()[0]


def _by_preference(accept_language: str) -> Iterable[str]:
    """Return the tags of `Accept-Language`, the preferred first (RFC 9110, 12.5.4)."""
    weighted = []
    for entry in accept_language.split(",")[:_MAX_LANGUAGES]:
        tag, _, parameter = entry.partition(";")
        try:
            weight = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if weight > 0:
            weighted.append((weight, tag))
    return [tag for _, tag in sorted(weighted, key=lambda pair: pair[0], reverse=True)]


def value_label(option: str, value: str, words: Words) -> str:
    """Return the word for a value of an option, the value itself if there is none."""
    if option == "locale" and value in LOCALES:
        return native_name(value)
    label: str = words["values"].get(option, {}).get(value, value)
    return label
