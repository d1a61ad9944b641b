"""
Schemas of all messages between the services.

Unknown fields are tolerated; any other deviation is an error that names the field. Decoded messages
have values of the right type and of a size that can be drawn and stored. Paths are not validated.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, TypeAlias

import msgspec
from msgspec import Meta

from github_banners.errors import MalformedMessage
from github_banners.models import (
    Activity,
    ContributionAccess,
    RepositoryDetails,
    Stats,
    to_epoch_microseconds,
)
from github_banners.options import BannerOptions, Theme

MAX_VERSION = 2**63 - 1
"""The highest version that PostgreSQL can store."""

# With a time zone; nanoseconds are rounded: https://jcristharif.com/msgspec/supported-types.html#datetime
Timestamp: TypeAlias = Annotated[datetime, Meta(tz=True)]
Version: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_VERSION)]
Username: TypeAlias = Annotated[str, Meta(min_length=1, max_length=39)]
DisplayName: TypeAlias = Annotated[str, Meta(max_length=1024)]

MAX_BATCH_BANNERS = 64
"""The number of banners in one `POST /banners/batch`."""

MAX_BATCH_BYTES = 8 << 20
"""The size of its body: several times 64 pictures of usual size, or five of the largest."""

_MAX_COUNT = 10**12 - 1  # far above any count on GitHub, and short enough to be drawn
_MAX_LANGUAGES = 1000
_MAX_LANGUAGE_CHARACTERS = 100
_MAX_DAYS = 53 * 7  # one more week than a year has
_MAX_ID = 2**63 - 1
_MAX_NAME_CHARACTERS, _MAX_DESCRIPTION_CHARACTERS = 100, 1024
# Far enough from the first and the last date for the calendar of a year around them.
_FIRST_DATE, _LAST_DATE = date(1970, 1, 1), date(9998, 12, 31)
_MAX_SHOWN_CHARACTERS = 300


@contextmanager
def _decoding_errors() -> Iterator[None]:
    try:
        yield
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedMessage(str(error)[:_MAX_SHOWN_CHARACTERS]) from error


class Format(StrEnum):
    """The image format of a preview."""

    SVG = "svg"
    PNG = "png"


class WireModel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A JSON object; optional fields with their default are omitted."""

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """
        Decode a message.

        :raises MalformedMessage: it is not JSON, or a field is missing or has an invalid value
        """
        with _decoding_errors():
            return msgspec.convert(_without_nulls(msgspec.json.decode(body)), cls)

    def to_json(self) -> bytes:
        """Encode a message; times have microsecond precision."""
        return msgspec.json.encode(self)


class BannerData(WireModel, frozen=True, kw_only=True):
    """
    The numbers and options of a banner.

    `banner_type` is the theme and takes precedence over the one in `look`, which holds all options.
    The fields from `followers` on have data that only some banners show, as in `Snapshot`.
    """

    username: Username
    banner_type: Theme
    stats: Stats
    fetched_at: Timestamp | None
    display_name: DisplayName | None = None
    look: BannerOptions | None = None
    followers: int | None = None
    language_sizes: dict[str, int] | None = None
    activity: Activity | None = None
    contribution_access: ContributionAccess = ContributionAccess.VISIBLE
    repository: RepositoryDetails | None = None

    def __post_init__(self) -> None:
        _check_counts(msgspec.structs.asdict(self.stats) | {"languages": 0}, "stats")
        _check_languages(self.stats.languages, "stats.languages")
        if self.followers is not None:
            _check_counts({"followers": self.followers})
        if self.language_sizes is not None:
            _check_languages(self.language_sizes, "language_sizes")
        if self.activity is not None:
            _check_activity(self.activity)
        if self.repository is not None:
            _check_repository(self.repository)


class PreviewRequest(BannerData, frozen=True, kw_only=True):
    """Request body of `POST /preview` of the renderer; the response is the picture."""

    format: Format = Format.SVG


class StoreRequest(WireModel, frozen=True, kw_only=True):
    """Request body of `POST /banners` of the storage; without a version, the stored one is kept."""

    url_path: str
    banner_info: bytes
    banner_format: Literal["svg"]
    version: Version | None = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "url_path", _ascii_lower(self.url_path))


class StoreResponse(WireModel, frozen=True, kw_only=True):
    """Response to `POST /banners`; `superseded` if a newer picture was stored before and stays."""

    url: str
    superseded: bool = False


class RemoveResponse(WireModel, frozen=True, kw_only=True):
    """Response to `DELETE /banners/{name}` of the storage; `removed` if there was a picture."""

    url: str
    removed: bool = False


class BatchedBanner(StoreRequest, frozen=True, kw_only=True):
    """A banner of a batch; `traceparent` is the trace of the request or event it belongs to."""

    traceparent: str = ""


