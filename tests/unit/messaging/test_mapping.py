"""Domain models to wire messages and back."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.messaging.mapping import (
    RenderJob,
    from_event,
    from_preview_request,
    to_event,
    to_preview_request,
)
from github_banners.messaging.schemas import BannerEvent, Format, PreviewRequest
from github_banners.models import Owner, Snapshot, Stats, to_epoch_microseconds
from github_banners.options import BannerOptions, HideableField, NumberFormat, Theme
from tests.unit.messaging.captured_messages import EVENT, PREVIEW

FETCHED_AT = datetime(2026, 11, 22, 16, 36, 37, 586084, tzinfo=UTC)
PRODUCED_AT = datetime(2026, 11, 22, 16, 36, 38, 123457, tzinfo=UTC)
NOW = datetime(2026, 11, 26, tzinfo=UTC)
STATS = Stats(150, 93, 57, 11558, 1635, {"Ruby": 51, "JavaScript": 20, "C": 2})

OPTIONS = st.builds(
    BannerOptions,
    theme=st.sampled_from(Theme),
    hide=st.lists(st.sampled_from(HideableField), unique=True).map(tuple),
    langs_count=st.none() | st.integers(1, 10),
    title=st.none() | st.text(min_size=1, max_size=64),
    number_format=st.sampled_from(NumberFormat),
    border=st.booleans(),
    bg_color=st.none() | st.just("ffffff"),
)
SNAPSHOTS = st.builds(
    Snapshot,
    owner=st.builds(
        Owner,
        id=st.just(0),
        login=st.from_regex(r"[A-Za-z0-9]{1,39}", fullmatch=True),
        display_name=st.none() | st.text(max_size=64),
    ),
    stats=st.just(STATS),
    fetched_at=st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    version=st.integers(0, to_epoch_microseconds(NOW)),
)


@given(snapshot=SNAPSHOTS, options=OPTIONS)
def test_event_of_any_render_job_maps_back_to_it(
    snapshot: Snapshot, options: BannerOptions
) -> None:
    update = RenderJob("wycats-dark", snapshot, options, snapshot.version)
    event = BannerEvent.from_json(to_event(update, produced_at=PRODUCED_AT).to_json())
    assert event.produced_at == PRODUCED_AT
    assert from_event(event, now=NOW) == update


@given(snapshot=SNAPSHOTS, options=OPTIONS, image_format=st.sampled_from(Format))
def test_preview_request_of_any_options_maps_back_to_them(
    snapshot: Snapshot, options: BannerOptions, image_format: Format
) -> None:
    request = PreviewRequest.from_json(
        to_preview_request(snapshot, options, image_format=image_format).to_json()
    )
    read, read_options = from_preview_request(request)
    assert (read.owner, read.stats, read.fetched_at) == (
        snapshot.owner,
        snapshot.stats,
        snapshot.fetched_at,
    )
    assert (read_options, request.format) == (options, image_format)


def test_to_event_default_options_equals_the_captured_event() -> None:
    captured = json.loads(EVENT)
    stats = Stats(**captured["payload"]["stats"])
    snapshot = Snapshot(Owner(4, "wycats"), stats, FETCHED_AT)
    update = RenderJob("WyCats-dark", snapshot, BannerOptions(theme=Theme.DARK), 9)
    ours = json.loads(to_event(update, produced_at=PRODUCED_AT).to_json())
    assert ours["payload"].pop("version") == 9
    captured["payload"]["storage_path"] = "wycats-dark"
    captured["payload"]["fetched_at"] = "2026-11-22T16:36:37.586084Z"
    captured["produced_at"] = "2026-11-22T16:36:38.123457Z"
    assert ours == captured


def test_to_preview_request_default_options_equals_the_captured_request() -> None:
    captured = json.loads(PREVIEW)
    snapshot = Snapshot(Owner(4, "wycats"), Stats(**captured["stats"]), FETCHED_AT)
    ours = json.loads(to_preview_request(snapshot, BannerOptions(theme=Theme.DARK)).to_json())
    assert ours == captured | {"fetched_at": "2026-11-22T16:36:37.586084Z"}


def test_from_event_sorts_languages() -> None:
    update = from_event(BannerEvent.from_json(EVENT), now=NOW)
    assert list(update.snapshot.stats.languages) == ["Ruby", "JavaScript", "Rust", "C", "CSS"]
    assert update.options == BannerOptions(theme=Theme.DARK)


@pytest.mark.parametrize("produced_at", [PRODUCED_AT, None])
def test_from_event_numbers_without_a_date_have_that_of_the_event(
    produced_at: datetime | None,
) -> None:
    message = json.loads(EVENT)
    message["payload"] |= {"fetched_at": None, "version": 3}
    message["produced_at"] = produced_at and produced_at.isoformat()
    snapshot = from_event(BannerEvent.from_json(json.dumps(message).encode()), now=NOW).snapshot
    assert snapshot.fetched_at == (produced_at or datetime(1970, 1, 1, tzinfo=UTC))
    assert snapshot.version == 3


def test_from_preview_request_banner_type_overrides_the_theme_in_look() -> None:
    message = json.loads(PREVIEW) | {"look": {"type": "auto", "radius": 3}}
    _, options = from_preview_request(PreviewRequest.from_json(json.dumps(message).encode()))
    assert options == BannerOptions(theme=Theme.DARK, radius=3)
