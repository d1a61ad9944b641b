"""The nouns, as far as they do something."""

from datetime import UTC, datetime, timedelta, timezone

from github_banners.models import to_epoch_microseconds, utc_now


def test_microseconds_are_exact_and_know_zones() -> None:
    assert to_epoch_microseconds(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    moment = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
    assert to_epoch_microseconds(moment) == 1_795_176_000_123_456
    elsewhere = moment.astimezone(timezone(timedelta(hours=-7)))
    assert to_epoch_microseconds(elsewhere) == to_epoch_microseconds(moment)
    assert to_epoch_microseconds(datetime(9999, 12, 31, tzinfo=UTC)) < 2**63


def test_the_clock_tells_its_zone() -> None:
    assert utc_now().utcoffset() == timedelta(0)
