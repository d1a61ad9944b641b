import re
import tomllib
import unicodedata
from collections.abc import Iterable
from datetime import date
from importlib.resources import files
from typing import Any

import msgspec
import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st

from github_banners.drawing.locales import (
    LOCALES,
    Noun,
    cldr,
    description,
    format_count,
    format_day,
    format_full_date,
    format_number,
    format_percent,
    format_short_count,
    format_wait,
    is_mirrored,
    is_right_to_left,
    language_description,
    load_translations,
    numerals,
    plural_noun,
    stale_label,
    translations,
)
from github_banners.drawing.text import width, wrap
from github_banners.models import Stats
from github_banners.options import OPTIONS, CountBy, allowed_values

NUMBERS = st.one_of(st.integers(0, 20_000), st.integers(0, 2**31), st.integers(0, 10**13))
CODES = st.sampled_from(LOCALES)
NOVEMBER = date(2026, 11, 20)
FILES = files("github_banners.drawing.locales") / "catalogs"
LATIN = {"en", "de", "fr", "es", "pt-br", "it", "nl", "pl", "tr"}


def raw(code: str) -> dict[str, Any]:
    return tomllib.loads((FILES / f"{code}.toml").read_text(encoding="utf-8"))


def texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value
    assert isinstance(parts, Iterable)
    return [text for part in parts for text in texts(part)]


STATS = Stats(150, 93, 57, 11_558, 1_635, {})


def describe(languages: list[str], code: str, *, empty_state: str = "") -> str:
    """Describe a banner with stars, forks and repositories."""
    nouns_and_numbers = (
        (Noun.STARS, STATS.total_stars),
        (Noun.FORKS, STATS.total_forks),
        (Noun.REPOSITORIES, STATS.total_repos),
    )
    numbers = [(noun, numerals(code)[number]) for noun, number in nouns_and_numbers]
    return description(numbers, STATS, languages, NOVEMBER, locale=code, empty_state=empty_state)


def parse_digits(text: str) -> int:
    """Parse the digits of a number in any script."""
    return int(
        "".join(str(unicodedata.digit(character)) for character in text if character.isdigit())
    )


def tenths_and_unit(text: str, number: int, code: str) -> tuple[int, int]:
    """Read a short number back as whole tenths of its unit."""
    unit = numerals(code)[number].unit_size
    symbol = Locale.parse(code, sep="-").number_symbols["arabext" if code == "fa" else "latn"]
    written, _, decimals = text.partition(symbol["decimal"])
    has_decimal = (
        unit > 1 and bool(decimals) and decimals[0].isdigit() and parse_digits(written) < 100
    )
    if not has_decimal:
        return parse_digits(text) * 10, unit
    return parse_digits(written) * 10 + parse_digits(decimals[0]), unit


def missing_texts(kind: Any, table: dict[str, Any], place: str = "") -> list[str]:
    """Return the path of every text that a catalog lacks."""
    if not isinstance(kind, type) or not issubclass(kind, msgspec.Struct):
        return [] if table else [place]
    return [
        path
        for field in msgspec.structs.fields(kind)
        if field.required
        for path in missing_texts(
            field.type, table.get(field.name, {}), f"{place}.{field.name}".lstrip(".")
        )
    ]


