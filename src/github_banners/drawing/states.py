"""
The explanations: what a picture says when there is no banner to show.

Chooses a sign and what is said for each kind of error; the words are in `locales`. The error's own
sentence goes into the description; details never reach a picture.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from github_banners.drawing.cleaning import clean, isolate
from github_banners.drawing.figures import digits
from github_banners.drawing.frame import Frame, Ground, frame
from github_banners.drawing.locales import (
    Explanations,
    foreign,
    is_right_to_left,
    wait,
    words,
)
from github_banners.drawing.text import Fitted, fit, fit_between, width
from github_banners.drawing.themes import scheme
from github_banners.errors import (
    BannersError,
    ExplanationKind,
    FirstFetchPending,
    InvalidInput,
    NotFound,
    TooManyRequests,
)
from github_banners.look import BannerOptions, allowed_values

_GROUP_HEIGHT = 220
_ROOM = 372
# Below 15 go long words of other languages, and long names rather than being cut.
_HEADLINE_SIZES = (18, 17, 16, 15, 14, 13)
_WHAT_SIZES, _ADVICE_SIZES = (14, 13, 12), (14, 13, 12)
# Where a banner is lower than this there is room for the sign and the headline beside it.
_LEAST_HEIGHT = 150
_STRIP_SIZES, _STRIP_SIGN_X, _STRIP_X, _STRIP_PADDING = (14.5, 13.5, 12.5), 24, 46, 16
# Only what is wider than a phone's column has a narrow form: the sign goes and the three lines
# grow around their own middle.
_NARROW_FROM, _NARROW_GROWTH = 640, 1.9
_LINES_MIDDLE_Y = 145.5
_FOREIGN = "\x00"  # stands for the foreign text until a headline is divided there


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

    The sign's middle is at (`sign_x`, `sign_y`); `x` is where lines start, or their middle where
    they are centred. `narrow` is a transform of the lines in the narrow form, empty where there is
    none.
    """

    sign_x: int
    sign_y: int
    x: int
    is_centred: bool
    lines: tuple[Line, ...]
    narrow: str = ""


class Explanation(msgspec.Struct, frozen=True, gc=False):
    """All that `templates/state.svg` prints."""

    frame: Frame
    title: str
    desc: str
    sign: Sign
    setting: Setting


class _Told(NamedTuple):
    """Three lines; of headline and advice the middle is foreign, and gives way to a short room."""

    headline: tuple[str, str, str]
    what: str
    advice: tuple[str, str, str]


_QUESTION = Sign("M-3.8-3.4a3.8 3.8 0 1 1 5.6 3.4Q0 1.1 0 3.2M0 7.4v.1", is_broken=True)
_PULSE = Sign("M-8.5.5h3.2l3-6.5 4 12 2.8-5.5h4")
_HAND = Sign("M0-7V1l4.5 2.5")
_SLIDERS = Sign(
    "M-8.5-3.5h9.4M6-3.5h2.5M-8.5 3.5h3M-.4 3.5h8.9M.9-3.5a2.55 2.55 0 1 0 5.1 0 "
    "2.55 2.55 0 1 0-5.1 0M-5.5 3.5a2.55 2.55 0 1 0 5.1 0 2.55 2.55 0 1 0-5.1 0"
)
_QUARTER = Sign("M0-17A17 17 0 0 1 17 0", is_on_ring=True)

_SIGNS = {
    ExplanationKind.UNKNOWN_USER: _QUESTION,
    ExplanationKind.UNKNOWN_BANNER: _QUESTION,
    ExplanationKind.GITHUB_UNAVAILABLE: _PULSE,
    ExplanationKind.NUMBERS_UNAVAILABLE: _PULSE,
    ExplanationKind.TOO_MANY_REQUESTS: _HAND,
    ExplanationKind.BUSY: _HAND,
    ExplanationKind.INVALID_OPTION: _SLIDERS,
    ExplanationKind.COUNTING: _QUARTER,
}


def explanation(
    error: BannersError, look: BannerOptions, *, host: str, ground: Ground
) -> Explanation:
    """Put an error into words, on the ground of the banner that was asked for."""
    told = _told(error, clean(host), look.locale)
    before, foreign_text, after = told.headline
    turned = is_right_to_left(look.locale)
    return Explanation(
        frame=frame(ground, look, scheme(look), is_mirrored=turned),
        title=f"{before}{isolate(foreign_text)}{after}",
        desc=error.public_message,
        sign=_SIGNS[error.explanation_kind],
        setting=(_strip if ground.height < _LEAST_HEIGHT else _group)(told, ground),
    )


def _strip(told: _Told, ground: Ground) -> Setting:
    """Set the sign and the headline in one row."""
    middle = ground.height // 2
    room = ground.width - _STRIP_X - _STRIP_PADDING
    headline = fit_between(*told.headline, _STRIP_SIZES, room, bold=True)
    return Setting(
        sign_x=_STRIP_SIGN_X,
        sign_y=middle,
        x=_STRIP_X,
        is_centred=False,
        lines=(Line("t", middle + 5, headline),),
    )


