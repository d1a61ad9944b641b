"""
The explanations: what a picture says when there is no banner to show.

Chooses words and a sign for each kind of error. The error's own sentence goes into the
description; details never reach a picture.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from github_banners.drawing.cleaning import clean, isolate
from github_banners.drawing.figures import digits
from github_banners.drawing.frame import Frame, Ground, frame
from github_banners.drawing.text import Fitted, fit, fit_between
from github_banners.drawing.themes import scheme
from github_banners.errors import BannersError, InvalidInput, State
from github_banners.look import Look

_GROUP_HEIGHT = 220
_ROOM = 372
_HEADLINE_SIZES, _WHAT_SIZES, _ADVICE_SIZES = (18, 17, 16, 15), (14, 13, 12), (14, 13, 12)
# Where a banner is lower than this there is room for the sign and the headline beside it.
_LEAST_HEIGHT = 150
_STRIP_SIZES, _STRIP_SIGN_X, _STRIP_X, _STRIP_PADDING = (14.5, 13.5, 12.5), 24, 46, 16
# Only what is wider than a phone's column has a narrow form: the sign goes and the three lines
# grow around their own middle.
_NARROW_FROM, _NARROW_GROWTH = 640, 1.9
_LINES_MIDDLE_Y = 145.5
_SOON = "Next try within a minute"


class Sign(msgspec.Struct, frozen=True, gc=False):
    """What stands in the ring; a broken ring is dashed, `d` is a path around (0, 0)."""

    d: str
    is_broken: bool = False
    is_on_ring: bool = False


class Line(NamedTuple):
    """A line of text in one of the classes of the template's style."""

    style: str
    y: int
    text: Fitted


class Setting(msgspec.Struct, frozen=True, gc=False):
    """
    Where sign and lines stand.

    `x` is the anchor of every line, its `anchor` there; `sign` and `narrow` are transforms, the
    second of the lines in the narrow form, empty where there is none.
    """

    sign: str
    x: str
    anchor: str
    lines: tuple[Line, ...]
    narrow: str = ""


class Explanation(msgspec.Struct, frozen=True, gc=False):
    """All that `templates/state.svg` prints."""

    frame: Frame
    title: str
    desc: str
    sign: Sign
    setting: Setting


class _Saying(NamedTuple):
    """A headline around a foreign text, what happened, what to do."""

    headline: tuple[str, str, str]
    what: str
    advice: str


_QUESTION = Sign("M-3.8-3.4a3.8 3.8 0 1 1 5.6 3.4Q0 1.1 0 3.2M0 7.4v.1", is_broken=True)
_PULSE = Sign("M-8.5.5h3.2l3-6.5 4 12 2.8-5.5h4")
_HAND = Sign("M0-7V1l4.5 2.5")
_SLIDERS = Sign(
    "M-8.5-3.5h9.4M6-3.5h2.5M-8.5 3.5h3M-.4 3.5h8.9M.9-3.5a2.55 2.55 0 1 0 5.1 0 "
    "2.55 2.55 0 1 0-5.1 0M-5.5 3.5a2.55 2.55 0 1 0 5.1 0 2.55 2.55 0 1 0-5.1 0"
)
_QUARTER = Sign("M0-17A17 17 0 0 1 17 0", is_on_ring=True)

_SIGNS = {
    State.UNKNOWN_USER: _QUESTION,
    State.UNKNOWN_BANNER: _QUESTION,
    State.GITHUB_UNAVAILABLE: _PULSE,
    State.NUMBERS_UNAVAILABLE: _PULSE,
    State.TOO_MANY_REQUESTS: _HAND,
    State.BUSY: _HAND,
    State.INVALID_OPTION: _SLIDERS,
    State.COUNTING: _QUARTER,
}


def explanation(error: BannersError, look: Look, *, host: str, ground: Ground) -> Explanation:
    """Put an error into words, on the ground of the banner that was asked for."""
    saying = _SAYINGS[error.state](error, clean(host))
    before, foreign, after = saying.headline
    return Explanation(
        frame=frame(ground, look, scheme(look)),
        title=f"{before}{isolate(foreign)}{after}",
        desc=error.sentence,
        sign=_SIGNS[error.state],
        setting=(_strip if ground.height < _LEAST_HEIGHT else _group)(saying, ground),
    )


def _strip(saying: _Saying, ground: Ground) -> Setting:
    """Set the sign and the headline in one row."""
    middle = ground.height // 2
    before, foreign, after = saying.headline
    room = ground.width - _STRIP_X - _STRIP_PADDING
    headline = fit_between(before, foreign, after, _STRIP_SIZES, room, bold=True)
    return Setting(
        sign=f"translate({_STRIP_SIGN_X} {middle})scale(.65)",
        x=str(_STRIP_X),
        anchor="start",
        lines=(Line("t", middle + 5, headline),),
    )


