"""Which texts can be logins."""

import pytest

from github_banners.logins import is_login


@pytest.mark.parametrize("text", ["a", "Ada-L", "-a", "a--b", "gil-", "managed_user", "x" * 39])
def test_is_login_all_that_github_has_are_logins(text: str) -> None:
    assert is_login(text)


@pytest.mark.parametrize("text", ["", "a b", "a.b", "ümlaut", "a\n", "x" * 40, "@a"])
def test_is_login_other_texts_are_none(text: str) -> None:
    assert not is_login(text)
