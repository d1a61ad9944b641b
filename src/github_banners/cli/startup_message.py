"""What `serve` says when it is ready: where to look first, and what to paste into a README."""

from collections.abc import Sequence

from github_banners.settings import Settings
from github_banners.settings.addresses import to_netloc


def build_startup_message(
    settings: Settings, *, port: int, samples: Sequence[tuple[str, str]] = ()
) -> str:
    """
    Say where the service is; `port` is the one that it listens on.

    `samples` are users of a built-in GitHub, each with some words; without any a real one is named.
    """
    base = settings.public_url or f"http://{to_netloc(_reachable(settings.host), port)}"
    banner = f"{base}/banners/preview?username="
    example, hints = "torvalds", []
    if samples:
        example = max(samples, key=lambda sample: "30 repositories" in sample[1])[0]
        hints = ["or with another name of this GitHub:", ""]
        hints += [f"  {login:<40} {about}" for login, about in samples]
    elif not settings.github_tokens:
        hints = ["Without GITHUB_TOKENS GitHub answers for about 30 new users an hour."]
    return "\n".join(
        [
            f"GitHub Banners is ready: {base}",
            "",
            "Open a banner:",
            "",
            f"  {banner}{example}&type=dark",
            "",
            *(*hints, "") * bool(hints),
            "Paste it into a README:",
            "",
            f"  ![GitHub stats]({banner}{example})",
            "",
            "Ctrl-C stops everything.",
        ]
    )


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
