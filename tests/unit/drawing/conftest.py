"""Fixtures for tests of drawing: a factory of snapshots, and an XML parser."""

from collections.abc import Callable
from typing import TypeAlias
from xml.etree import ElementTree as ET

import pytest

from github_banners.models import Snapshot
from tests.snapshots import make_snapshot

MakeSnapshot: TypeAlias = Callable[..., Snapshot]
Parse: TypeAlias = Callable[[bytes], ET.Element]


@pytest.fixture(scope="session")
def snapshot() -> MakeSnapshot:
    return make_snapshot


@pytest.fixture(scope="session")
def parse() -> Parse:
    def read(svg: bytes) -> ET.Element:
        return ET.fromstring(svg)

    return read
