"""
What GitHub's REST API says of an account and of a repository.

Pure: nouns in, JSON-ready values out. Recorded bodies pass through; only what has changed since is
laid over them.
https://docs.github.com/en/rest/users/users#get-a-user
"""

from collections.abc import Mapping, Sequence
from typing import Any

from github_sandbox.nouns import Account, Repository, node_id_of

_WEB = "https://github.com"


def user_body(account: Account, *, base: str) -> dict[str, Any]:
    """Write the body of `GET /users/{login}`, for an organisation too."""
    if account.recorded is not None:
        own: Mapping[str, Any] = account.recorded
    else:
        own = {**owner_body(account, base=base), **_invented_profile(account)}
    return {
        **own,
        "login": account.login,
        "node_id": account.node_id,
        "name": account.name,
        "public_repos": len(account.repositories),
        "followers": account.followers,
        "following": account.following,
        "created_at": account.created_at,
        "updated_at": account.updated_at,
    }


def owner_body(account: Account, *, base: str) -> dict[str, Any]:
    """Write an account as it stands inside its repositories."""
    root = f"{base}/users/{account.login}"
    return {
        "login": account.login,
        "id": account.id,
        "node_id": account.node_id,
        "avatar_url": f"https://avatars.githubusercontent.com/u/{account.id}?v=4",
        "gravatar_id": "",
        "url": root,
        "html_url": f"{_WEB}/{account.login}",
        **{key: root + path for key, path in _OWNER_PATHS.items()},
        "type": "Organization" if account.is_organization else "User",
        "user_view_type": "public",
        "site_admin": False,
    }


def repository_bodies(
    account: Account, repositories: Sequence[Repository], *, base: str
) -> list[dict[str, Any]]:
    """Write repositories as they stand in a list."""
    owner = owner_body(account, base=base)
    return [_repository_body(account, one, owner=owner, base=base) for one in repositories]


def _repository_body(
    account: Account, repository: Repository, *, owner: Mapping[str, Any], base: str
) -> dict[str, Any]:
    full_name = f"{account.login}/{repository.name}"
    if repository.recorded is not None:
        return _as_it_is_now(account, repository, full_name)
    root = f"{base}/repos/{full_name}"
    return {
        "id": repository.id,
        "node_id": node_id_of("Repository", repository.id),
        "name": repository.name,
        "full_name": full_name,
        "private": False,
        "owner": owner,
        "html_url": f"{_WEB}/{full_name}",
        "description": f"The {repository.name.replace('-', ' ')} of {account.login}",
        "fork": repository.is_fork,
        "url": root,
        **{key: root + path for key, path in _REPOSITORY_PATHS.items()},
        "created_at": repository.created_at,
        "updated_at": repository.updated_at,
        "pushed_at": repository.pushed_at,
        **_clone_addresses(full_name),
        "size": repository.size_kilobytes,
        "stargazers_count": repository.stars,
        "watchers_count": repository.stars,
        "language": repository.language,
        "forks_count": repository.forks,
        "archived": repository.is_archived,
        "open_issues_count": 0,
        "forks": repository.forks,
        "open_issues": 0,
        "watchers": repository.stars,
        **_SAME_FOR_ALL,
    }


def _clone_addresses(full_name: str) -> dict[str, str]:
    return {
        "git_url": f"git://github.com/{full_name}.git",
        "ssh_url": f"git@github.com:{full_name}.git",
        "clone_url": f"{_WEB}/{full_name}.git",
        "svn_url": f"{_WEB}/{full_name}",
    }


def _as_it_is_now(account: Account, repository: Repository, full_name: str) -> dict[str, Any]:
    """Return the recorded body, with the star count and the owner's login if those have changed."""
    body = dict(repository.recorded or {})
    if body["owner"]["login"] != account.login:
        body |= {"full_name": full_name, "owner": {**body["owner"], "login": account.login}}
    if body.get("stargazers_count", repository.stars) != repository.stars:
        body["stargazers_count"] = repository.stars
    return body


def _invented_profile(account: Account) -> dict[str, Any]:
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
_SAME_FOR_ALL = {
    "homepage": None,
    "has_issues": True,
    "has_projects": True,
    "has_wiki": True,
    "has_pages": False,
    "has_discussions": False,
    "mirror_url": None,
    "disabled": False,
    "license": None,
    "allow_forking": True,
    "is_template": False,
    "web_commit_signoff_required": False,
    "topics": (),
    "visibility": "public",
    "default_branch": "main",
}
