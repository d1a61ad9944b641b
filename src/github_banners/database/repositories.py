"""
Store the repositories of owners.

Every save of an owner replaces the whole list, without writing rows that are unchanged.
"""

from collections.abc import Iterable
from typing import Any

from github_banners.database.session import Connection
from github_banners.models import OwnerRepositories, Repository


async def select_repositories(conn: Connection, owner_id: int) -> list[Repository]:
    """Select the repositories of an owner, in no particular order."""
    query = """
        select id, name, stars, forks, is_fork, language, is_archived
        from repositories where owner_id = %s
    """
    cursor = await conn.execute(query, [owner_id])
    return [Repository(*row) for row in await cursor.fetchall()]


async def replace_repositories(conn: Connection, owners: list[OwnerRepositories]) -> None:
    """Replace the repositories of owners without writing unchanged rows."""
    rows = {
        (owner_repositories.owner.id, repository.id): repository_row(
            owner_repositories.owner.id, repository
        )
        for owner_repositories in owners
        for repository in owner_repositories.repositories
    }
    columns = to_columns((rows[key] for key in sorted(rows)), column_count=8)
    remove = """
        delete from repositories where owner_id = any(%s) and not exists (
            select from unnest(%s::bigint[], %s::bigint[]) as fresh (owner_id, id)
            where fresh.owner_id = repositories.owner_id and fresh.id = repositories.id
        )
    """
    owner_ids = [owner_repositories.owner.id for owner_repositories in owners]
    await conn.execute(remove, [owner_ids, *columns[:2]])
    upsert = """
        insert into repositories (
            owner_id, id, name, stars, forks, is_fork, language, is_archived
        )
        select fresh.* from unnest(
            %s::bigint[], %s::bigint[], %s::text[], %s::int[], %s::int[], %s::bool[], %s::text[],
            %s::bool[]
        ) as fresh (owner_id, id, name, stars, forks, is_fork, language, is_archived)
        left join repositories as stored
            on stored.owner_id = fresh.owner_id and stored.id = fresh.id
        -- before the conflict, which locks the stored row and so writes it to the WAL
        where stored.id is null
            or (
                stored.name, stored.stars, stored.forks, stored.is_fork, stored.language,
                stored.is_archived
            ) is distinct from (
                fresh.name, fresh.stars, fresh.forks, fresh.is_fork, fresh.language,
                fresh.is_archived
            )
        on conflict (owner_id, id) do update set
            name = excluded.name, stars = excluded.stars, forks = excluded.forks,
            is_fork = excluded.is_fork, language = excluded.language,
            is_archived = excluded.is_archived
    """
    await conn.execute(upsert, columns)


def repository_row(owner_id: int, repository: Repository) -> tuple[Any, ...]:
    """Return the columns of a repository's row, in the order of the insert statement."""
    return (
        owner_id,
        repository.id,
        strip_unstorable(repository.name),
        repository.stars,
        repository.forks,
        repository.is_fork,
        strip_unstorable(repository.language),
        repository.is_archived,
    )


def to_columns(rows: Iterable[tuple[Any, ...]], *, column_count: int) -> list[list[Any]]:
    """Transpose rows to the arrays that `unnest` takes; no rows give empty arrays."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(column_count)]


def strip_unstorable(text: str | None) -> str | None:
    """Remove NUL and replace lone surrogates, which PostgreSQL's text type can't hold."""
    if not text or text.isascii():
        return text.replace("\0", "") if text else text
    return text.replace("\0", "").encode("utf-8", "replace").decode()
