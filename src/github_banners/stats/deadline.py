"""One request's time, shared out among its steps."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

DATABASE_SECONDS = 0.3
PICTURE_SECONDS = 3.0
PICTURE_GITHUB_SECONDS = 1.8
_DRAWING_SECONDS = 0.2


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

    def grant(self, limit_seconds: float) -> float:
        """Give a step its own limit, or what is left if that is less."""
        left = self.started_at + self.total_seconds - _DRAWING_SECONDS - self.monotonic()
        return max(0.0, min(limit_seconds, left))

    def grant_database(self) -> float:
        """Give a question to PostgreSQL its time."""
        return self.grant(DATABASE_SECONDS)

    def grant_github(self) -> float:
        """Give the wait for GitHub its time."""
        return self.grant(self.github_seconds)


def for_picture() -> Deadline:
    """Start the deadline of a picture: image proxies give up after about 4 s."""
    return Deadline(PICTURE_SECONDS, PICTURE_GITHUB_SECONDS)
