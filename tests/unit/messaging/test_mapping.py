"""Domain models to wire messages and back."""

import json
from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from github_banners.messaging.mapping import (
    RenderJob,
    extra_data,
    from_event,
    from_preview_request,
    to_event,
    to_preview_request,
)
from github_banners.messaging.schemas import BannerEvent, Format, PreviewRequest
from github_banners.models import (
    Activity,
    ContributionAccess,
    Owner,
    RepositoryDetails,
    Snapshot,
    Stats,
    to_epoch_microseconds,
)
from github_banners.options import (
    BannerOptions,
    CountBy,
    HideableField,
    Layout,
    NumberFormat,
    ShownNumber,
    Theme,
)
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


@given(snapshot=SNAPSHOTS, options=OPTIONS)
def test_preview_request_of_any_options_maps_back_to_them(
    snapshot: Snapshot, options: BannerOptions
) -> None:
    request = PreviewRequest.from_json(to_preview_request(snapshot, options).to_json())
    read, read_options = from_preview_request(request)
    assert (read.owner, read.stats, read.fetched_at) == (
        snapshot.owner,
        snapshot.stats,
        snapshot.fetched_at,
    )
    assert (read_options, request.format) == (options, Format.SVG)


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


ACTIVITY = Activity(
    commits=812,
    pull_requests=90,
    issues=41,
    reviews=17,
    contributions=960,
    current_streak=3,
    longest_streak=25,
    last_year=431,
    best_day=date(2026, 3, 5),
    best_count=19,
    last_day=date(2026, 11, 22),
    days=(0, 3, 1),
)
DETAILS = RepositoryDetails(
    7, "dotfiles", "My settings & more", "Shell", 12, 3, "MIT", is_archived=True, is_fork=True
)
EVERYTHING = Snapshot(
    Owner(0, "wycats", display_name="Yehuda Katz"),
    STATS,
    FETCHED_AT,
    9,
    followers=10_312,
    language_sizes={"Ruby": 51_000, "C": 2_000, "": 300},
    activity=ACTIVITY,
    contribution_access=ContributionAccess.VISIBLE,
    repository=DETAILS,
)
NOTHING_EXTRA = Snapshot(EVERYTHING.owner, STATS, FETCHED_AT, 9)
EXTRA_DATA: list[tuple[BannerOptions, dict[str, object]]] = [
    (BannerOptions(), {}),
    (BannerOptions(layout=Layout.LANGUAGES), {}),
    (BannerOptions(show=(ShownNumber.FOLLOWERS,)), {"followers": 10_312}),
    (BannerOptions(count_by=CountBy.BYTES), {"language_sizes": EVERYTHING.language_sizes}),
    (BannerOptions(layout=Layout.ACTIVITY), {"activity": ACTIVITY}),
    (BannerOptions(layout=Layout.REPOSITORY, repo="dotfiles"), {"repository": DETAILS}),
    (
        BannerOptions(
            layout=Layout.CARD,
            show=(ShownNumber.FOLLOWERS, ShownNumber.COMMITS),
            count_by=CountBy.BYTES,
        ),
        {
            "followers": 10_312,
            "language_sizes": EVERYTHING.language_sizes,
            "activity": ACTIVITY,
        },
    ),
]


@pytest.mark.parametrize(("options", "extra"), EXTRA_DATA)
def test_messages_have_the_data_that_the_banner_shows_and_no_other(
    options: BannerOptions, extra: dict[str, object]
) -> None:
    expected = msgspec.structs.replace(NOTHING_EXTRA, **extra)
    job = RenderJob("wycats-default", EVERYTHING, options, 9)
    event = BannerEvent.from_json(to_event(job, produced_at=PRODUCED_AT).to_json())
    assert from_event(event, now=NOW) == RenderJob("wycats-default", expected, options, 9)
    request = PreviewRequest.from_json(to_preview_request(EVERYTHING, options).to_json())
    read, read_options = from_preview_request(request)
    assert (msgspec.structs.replace(read, version=9), read_options) == (expected, options)


def test_messages_without_followers_have_the_reason() -> None:
    access = ContributionAccess.ORGANISATION
    organisation = msgspec.structs.replace(EVERYTHING, followers=None, contribution_access=access)
    options = BannerOptions(show=(ShownNumber.FOLLOWERS, ShownNumber.STARS))
    expected = {"followers": None, "contribution_access": access}
    assert extra_data(organisation, options) == expected
    read, _ = from_preview_request(to_preview_request(organisation, options))
    assert (read.followers, read.contribution_access) == (None, access)
    assert extra_data(organisation, BannerOptions()) == {}


@pytest.mark.parametrize("access", ContributionAccess)
def test_messages_say_why_there_are_no_contributions(access: ContributionAccess) -> None:
    snapshot = msgspec.structs.replace(NOTHING_EXTRA, contribution_access=access)
    request = to_preview_request(snapshot, BannerOptions(layout=Layout.ACTIVITY))
    read, _ = from_preview_request(PreviewRequest.from_json(request.to_json()))
    assert (read.activity, read.contribution_access) == (None, access)


@pytest.mark.parametrize("snapshot", [NOTHING_EXTRA, EVERYTHING])
def test_messages_of_released_banners_are_byte_identical(snapshot: Snapshot) -> None:
    options = BannerOptions(theme=Theme.DARK, hide=(HideableField.STARS,))
    data = (
        b'"username":"wycats","banner_type":"dark","stats":{"total_repos":150,"original_repos":93,'
        b'"forked_repos":57,"total_stars":11558,"total_forks":1635,"languages":{"Ruby":51,'
        b'"JavaScript":20,"C":2}},"fetched_at":"2026-11-22T16:36:37.586084Z",'
        b'"display_name":"Yehuda Katz","look":{"type":"dark","hide":["stars"]}'
    )
    job = RenderJob("wycats-dark", snapshot, options, 9)
    assert to_event(job, produced_at=PRODUCED_AT).to_json() == (
        b'{"event_type":"github_banner_info_ready","event_version":1,'
        b'"produced_at":"2026-11-22T16:36:38.123457Z","payload":{%b,'
        b'"storage_path":"wycats-dark","version":9}}' % data
    )
    assert to_preview_request(snapshot, options).to_json() == b"{%b}" % data


def test_from_event_sorts_language_sizes() -> None:
    message = json.loads(EVENT)
    message["payload"]["language_sizes"] = {"C": 5, "Go": 900, "": 60}
    snapshot = from_event(BannerEvent.from_json(json.dumps(message).encode()), now=NOW).snapshot
    assert list((snapshot.language_sizes or {}).items()) == [("Go", 900), ("", 60), ("C", 5)]


def test_from_event_old_message_has_no_extra_data() -> None:
    snapshot = from_event(BannerEvent.from_json(EVENT), now=NOW).snapshot
    assert (snapshot.followers, snapshot.language_sizes, snapshot.activity) == (None, None, None)
    assert (snapshot.repository, snapshot.contribution_access) == (None, "visible")
