"""Execute GraphQL queries of the sandbox without HTTP."""

from datetime import UTC, datetime
from typing import Any

from github_sandbox.account_store import AccountStore
from github_sandbox.faults import HeavyContributions
from github_sandbox.generator import AccountGenerator
from github_sandbox.graphql import GraphQLRequest, PreparedQuery, execute_query, prepare_query
from github_sandbox.query_cost import QueryCost
from github_sandbox.rate_limits import RateLimitStatus, Resource

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
RATE_LIMIT = RateLimitStatus(5_000, 4_000, 1_000, 3_600, Resource.GRAPHQL)


def create_accounts() -> AccountStore:
    return AccountStore(AccountGenerator(seed=1))


def prepare(query: str, **variables: Any) -> PreparedQuery:
    return prepare_query(GraphQLRequest(query, variables))


def cost(query: str, **variables: Any) -> QueryCost:
    return prepare(query, **variables).cost


def execute(
    query: str,
    *,
    accounts: AccountStore | None = None,
    heavy: HeavyContributions | None = None,
    is_truncated: bool = False,
    **variables: Any,
) -> dict[str, Any]:
    """Return the response to a query, by default with new accounts."""
    accounts = accounts or create_accounts()
    return execute_query(
        prepare(query, **variables),
        accounts=accounts,
        viewer=accounts.token_owner(9, now=NOW),
        rate_limit=RATE_LIMIT,
        now=NOW,
        is_truncated=is_truncated,
        heavy_contributions=heavy,
    )