class TestCatalogs:
    def test_catalogs_every_locale_has_one(self):
        assert {path.name for path in FILES.iterdir()} == {f"{code}.toml" for code in LOCALES}
        assert len(LOCALES) == 19

    def test_catalogs_lack_no_text(self):
        missing = [
            f"{code}: {place}"
            for code in LOCALES
            for place in missing_texts(translations.Translations, raw(code))
        ]
        missing += [
            f"{code}: nouns.{kind}.{category}"
            for code in LOCALES
            for kind in Noun
            for category in cldr.plural_categories(code)
            if not raw(code)["nouns"].get(kind, {}).get(category)
        ]
        assert missing == []

    @pytest.mark.parametrize("code", LOCALES)
    def test_catalogs_have_no_unknown_plural_category(self, code):
        categories = cldr.plural_categories(code)
        assert all(set(forms) == categories for forms in load_translations(code).nouns.values())
        assert all(set(forms) <= categories for forms in load_translations(code).counted.values())
        assert set(load_translations(code).after_units) <= categories

    @pytest.mark.parametrize("code", LOCALES)
    def test_catalogs_texts_are_normalized(self, code):
        for text in texts(raw(code)):
            assert text == unicodedata.normalize("NFC", text)
            assert text.isspace() or text == "" or text.rstrip() == text or text in {", ", "، "}
            assert "  " not in text
            assert "'" not in text

    @pytest.mark.parametrize("code", sorted(set(LOCALES) - LATIN - {"zh-cn", "zh-tw"}))
    def test_catalogs_letters_are_of_one_script(self, code):
        tables = {name: table for name, table in raw(code).items() if name != "after_units"}
        for text in texts(tables):
            own_words = re.sub(r"\{\w+\}|\b(?:GitHub|IP|URL|type|hex|a–z)(?![a-z])", "", text)
            letters = [character for character in own_words if character.isalpha()]
            assert not any(unicodedata.name(letter).startswith("LATIN") for letter in letters), text

    @pytest.mark.parametrize("code", LOCALES)
    def test_catalogs_labels_fit(self, code):
        catalog = load_translations(code)
        for label in (catalog.labels.stars, catalog.labels.forks):
            assert width(label, 13) <= 108 - 13 - 9
        assert width(catalog.labels.repositories, 13) <= 170
        for label in (
            catalog.labels.commits,
            catalog.labels.pull_requests,
            catalog.labels.issues,
            catalog.labels.reviews,
            catalog.labels.contributions,
            catalog.labels.followers,
        ):
            assert width(label, 11) <= 108 - 21
        assert width(catalog.labels.by_repositories, 13) <= 200
        assert width(catalog.empty_state.only_forks, 14) <= 782

    @pytest.mark.parametrize("code", LOCALES)
    def test_catalogs_empty_states_fit_in_every_layout(self, code):
        for text in msgspec.structs.astuple(load_translations(code).empty_state):
            on_card, in_languages, beside_donut = (
                wrap(text, sizes, max_width)
                for sizes, max_width in (((13, 12), 372), ((14, 13, 12), 372), ((14, 13, 12), 178))
            )
            assert len(on_card) <= 2
            for line in (*on_card, *in_languages, *beside_donut):
                assert not line.text.endswith("…")

    @pytest.mark.parametrize("code", sorted(set(LOCALES) - {"en"}))
    def test_catalogs_translate_every_phrase_of_allowed_values(self, code):
        described = {allowed for name in OPTIONS for allowed in [allowed_values(name)]}
        phrases = {phrase for phrase, *more in described if not more and " " in phrase}
        assert set(load_translations(code).explanations.phrases) == phrases

    @pytest.mark.parametrize("code", ["", "xx", "../en", "EN", "pt", "pt_br"])
    def test_unknown_locale_raises(self, code):
        for function in (
            load_translations,
            is_right_to_left,
            numerals,
        ):
            with pytest.raises(ValueError, match="not one of the locales"):
                function(code)


class TestEnglish:
    @pytest.mark.parametrize(
        ("number", "text"),
        [
            (0, "0"),
            (9_412, "9,412"),
            (9_999, "9,999"),
            (10_000, "10k"),
            (12_480, "12.4k"),
            (99_999, "99.9k"),
            (100_000, "100k"),
            (213_999, "213k"),
            (999_950, "999k"),
            (1_000_000, "1M"),
            (1_299_999, "1.2M"),
            (999_999_999, "999M"),
            (2_147_483_647, "2.1B"),
        ],
    )
    def test_short_number_is_rounded_down(self, number, text):
        assert numerals("en")[number].short.text == text

    def test_format_day_in_english(self):
        assert format_day(NOVEMBER, "en") == "20 Nov"
        assert format_day(date(2026, 1, 5), "en") == "5 Jan"
        assert stale_label(NOVEMBER, "en") == "as of 20 Nov"

    def test_description_in_english(self):
        assert describe(["Ruby 65%"], "en") == (
            "11,558 stars, 1,635 forks, 150 repositories (93 original, 57 forked). "
            "Top languages: Ruby 65%. As of 20 Nov 2026."
        )
        assert language_description(1, ["Ruby 1"], None, locale="en") == (
            "1 language by repositories: Ruby 1."
        )

    def test_format_percent_in_english_is_unchanged(self):
        assert [format_percent(percent, "en") for percent in ("65%", "<1%", ">99%")] == [
            "65%",
            "<1%",
            ">99%",
        ]


