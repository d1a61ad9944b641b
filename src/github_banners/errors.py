"""
Everything that can go wrong, as one tree.

A leaf carries what the outside may know: `status` (HTTP), `sentence` (the public words) and `state`
(which explanation is drawn for an image client). Details go to the log, never out.

    BannersError
    ├── InvalidInput                 400
    │   ├── InvalidType                  invalid banner type
    │   └── InvalidOption                invalid inputs
    ├── NotFound                     404
    │   ├── UnknownUser                  user doesn't exist
    │   └── UnknownBanner                banner doesn't exist
    ├── TooManyBanners               409 too many banners
    ├── TooManyRequests              429
    ├── Unavailable                  503 can't get preview
    │   ├── StillCounting                the first answer is awaited
    │   ├── Busy                         too much is being drawn
    │   ├── GitHubUnavailable            GitHub can't be asked
    │   ├── DatabaseUnavailable          PostgreSQL can't be asked
    │   ├── RendererUnavailable          the renderer can't be asked
    │   ├── StorageUnavailable           can't store banner
    │   ├── BrokerUnavailable            Kafka can't be asked
    │   └── NoncesFull                   too many calls
    ├── Unsigned                     401 not signed as agreed
    ├── TooLarge                     413 too large
    ├── Hopeless                     never works, however often it is tried
    │   ├── MalformedMessage        400 another service's words, not the agreed ones
    │   ├── Undrawable               numbers that can't be drawn
    │   └── Rejected                 another service will never take it
    └── Misconfigured                exit code 2, before anything is served
        └── InvalidSettings              every wrong variable at once
"""

import difflib
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cached_property
from typing import ClassVar, Self


class ExplanationKind(StrEnum):
    """What a drawn explanation explains."""

    UNKNOWN_USER = "unknown-user"
    GITHUB_UNAVAILABLE = "github-unavailable"
    TOO_MANY_REQUESTS = "too-many-requests"
    INVALID_OPTION = "invalid-option"
    UNKNOWN_BANNER = "unknown-banner"
    COUNTING = "counting"
    BUSY = "busy"
    NUMBERS_UNAVAILABLE = "numbers-unavailable"


class BannersError(Exception):
    """Something went wrong."""

    status: ClassVar[int] = 500
    public_message: ClassVar[str] = "something went wrong"
    explanation_kind: ClassVar[ExplanationKind] = ExplanationKind.NUMBERS_UNAVAILABLE

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().partition("\n")[0])

    def copy(self) -> Self:
        """
        Copy an error without its traceback, cause and context.

        Those hold the frames of everybody who raised it: to remember an error, remember a copy.
        """
        copy = type(self).__new__(type(self))
        copy.args = self.args
        copy.__dict__.update(self.__dict__)
        return copy


class InvalidInput(BannersError):
    """
    A wish that nobody can fulfil.

    `field` names the input, `value` is what was given, `allowed` what it may be: the values, or one
    phrase that describes them.
    """

    status = 400
    public_message = "invalid inputs"
    explanation_kind = ExplanationKind.INVALID_OPTION

    def __init__(
        self,
        field: str,
        value: str = "",
        allowed: Sequence[str] = (),
        *,
        find_suggestion: Callable[[], str | None] | None = None,
    ) -> None:
        super().__init__(f"{field} can't be {value!r}")
        self.field = field
        self.value = value
        self.allowed = tuple(allowed)
        self._find_suggestion = find_suggestion

    @cached_property
    def suggestion(self) -> str | None:
        """Find the allowed value that a misspelt one was probably meant to be."""
        if self._find_suggestion is not None:
            return self._find_suggestion()
        return closest_match(self.value.lower(), self.allowed) if len(self.allowed) > 1 else None


def closest_match(word: str, allowed: Sequence[str]) -> str | None:
    """Find what a word was meant to be: what is spelled nearly the same, or begins the same."""
    alike = difflib.get_close_matches(word, allowed, n=1)
    begun = (
        one for one in allowed if len(word) > 1 and (one.startswith(word) or word.startswith(one))
    )
    return alike[0] if alike else next(begun, None)


class InvalidType(InvalidInput):
    """There is no such banner type."""

    public_message = "invalid banner type"


class InvalidOption(InvalidInput):
    """An option, or the body that carries them, has no such value."""


class NotFound(BannersError):
    """What was asked for is not there; `name` is what it was called."""

    status = 404

    def __init__(self, name: str) -> None:
        super().__init__(f"{type(self).__name__}: {name!r}")
        self.name = name


class UnknownUser(NotFound):
    """GitHub has no such user or organisation."""

    public_message = "user doesn't exist"
    explanation_kind = ExplanationKind.UNKNOWN_USER


class UnknownBanner(NotFound):
    """No banner was ever made under this name."""

    public_message = "banner doesn't exist"
    explanation_kind = ExplanationKind.UNKNOWN_BANNER


class TooManyBanners(BannersError):
    """A user has as many permanent banners as one may have here."""

    status = 409
    public_message = "too many banners"


class TooManyRequests(BannersError):
    """One client asked for more than its share."""

    status = 429
    public_message = "too many requests"
    explanation_kind = ExplanationKind.TOO_MANY_REQUESTS

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class Unavailable(BannersError):
    """An answer can't be had now, and will be later."""

    status = 503
    public_message = "can't get preview"
    retry_after_seconds: ClassVar[int] = 30


class FirstFetchPending(Unavailable):
    """GitHub has been asked about this user for the first time; `name` is the user's."""

    explanation_kind = ExplanationKind.COUNTING
    retry_after_seconds = 2

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Overloaded(Unavailable):
    """More is being asked for than can be done at once."""

    explanation_kind = ExplanationKind.BUSY


class GitHubUnavailable(Unavailable):
    """GitHub can't be asked now."""

    explanation_kind = ExplanationKind.GITHUB_UNAVAILABLE


class DatabaseUnavailable(Unavailable):
    """PostgreSQL can't be asked now."""

    explanation_kind = ExplanationKind.NUMBERS_UNAVAILABLE


class RendererUnavailable(Unavailable):
    """The renderer can't be asked now."""


class StorageUnavailable(Unavailable):
    """Banners can't be stored or read now: the disk is full, away or not ours."""

    public_message = "can't store banner"


class BrokerUnavailable(Unavailable):
    """Kafka can't be asked now."""


class NonceCacheFull(Unavailable):
    """More calls came in than can be remembered, so that none could be told from a repeated one."""

    public_message = "too many calls"


class InvalidSignature(BannersError):
    """A call between services is not signed as agreed; the message says why, the sentence does not."""

    status = 401
    public_message = "signature refused"


class TooLarge(BannersError):
    """A body is larger than anything that is agreed."""

    status = 413
    public_message = "too large"


class PermanentFailure(BannersError):
    """What will never work, however often it is tried."""


class MalformedMessage(PermanentFailure):
    """What another service sent has not the agreed shape; the message names the field."""

    status = 400
    public_message = "invalid inputs"


class RenderingFailed(PermanentFailure):
    """Numbers or a look that can't be drawn: a mistake of ours."""


class RemoteRejected(PermanentFailure):
    """Another service has refused this for good; the message says with which status."""


class ConfigurationError(BannersError):
    """The program can't start as it is set up; the message says what to do."""


class InvalidSettings(ConfigurationError):
    """Environment variables that can't be used; `problems` holds one sentence for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
