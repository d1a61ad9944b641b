"""
Repository lists and JSON bodies of GitHub's REST API.

Pure functions from the domain model to values that can be encoded as JSON. Bodies of recorded
accounts are returned as recorded, with later changes overlaid.
https://docs.github.com/en/rest/repos/repos#list-repositories-for-a-user
https://docs.github.com/en/rest/users/users#get-a-user
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from github_sandbox.models import Account, License, Repository, build_node_id

DEFAULT_PER_PAGE = 30
MAX_PER_PAGE = 100

_WEB = "https://github.com"
_Member = TypeVar("_Member", bound=StrEnum)


class Sort(StrEnum):
    """Sort keys of a repository list."""

    FULL_NAME = "full_name"
    CREATED = "created"
    UPDATED = "updated"
    PUSHED = "pushed"


class RepositoryType(StrEnum):
    """
    Values of the `type` parameter.

    The first three are documented for users, the others for organizations; both accept all.
    """

    OWNER = "owner"
    ALL = "all"
    MEMBER = "member"
    PUBLIC = "public"
    SOURCES = "sources"
    FORKS = "forks"


class RepositoryQuery(msgspec.Struct, frozen=True):
    """The parsed query parameters of a repository list."""

    sort: Sort = Sort.FULL_NAME
    descending: bool = False
    type: RepositoryType = RepositoryType.OWNER
    page: int = 1
    per_page: int = DEFAULT_PER_PAGE
    is_organization: bool = False


def parse_repository_query(
    parameters: Mapping[str, str], *, is_organization: bool = False
) -> RepositoryQuery:
    """
    Parse query parameters as leniently as GitHub: invalid values become defaults or are clamped.

    The list at `/orgs` is sorted by creation, newest first, by default.
    """
    default = Sort.CREATED if is_organization else Sort.FULL_NAME
    sort = _parse_member(Sort, parameters.get("sort"), default)
    direction = parameters.get("direction", "asc" if sort is Sort.FULL_NAME else "desc")
    per_page = _parse_number(parameters.get("per_page"), 0) or DEFAULT_PER_PAGE
    return RepositoryQuery(
        sort=sort,
        descending=direction == "desc",
        type=_parse_member(RepositoryType, parameters.get("type"), RepositoryType.OWNER),
        page=max(1, _parse_number(parameters.get("page"), 1)),
        per_page=min(MAX_PER_PAGE, per_page),
        is_organization=is_organization,
    )


def select_repositories(account: Account, query: RepositoryQuery) -> list[Repository]:
    """Return all repositories that match a query, sorted, before pagination."""
    selected = [
        repository for repository in account.repositories if _matches(repository, query.type)
    ]
    if query.sort is Sort.FULL_NAME:
        selected.sort(key=lambda repository: (repository.name.lower(), repository.id))
    else:
        read_time = attrgetter(f"{query.sort.value}_at")
        selected.sort(
            key=lambda repository: (read_time(repository) or repository.created_at, repository.id)
        )
    return selected[::-1] if query.descending else selected


def slice_page(repositories: Sequence[Repository], query: RepositoryQuery) -> Sequence[Repository]:
    """Return one page of a list; a page beyond the end is empty."""
    start = (query.page - 1) * query.per_page
    return repositories[start : start + query.per_page]


def build_link_header(
    url: str, parameters: Mapping[str, str], *, total: int, query: RepositoryQuery
) -> str | None:
    """
    Build the `Link` header of a page; None if there is only one page.

    `url` should contain the account's id, as in GitHub's own links, so that it survives renames.
    """
    last = -(-total // query.per_page)
    pages = {"prev": query.page - 1, "next": query.page + 1, "last": last, "first": 1}
    if query.page <= 1:
        del pages["prev"], pages["first"]
    if query.page >= last:
        del pages["next"], pages["last"]
    links = (
        f'<{url}?{urlencode({**parameters, "page": page})}>; rel="{rel}"'
        for rel, page in pages.items()
    )
    return ", ".join(links) or None


def build_user_body(account: Account, *, base_url: str) -> dict[str, Any]:
    """Build the body of `GET /users/{login}`, which is also served for organizations."""
    profile: Mapping[str, Any]
    if account.recorded is not None:
        profile = account.recorded
    else:
        profile = {**build_owner_body(account, base_url=base_url), **_generated_profile(account)}
    return {
        **profile,
        "login": account.login,
        "node_id": account.node_id,
        "name": account.name,
        "public_repos": len(account.repositories),
        "followers": account.followers,
        "following": account.following,
        "created_at": account.created_at,
        "updated_at": account.updated_at,
    }


def build_owner_body(account: Account, *, base_url: str) -> dict[str, Any]:
    """Build the short form of an account that its repositories contain."""
    url = f"{base_url}/users/{account.login}"
    return {
        "login": account.login,
        "id": account.id,
        "node_id": account.node_id,
        "avatar_url": f"https://avatars.githubusercontent.com/u/{account.id}?v=4",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{_WEB}/{account.login}",
        **{key: url + path for key, path in _OWNER_PATHS.items()},
        "type": account.type_name,
        "user_view_type": "public",
        "site_admin": False,
    }


def build_repository_body(
    account: Account, repository: Repository, *, base_url: str
) -> dict[str, Any]:
    """Build the body of `GET /repos/{owner}/{name}`."""
    [body] = build_repository_bodies(account, [repository], base_url=base_url)
    return {"network_count": repository.forks, "subscribers_count": 0, **body}


def build_repository_bodies(
    account: Account, repositories: Sequence[Repository], *, base_url: str
) -> list[dict[str, Any]]:
    """Build the bodies of repositories in a list."""
    owner = build_owner_body(account, base_url=base_url)
    return [
        _build_repository_body(account, repository, owner=owner, base_url=base_url)
        if repository.recorded is None
        else _overlay_changes(account, repository, repository.recorded)
        for repository in repositories
    ]


def _build_repository_body(
    account: Account, repository: Repository, *, owner: Mapping[str, Any], base_url: str
) -> dict[str, Any]:
    full_name = f"{account.login}/{repository.name}"
    url = f"{base_url}/repos/{full_name}"
    return {
        "id": repository.id,
        "node_id": build_node_id("Repository", repository.id),
        "name": repository.name,
        "full_name": full_name,
        "private": False,
        "owner": owner,
        "html_url": f"{_WEB}/{full_name}",
        "description": repository.description,
        "fork": repository.is_fork,
        "url": url,
        **{key: url + path for key, path in _REPOSITORY_PATHS.items()},
        "created_at": repository.created_at,
        "updated_at": repository.updated_at,
        "pushed_at": repository.pushed_at,
        "git_url": f"git://github.com/{full_name}.git",
        "ssh_url": f"git@github.com:{full_name}.git",
        "clone_url": f"{_WEB}/{full_name}.git",
        "svn_url": f"{_WEB}/{full_name}",
        "size": repository.size_kilobytes,
        "stargazers_count": repository.stars,
        "watchers_count": repository.stars,
        "language": repository.language,
        "homepage": repository.homepage,
        "license": _build_license_body(repository.license, base_url=base_url),
        "topics": repository.topics,
        "forks_count": repository.forks,
        "archived": repository.is_archived,
        "open_issues_count": 0,
        "forks": repository.forks,
        "open_issues": 0,
        "watchers": repository.stars,
        **_CONSTANT_FIELDS,
    }


def _build_license_body(license_: License | None, *, base_url: str) -> dict[str, Any] | None:
    if license_ is None:
        return None
    # A licence that GitHub does not recognize has no page of its own.
    is_known = license_.key != "other"
    return {
        "key": license_.key,
        "name": license_.name,
        "spdx_id": license_.spdx_id,
        "url": f"{base_url}/licenses/{license_.key}" if is_known else None,
    }


def _overlay_changes(
    account: Account, repository: Repository, recorded: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a recorded body with the current star count and the current names."""
    body = dict(recorded)
    if body["owner"]["login"] != account.login or body["name"] != repository.name:
        body["name"] = repository.name
        body["full_name"] = f"{account.login}/{repository.name}"
        body["owner"] = {**body["owner"], "login": account.login}
    # Old recordings have no `stargazers_count`; it is added only if it has changed.
    if body.get("stargazers_count", repository.stars) != repository.stars:
        body["stargazers_count"] = repository.stars
    return body


