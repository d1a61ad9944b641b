"""Fixtures for tests of drawing: a factory of snapshots, and an XML parser."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias
from xml.etree import ElementTree as ET

import pytest

from github_banners.models import Owner, Snapshot, Stats

MakeSnapshot: TypeAlias = Callable[..., Snapshot]
Parse: TypeAlias = Callable[[bytes], ET.Element]


@pytest.fixture(scope="session")
def snapshot() -> MakeSnapshot:
    def make(
        *,
        login: str = "wycats",
        name: str | None = "Yehuda Katz",
        stars: int = 11_558,
        forks: int = 1_635,
        original: int = 93,
        forked: int = 57,
        languages: Mapping[str, int] | None = None,
    ) -> Snapshot:
        default_languages = {"Ruby": 51, "JavaScript": 20, "Rust": 4, "C": 2, "CSS": 1}
        stats = Stats(
            total_repos=original + forked,
            original_repos=original,
            forked_repos=forked,
            total_stars=stars,
            total_forks=forks,
            languages=default_languages if languages is None else dict(languages),
        )
        return Snapshot(Owner(1, login, None, name), stats, datetime(2026, 11, 20, tzinfo=UTC))

    return make


@pytest.fixture(scope="session")
def parse() -> Parse:
    def read(svg: bytes) -> ET.Element:
        return ET.fromstring(svg)

    return read
