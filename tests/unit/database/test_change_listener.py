"""Payloads of change notifications."""

import pytest

from github_banners.database.change_listener import parse_owner_ids


@pytest.mark.parametrize(
    ("payload", "ids"),
    [("7", [7]), ("7,8", [7, 8]), ("", []), ("*", None), ("7,eight", None), ("*,7", None)],
)
def test_parse_owner_ids_malformed_payload_means_any_owner(
    payload: str, ids: list[int] | None
) -> None:
    assert parse_owner_ids(payload) == ids
