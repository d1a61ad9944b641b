"""The message that `serve` prints when it is ready."""

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
def test_startup_message_has_reachable_url(host: str, address: str) -> None:
    message = build_startup_message(Settings(host=ListenHost(host)), port=9000)
    assert message.startswith(f"GitHub Banners is ready: {address}\n")
    assert f"{address}/banners/preview?username=torvalds" in message


def test_startup_message_uses_public_url() -> None:
    message = build_startup_message(Settings(public_url=Url("https://banners.example")), port=9000)
    assert "9000" not in message
    assert "https://banners.example/banners/preview" in message


def test_startup_message_without_token_mentions_limit() -> None:
    assert "GITHUB_TOKENS" in build_startup_message(Settings(), port=1)
    assert "GITHUB_TOKENS" not in build_startup_message(
        Settings(github_tokens=(Token("x"),)), port=1
    )


def test_startup_message_lists_samples() -> None:
    message = build_startup_message(
        Settings(), port=1, example="tom", samples=[("mia", "maintains"), ("tom", "tries")]
    )
    assert "username=tom&type=dark" in message
    assert "maintains" in message
    assert "tries" in message
