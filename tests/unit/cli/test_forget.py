"""What `forget` asks before it removes anything; `tests/acceptance` runs it with its services."""

from typing import Any

import pytest
from typer.testing import CliRunner

from github_banners.app import open_user_removal
from github_banners.app.open_user_removal import Removal, StoredUser
from github_banners.cli import app, forget
from github_banners.models import Owner
from github_banners.settings import Settings

SETTINGS = {"DB_HOST": "127.0.0.1", "STORAGE_BASE_URL": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("owner", "exit_code", "removed"),
    [(None, 0, [True]), (Owner(7, "Ada"), 2, [])],
    ids=["nothing stored", "stored"],
)
def test_forget_deny_asks_only_if_something_is_stored(
    monkeypatch: pytest.MonkeyPatch, owner: Owner | None, exit_code: int, removed: list[bool]
) -> None:
    calls: list[bool] = []

    async def find_user(*_: object) -> StoredUser:
        return StoredUser(owner, ["ada"])

    async def remove_user(*_: object, deny: bool, **__: Any) -> Removal:
        calls.append(deny)
        return Removal()

    settings = Settings.from_environment(SETTINGS)
    monkeypatch.setattr(forget, "read_settings", lambda **_: settings)
    monkeypatch.setattr(open_user_removal, "find_user", find_user)
    monkeypatch.setattr(open_user_removal, "remove_user", remove_user)
    result = CliRunner().invoke(app, ["forget", "ada", "--deny"])
    assert (result.exit_code, calls) == (exit_code, removed), result.output
    assert ("Denied from now on: ada." in result.output) == bool(removed)