class TestNumbers:
    @pytest.mark.parametrize(
        ("code", "text"),
        [
            ("en", "2,147,483,647"),
            ("de", "2.147.483.647"),
            ("fr", "2\xa0147\xa0483\xa0647"),
            ("ru", "2\xa0147\xa0483\xa0647"),
            ("ar", "2,147,483,647"),
            ("fa", "۲٬۱۴۷٬۴۸۳٬۶۴۷"),
            ("hi", "2,14,74,83,647"),
        ],
    )
    def test_format_number_in_locale(self, code, text):
        assert format_number(2_147_483_647, code) == text

    def test_format_number_spanish_italian_polish_group_from_ten_thousand(self):
        assert [format_number(9_412, code) for code in ("es", "it", "pl", "de")] == [
            *("9412", "9412", "9412", "9.412")
        ]
        assert format_number(10_000, "pl") == "10\xa0000"

    @given(number=NUMBERS, code=CODES)
    def test_format_number_can_be_parsed_back(self, number, code):
        assert parse_digits(format_number(number, code)) == number

    @given(number=st.integers(10_000, 2**31), code=CODES)
    def test_format_number_groups_like_babel(self, number, code):
        locale = Locale.parse(code, sep="-")
        theirs = locale.decimal_formats[None].apply(number, locale, numbering_system="default")
        ours = "".join(
            str(int(character)) if character.isdigit() else character
            for character in format_number(number, code)
        )
        assert ours == theirs.replace("\u202f", "\xa0")

    @pytest.mark.parametrize(
        ("code", "texts"),
        [
            ("de", ["9.412", "12.480", "999.950", "1,2 Mio.", "2,1 Mrd."]),
            ("fr", ["9 412", "12,4 k", "999 k", "1,2 M", "2,1 Md"]),
            ("es", ["9412", "12,4 mil", "999 mil", "1,2 M", "2147 M"]),
            ("pt-br", ["9.412", "12,4 mil", "999 mil", "1,2 mi", "2,1 bi"]),
            ("it", ["9412", "12.480", "999.950", "1,2 Mln", "2,1 Mld"]),
            ("nl", ["9.412", "12,4K", "999K", "1,2 mln.", "2,1 mld."]),
            ("pl", ["9412", "12,4 tys.", "999 tys.", "1,2 mln", "2,1 mld"]),
            ("ru", ["9 412", "12,4 тыс.", "999 тыс.", "1,2 млн", "2,1 млрд"]),
            ("uk", ["9 412", "12,4 тис.", "999 тис.", "1,2 млн", "2,1 млрд"]),
            ("tr", ["9.412", "12,4 B", "999 B", "1,2 Mn", "2,1 Mr"]),
            ("ja", ["9,412", "1.2万", "99.9万", "129万", "21.4億"]),
            ("ko", ["9,412", "1.2만", "99.9만", "129만", "21.4억"]),
            ("zh-cn", ["9,412", "1.2万", "99.9万", "129万", "21.4亿"]),
            ("zh-tw", ["9,412", "1.2萬", "99.9萬", "129萬", "21.4億"]),
            ("ar", ["9,412", "12.4 ألف", "999 ألف", "1.2 مليون", "2.1 مليار"]),
            ("he", ["9,412", "12.4K", "999K", "1.2M", "2.1B"]),
            ("fa", ["۹٬۴۱۲", "۱۲٫۴ هزار", "۹۹۹ هزار", "۱٫۲ میلیون", "۲٫۱ میلیارد"]),
            ("hi", ["9,412", "12.4 हज़ार", "9.9 लाख", "12.9 लाख", "2.1 अ॰"]),
        ],
    )
    def test_short_number_in_locale(self, code, texts):
        numbers = (9_412, 12_480, 999_950, 1_299_999, 2_147_483_647)
        assert [
            numerals(code)[number].short.text.replace("\xa0", " ") for number in numbers
        ] == texts

    def test_short_number_four_digits_of_a_unit_are_ungrouped(self):
        assert numerals("ja")[12_345_678].short.text == "1234万"

    @given(number=NUMBERS, code=CODES)
    def test_short_number_is_rounded_down(self, number, code):
        tenths, unit = tenths_and_unit(numerals(code)[number].short.text, number, code)
        assert tenths * unit <= number * 10
        step = 1 if unit > 1 and number < 100 * unit else 10
        assert number * 10 < (tenths + step) * unit

    @given(number=NUMBERS, other=NUMBERS, code=CODES)
    def test_short_number_is_monotonic(self, number, other, code):
        texts = [numerals(code)[value].short.text for value in sorted((number, other))]
        smaller, larger = (
            tenths * unit
            for tenths, unit in (
                tenths_and_unit(text, value, code)
                for text, value in zip(texts, sorted((number, other)), strict=True)
            )
        )
        assert smaller <= larger

    @given(number=st.integers(0, 2**31), code=CODES)
    def test_short_number_is_short(self, number, code):
        assert len(numerals(code)[number].short.text) <= 13
        assert width(numerals(code)[number].short.text, 21, bold=True) <= 240

    @pytest.mark.parametrize("code", LOCALES)
    def test_babel_units_from_ten_thousand_have_no_plural(self, code):
        patterns = Locale.parse(code, sep="-").compact_decimal_formats["short"]
        units = {
            (start, pattern.pattern)
            for forms in map(patterns.get, patterns)
            for start, pattern in forms.items()
            if 10_000 <= int(start) < 10**12
        }
        assert len(units) == len({start for start, _ in units})

    @pytest.mark.parametrize(
        ("code", "texts"),
        [
            ("de", ["65\xa0%", "<1\xa0%", ">99\xa0%"]),
            ("fr", ["65\xa0%", "<1\xa0%", ">99\xa0%"]),
            ("pl", ["65%", "<1%", ">99%"]),
            ("tr", ["%65", "<%1", ">%99"]),
            ("ar", ["65%", "<1%", ">99%"]),
            ("fa", ["۶۵٪", "<۱٪", ">۹۹٪"]),
        ],
    )
    def test_format_percent_in_locale(self, code, texts):
        assert [format_percent(percent, code) for percent in ("65%", "<1%", ">99%")] == texts

    def test_format_functions_have_bounded_caches(self):
        for cached in (format_percent, format_day, format_full_date):
            assert cached.cache_info().maxsize is not None

    def test_numerals_only_small_numbers_are_kept(self):
        for number in (999, 1000, 2**31 - 1):
            format_number(number, "hi")
        assert 999 in numerals("hi")
        assert max(numerals("hi")) < 1000


