"""Fixtures for tests of the GitHub client."""

from collections.abc import Iterator

import pytest
import stamina

from tests.unit.github.wire import Wire


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def retry_without_delay() -> Iterator[None]:
    """Retry at once, with three attempts."""
    with stamina.set_testing(True, attempts=3):
        yield
