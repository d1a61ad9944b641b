"""Store and read the repositories of owners; `users` saves them with their owner."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from github_banners.database.session import Connection, strip_unstorable, to_columns
from github_banners.models import OwnerRepositories, Repository


async def select_repositories(conn: Connection, owner_id: int) -> list[Repository]:
    """Select the repositories of an owner, in no particular order."""
    query = """
        select id, name, stars, forks, is_fork, language, is_archived
        from repositories where owner_id = %s
    """
    cursor = await conn.execute(query, [owner_id])
    return [Repository(*row) for row in await cursor.fetchall()]


async def replace_repositories(conn: Connection, owners: Sequence[OwnerRepositories]) -> None:
    """Replace the repositories of owners without writing unchanged rows."""
    rows = {
        (owner_repositories.owner.id, repository.id): _repository_row(
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
        -- an owner's rows are on the same pages: looking up each repository reads ten times as many
        left join (select * from repositories where owner_id = any(%s)) as stored
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
    await conn.execute(upsert, [*columns, owner_ids])


def content_digest(owner_repositories: OwnerRepositories) -> bytes:
    """Return a digest of the login and of all repositories, as they are stored."""
    rows = [
        _repository_row(owner_repositories.owner.id, repository)
        for repository in sorted(
            owner_repositories.repositories, key=lambda repository: repository.id
        )
    ]
    content = msgspec.json.encode([strip_unstorable(owner_repositories.owner.login), rows])
    return hashlib.blake2b(content, digest_size=8).digest()


def _repository_row(owner_id: int, repository: Repository) -> tuple[Any, ...]:
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
