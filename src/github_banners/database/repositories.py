"""Read the repositories of owners, which `users` stores with them."""

from github_banners.database.session import Connection
from github_banners.models import Repository


async def select_repositories(conn: Connection, owner_id: int) -> list[Repository]:
    """Select the repositories of an owner, in no particular order."""
    query = """
        select id, name, stars, forks, is_fork, language, is_archived
        from repositories where owner_id = %s
    """
    cursor = await conn.execute(query, [owner_id])
    return [Repository(*row) for row in await cursor.fetchall()]
