"""
Compare what the refreshes of the present banners cost with what the accounts of the tokens carry.

The background leaves a share of each hourly limit to clients that wait, see `Priority.BACKGROUND`. A
limit belongs to an account: several tokens of one account count once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from github_banners.database.refresh_costs import RefreshCosts
from github_banners.diagnostics.tokens import TokenCheckResult
from github_banners.github.credentials import Account, Priority
from github_banners.github.protocol import Resource

_POINTS, _REQUESTS = "GraphQL points", "REST requests"


@dataclass(frozen=True, slots=True)
class _Expense:
    """
    What the refreshes use of one rate limit in an hour, and what the background may use of it.

    `needed` is less than `used` while batches are not full. `available` is None if GitHub reports no
    limit.
    """

    unit: str
    used: float
    needed: float
    available: int | None

    def to_text(self) -> str:
        """Format as `41 of 7,000 GraphQL points`."""
        used = _format_amount(self.used)
        if self.available is not None:
            return f"{used} of {self.available:,} {self.unit}"
        return f"{used} {self.unit.removesuffix('s') if used == '1' else self.unit}"


def describe_costs(costs: RefreshCosts, tokens: Sequence[TokenCheckResult]) -> str:
    """
    Return what refreshing the banners costs, and how many such banners the accounts carry.

    More banners fill the batches, so more fit than the present costs per banner suggest.
    """
    if not costs.banners:
        return "no banner yet"
    accounts = _usable_accounts(tokens)
    expenses = _list_expenses(costs, tokens, accounts)
    expense_texts = " and ".join(expense.to_text() for expense in expenses)
    counts = f"{_count(costs.banners, 'banner')} of {_count(costs.owners, 'owner')}"
    text = f"{counts}: {expense_texts} an hour"
    factors = [
        expense.available / expense.needed
        for expense in expenses
        if expense.available is not None and expense.needed
    ]
    if not factors:
        return text
    holders = (
        "without a token" if _is_anonymous(tokens) else f"of {_count(len(accounts), 'account')}"
    )
    fitting = _round_down(costs.banners * min(factors))
    return f"{text} (background share {holders}); about {fitting:,} such banners fit"


def cost_warnings(costs: RefreshCosts, tokens: Sequence[TokenCheckResult]) -> list[str]:
    """Return sentences, without the last full stop, for each rate limit that the refreshes exceed."""
    advice = "Add a token of another account to GITHUB_TOKENS"
    if _is_anonymous(tokens):
        advice = "Set GITHUB_TOKENS"
    return [
        f"refreshing all banners needs {_format_amount(expense.needed)} {expense.unit} an hour, but"
        f" the background may use only {expense.available:,}: banners are refreshed later than"
        f" REFRESH_INTERVAL says. {advice}, or raise REFRESH_INTERVAL"
        for expense in _list_expenses(costs, tokens, _usable_accounts(tokens))
        if expense.available is not None and expense.needed > expense.available
    ]


def _list_expenses(
    costs: RefreshCosts, tokens: Sequence[TokenCheckResult], accounts: Sequence[Account]
) -> list[_Expense]:
    """Return what is used of each rate limit; with a token, REST only if it is used."""
    requests = _background_limit(accounts, Resource.CORE)
    if _is_anonymous(tokens):
        return [_Expense(_REQUESTS, costs.anonymous_requests, costs.anonymous_requests, requests)]
    points = _background_limit(accounts, Resource.GRAPHQL)
    expenses = [_Expense(_POINTS, costs.graphql_points, costs.min_graphql_points, points)]
    if costs.rest_requests:
        expenses.append(_Expense(_REQUESTS, costs.rest_requests, costs.rest_requests, requests))
    return expenses


def _is_anonymous(tokens: Sequence[TokenCheckResult]) -> bool:
    return all(token.credential.token is None for token in tokens)


def _usable_accounts(tokens: Sequence[TokenCheckResult]) -> list[Account]:
    """Return each account with a token that GitHub accepts once."""
    return list(
        dict.fromkeys(token.credential.account for token in tokens if token.status is not None)
    )


def _background_limit(accounts: Sequence[Account], resource: Resource) -> int | None:
    """Return what the background may use in an hour; None if GitHub reports no limit."""
    # An Enterprise Server without rate limits reports none.
    if not any(account.rate_limits for account in accounts):
        return None
    return sum(
        account.limit(resource) - account.reserved_points(resource, Priority.BACKGROUND)
        for account in accounts
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _format_amount(amount: float) -> str:
    """Round up to an integer, or below ten to tenths."""
    if 0 < amount < 0.1:
        return "less than 0.1"
    scale = 10 if amount < 10 else 1
    # Rounded first, because sums of fractions can be slightly above an integer.
    return f"{math.ceil(round(amount * scale, 6)) / scale:,.1f}".removesuffix(".0")


def _round_down(number: float) -> int:
    """Round down to three digits, since the next banners are not exactly like the present ones."""
    whole = math.floor(number)
    unit = int(10.0 ** max(0, len(str(whole)) - 3))
    return whole // unit * unit
