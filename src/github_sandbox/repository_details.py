"""
Generates what only some clients read of a repository: description, licence, topics, languages.

They are drawn from random generators of their own, so that they leave the other properties of an
account of the same seed as they are.
"""

from collections.abc import Sequence
from random import Random

import msgspec

from github_sandbox.models import License, Repository
from github_sandbox.repository_data import (
    ADDITIONS,
    COMPANION_LANGUAGES,
    FOREIGN_DESCRIPTIONS,
    LICENSE_WEIGHTS,
    LICENSES,
    LONG_ENDING,
    PURPOSES,
)

MAX_LANGUAGES = 14


class RepositoryTexts(msgspec.Struct, frozen=True, gc=False):
    """Description, licence, homepage and topics of a generated repository."""

    description: str | None
    license: License | None
    homepage: str | None
    topics: tuple[str, ...]


def generate_texts(
    random: Random, name: str, language: str | None, *, descriptions: Sequence[str]
) -> RepositoryTexts:
    """
    Draw the texts of a repository; about one in seven has no description.

    `descriptions` replace the usual ones, if there are any.
    """
    noun = name.split("-")[1]
    return RepositoryTexts(
        description=(
            random.choice(descriptions)
            if descriptions
            else _generate_description(random, noun, language)
        ),
        license=random.choices(LICENSES, LICENSE_WEIGHTS)[0],
        homepage=f"https://{name}.example" if random.random() < 0.15 else None,
        topics=(noun, *_to_topics(language)) if random.random() < 0.4 else (),
    )


def generate_language_sizes(random: Random, repository: Repository) -> dict[str, int]:
    """
    Draw the bytes of each language of a repository, largest first, which is the main language.

    There are 1 to 14 languages, and none without a main language.
    """
    if repository.language is None:
        return {}
    others = [language for language in COMPANION_LANGUAGES if language != repository.language]
    # The power makes few languages common and many rare.
    others = random.sample(others, int(MAX_LANGUAGES * random.random() ** 4))
    main_size = int(repository.size_kilobytes * 1_024 * (0.1 + 0.8 * random.random()))
    sizes = sorted(
        (1 + int((main_size - 2) * random.random() ** (2 + rank)) for rank in range(len(others))),
        reverse=True,
    )
    return {repository.language: main_size, **dict(zip(others, sizes, strict=True))}


def _generate_description(random: Random, noun: str, language: str | None) -> str | None:
    quantile = random.random()
    if quantile < 0.14:
        return None
    if quantile < 0.19:
        return random.choice(FOREIGN_DESCRIPTIONS)
    text = random.choice(PURPOSES[noun])
    if quantile < 0.24:
        return text + LONG_ENDING
    if quantile < 0.5:
        return text + random.choice(ADDITIONS).format(language=language or "plain text")
    return text


def _to_topics(language: str | None) -> tuple[str, ...]:
    """Return a language as a topic, which has only lower-case letters, digits and hyphens."""
    topic = (language or "").lower().replace(" ", "-")
    return (topic,) if topic.isascii() and topic.replace("-", "").isalnum() else ()
