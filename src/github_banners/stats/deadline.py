"""One request's time, shared out among its steps."""

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
    The end of a request: `total_seconds` from now, of which GitHub gets `github_seconds` at most.

    Drawing keeps a share of its own, so that whatever misses the deadline, an answer can be drawn.
    """

    total_seconds: float
    github_seconds: float
    monotonic: Callable[[], float] = time.monotonic
    started_at: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "started_at", self.monotonic())

    def timeout_seconds(self, limit_seconds: float) -> float:
        """Give a step its own limit, or what is left if that is less."""
        left = self.started_at + self.total_seconds - _RENDER_RESERVE_SECONDS - self.monotonic()
        return max(0.0, min(limit_seconds, left))

    def database_timeout_seconds(self) -> float:
        """Give a question to PostgreSQL its time."""
        return self.timeout_seconds(DATABASE_TIMEOUT_SECONDS)

    def github_timeout_seconds(self) -> float:
        """Give the wait for GitHub its time."""
        return self.timeout_seconds(self.github_seconds)


def picture_deadline() -> Deadline:
    """Start the deadline of a picture: image proxies give up after about 4 s."""
    return Deadline(PICTURE_TIMEOUT_SECONDS, PICTURE_GITHUB_TIMEOUT_SECONDS)
