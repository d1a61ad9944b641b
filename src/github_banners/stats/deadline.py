"""Deadline of a request: the time limit of each of its steps."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

DATABASE_TIMEOUT_SECONDS = 0.3
PICTURE_TIMEOUT_SECONDS = 3.0
PICTURE_GITHUB_TIMEOUT_SECONDS = 1.8
_RENDER_RESERVE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Deadline:
    """
    A request ends `total_seconds` after this object was made; GitHub gets at most `github_seconds`.

    0.2 seconds are reserved for rendering, so that a picture can be drawn whatever else times out.
    """

    total_seconds: float
    github_seconds: float
    monotonic: Callable[[], float] = time.monotonic
    started_at: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "started_at", self.monotonic())

    def timeout_seconds(self, limit_seconds: float) -> float:
        """Return the time limit of a step: its own, or the remaining time if that is less."""
        remaining = (
            self.started_at + self.total_seconds - _RENDER_RESERVE_SECONDS - self.monotonic()
        )
        return max(0.0, min(limit_seconds, remaining))

    def database_timeout_seconds(self) -> float:
        """Return the time limit of a database query."""
        return self.timeout_seconds(DATABASE_TIMEOUT_SECONDS)

    def github_timeout_seconds(self) -> float:
        """Return the time limit of waiting for GitHub."""
        return self.timeout_seconds(self.github_seconds)


def picture_deadline() -> Deadline:
    """Start the deadline of a picture; image proxies give up after about 4 seconds."""
    return Deadline(PICTURE_TIMEOUT_SECONDS, PICTURE_GITHUB_TIMEOUT_SECONDS)