def _group(saying: _Saying, ground: Ground) -> Setting:
    """Set the sign and three lines around the middle."""
    x, dy = ground.width / 2, (ground.height - _GROUP_HEIGHT) // 2
    before, foreign, after = saying.headline
    headline = fit_between(before, foreign, after, _HEADLINE_SIZES, _ROOM, bold=True)
    return Setting(
        sign=f"translate({digits(x)} {62 + dy})",
        x=digits(x),
        anchor="middle",
        lines=(
            Line("t", 122 + dy, headline),
            Line("m", 147 + dy, fit(clean(saying.what), _WHAT_SIZES, _ROOM)),
            Line("e", 182 + dy, fit(clean(saying.advice), _ADVICE_SIZES, _ROOM, bold=True)),
        ),
        narrow=_narrow(x, ground.height / 2, dy) if ground.width > _NARROW_FROM else "",
    )


def _narrow(x: float, y: float, dy: int) -> str:
    lines_y = _LINES_MIDDLE_Y + dy
    return (
        f"translate({digits(x - _NARROW_GROWTH * x)}px,"
        f"{digits(y - _NARROW_GROWTH * lines_y)}px)scale({_NARROW_GROWTH})"
    )


def _plain(headline: str, what: str, advice: str) -> Callable[[BannersError, str], _Saying]:
    return lambda error, host: _Saying((headline, "", ""), what, advice)


def _unknown_user(error: BannersError, host: str) -> _Saying:
    headline = ("No GitHub user “", _foreign(error, "name"), "”")
    return _Saying(
        headline, "Misspelt, or the account was renamed.", "Check username= in the address"
    )


def _counting(error: BannersError, host: str) -> _Saying:
    headline = ("Counting ", _foreign(error, "name"), "’s repositories")
    return _Saying(headline, "The first look takes a moment.", "Ready on the next visit")


def _unknown_banner(error: BannersError, host: str) -> _Saying:
    advice = f"Make it at {host}" if host else "Make it on the start page of this service"
    return _Saying(("No banner of this name", "", ""), "It was never made here.", advice)


def _too_many_requests(error: BannersError, host: str) -> _Saying:
    seconds = int(getattr(error, "retry_after_seconds", 60))
    return _Saying(
        ("Drawn too often, taking a breath", "", ""),
        "Too many new pictures from this address.",
        f"Back in about {_duration(seconds)}",
    )


def _duration(seconds: int) -> str:
    if seconds > 90:
        return f"{-(-seconds // 60)} minutes"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def _invalid_option(error: BannersError, host: str) -> _Saying:
    if not isinstance(error, InvalidInput):
        return _Saying(
            ("Something in the address is wrong", "", ""), error.sentence, "Check the address"
        )
    if error.field == "username":
        return _invalid_username(error)
    field, value = clean(error.field), _foreign(error, "value")
    headline = (f"There is no {field} “", value, "”")
    if not value:
        headline = (f"No {field} was given", "", "")
    elif len(error.allowed) == 1:
        headline = (f"{field} can’t be “", value, "”")
    return _Saying(
        headline, "The rest of the picture’s address is fine.", _allowed(error, field, host)
    )


def _invalid_username(error: InvalidInput) -> _Saying:
    if not error.value.strip():
        return _Saying(
            ("Nobody’s name was given", "", ""),
            "The picture’s address says whose banner it is.",
            "Add username= to the address",
        )
    return _Saying(
        ("GitHub can’t have a user “", _foreign(error, "value"), "”"),
        "Names are letters, digits and single hyphens.",
        "Check username= in the address",
    )


def _allowed(error: InvalidInput, field: str, host: str) -> str:
    """Say what may stand in place of a wrong value: the nearest one, else where they are listed."""
    if error.meant is not None:
        return f"Did you mean {field}={error.meant}?"
    if len(error.allowed) == 1:
        return f"It can be {error.allowed[0]}"
    if field == "type" and host:
        return f"Types: {host}"
    return f"It can be {', '.join(error.allowed)}" if error.allowed else f"Check {field}="


def _foreign(error: BannersError, attribute: str) -> str:
    return clean(str(getattr(error, attribute, "")))


_SAYINGS: dict[State, Callable[[BannersError, str], _Saying]] = {
    State.UNKNOWN_USER: _unknown_user,
    State.UNKNOWN_BANNER: _unknown_banner,
    State.COUNTING: _counting,
    State.INVALID_OPTION: _invalid_option,
    State.TOO_MANY_REQUESTS: _too_many_requests,
    State.GITHUB_UNAVAILABLE: _plain(
        "GitHub isn’t answering right now", "The numbers will be back by themselves.", _SOON
    ),
    State.BUSY: _plain("Busy, back in a moment", "Many pictures are being drawn.", _SOON),
    State.NUMBERS_UNAVAILABLE: _plain(
        "Numbers can’t be read right now", "They will be back by themselves.", _SOON
    ),
}