def _generated_profile(account: Account) -> dict[str, Any]:
    return {
        "company": None,
        "blog": f"https://{account.login.lower()}.example",
        "location": None,
        "email": None,
        "hireable": None,
        "bio": None,
        "twitter_username": None,
        "public_gists": 0,
    }


def _matches(repository: Repository, repository_type: RepositoryType) -> bool:
    match repository_type:
        case RepositoryType.FORKS:
            return repository.is_fork
        case RepositoryType.SOURCES:
            return not repository.is_fork
        case RepositoryType.MEMBER:
            return False
        case _:
            return True


def _parse_member(members: type[_Member], text: str | None, default: _Member) -> _Member:
    return members(text) if text in set(members) else default


def _parse_number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() else default


_OWNER_PATHS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
_REPOSITORY_PATHS = {
    "forks_url": "/forks",
    "keys_url": "/keys{/key_id}",
    "collaborators_url": "/collaborators{/collaborator}",
    "teams_url": "/teams",
    "hooks_url": "/hooks",
    "issue_events_url": "/issues/events{/number}",
    "events_url": "/events",
    "assignees_url": "/assignees{/user}",
    "branches_url": "/branches{/branch}",
    "tags_url": "/tags",
    "blobs_url": "/git/blobs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "trees_url": "/git/trees{/sha}",
    "statuses_url": "/statuses/{sha}",
    "languages_url": "/languages",
    "stargazers_url": "/stargazers",
    "contributors_url": "/contributors",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "commits_url": "/commits{/sha}",
    "git_commits_url": "/git/commits{/sha}",
    "comments_url": "/comments{/number}",
    "issue_comment_url": "/issues/comments{/number}",
    "contents_url": "/contents/{+path}",
    "compare_url": "/compare/{base}...{head}",
    "merges_url": "/merges",
    "archive_url": "/{archive_format}{/ref}",
    "downloads_url": "/downloads",
    "issues_url": "/issues{/number}",
    "pulls_url": "/pulls{/number}",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "labels_url": "/labels{/name}",
    "releases_url": "/releases{/id}",
    "deployments_url": "/deployments",
}
_CONSTANT_FIELDS = {
    "has_issues": True,
    "has_projects": True,
    "has_wiki": True,
    "has_pages": False,
    "has_discussions": False,
    "mirror_url": None,
    "disabled": False,
    "allow_forking": True,
    "is_template": False,
    "web_commit_signoff_required": False,
    "visibility": "public",
    "default_branch": "main",
}