class StoreBatch(WireModel, frozen=True, kw_only=True):
    """
    Request body of `POST /banners/batch`: several bodies of `POST /banners`, stored independently.

    Each stays raw JSON and is decoded on its own as a `BatchedBanner`, so that a malformed one fails
    alone.
    """

    banners: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=MAX_BATCH_BANNERS)]

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """
        Decode the batch, but not its banners.

        :raises MalformedMessage: the body as a whole is not a batch
        """
        with _decoding_errors():
            return msgspec.json.decode(body, type=cls)


class StoreResult(WireModel, frozen=True, kw_only=True):
    """
    The result for one banner of a batch: `url` if it is stored or superseded by a newer one.

    Otherwise `status`, `error`, `field` and `reason` are those of the error that a single call for
    this banner would have returned.
    """

    url: str | None = None
    superseded: bool = False
    status: int = 200
    error: str | None = None
    field: str | None = None
    reason: str | None = None


class StoreResults(WireModel, frozen=True, kw_only=True):
    """Response to `POST /banners/batch`: one result per banner, in their order."""

    results: list[StoreResult]


class Payload(BannerData, frozen=True, kw_only=True):
    """The content of an event: the banner to draw, and where to store it."""

    storage_path: str
    version: Version | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        msgspec.structs.force_setattr(self, "storage_path", _ascii_lower(self.storage_path))


class BannerEvent(WireModel, frozen=True, kw_only=True):
    """An event of the topic `banner-update`: a banner has new numbers or options."""

    event_type: Literal["github_banner_info_ready"]
    event_version: Literal[1]
    produced_at: Timestamp | None
    payload: Payload

    def __post_init__(self) -> None:
        if self.payload.version is None and self.measured_at is None:
            raise ValueError("`version`, `fetched_at` and `produced_at` have no value")

    @property
    def measured_at(self) -> datetime | None:
        """The time at which the numbers were fetched; the time of the event if that is unknown."""
        return self.payload.fetched_at or self.produced_at

    @property
    def version(self) -> int:
        """The version of the payload; the time of the numbers in microseconds if it has none."""
        if self.payload.version is not None:
            return self.payload.version
        return max(0, to_epoch_microseconds(self.measured_at)) if self.measured_at else 0

    @property
    def key(self) -> bytes:
        """The key in Kafka, the owner's login: events of one key stay in order."""
        return self.payload.username.lower().encode()


def _ascii_lower(path: str) -> str:
    """Return an ASCII path in lower case; others stay, since lowering could make them valid."""
    return path.lower() if path.isascii() else path


def _without_nulls(message: Any) -> Any:
    """Replace `languages: null`, Go's encoding of an empty map, in place."""
    for parent in (message, message.get("payload")) if isinstance(message, dict) else ():
        stats = parent.get("stats") if isinstance(parent, dict) else None
        if isinstance(stats, dict) and "languages" in stats:
            stats["languages"] = {} if stats["languages"] is None else stats["languages"]
    return message


def _check_counts(counts: dict[str, int], field: str = "") -> None:
    for name, count in counts.items():
        if not 0 <= count <= _MAX_COUNT:
            raise ValueError(f"`{f'{field}.{name}' if field else name}` can't be {count}")


def _check_languages(counts: dict[str, int], field: str) -> None:
    if len(counts) > _MAX_LANGUAGES or any(len(name) > _MAX_LANGUAGE_CHARACTERS for name in counts):
        raise ValueError(f"`{field}` has too many names, or names that are too long")
    _check_counts(counts, field)


def _check_activity(activity: Activity) -> None:
    fields = msgspec.structs.asdict(activity)
    days, dates = fields.pop("days"), {name: fields.pop(name) for name in ("best_day", "last_day")}
    _check_counts(fields, "activity")
    for name, day in dates.items():
        if day is not None and not _FIRST_DATE <= day <= _LAST_DATE:
            raise ValueError(f"`activity.{name}` can't be {day}")
    if len(days) > _MAX_DAYS or bool(days) != (activity.last_day is not None):
        raise ValueError("`activity.days` has too many days, or not those up to `last_day`")
    _check_counts({str(index): count for index, count in enumerate(days)}, "activity.days")


def _check_repository(repository: RepositoryDetails) -> None:
    _check_counts({"stars": repository.stars, "forks": repository.forks}, "repository")
    if not 0 <= repository.id <= _MAX_ID:
        raise ValueError(f"`repository.id` can't be {repository.id}")
    limits = {
        "name": _MAX_NAME_CHARACTERS,
        "description": _MAX_DESCRIPTION_CHARACTERS,
        "language": _MAX_LANGUAGE_CHARACTERS,
        "licence": _MAX_NAME_CHARACTERS,
    }
    for name, limit in limits.items():
        if len(getattr(repository, name) or "") > limit:
            raise ValueError(f"`repository.{name}` is longer than {limit} characters")
    if not repository.name:
        raise ValueError("`repository.name` is empty")
