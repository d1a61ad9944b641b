"""
The layout `compact`, 420 x 44: a small ring, the login, three numbers.

What has no room here, why there are no languages and how old the numbers are, stands in the
description. Positions here and in `templates/compact.svg` are in user units.
"""

from collections.abc import Sequence
from datetime import date

import msgspec

from github_banners.drawing.figures import Segment, ring
from github_banners.drawing.frame import Frame, Ground, frame
from github_banners.drawing.layouts.arrangement import Arrangement
from github_banners.drawing.legend import listed, on_ring, told
from github_banners.drawing.metrics import Metrics, counted, fitting, placed
from github_banners.drawing.text import Fitted, fit_isolated
from github_banners.drawing.themes import scheme
from github_banners.drawing.words import Person, description, heading, note, person
from github_banners.look import Field, Look
from github_banners.model import Snapshot

_GROUND = Ground(420, 44, radius=10)

_RING_RADIUS = 10
_NAME_SIZES, _NAME_ROOM = (14.5, 13.5, 12.5), 146

_METRIC_X, _METRIC_ROOMS = (198, 274, 346), (52, 48, 46)
# Only numbers written in full and hundreds of units go below 14.
_VALUE_SIZES = (14, 13, 12, 11)


class Compact(msgspec.Struct, frozen=True, gc=False):
    """All that `templates/compact.svg` prints."""

    frame: Frame
    title: str
    desc: str
    ring: Sequence[Segment]
    name: Fitted
    metrics: Metrics


def arrange(snapshot: Snapshot, look: Look, as_of: date | None) -> Compact:
    """Compute every position and every string of the layout."""
    stats, colours = snapshot.stats, scheme(look)
    whose = person(snapshot.owner, look)
    around = on_ring(listed(stats, look), look, colours)
    numbers = counted(stats, look, _METRIC_ROOMS)
    return Compact(
        frame=frame(_GROUND, look, colours, shares=around),
        title=heading(whose),
        desc=description(stats, look, told(around), as_of, remark=note(stats, look)),
        ring=ring(around, radius=_RING_RADIUS) if around else (),
        name=fit_isolated(_name(whose, look), _NAME_SIZES, _NAME_ROOM, bold=True),
        metrics=placed(numbers, fitting(numbers, _VALUE_SIZES), _METRIC_X),
    )


def _name(whose: Person, look: Look) -> str:
    """Choose the login, unless another name is wished for or the login is not."""
    return whose.name if look.title or Field.LOGIN in look.hide else whose.login


ARRANGEMENT = Arrangement(_GROUND, "compact.svg", arrange)