class TestTimes:
    @pytest.mark.parametrize(
        ("code", "first", "tenth"),
        [
            ("fr", "1er janv. / 1er janvier 2026", "10 janv. / 10 janvier 2026"),
            ("pt-br", "1º de jan. / 1º de janeiro de 2026", "10 de jan. / 10 de janeiro de 2026"),
            ("es", "1 ene / 1 de enero de 2026", "10 ene / 10 de enero de 2026"),
        ],
    )
    def test_format_day_first_of_month_is_ordinal(self, code, first, tenth):
        days = date(2026, 1, 1), date(2026, 1, 10)
        assert [f"{format_day(day, code)} / {format_full_date(day, code)}" for day in days] == [
            first,
            tenth,
        ]

    @pytest.mark.parametrize(
        ("code", "length", "coming"),
        [
            ("en", "40 seconds", "in 40 seconds"),
            ("ru", "40 секунд", "через 40 секунд"),
            ("ja", "40 秒", "40 秒後"),
            ("fa", "۴۰ ثانیه", "۴۰ ثانیه بعد"),
        ],
    )
    def test_format_wait_in_locale(self, code, length, coming):
        assert format_wait(40, code) == (length, coming)

    @pytest.mark.parametrize(
        ("seconds", "length"),
        [
            (1, "1 Sekunde"),
            (90, "90 Sekunden"),
            (91, "2 Minuten"),
            (121, "3 Minuten"),
            (86_400, "1440 Minuten"),
        ],
    )
    def test_format_wait_rounds_minutes_up(self, seconds, length):
        assert format_wait(seconds, "de") == (length, f"in {length}")


class TestPlurals:
    @given(number=NUMBERS, code=CODES)
    def test_plural_category_equals_cldr(self, number, code):
        assert numerals(code)[number].plural == Locale.parse(code, sep="-").plural_form(number)

    def test_plural_category_of_millions_equals_cldr(self):
        for code in LOCALES:
            for number in (10**6, 10**6 + 1, 3 * 10**6, 10**9):
                assert numerals(code)[number].plural == Locale.parse(code, sep="-").plural_form(
                    number
                )

    @given(number=NUMBERS, code=CODES, noun=st.sampled_from(Noun))
    def test_format_count_has_exact_number(self, number, code, noun):
        text = format_count(noun, number, code)
        is_word = code in {"ar", "he"} and number in {1, 2}
        assert is_word or format_number(number, code) in text
        assert plural_noun(noun, number, code)

    @pytest.mark.parametrize(
        ("code", "texts"),
        [
            ("en", ["0 languages", "1 language", "5 languages"]),
            ("fr", ["0 langage", "1 langage", "5 langages"]),
            ("pl", ["0 języków", "1 język", "5 języków"]),
            ("ru", ["0 языков", "1 язык", "5 языков"]),
            ("ja", ["0言語", "1言語", "5言語"]),
            ("ar", ["0 لغة", "لغة واحدة", "5 لغات"]),
            ("he", ["0 שפות", "שפה אחת", "5 שפות"]),
        ],
    )
    def test_format_count_in_locale(self, code, texts):
        assert [format_count(Noun.LANGUAGES, number, code) for number in (0, 1, 5)] == texts

    def test_plural_noun_in_russian(self):
        nouns = [
            plural_noun(Noun.STARS, number, "ru") for number in (1, 2, 5, 11, 21, 22, 111, 12_401)
        ]
        assert nouns == [
            *("звезда", "звезды", "звёзд", "звёзд"),
            *("звезда", "звезды", "звёзд", "звезда"),
        ]

    @pytest.mark.parametrize(
        ("code", "number", "noun"),
        [
            ("ru", 12_401, "звёзд"),
            ("es", 12_401, "mil estrellas"),
            ("es", 1_200_001, "de estrellas"),
            ("en", 1, "1 star"),
        ],
    )
    def test_format_short_count_noun_follows_unit(self, code, number, noun):
        text = format_short_count(Noun.STARS, number, code).replace("\xa0", " ")
        assert text.endswith(noun)

    def test_plural_noun_after_full_million(self):
        assert plural_noun(Noun.STARS, 1_000_000, "fr") == "d’étoiles"


