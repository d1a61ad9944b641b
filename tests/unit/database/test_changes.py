import pytest

from github_banners.database.change_listener import _parse_ids


@pytest.mark.parametrize(
    ("told", "ids"),
    [("7", [7]), ("7,8", [7, 8]), ("", []), ("*", None), ("7,eight", None), ("*,7", None)],
)
def test_what_cannot_be_read_may_mean_anybody(told: str, ids: list[int] | None) -> None:
    assert _parse_ids(told) == ids
