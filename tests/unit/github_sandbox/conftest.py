"""Fixtures for tests of the sandbox."""

import pytest

from github_sandbox.account_store import AccountStore
from tests.unit.github_sandbox.queries import create_accounts


@pytest.fixture
def accounts() -> AccountStore:
    return create_accounts()
