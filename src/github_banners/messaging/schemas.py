"""
The wire shapes between the services, each once.

Reading tolerates unknown fields and refuses the rest by the name of the field; what stands in a
shape is fit to be drawn or stored as far as its size and its kind go. Sends nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, TypeAlias

import msgspec
from msgspec import Meta

from github_banners.errors import MalformedMessage
from github_banners.models import Stats, to_epoch_microseconds
from github_banners.options import BannerOptions, Theme

# With a zone; nanoseconds are rounded: https://jcristharif.com/msgspec/supported-types.html#datetime
Timestamp: TypeAlias = Annotated[datetime, Meta(tz=True)]
Version: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Username: TypeAlias = Annotated[str, Meta(min_length=1, max_length=39)]
DisplayName: TypeAlias = Annotated[str, Meta(max_length=1024)]

MAX_BATCH_BANNERS = 64
"""In one call of `POST /banners/batch`."""

MAX_BATCH_BYTES = 8 << 20
"""Of the body of such a call: 64 usual pictures several times over, or five of the largest."""

_MAX_COUNT = 10**12 - 1  # far beyond all of GitHub, and still drawn
_MAX_LANGUAGES = 1000
_MAX_LANGUAGE_CHARACTERS = 100
_MAX_SHOWN_CHARACTERS = 300


@contextmanager
def _decoding_errors() -> Iterator[None]:
    try:
        yield
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedMessage(str(error)[:_MAX_SHOWN_CHARACTERS]) from error


class Format(StrEnum):
    """What a renderer can answer with."""

    SVG = "svg"
    PNG = "png"


class WireModel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A JSON object on the wire; an optional field without a value is left out."""

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """
        Read a message.

        :raises MalformedMessage: it is no JSON, a field is missing, or holds what it can't hold
        """
        with _decoding_errors():
            return msgspec.convert(_without_nulls(msgspec.json.decode(body)), cls)

    def to_json(self) -> bytes:
        """Write a message; times have microseconds at most."""
        return msgspec.json.encode(self)


class BannerData(WireModel, frozen=True, kw_only=True):
    """
    What a banner says and how it looks.

    `banner_type` is the theme, whatever `look` says, which may hold all other options.
    """

    username: Username
    banner_type: Theme
    stats: Stats
    fetched_at: Timestamp | None
    display_name: DisplayName | None = None
    look: BannerOptions | None = None
    language_bytes: dict[str, int] | None = None

    def __post_init__(self) -> None:
        _check_counts(msgspec.structs.asdict(self.stats) | {"languages": 0}, "stats")
        _check_languages(self.stats.languages, "stats.languages")
        _check_languages(self.language_bytes or {}, "language_bytes")


class PreviewRequest(BannerData, frozen=True, kw_only=True):
    """`POST /preview` of the renderer: the answer is the picture."""

    format: Format = Format.SVG


class StoreRequest(WireModel, frozen=True, kw_only=True):
    """`POST /banners` of the storage; without a version the picture is as new as the stored one."""

    url_path: str
    banner_info: bytes
    banner_format: Literal["svg"]
    version: Version | None = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "url_path", _ascii_lower(self.url_path))


class StoreResponse(WireModel, frozen=True, kw_only=True):
    """The storage's answer; `superseded` says that a newer picture was there and stays."""

    url: str
    superseded: bool = False


class BatchedBanner(StoreRequest, frozen=True, kw_only=True):
    """One banner of a batch; `traceparent` is the trace that it is stored for, empty for none."""

    traceparent: str = ""


class StoreBatch(WireModel, frozen=True, kw_only=True):
    """
    `POST /banners/batch` of the storage: several bodies of `POST /banners`, stored independently.

    Each is kept as JSON and decoded on its own as `BatchedBanner`: one that can't be is one result.
    """

    banners: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=MAX_BATCH_BANNERS)]

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """
        Read the batch, but not its banners.

        :raises MalformedMessage: the body as a whole is no batch
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
    """The storage's response to a batch: one result for each banner, in their order."""

    results: list[StoreResult]


class Payload(BannerData, frozen=True, kw_only=True):
    """What an event is about: the banner to be drawn anew, and where it belongs."""

    storage_path: str
    version: Version | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        msgspec.structs.force_setattr(self, "storage_path", _ascii_lower(self.storage_path))


class BannerEvent(WireModel, frozen=True, kw_only=True):
    """An event of the topic `banner-update`: a banner has new numbers or a new look."""

    event_type: Literal["github_banner_info_ready"]
    event_version: Literal[1]
    produced_at: Timestamp | None
    payload: Payload

    def __post_init__(self) -> None:
        if self.payload.version is None and self.measured_at is None:
            raise ValueError("`version`, `fetched_at` and `produced_at` have no value")

    @property
    def measured_at(self) -> datetime | None:
        """Tell which moment the numbers are from, as far as the event knows."""
        return self.payload.fetched_at or self.produced_at

    @property
    def version(self) -> int:
        """Tell which drawing is newer: the payload's version, else the event's own time."""
        if self.payload.version is not None:
            return self.payload.version
        return max(0, to_epoch_microseconds(self.measured_at)) if self.measured_at else 0

    @property
    def key(self) -> bytes:
        """Name the owner: events of one key stay in order."""
        return self.payload.username.lower().encode()


def _ascii_lower(path: str) -> str:
    """Write a path in lower case; what is no ASCII could become what it was not, and stays."""
    return path.lower() if path.isascii() else path


def _without_nulls(message: Any) -> Any:
    """Read `languages: null`, as Go writes an empty map; changes the message that it is given."""
    for holder in (message, message.get("payload")) if isinstance(message, dict) else ():
        stats = holder.get("stats") if isinstance(holder, dict) else None
        if isinstance(stats, dict) and "languages" in stats:
            stats["languages"] = {} if stats["languages"] is None else stats["languages"]
    return message


def _check_languages(counts: dict[str, int], field: str) -> None:
    is_short = all(len(name) <= _MAX_LANGUAGE_CHARACTERS for name in counts)
    if len(counts) > _MAX_LANGUAGES or not is_short:
        raise ValueError(f"`{field}` has too many or too long names")
    _check_counts(counts, field)


def _check_counts(counts: dict[str, int], field: str) -> None:
    for name, count in counts.items():
        if not 0 <= count <= _MAX_COUNT:
            raise ValueError(f"`{field}.{name}` can't be {count}")
