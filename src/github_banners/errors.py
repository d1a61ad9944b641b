"""
All exceptions of the project, as one tree.

A leaf class carries what clients may see: `status` (the HTTP status), `public_message` and
`explanation_kind` (the explanation card drawn for image clients). The exception's own message is
for the log; clients never see it, except for that of `MalformedMessage`.

    BannersError
    ├── InvalidInput                 400
    │   ├── InvalidType                  invalid banner type
    │   └── InvalidOption                invalid inputs
    ├── NotFound                     404
    │   ├── UnknownUser                  user doesn't exist
    │   ├── UnknownBanner                banner doesn't exist
    │   ├── UnknownRepository            repository doesn't exist
    │   ├── CardNotOffered               card is not offered
    │   ├── ContributionsHidden          contributions are hidden
    │   └── NoContributions              organisations have no contributions
    ├── UserNotServed                403 user not served here
    ├── TooManyBanners               409 too many banners
    ├── TooManyRequests              429
    ├── Unavailable                  503 can't get preview
    │   ├── FetchPending                 a fetch of the user is still running
    │   ├── TokenRequired                token required
    │   ├── Overloaded                   too much work is queued
    │   ├── GitHubUnavailable            GitHub is unavailable
    │   ├── DatabaseUnavailable          PostgreSQL is unavailable
    │   ├── OwnerNotStored               the owner was removed meanwhile
    │   ├── UnreadableBanner             the row of a banner can't be read
    │   ├── RendererUnavailable          the renderer is unavailable
    │   ├── StorageUnavailable           can't store banner
    │   ├── BrokerUnavailable            Kafka is unavailable
    │   └── NonceCacheFull               too many calls
    ├── InvalidSignature             401 signature refused
    ├── TooLarge                     413 too large
    ├── PermanentFailure             retrying does not help
    │   ├── MalformedMessage             400 a message that breaks the wire format
    │   ├── RenderingFailed              data that can't be rendered
    │   └── RemoteRejected               another service rejected it for good
    └── ConfigurationError           exit code 2, before anything is served
        ├── DatabaseInUse                another process runs the embedded PostgreSQL
        └── InvalidSettings              every invalid variable at once
"""

import difflib
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cached_property
from typing import ClassVar, Self


class ExplanationKind(StrEnum):
    """Kinds of explanation cards; the values are keys of the translations."""

    UNKNOWN_USER = "unknown-user"
    GITHUB_UNAVAILABLE = "github-unavailable"
    TOO_MANY_REQUESTS = "too-many-requests"
    INVALID_OPTION = "invalid-option"
    UNKNOWN_BANNER = "unknown-banner"
    COUNTING = "counting"
    BUSY = "busy"
    NUMBERS_UNAVAILABLE = "numbers-unavailable"
    UNKNOWN_REPOSITORY = "unknown-repository"
    CONTRIBUTIONS_HIDDEN = "contributions-hidden"
    NO_CONTRIBUTIONS = "no-contributions"
    TOKEN_REQUIRED = "token-required"  # noqa: S105 - not a password
    USER_NOT_SERVED = "user-not-served"
    CARD_NOT_OFFERED = "card-not-offered"


class BannersError(Exception):
    """
    Base class of the project's exceptions.

    Without a message, the first line of the class's docstring is the message.
    """

    status: ClassVar[int] = 500
    public_message: ClassVar[str] = "something went wrong"
    explanation_kind: ClassVar[ExplanationKind] = ExplanationKind.NUMBERS_UNAVAILABLE

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().partition("\n")[0])

    def copy(self) -> Self:
        """
        Return a copy without traceback, cause and context.

        To cache an error, cache a copy: a traceback keeps the frames of every caller alive.
        """
        copy = type(self).__new__(type(self))
        copy.args = self.args
        copy.__dict__.update(self.__dict__)
        return copy


class InvalidInput(BannersError):
    """
    An input value is not allowed.

    `field` names the input, `written_field` is the alias under which it was given, if it was one;
    `value` is the invalid value as text, `allowed` lists the allowed values or holds one phrase that
    describes them. `find_suggestion` replaces the default search for the closest allowed value; it is
    called only when `suggestion` is read.
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
        self.field = self.written_field = field
        self.value = value
        self.allowed = tuple(allowed)
        self._find_suggestion = find_suggestion

    @cached_property
    def suggestion(self) -> str | None:
        """Return the allowed value closest to a misspelt one, None if none is close."""
        if self._find_suggestion is not None:
            return self._find_suggestion()
        return closest_match(self.value.lower(), self.allowed) if len(self.allowed) > 1 else None


def closest_match(word: str, allowed: Sequence[str]) -> str | None:
    """Return the allowed value that is spelled almost like a word, or shares its beginning."""
    if similar := difflib.get_close_matches(word, allowed, n=1):
        return similar[0]
    if len(word) <= 1:
        return None
    return next(
        (value for value in allowed if value.startswith(word) or word.startswith(value)), None
    )


class InvalidType(InvalidInput):
    """The banner type does not exist."""

    public_message = "invalid banner type"


class InvalidOption(InvalidInput):
    """An option, or the request body, has an invalid value."""


class NotFound(BannersError):
    """The requested resource does not exist; `name` is the requested name."""

    status = 404

    def __init__(self, name: str) -> None:
        super().__init__(f"{type(self).__name__}: {name!r}")
        self.name = name


class UnknownUser(NotFound):
    """GitHub has no user or organisation of this name."""

    public_message = "user doesn't exist"
    explanation_kind = ExplanationKind.UNKNOWN_USER


class UnknownBanner(NotFound):
    """No permanent banner has this name."""

    public_message = "banner doesn't exist"
    explanation_kind = ExplanationKind.UNKNOWN_BANNER


class UnknownRepository(NotFound):
    """The owner has no public repository of this name; `suggestion` is the nearest name, if any."""

    public_message = "repository doesn't exist"
    explanation_kind = ExplanationKind.UNKNOWN_REPOSITORY

    def __init__(self, name: str, suggestion: str | None = None) -> None:
        super().__init__(name)
        self.suggestion = suggestion


class CardNotOffered(NotFound):
    """No layout resembles a card of another service; `name` is the kind of card."""

    public_message = "card is not offered"
    explanation_kind = ExplanationKind.CARD_NOT_OFFERED


class ContributionsHidden(NotFound):
    """The user's profile is private; `name` is the login."""

    public_message = "contributions are hidden"
    explanation_kind = ExplanationKind.CONTRIBUTIONS_HIDDEN