def _group(told: _Told, ground: Ground) -> Setting:
    """Set the sign and three lines around the middle."""
    x, dy = ground.width // 2, (ground.height - _GROUP_HEIGHT) // 2
    headline = fit_between(*told.headline, _HEADLINE_SIZES, _ROOM, bold=True)
    return Setting(
        sign_x=x,
        sign_y=62 + dy,
        x=x,
        is_centred=True,
        lines=(
            Line("t", 122 + dy, headline),
            Line("m", 147 + dy, fit(told.what, _WHAT_SIZES, _ROOM)),
            Line("e", 182 + dy, fit_between(*told.advice, _ADVICE_SIZES, _ROOM, bold=True)),
        ),
        narrow=_narrow(x, ground.height / 2, dy) if ground.width > _NARROW_FROM else "",
    )


def _narrow(x: float, y: float, dy: int) -> str:
    lines_y = _LINES_MIDDLE_Y + dy
    return (
        f"translate({digits(x - _NARROW_GROWTH * x)}px,"
        f"{digits(y - _NARROW_GROWTH * lines_y)}px)scale({_NARROW_GROWTH})"
    )


def _told(error: BannersError, host: str, locale: str) -> _Told:
    """Choose what is said and fill it in."""
    said = words(locale).explanations
    if isinstance(error, InvalidInput) and error.field != "query":
        return _told_of_input(error, said, host, locale)
    saying = said.states[error.explanation_kind]
    name = clean(error.name) if isinstance(error, NotFound | FirstFetchPending) else ""
    seconds = error.retry_after_seconds if isinstance(error, TooManyRequests) else 0
    duration, when = wait(seconds, locale)
    is_nowhere = error.explanation_kind is ExplanationKind.UNKNOWN_BANNER and not host
    return _Told(
        headline=_filled(saying.headline, name, locale),
        what=saying.what,
        advice=_filled(
            said.advice.start_page if is_nowhere else saying.advice,
            host,
            locale,
            option=foreign("username=", locale),
            duration=duration,
            when=when,
        ),
    )


def _told_of_input(error: InvalidInput, said: Explanations, host: str, locale: str) -> _Told:
    field, value = clean(error.field), clean(error.value)
    if error.field == "username":
        saying = said.impossible_name if value else said.no_name
        option = foreign("username=", locale)
        return _Told(
            headline=_filled(saying.headline, value, locale),
            what=saying.what,
            advice=_filled(saying.advice, "", locale, option=option),
        )
    headline = said.option.no_such_value
    if not value:
        headline = said.option.no_value
    elif len(error.allowed) == 1 or error.allowed == allowed_values("border"):
        headline = said.option.impossible_value
    return _Told(
        headline=_filled(headline, value, locale, field=foreign(field, locale)),
        what=said.option.what,
        advice=_advice(error, said, host, locale),
    )


def _advice(
    error: InvalidInput, said: Explanations, host: str, locale: str
) -> tuple[str, str, str]:
    """Offer the nearest value, else say what may stand there or where that is listed."""
    field = clean(error.field)
    if (meant := error.suggestion) is not None:
        wish = foreign(f"{field}={clean(meant)}", locale)
        offer = _filled(said.advice.meant, "", locale, wish=wish)
        # Half of an address would be copied as if it were one.
        if width("".join(offer), _ADVICE_SIZES[-1], bold=True) <= _ROOM:
            return offer
    if error.field == "type" and host:
        return _filled(said.advice.types, host, locale)
    if not error.allowed:
        return _filled(said.advice.check, "", locale, option=foreign(f"{field}=", locale))
    before, _, after = _filled(said.advice.values, "", locale)
    phrase = said.phrases.get(error.allowed[0]) if len(error.allowed) == 1 else None
    room = _ROOM - width(before + after, _ADVICE_SIZES[-1], bold=True)
    return before, phrase or _first_of(error.allowed, room), after


def _first_of(allowed: Sequence[str], room: float) -> str:
    """List as many values as there is room for."""
    listed = list(map(clean, allowed))
    text = ", ".join(listed)
    while len(listed) > 1 and width(text, _ADVICE_SIZES[-1], bold=True) > room:
        listed.pop()
        text = ", ".join([*listed, "…"])
    return text


def _filled(pattern: str, text: str, locale: str, **fields: str) -> tuple[str, str, str]:
    """Fill in a sentence, and divide it around the text that stands for a name or a value."""
    marked = dict.fromkeys(("name", "value", "values", "host"), foreign(_FOREIGN, locale))
    before, mark, after = pattern.format_map({**marked, **fields}).partition(_FOREIGN)
    return before, text if mark else "", after
