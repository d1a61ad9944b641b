"""Accounts read from recorded exchanges."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from github_sandbox.account_store import AccountStore
from github_sandbox.generator import AccountGenerator
from github_sandbox.models import License, build_node_id
from github_sandbox.recordings import RecordingsError, read_recordings
from github_sandbox.rest import (
    build_repository_bodies,
    build_repository_body,
    build_user_body,
)

OWNER = {"login": "Octo-Old", "id": 77, "type": "User"}


def body(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"repo-{number}",
        "full_name": f"Octo-Old/repo-{number}",
        "owner": OWNER,
        "fork": False,
        "watchers_count": number,
        "created_at": f"201{number}-01-01T00:00:00Z",
        "pushed_at": None,
        "surprise": {"kept": True},
        **more,
    }


def exchange(bodies: list[dict[str, Any]], link: str | None = None) -> dict[str, Any]:
    headers = {} if link is None else {"Link": link}
    return {"request": {}, "response": {"status": 200, "headers": headers, "body": bodies}}


def write(directory: Path, name: str, content: object) -> None:
    (directory / "rest").mkdir(exist_ok=True)
    (directory / "rest" / name).write_bytes(msgspec.json.encode(content))


def test_pages_are_merged_and_missing_owner_fields_are_derived(tmp_path: Path) -> None:
    pages = [
        exchange([body(3), body(1)], '<https://x/?page=2>; rel="next"'),
        exchange([body(2, stargazers_count=9)], '<https://x/?page=1>; rel="first"'),
    ]
    write(tmp_path, "exchange.repos.octo-old.2012.json", {"exchanges": pages})
    [account] = read_recordings(tmp_path)
    assert [repository.id for repository in account.repositories] == [1, 2, 3]
    assert [repository.stars for repository in account.repositories] == [1, 9, 3]
    assert account.node_id == build_node_id("User", 77)
    assert account.created_at == account.repositories[0].created_at
    bodies = build_repository_bodies(account, account.repositories, base_url="http://x")
    assert bodies == [body(1), body(2, stargazers_count=9), body(3)]
    user = build_user_body(account, base_url="http://x")
    assert (user["public_repos"], user["login"], user["name"]) == (3, "Octo-Old", None)


def test_recorded_profile_of_the_owner_is_used(tmp_path: Path) -> None:
    write(tmp_path, "repos.octo-old.2016.complete.json", [body(1)])
    user = {**OWNER, "name": "Octo", "followers": 5, "public_repos": 99, "node_id": "old"}
    user |= {"created_at": "2009-01-01T00:00:00Z", "plan": "kept"}
    write(tmp_path, "exchange.user.octo-old.json", exchange(user))  # type: ignore[arg-type]
    [account] = read_recordings(tmp_path)
    profile = build_user_body(account, base_url="http://x")
    assert (profile["public_repos"], profile["followers"], profile["plan"]) == (1, 5, "kept")
    assert (profile["node_id"], profile["name"]) == ("old", "Octo")


def test_recorded_bodies_show_a_changed_owner(tmp_path: Path) -> None:
    write(tmp_path, "repos.octo-old.2016.complete.json", [body(1, stargazers_count=1)])
    [account] = read_recordings(tmp_path)
    starred = msgspec.structs.replace(account.repositories[0], stars=50)
    renamed = msgspec.structs.replace(account, login="Fresh", repositories=(starred,))
    [shown] = build_repository_bodies(renamed, renamed.repositories, base_url="http://x")
    assert shown["full_name"] == "Fresh/repo-1"
    assert shown["owner"]["login"] == "Fresh"
    assert shown["stargazers_count"] == 50
    assert shown["surprise"] == {"kept": True}


def test_recorded_details_are_used(tmp_path: Path) -> None:
    mit = {"key": "mit", "name": "MIT License", "spdx_id": "MIT", "node_id": "MDc6TGljZW5zZTEz"}
    details = {"description": "Old & good", "license": mit, "homepage": "http://x.example"}
    bodies = [
        body(1, language="Ruby", size=21, topics=["a"], **details),
        body(2, language=None, size=7, license=None),
        body(3),
    ]
    write(tmp_path, "repos.octo-old.2016.complete.json", bodies)
    accounts = AccountStore(AccountGenerator(seed=1), read_recordings(tmp_path))
    first, second, third = (accounts.find_repository("octo-old", f"repo-{n}") for n in (1, 2, 3))
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.description, first.homepage) == ("Old & good", "http://x.example")
    assert (first.license, first.topics) == (License("mit", "MIT License", "MIT"), ("a",))
    assert (second.description, second.license, third.license) == (None, None, None)
    # Only the main language and the size in kilobytes were recorded.
    assert accounts.language_sizes(first) == {"Ruby": 21 * 1_024}
    assert accounts.language_sizes(second) == accounts.language_sizes(third) == {}
    account = accounts.find_repository_owner(first.id)
    assert account is not None
    shown = build_repository_body(account, first, base_url="http://x")
    assert shown.items() >= bodies[0].items()


def test_recorded_body_shows_a_changed_name(tmp_path: Path) -> None:
    write(tmp_path, "repos.octo-old.2016.complete.json", [body(1)])
    accounts = AccountStore(AccountGenerator(seed=1), read_recordings(tmp_path))
    accounts.rename_repository(
        "octo-old", "repo-1", to="fresh", now=datetime(2026, 1, 1, tzinfo=UTC)
    )
    renamed = accounts.by_login("octo-old")
    assert renamed is not None
    [shown] = build_repository_bodies(renamed, renamed.repositories, base_url="http://x")
    assert (shown["name"], shown["full_name"]) == ("fresh", "Octo-Old/fresh")


def test_incomplete_and_empty_lists_are_ignored(tmp_path: Path) -> None:
    half = [exchange([body(1)], '<https://x/?page=2>; rel="next"')]
    write(tmp_path, "exchange.repos.half.json", {"exchanges": half})
    write(tmp_path, "exchange.repos.EMPTY.json", {"exchanges": [exchange([])]})
    write(tmp_path, "repos.more.partial.json", [body(1)])
    with pytest.raises(RecordingsError, match="no complete recording"):
        read_recordings(tmp_path)


def test_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingsError):
        read_recordings(tmp_path / "nowhere")
