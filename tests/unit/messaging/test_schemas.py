"""The wire schemas, with captured messages and with malformed ones."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from github_banners.errors import BannersError, MalformedMessage
from github_banners.messaging.schemas import (
    MAX_BATCH_BANNERS,
    MAX_BATCH_BYTES,
    BannerEvent,
    BatchedBanner,
    Format,
    PreviewRequest,
    StoreBatch,
    StoreRequest,
    WireModel,
)
from github_banners.models import to_epoch_microseconds
from github_banners.options import BannerOptions, Layout, Theme
from tests.unit.messaging.captured_messages import EVENT, PREVIEW, STORE

FETCHED_AT = datetime(2026, 11, 22, 16, 36, 37, 586084, tzinfo=UTC)
PRODUCED_AT = datetime(2026, 11, 22, 16, 36, 38, 123457, tzinfo=UTC)

MessageChange = Callable[[dict[str, Any]], object]


def changed(body: bytes, change: MessageChange) -> bytes:
    message = json.loads(body)
    change(message)
    return json.dumps(message).encode()


def in_payload(**fields: object) -> bytes:
    return changed(EVENT, lambda event: event["payload"].update(fields))


def in_stats(**fields: object) -> bytes:
    return changed(EVENT, lambda event: event["payload"]["stats"].update(fields))


def test_preview_request_captured_body_is_decoded() -> None:
    request = PreviewRequest.from_json(PREVIEW)
    assert (request.username, request.banner_type, request.fetched_at) == (
        "wycats",
        Theme.DARK,
        FETCHED_AT,
    )
    assert (request.stats.total_stars, request.stats.languages["Ruby"]) == (11558, 51)
    assert (request.display_name, request.look, request.format) == (None, None, Format.SVG)


def test_store_request_captured_body_is_decoded() -> None:
    request = StoreRequest.from_json(STORE)
    assert (request.url_path, request.banner_info, request.version) == (
        "wycats-dark",
        b"<svg/>",
        None,
    )


def test_event_captured_body_is_decoded() -> None:
    event = BannerEvent.from_json(EVENT)
    assert event.produced_at == PRODUCED_AT
    assert event.payload.storage_path == "wycats-dark"
    assert event.key == b"wycats"
    assert event.version == to_epoch_microseconds(FETCHED_AT)


@pytest.mark.parametrize(
    ("model", "body"), [(PreviewRequest, PREVIEW), (StoreRequest, STORE), (BannerEvent, EVENT)]
)
def test_to_json_captured_body_has_the_same_fields(model: type[WireModel], body: bytes) -> None:
    expected = (
        body.replace(b".58608449Z", b".586084Z")
        .replace(b".123456789Z", b".123457Z")
        .replace(b"WyCats-dark", b"wycats-dark")
    )
    written = model.from_json(body).to_json()
    assert json.loads(written) == json.loads(expected)
    assert model.from_json(written) == model.from_json(body)


def test_event_optional_fields_are_decoded_and_encoded() -> None:
    extra = {
        "display_name": "Yehuda Katz",
        "look": {"hide": ["stars"], "type": "dark"},
        "version": 2**63 - 1,
    }
    body = in_payload(**extra)
    event = BannerEvent.from_json(body)
    assert event.payload.look == BannerOptions(theme=Theme.DARK, hide=event.payload.look.hide)  # type: ignore[union-attr]
    assert event.version == 2**63 - 1
    payload = json.loads(event.to_json())["payload"]
    assert {name: payload[name] for name in extra} == extra


@pytest.mark.parametrize("model_and_body", [(PreviewRequest, PREVIEW), (BannerEvent, EVENT)])
def test_from_json_unknown_fields_are_ignored(
    model_and_body: tuple[type[WireModel], bytes],
) -> None:
    model, body = model_and_body
    extra = body.replace(b'"total_repos"', b'"new":[{}],"total_repos"').replace(
        b'"username"', b'"newer":{"stats":null},"username"'
    )
    assert model.from_json(extra) == model.from_json(body)


@pytest.mark.parametrize("body", [PREVIEW, EVENT])
def test_from_json_null_languages_are_empty(body: bytes) -> None:
    model: type[BannerEvent | PreviewRequest] = BannerEvent if body is EVENT else PreviewRequest
    start, end = body.index(b'{"C"'), body.index(b"}", body.index(b'{"C"')) + 1
    read = model.from_json(body[:start] + b"null" + body[end:])
    numbers = read.payload if isinstance(read, BannerEvent) else read
    assert numbers.stats.languages == {}


def test_event_largest_extra_data_is_decoded() -> None:
    longest = 10**12 - 1
    activity = {
        "commits": longest,
        "last_day": "9998-12-31",
        "best_day": "1970-01-01",
        "days": [longest] * 371,
        "new": {},
    }
    repository = {
        "id": 2**63 - 1,
        "name": "x" * 100,
        "description": "y" * 1024,
        "language": "z" * 100,
        "licence": None,
        "stars": longest,
        "topics": ["new"],
    }
    sizes = {str(number).zfill(100): longest for number in range(1000)}
    body = in_payload(
        followers=longest, language_sizes=sizes, activity=activity, repository=repository
    )
    payload = BannerEvent.from_json(body).payload
    assert payload.followers == longest
    assert payload.language_sizes == sizes
    assert payload.activity is not None
    assert payload.activity.days == (longest,) * 371
    assert payload.activity.last_day == date(9998, 12, 31)
    assert payload.repository is not None
    assert payload.repository.description == "y" * 1024
    assert BannerEvent.from_json(BannerEvent.from_json(body).to_json()).payload == payload


def test_preview_request_look_is_decoded_to_options() -> None:
    options = PreviewRequest.from_json(
        changed(PREVIEW, lambda request: request.update(look={"layout": "classic", "radius": 3}))
    ).look
    assert options == BannerOptions(layout=Layout.CLASSIC, radius=3)


@pytest.mark.parametrize(
    ("payload_version", "fetched_at", "produced_at", "version"),
    [
        (7, "2026-11-22T16:36:37Z", "2026-11-22T16:36:38Z", 7),
        (None, "2026-11-22T16:36:37.586084+00:00", None, to_epoch_microseconds(FETCHED_AT)),
        (None, None, "2026-11-22T17:36:37.586084+01:00", to_epoch_microseconds(FETCHED_AT)),
        (None, "0001-01-01T00:00:00Z", None, 0),
    ],
)
def test_event_without_a_version_has_its_time_as_version(
    payload_version: int | None, fetched_at: str | None, produced_at: str | None, version: int
) -> None:
    body = in_payload(version=payload_version, fetched_at=fetched_at)
    body = changed(body, lambda event: event.update(produced_at=produced_at))
    assert BannerEvent.from_json(body).version == version


def test_store_request_non_ascii_path_is_not_lowered() -> None:
    kelvin = changed(STORE, lambda request: request.update(url_path="\u212a"))
    assert StoreRequest.from_json(kelvin).url_path == "\u212a"


def without(body: bytes, field: str) -> bytes:
    def drop(message: dict[str, Any]) -> None:
        for parent in (message, message.get("payload", {}), message.get("stats", {})):
            parent.pop(field, None)
        message.get("payload", {}).get("stats", {}).pop(field, None)

    return changed(body, drop)


DATA_FIELDS = ["username", "banner_type", "stats", "fetched_at", "total_repos", "languages"]
REQUIRED = [
    *((PreviewRequest, PREVIEW, field) for field in DATA_FIELDS),
    *((BannerEvent, EVENT, field) for field in DATA_FIELDS),
    *((StoreRequest, STORE, field) for field in ("url_path", "banner_info", "banner_format")),
    *(
        (BannerEvent, EVENT, field)
        for field in ("event_type", "event_version", "produced_at", "payload", "storage_path")
    ),
]


@pytest.mark.parametrize(("model", "body", "field"), REQUIRED)
def test_from_json_missing_field_is_named(model: type[WireModel], body: bytes, field: str) -> None:
    with pytest.raises(MalformedMessage, match=f"`{field}`"):
        model.from_json(without(body, field))


INVALID_EVENTS = {
    "event_type": changed(EVENT, lambda event: event.update(event_type="banner_gone")),
    "event_version": changed(EVENT, lambda event: event.update(event_version=2)),
    "produced_at": changed(EVENT, lambda event: event.update(produced_at="2026-11-22T16:36:38")),
    "payload.fetched_at": in_payload(fetched_at=1_795_176_000),
    "payload.version": in_payload(version=-1),
    "payload.username": in_payload(username="x" * 50_000),
    "payload.display_name": in_payload(display_name="x" * 50_000),
    "payload.banner_type": in_payload(banner_type="neon"),
    "payload.look.radius": in_payload(look={"radius": 21}),
    "payload.stats.total_repos": in_stats(total_repos=1.0),
    "stats.total_stars": in_stats(total_stars=-1),
    "stats.total_forks": in_stats(total_forks=10**12),
    "payload.stats.languages": in_stats(languages=[]),
    "stats.languages.C": in_stats(languages={"C": -1}),
    "stats.languages": in_stats(languages={str(number): 1 for number in range(1001)}),
    "`stats.languages` has too many names": in_stats(languages={"x" * 101: 1}),
    "`followers`": in_payload(followers=-1),
    "`followers` can't": in_payload(followers=10**12),
    "payload.followers": in_payload(followers="9"),
    "language_sizes.Go": in_payload(language_sizes={"Go": 10**12}),
    "`language_sizes` has": in_payload(language_sizes={str(n): 1 for n in range(1001)}),
    "`language_sizes` has too many names": in_payload(language_sizes={"x" * 101: 1}),
    "payload.activity": in_payload(activity=[]),
    "activity.commits": in_payload(activity={"commits": -1}),
    "activity.longest_streak": in_payload(activity={"longest_streak": 10**12}),
    "activity.best_count": in_payload(activity={"best_count": 1.5}),
    "activity.best_day": in_payload(activity={"best_day": "0001-01-01"}),
    "activity.last_day": in_payload(activity={"last_day": "9999-12-31", "days": [1]}),
    "payload.activity.last_day": in_payload(activity={"last_day": "2026-02-30", "days": [1]}),
    "`activity.days` has too many days": in_payload(
        activity={"last_day": "2026-11-22", "days": [0] * 372}
    ),
    "`activity.days` has": in_payload(activity={"days": [1]}),
    "not those up to `last_day`": in_payload(activity={"last_day": "2026-11-22"}),
    "activity.days.1": in_payload(activity={"last_day": "2026-11-22", "days": [0, -1]}),
    "payload.contribution_access": in_payload(contribution_access="perhaps"),
    "repository.stars": in_payload(repository={"id": 1, "name": "a", "stars": -1}),
    "repository.forks": in_payload(repository={"id": 1, "name": "a", "forks": 10**12}),
    "repository.id": in_payload(repository={"id": -1, "name": "a"}),
    "repository.name": in_payload(repository={"id": 1, "name": "x" * 101}),
    "`repository.name` is empty": in_payload(repository={"id": 1, "name": ""}),
    "missing required field `name`": in_payload(repository={"id": 1}),
    "repository.description": in_payload(
        repository={"id": 1, "name": "a", "description": "x" * 1025}
    ),
    "repository.language": in_payload(repository={"id": 1, "name": "a", "language": "x" * 101}),
    "repository.licence": in_payload(repository={"id": 1, "name": "a", "licence": "x" * 101}),
    "fetched_at": changed(
        in_payload(fetched_at=None), lambda event: event.update(produced_at=None)
    ),
}


@pytest.mark.parametrize(("field", "body"), INVALID_EVENTS.items())
def test_event_invalid_field_is_named(field: str, body: bytes) -> None:
    with pytest.raises(MalformedMessage) as caught:
        BannerEvent.from_json(body)
    assert field in str(caught.value)
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize(
    "fields",
    [{"banner_format": "png"}, {"banner_info": "no base64"}, {"version": 2**63}, {"url_path": 5}],
)
def test_store_request_invalid_field_is_named(fields: dict[str, object]) -> None:
    (field,) = fields
    with pytest.raises(MalformedMessage, match=field):
        StoreRequest.from_json(changed(STORE, lambda request: request.update(fields)))


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'"x"', b"\xff", b'{"username":"\xff"}', b'{"a":"\\ud800"}'],
)
def test_from_json_not_a_message_is_malformed(body: bytes) -> None:
    for model in (PreviewRequest, StoreRequest, BannerEvent):
        with pytest.raises(MalformedMessage) as caught:
            model.from_json(body)
        assert isinstance(caught.value, BannersError)
        assert caught.value.status == 400


def test_store_batch_banners_are_decoded_one_by_one() -> None:
    batch = b'{"banners":[%b,{"url_path":5},{"a":"\xff"}],"new":{}}' % STORE
    first, wrong, no_text = [bytes(banner) for banner in StoreBatch.from_json(batch).banners]
    assert BatchedBanner.from_json(first) == BatchedBanner(
        url_path="wycats-dark", banner_info=b"<svg/>", banner_format="svg"
    )
    for body in (wrong, no_text):
        with pytest.raises(MalformedMessage):
            BatchedBanner.from_json(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"banners":{}}',
        b'{"banners":[]}',
        b'{"banners":[{]}',
        b'{"banners":[%b]}' % b",".join([STORE] * (MAX_BATCH_BANNERS + 1)),
        b'{"banners":' + b"[" * 200_000,
    ],
)
def test_store_batch_malformed_body_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        StoreBatch.from_json(body)


def test_store_batch_of_usual_banners_fits_the_limit() -> None:
    usual = BatchedBanner(
        url_path="x" * 128, banner_info=b"x" * 20_000, banner_format="svg", version=2**63 - 1
    )
    raw = msgspec.Raw(usual.to_json())
    assert len(StoreBatch(banners=[raw] * MAX_BATCH_BANNERS).to_json()) <= MAX_BATCH_BYTES


def test_from_json_deep_nesting_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        PreviewRequest.from_json(b'{"x":' + b"[" * 200_000)
