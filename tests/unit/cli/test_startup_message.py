"""Where a service says it is."""

import pytest

from github_banners.cli.startup_message import build_startup_message
from github_banners.settings import ListenHost, Settings, Token, Url


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:9000"),
        ("0.0.0.0", "http://127.0.0.1:9000"),  # noqa: S104
        ("::", "http://[::1]:9000"),
        ("10.0.0.7", "http://10.0.0.7:9000"),
        ("fd00::7", "http://[fd00::7]:9000"),
    ],
)
def test_an_address_that_can_be_opened(host: str, address: str) -> None:
    words = build_startup_message(Settings(host=ListenHost(host)), port=9000)
    assert words.startswith(f"GitHub Banners is ready: {address}\n")
    assert f"{address}/banners/preview?username=torvalds" in words


def test_the_public_address_comes_first() -> None:
    words = build_startup_message(Settings(public_url=Url("https://banners.example")), port=9000)
    assert "9000" not in words
    assert "https://banners.example/banners/preview" in words


def test_how_little_there_is_without_a_token() -> None:
    assert "GITHUB_TOKENS" in build_startup_message(Settings(), port=1)
    assert "GITHUB_TOKENS" not in build_startup_message(
        Settings(github_tokens=(Token("x"),)), port=1
    )


def test_invented_users_are_named() -> None:
    words = build_startup_message(
        Settings(), port=1, samples=[("mia", "maintains"), ("tom", "tries")]
    )
    assert "username=mia&type=dark" in words
    assert "maintains" in words
    assert "tries" in words
