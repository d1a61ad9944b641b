"""Functions of the domain model."""

from datetime import UTC, datetime, timedelta, timezone

from github_banners.models import to_epoch_microseconds, utc_now


def test_to_epoch_microseconds_is_exact_in_any_time_zone() -> None:
    assert to_epoch_microseconds(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    time = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
    assert to_epoch_microseconds(time) == 1_795_176_000_123_456
    in_other_zone = time.astimezone(timezone(timedelta(hours=-7)))
    assert to_epoch_microseconds(in_other_zone) == to_epoch_microseconds(time)
    assert to_epoch_microseconds(datetime(9999, 12, 31, tzinfo=UTC)) < 2**63


def test_utc_now_has_time_zone() -> None:
    assert utc_now().utcoffset() == timedelta(0)