class NoContributions(NotFound):
    """Organisations have no contributions; `name` is the login."""

    public_message = "organisations have no contributions"
    explanation_kind = ExplanationKind.NO_CONTRIBUTIONS


def contributions_error(access: str, login: str) -> BannersError:
    """Return the error for contributions that can't be shown; `access` is a `ContributionAccess`."""
    match access:
        case "organisation":
            return NoContributions(login)
        case "needs-token":
            return TokenRequired()
        case _:
            return ContributionsHidden(login)


class UserNotServed(BannersError):
    """The user or organisation is not served by this instance; `name` is the login."""

    status = 403
    public_message = "user not served here"
    explanation_kind = ExplanationKind.USER_NOT_SERVED

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not served here")
        self.name = name


class TooManyBanners(BannersError):
    """The user has reached the limit of permanent banners."""

    status = 409
    public_message = "too many banners"


class TooManyRequests(BannersError):
    """The client exceeded its rate limit."""

    status = 429
    public_message = "too many requests"
    explanation_kind = ExplanationKind.TOO_MANY_REQUESTS

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class Unavailable(BannersError):
    """The request can't be answered now; a later retry can succeed."""

    status = 503
    public_message = "can't get preview"
    retry_after_seconds: ClassVar[int] = 30


class FetchPending(Unavailable):
    """A fetch of this user is still running; `name` is the login."""

    explanation_kind = ExplanationKind.COUNTING
    retry_after_seconds = 2

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class TokenRequired(Unavailable):
    """GitHub gives these numbers only to those who have a token, and this service has none."""

    public_message = "token required"
    explanation_kind = ExplanationKind.TOKEN_REQUIRED


class Overloaded(Unavailable):
    """Too much work is queued."""

    explanation_kind = ExplanationKind.BUSY


class GitHubUnavailable(Unavailable):
    """GitHub is unavailable."""

    explanation_kind = ExplanationKind.GITHUB_UNAVAILABLE


class DatabaseUnavailable(Unavailable):
    """PostgreSQL is unavailable."""


class OwnerNotStored(Unavailable):
    """The row of an owner is missing, since the owner was removed during the request."""


class UnreadableBanner(Unavailable):
    """The row of a banner can't be read: a newer version has written it, or it is damaged."""


class RendererUnavailable(Unavailable):
    """The renderer is unavailable."""


class StorageUnavailable(Unavailable):
    """
    Banners can't be stored or read: the disk is full, missing or not writable.

    `is_permanent` is true if a retry does not help, since permission is denied for example.
    """

    public_message = "can't store banner"

    def __init__(self, message: str | None = None, *, is_permanent: bool = False) -> None:
        super().__init__(message)
        self.is_permanent = is_permanent


class BrokerUnavailable(Unavailable):
    """Kafka is unavailable."""


class NonceCacheFull(Unavailable):
    """The nonce cache is full; replayed calls could not be detected."""

    public_message = "too many calls"


class InvalidSignature(BannersError):
    """A call between services has no valid signature; only the log says why."""

    status = 401
    public_message = "signature refused"


class TooLarge(BannersError):
    """The body exceeds the size limit."""

    status = 413
    public_message = "too large"


class PermanentFailure(BannersError):
    """The operation will fail on every retry."""


class MalformedMessage(PermanentFailure):
    """
    A message of another service breaks the wire format.

    The message names the field, and is sent to the calling service.
    """

    status = 400
    public_message = "invalid inputs"


class RenderingFailed(PermanentFailure):
    """These numbers and options can't be rendered, which is a bug."""


class RemoteRejected(PermanentFailure):
    """Another service rejected the request for good; the message holds its status."""


class ConfigurationError(BannersError):
    """The program can't start with this configuration; the message says what to change."""


class DatabaseInUse(ConfigurationError):
    """Another process runs the embedded PostgreSQL of this folder."""


class InvalidSettings(ConfigurationError):
    """Environment variables are invalid; `problems` holds one sentence per problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
