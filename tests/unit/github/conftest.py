"""Fixtures for tests of the GitHub client."""

import pytest

from tests.unit.github.fake_api import FakeGitHubApi


@pytest.fixture
def api() -> FakeGitHubApi:
    return FakeGitHubApi()
