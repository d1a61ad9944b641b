"""The words of the builder page: complete in every language, chosen by `Accept-Language`."""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import pytest

from github_banners.api.builder.words import (
    Words,
    languages,
    negotiate_language,
    read_words,
    value_label,
)
from github_banners.options import OPTIONS, allowed_values

LOCALES = [language.locale for language in languages()]


def texts(words: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text with its dotted key."""
    for key, value in words.items():
        if isinstance(value, str):
            yield f"{prefix}{key}", value
        else:
            yield from texts(value, f"{prefix}{key}.")


def placeholders(words: Words) -> dict[str, list[str]]:
    """Return the placeholders of every text, by its dotted key; a missing word has no key."""
    return {key: sorted(re.findall(r"\{\w+\}", text)) for key, text in texts(words)}


@pytest.mark.parametrize("locale", LOCALES)
def test_words_have_keys_and_placeholders_of_english(locale: str) -> None:
    assert placeholders(read_words(locale)) == placeholders(read_words("en"))
    assert all(text.strip() == text != "" for _, text in texts(read_words(locale)))


def test_words_compared_without_a_key_or_placeholder_differ() -> None:
    english = read_words("en")
    page = {name: text for name, text in english["page"].items() if name != "copy"}
    shorter = {**english, "page": page}
    changed = {**english, "live": {**english["live"], "alt": "GitHub work"}}
    assert placeholders(shorter) != placeholders(english) != placeholders(changed)


@pytest.mark.parametrize("locale", LOCALES)
def test_words_label_every_option_and_layout(locale: str) -> None:
    words = read_words(locale)
    assert {*words["options"], "layout"} == {*OPTIONS}
    assert {*words["values"]["layout"]} == {*allowed_values("layout")}
    for option, labels in words["values"].items():
        assert {*labels} <= {*allowed_values(option)}


def test_words_every_file_is_a_language_of_the_page() -> None:
    names = {file.name for file in (files("github_banners.drawing.locales") / "page").iterdir()}
    assert names == {f"{locale}.toml" for locale in LOCALES}
    assert LOCALES[0] == "en"


def test_languages_have_tags_names_and_directions() -> None:
    arabic = next(language for language in languages() if language.locale == "ar")
    assert (arabic.tag, arabic.name, arabic.direction) == ("ar", "العربية", "rtl")
    brazilian = next(language for language in languages() if language.locale == "pt-br")
    assert (brazilian.tag, brazilian.direction) == ("pt-BR", "ltr")
    assert brazilian.name == "Português (Brasil)"


@pytest.mark.parametrize(
    ("accept_language", "locale"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,en;q=0.5", "de"),
        ("en;q=0.3, fr;q=0.9, de;q=0.4", "fr"),
        ("fr;q=0, es", "es"),
        ("pt", "pt-br"),
        ("pt-PT", "pt-br"),
        ("PT-BR", "pt-br"),
        ("zh-Hans-CN", "zh-cn"),
        ("zh", "zh-cn"),
        # Traditional Chinese is no language of the page, and is not replaced by the simplified.
        ("zh-TW", "en"),
        ("zh-TW,ja;q=0.5", "ja"),
        # Languages of banners only.
        ("it, es;q=0.1", "es"),
        ("ar-EG", "ar"),
        ("*", "en"),
        ("tlh,*;q=0.5", "en"),
        (";;q=x,,de;q=nonsense,es;q=0.1", "es"),
        ("de;q=0.9;level=1, es;q=0.5", "es"),
        ("fr;q=nan", "en"),
        ("x" * 9000, "en"),
        (",".join(["it"] * 5000) + ",de", "en"),
    ],
)
def test_negotiate_language_takes_preferred_language(accept_language: str, locale: str) -> None:
    assert negotiate_language("", accept_language).locale == locale


@pytest.mark.parametrize(
    ("chosen", "locale"),
    [("ja", "ja"), ("JA", "ja"), ("pt", "pt-br"), ("it", "de"), ("nonsense\0", "de"), ("", "de")],
)
def test_negotiate_language_choice_comes_before_header(chosen: str, locale: str) -> None:
    assert negotiate_language(chosen, "de").locale == locale


def test_value_label_without_word_is_the_value() -> None:
    words = read_words("en")
    assert value_label("type", "dark", words) == "dark"
    assert value_label("hide", "login", words) == "user name"
    assert value_label("locale", "de", words) == "Deutsch"
    assert value_label("locale", "klingon", words) == "klingon"
