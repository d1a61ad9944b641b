"""Which texts can be logins."""

import pytest

from github_banners.logins import LOGIN


@pytest.mark.parametrize("text", ["a", "Ada-L", "-a", "a--b", "gil-", "managed_user", "x" * 39])
def test_login_of_github_matches(text: str) -> None:
    assert LOGIN.fullmatch(text)


@pytest.mark.parametrize("text", ["", "a b", "a.b", "ümlaut", "a\n", "x" * 40, "@a"])
def test_other_text_does_not_match(text: str) -> None:
    assert not LOGIN.fullmatch(text)
