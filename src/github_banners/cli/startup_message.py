"""The message that `serve` prints when it is ready."""

from collections.abc import Sequence

from github_banners.settings import Settings
from github_banners.settings.addresses import to_netloc


def build_startup_message(
    settings: Settings,
    *,
    port: int,
    example: str = "torvalds",
    samples: Sequence[tuple[str, str]] = (),
) -> str:
    """
    Build a message with the URLs of the service, of a sample banner and Markdown for a README.

    `port` is the port it listens on, `example` the login whose banner is shown, and `samples` are the
    logins of the fake GitHub with descriptions.
    """
    base = settings.public_url or f"http://{to_netloc(_reachable(settings.host), port)}"
    banner = f"{base}/banners/preview?username="
    hints = []
    if samples:
        hints = ["or of another user of the fake GitHub:", ""]
        hints += [f"  {login:<40} {description}" for login, description in samples]
    elif not settings.github_tokens:
        hints = ["Without GITHUB_TOKENS, GitHub's limit allows about 30 new users an hour."]
    return "\n".join(
        [
            f"GitHub Banners is ready: {base}",
            "",
            "Put a banner together on a page:",
            "",
            f"  {base}/?username={example}",
            "",
            "or open one:",
            "",
            f"  {banner}{example}&type=dark",
            "",
            *(*hints, "") * bool(hints),
            "Paste it into a README:",
            "",
            f"  ![GitHub stats]({banner}{example})",
            "",
            "Press Ctrl-C to stop.",
        ]
    )


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
