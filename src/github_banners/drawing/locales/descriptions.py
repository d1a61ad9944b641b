"""
What a screen reader says of the layouts `activity`, `languages` and `repository`.

Descriptions are whole sentences with exact numbers; that of the other layouts is in `phrases`.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache

from github_banners.drawing.locales.cldr import format_full_date, is_right_to_left
from github_banners.drawing.locales.phrases import (
    as_of_sentence,
    fill_phrase,
    format_count,
    isolate_foreign,
    join_languages,
    join_sentences,
    noun_phrases,
    numerals,
    plural_phrases,
)
from github_banners.drawing.locales.translations import Noun, load_translations
from github_banners.drawing.text import isolate
from github_banners.models import Activity, RepositoryDetails
from github_banners.options import CountBy

_SENTENCE_ENDS = ".!?…。！？।؟"


def activity_description(activity: Activity, as_of: date | None = None, *, locale: str) -> str:
    """Return the accessible description of an owner's contributions in the last year."""
    translations, numbers = load_translations(locale), numerals(locale)
    texts = translations.activity
    in_last_year, days = _activity_phrases(locale)
    statements = [
        (texts.current_streak, fill_phrase(days, numbers[activity.current_streak])),
        (texts.longest_streak, fill_phrase(days, numbers[activity.longest_streak])),
    ]
    if activity.best_day:
        best_count = numbers[activity.best_count].full
        day = format_full_date(activity.best_day, locale)
        statements.append((texts.best_day, f"{day} ({best_count})"))
    sentences = [
        fill_phrase(in_last_year, numbers[activity.last_year]),
        *[texts.sentence.format(label=label, value=value) for label, value in statements],
        as_of_sentence(as_of, locale),
    ]
    return join_sentences(sentences, translations.sentences)


def language_description(
    number: int,
    languages: Sequence[str],
    as_of: date | None = None,
    *,
    locale: str,
    count_by: CountBy = CountBy.REPOSITORIES,
    empty_state: str = "",
) -> str:
    """
    Return the accessible description of language shares.

    It has the number of languages and those that are shown, or the reason if there are none, and
    the day of stale numbers. `languages` are names with counts.
    """
    translations = load_translations(locale)
    labels = translations.labels
    if languages:
        by_repositories = count_by == CountBy.REPOSITORIES
        sentence = translations.sentences.shares.format(
            count=format_count(Noun.LANGUAGES, number, locale),
            by=labels.by_repositories if by_repositories else labels.by_size,
            languages=join_languages(languages, locale),
        )
    else:
        sentence = empty_state or format_count(Noun.LANGUAGES, number, locale)
    sentences = [sentence, as_of_sentence(as_of, locale)]
    return join_sentences(sentences, translations.sentences)


def repository_description(
    repository: RepositoryDetails,
    as_of: date | None = None,
    *,
    locale: str,
    description: str,
    language: str,
    licence: str,
) -> str:
    """
    Return the accessible description of one repository.

    It has the repository's own description, its language, the exact numbers, the licence, whether
    it is a fork or archived, and the day of stale numbers; texts that are empty are left out.
    """
    translations = load_translations(locale)
    texts, patterns = translations.repository, translations.sentences
    phrases, numbers = noun_phrases(locale), numerals(locale)
    stars = fill_phrase(phrases[Noun.STARS], numbers[repository.stars])
    forks = fill_phrase(phrases[Noun.FORKS], numbers[repository.forks])
    if description and description[-1] not in _SENTENCE_ENDS:
        description += "."
    sentences = [
        texts.language.format(language=_foreign(language, locale)) if language else "",
        f"{stars}{patterns.comma}{forks}",
        texts.licence.format(licence=_foreign(licence, locale)) if licence else "",
        texts.fork if repository.is_fork else "",
        texts.archived if repository.is_archived else "",
        as_of_sentence(as_of, locale),
    ]
    facts = join_sentences(sentences, patterns)
    return f"{_foreign(description, locale)} {facts}" if description else facts


def _foreign(text: str, locale: str) -> str:
    """Put foreign text into a directional isolate if its direction can differ from the locale's."""
    return isolate_foreign(text, locale) if is_right_to_left(locale) else isolate(text)


@cache
def _activity_phrases(locale: str) -> tuple[Mapping[str, str], ...]:
    """Return the phrases of contributions in the last year, and of days."""
    texts = load_translations(locale).activity
    return (
        plural_phrases(texts.in_last_year, texts.counted_in_last_year, locale),
        plural_phrases(texts.days, texts.counted_days, locale),
    )
