"""
Our nouns into wire shapes and back: pure.

GitHub's numeric id does not travel: an owner who comes from the wire has the id 0.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from github_banners.messaging.schemas import (
    BannerData,
    BannerEvent,
    Format,
    Payload,
    PreviewRequest,
)
from github_banners.messaging.version_check import plausible_version
from github_banners.models import Owner, Snapshot, Stats, sort_languages, to_epoch_microseconds
from github_banners.options import BannerOptions

_NO_ID = 0
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RenderJob:
    """A banner that is to be drawn and stored at `path`; of two the higher `version` counts."""

    path: str
    snapshot: Snapshot
    look: BannerOptions
    version: int


def to_event(job: RenderJob, *, produced_at: datetime) -> BannerEvent:
    """Announce an update."""
    snapshot = job.snapshot
    payload = Payload(
        username=snapshot.owner.login,
        display_name=snapshot.owner.display_name,
        stats=snapshot.stats,
        fetched_at=snapshot.fetched_at,
        banner_type=job.look.theme,
        look=_non_default(job.look),
        storage_path=job.path,
        version=job.version,
    )
    return BannerEvent(
        event_type="github_banner_info_ready",
        event_version=1,
        produced_at=produced_at,
        payload=payload,
    )


def from_event(event: BannerEvent, *, now: datetime) -> RenderJob:
    """
    Read what an event wants drawn; numbers without a date are as old as the event.

    Of version, date of the numbers and date of the event, the first that no wrong clock made is the
    version. Where all are ahead of now, the version stays as it is: nobody will believe it.
    """
    dates = (event.payload.fetched_at, event.produced_at)
    versions = [
        event.version,
        *(max(0, to_epoch_microseconds(date)) for date in dates if date is not None),
    ]
    believed = (version for version in versions if plausible_version(version, now=now) is not None)
    version = next(believed, event.version)
    snapshot = _to_snapshot(event.payload, version=version, fetched_at=event.measured_at)
    return RenderJob(event.payload.storage_path, snapshot, _to_options(event.payload), version)


def to_preview_request(
    snapshot: Snapshot, look: BannerOptions, *, image_format: Format = Format.SVG
) -> PreviewRequest:
    """Ask for a drawing."""
    return PreviewRequest(
        username=snapshot.owner.login,
        display_name=snapshot.owner.display_name,
        stats=snapshot.stats,
        fetched_at=snapshot.fetched_at,
        banner_type=look.theme,
        look=_non_default(look),
        format=image_format,
    )


def from_preview_request(request: PreviewRequest) -> tuple[Snapshot, BannerOptions]:
    """Read what is to be drawn; the snapshot has no version."""
    return _to_snapshot(request, version=0, fetched_at=request.fetched_at), _to_options(request)


def _to_snapshot(data: BannerData, *, version: int, fetched_at: datetime | None) -> Snapshot:
    owner = Owner(_NO_ID, data.username, display_name=data.display_name)
    return Snapshot(owner, _sort_languages(data.stats), fetched_at or _NEVER, version)


def _sort_languages(stats: Stats) -> Stats:
    """Bring languages into the order that `Stats` promises; on the wire they have none."""
    ordered = {name: stats.languages[name] for name in sort_languages(stats.languages)}
    return msgspec.structs.replace(stats, languages=ordered)


def _to_options(data: BannerData) -> BannerOptions:
    return msgspec.structs.replace(data.look or BannerOptions(), theme=data.banner_type)


def _non_default(look: BannerOptions) -> BannerOptions | None:
    return look if look != BannerOptions(theme=look.theme) else None
