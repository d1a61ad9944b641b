"""
Check the tokens for GitHub: their owners, rate limits, scopes and expiry.

Each token is used for two requests that cost nothing or little. Of a token only the beginning of its
SHA-256 is shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from github_banners.github import rest
from github_banners.github.credentials import Credential, assign_user, create_accounts
from github_banners.github.graphql import Viewer
from github_banners.github.protocol import Failure, FailureKind, RateLimit, Resource
from github_banners.github.sender import RequestFailed, Sender
from github_banners.github.token_owners import fetch_token_owner
from github_banners.github.transport import open_github_http
from github_banners.models import Clock
from github_banners.settings import Settings

_EXPIRY_WARNING = timedelta(days=14)
_REFUSALS = {
    FailureKind.BAD_TOKEN: "is rejected: revoked, expired or mistyped",
    FailureKind.SUSPENDED: "is rejected: its account is suspended",
}


@dataclass(slots=True)
class TokenCheckResult:
    """Result of checking a token; `failure` is the first error, after which checking stopped."""

    credential: Credential
    status: rest.TokenInfo | None = None
    owner: Viewer | None = None
    failure: Failure | None = None

    @property
    def is_broken(self) -> bool:
        """True if the token can't be used at all."""
        return self.status is None and self.failure is not None

    @property
    def is_unreachable(self) -> bool:
        """True if GitHub could not be reached."""
        return self.failure is not None and self.failure.kind is FailureKind.UNREACHABLE

    @property
    def is_refused(self) -> bool:
        """True if GitHub has rejected the token."""
        return self.failure is not None and self.failure.kind in _REFUSALS


async def check_tokens(settings: Settings, *, clock: Clock) -> list[TokenCheckResult]:
    """Check every token, one after another; without tokens, unauthenticated access."""
    accounts = create_accounts(settings.github_tokens)
    credentials = [credential for account in accounts for credential in account.credentials]
    results: list[TokenCheckResult] = []
    async with open_github_http(
        timeout=settings.request_timeout, api_url=settings.github_api_url
    ) as http:
        sender = Sender(http, api_url=settings.github_api_url, accounts=accounts, clock=clock)
        # The last credential is the unauthenticated one, used only if there are no tokens.
        for credential in credentials[:-1] or credentials:
            results.append(await check_token(sender, credential, clock=clock))
            # Every further token would wait for the same timeout.
            if results[-1].is_unreachable:
                break
    return results


async def check_token(sender: Sender, credential: Credential, *, clock: Clock) -> TokenCheckResult:
    """Fetch status and owner of a token, and update its account; without a token, the status only."""
    result = TokenCheckResult(credential)
    try:
        result.status = await _fetch_token_status(sender, credential, clock=clock)
        for rate_limit in result.status.rate_limits:
            credential.account.update_rate_limit(rate_limit)
        if credential.token is not None:
            result.owner = await fetch_token_owner(sender, credential, clock=clock)
            assign_user(sender.accounts, credential, user_id=result.owner.id)
    except RequestFailed as error:
        result.failure = error.failure
        # Neither rate limits nor an owner: the server is not GitHub.
        if result.status is not None and not result.status.rate_limits:
            result.status = None
    return result


async def _fetch_token_status(
    sender: Sender, credential: Credential, *, clock: Clock
) -> rest.TokenInfo:
    parse = partial(rest.parse_token_info, now=clock())
    try:
        return await sender.send_as(credential, sender.rest_request("/rate_limit"), parse)
    except RequestFailed as error:
        # An Enterprise Server without rate limits has no such resource.
        if error.failure.kind is FailureKind.NOT_FOUND and credential.token is not None:
            return rest.TokenInfo(())
        raise


def token_rows(tokens: Sequence[TokenCheckResult]) -> list[tuple[str, ...]]:
    """Return the table of the usable tokens with its head; nothing if there is none."""
    head = ("token", "account", "left for REST", "left for GraphQL")
    rows = [_token_row(token) for token in tokens if not token.is_broken]
    return [head, *rows] if rows else []


def token_warnings(tokens: Sequence[TokenCheckResult], *, now: datetime) -> list[str]:
    """Return a sentence for each problem of the tokens."""
    warnings = [warning for token in tokens for warning in _warnings_of_token(token, now=now)]
    return warnings + _shared_account_warnings(tokens)


def _token_row(token: TokenCheckResult) -> tuple[str, ...]:
    name, login = token.credential.name, "unknown"
    if token.credential.token is None:
        name, login = "none", "none"
    elif token.owner is not None:
        login = token.owner.login
    rate_limits = token.credential.account.rate_limits
    remaining = [
        _format_remaining(rate_limits.get(resource))
        for resource in (Resource.CORE, Resource.GRAPHQL)
    ]
    return (name, login, *remaining)


def _format_remaining(rate_limit: RateLimit | None) -> str:
    if rate_limit is None:
        return "no limit reported"
    if not rate_limit.limit:
        return "nothing"
    return f"{rate_limit.remaining:,} of {rate_limit.limit:,} until {rate_limit.reset_at:%H:%M}"


def _warnings_of_token(token: TokenCheckResult, *, now: datetime) -> Iterator[str]:
    """Yield a sentence for each problem of a token."""
    name = token.credential.name
    if token.failure is not None and not token.is_unreachable:
        kind = token.failure.kind
        reason = _REFUSALS.get(kind, f"could not be checked ({token.failure.message or kind})")
        yield f"{'Failed' if token.is_broken else 'Warning'}: {name} {reason}."
    if token.status is None:
        return
    if token.status.scopes:
        scopes = ", ".join(token.status.scopes)
        yield f"Warning: {name} has scopes that are not needed ({scopes}): use a token without scopes."
    expires_at = token.status.expires_at
    if expires_at is not None and expires_at - now < _EXPIRY_WARNING:
        days = max(0, (expires_at - now).days)
        yield f"Warning: {name} expires in {days} days, on {expires_at:%Y-%m-%d}."
    for rate_limit in token.credential.account.rate_limits.values():
        if not rate_limit.remaining and rate_limit.limit:
            resource, reset_at = rate_limit.resource, rate_limit.reset_at
            yield f"Warning: {name} has nothing left ({resource}) until {reset_at:%H:%M}."


def _shared_account_warnings(tokens: Sequence[TokenCheckResult]) -> list[str]:
    """Return a sentence for each account with several tokens, which share one rate limit."""
    names: dict[str, list[str]] = {}
    for token in tokens:
        if token.owner is not None:
            names.setdefault(token.owner.login, []).append(token.credential.name)
    return [
        f"Warning: {' and '.join(shared)} belong to one account, {login}, and share its rate limit."
        for login, shared in names.items()
        if len(shared) > 1
    ]
