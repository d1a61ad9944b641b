"""
Our nouns into wire shapes and back: pure.

GitHub's numeric id does not travel: an owner who comes from the wire has the id 0.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from github_banners.look import Look
from github_banners.messages.shapes import (
    BannerEvent,
    Format,
    Numbers,
    Payload,
    PreviewAsk,
)
from github_banners.messages.versions import believed_version
from github_banners.model import Owner, Snapshot, Stats, microseconds

_NO_ID = 0
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Update:
    """A banner that is to be drawn and stored at `path`; of two the higher `version` counts."""

    path: str
    snapshot: Snapshot
    look: Look
    version: int


def event_of(update: Update, *, produced_at: datetime) -> BannerEvent:
    """Announce an update."""
    snapshot = update.snapshot
    payload = Payload(
        username=snapshot.owner.login,
        display_name=snapshot.owner.display_name,
        stats=snapshot.stats,
        fetched_at=snapshot.fetched_at,
        banner_type=update.look.theme,
        look=_worth_saying(update.look),
        storage_path=update.path,
        version=update.version,
    )
    return BannerEvent(
        event_type="github_banner_info_ready",
        event_version=1,
        produced_at=produced_at,
        payload=payload,
    )


def update_of(event: BannerEvent, *, now: datetime) -> Update:
    """
    Read what an event wants drawn; numbers without a date are as old as the event.

    Of version, date of the numbers and date of the event, the first that no wrong clock made is the
    version. Where all are ahead of now, the version stays as it is: nobody will believe it.
    """
    dates = (event.payload.fetched_at, event.produced_at)
    versions = [event.version, *(max(0, microseconds(date)) for date in dates if date is not None)]
    believed = (version for version in versions if believed_version(version, now=now) is not None)
    version = next(believed, event.version)
    snapshot = _snapshot_of(event.payload, version=version, fetched_at=event.happened_at)
    return Update(event.payload.storage_path, snapshot, _look_of(event.payload), version)


def preview_ask_of(snapshot: Snapshot, look: Look, *, format: Format = Format.SVG) -> PreviewAsk:  # noqa: A002
    """Ask for a drawing."""
    return PreviewAsk(
        username=snapshot.owner.login,
        display_name=snapshot.owner.display_name,
        stats=snapshot.stats,
        fetched_at=snapshot.fetched_at,
        banner_type=look.theme,
        look=_worth_saying(look),
        format=format,
    )


def wish_of(ask: PreviewAsk) -> tuple[Snapshot, Look]:
    """Read what is to be drawn; the snapshot has no version."""
    return _snapshot_of(ask, version=0, fetched_at=ask.fetched_at), _look_of(ask)


def _snapshot_of(numbers: Numbers, *, version: int, fetched_at: datetime | None) -> Snapshot:
    owner = Owner(_NO_ID, numbers.username, display_name=numbers.display_name)
    return Snapshot(owner, _ordered(numbers.stats), fetched_at or _NEVER, version)


def _ordered(stats: Stats) -> Stats:
    """Bring languages into the order that `Stats` promises; on the wire they have none."""
    ordered = sorted(stats.languages.items(), key=lambda item: (-item[1], item[0]))
    return msgspec.structs.replace(stats, languages=dict(ordered))


def _look_of(numbers: Numbers) -> Look:
    return msgspec.structs.replace(numbers.look or Look(), theme=numbers.banner_type)


def _worth_saying(look: Look) -> Look | None:
    return look if look != Look(theme=look.theme) else None