class TestSentences:
    @pytest.mark.parametrize(
        ("code", "text"),
        [
            (
                "de",
                (
                    "11.558 Sterne, 1.635 Forks, 150 Repositorys (93 eigene, 57 geforkte). "
                    "Häufigste Sprachen: Ruby 65\xa0%. Stand: 20. November 2026."
                ),
            ),
            (
                "ru",
                (
                    "11\xa0558 звёзд, 1\xa0635 форков, 150 репозиториев (93 оригинальных, 57 форков). "
                    "Основные языки: Ruby 65\xa0%. По состоянию на 20 ноября 2026\xa0г."
                ),
            ),
            (
                "ja",
                (
                    "スター 11,558、フォーク 1,635、リポジトリ 150（オリジナル 93、フォーク 57）。"
                    "主な言語：Ruby 65%。2026年11月20日時点。"
                ),
            ),
            (
                "fa",
                (
                    "۱۱٬۵۵۸ ستاره، ۱٬۶۳۵ فورک، ۱۵۰ مخزن (۹۳ اصلی، ۵۷ فورک\u200cشده). "
                    "زبان\u200cهای برتر: \u2068Ruby ۶۵٪\u2069. آمار تا ۲۰ نوامبر ۲۰۲۶."
                ),
            ),
        ],
    )
    def test_description_in_locale(self, code, text):
        languages = [f"Ruby {format_percent('65%', code)}"]
        assert describe(languages, code) == text

    @pytest.mark.parametrize("code", LOCALES)
    def test_descriptions_fill_every_placeholder(self, code):
        catalog = load_translations(code)
        full = describe(["C 1%"], code, empty_state="{empty_state}")
        shares = language_description(
            5, ["C 1%"], NOVEMBER, locale=code, count_by=CountBy("repositories")
        )
        for text in (full, shares):
            assert "C 1%" in text
            assert format_full_date(NOVEMBER, code) in text
            assert text.endswith(catalog.sentences.stop)
            assert catalog.sentences.stop * 2 not in text
            assert "{" not in text.replace("{empty_state}", "")
        assert format_day(NOVEMBER, code) in stale_label(NOVEMBER, code)
        assert stale_label(None, code) == ""

    def test_stale_label_in_locale(self):
        assert stale_label(NOVEMBER, "de") == "Stand: 20. Nov."
        assert stale_label(NOVEMBER, "zh-cn") == "截至11月20日"
        assert stale_label(NOVEMBER, "fa") == "تا ۲۰ نوامبر"

    def test_format_day_has_no_direction_marks(self):
        for code in LOCALES:
            for month in range(1, 13):
                text = format_day(date(2026, month, 1), code) + format_full_date(
                    date(2026, month, 1), code
                )
                assert not set(text) & set("\u200e\u200f\u061c\u202f")

    def test_is_right_to_left_for_arabic_hebrew_persian(self):
        assert {code for code in LOCALES if is_right_to_left(code)} == {"ar", "he", "fa"}

    @pytest.mark.parametrize(
        ("text", "code", "expected"),
        [("Ada", "en", False), ("", "en", False), ("מיכאל", "en", True), ("Ada", "he", True)],
    )
    def test_is_mirrored_for_locale_or_text(self, text, code, expected):
        assert is_mirrored(text, code) is expected
