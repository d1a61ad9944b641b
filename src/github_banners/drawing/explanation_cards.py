"""
Explanation cards: the pictures that replace a banner when there is an error.

Chooses an icon and three lines of text for each kind of error; the texts are in `locales`. The
error's public message becomes the description; its details never reach a picture.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from github_banners.drawing.locales import (
    Explanations,
    format_wait,
    is_right_to_left,
    isolate_foreign,
    load_translations,
)
from github_banners.drawing.text import Fitted, fit, fit_between, isolate, sanitize, width
from github_banners.drawing.themes import Canvas, Frame, format_coordinate, frame
from github_banners.errors import (
    BannersError,
    ExplanationKind,
    FetchPending,
    InvalidInput,
    NotFound,
    TooManyRequests,
    UnknownRepository,
    UserNotServed,
)
from github_banners.options import BannerOptions, allowed_values

_CENTRED_HEIGHT = 220
_ROOM = 372
# Sizes below 15 are for locales with long words, and for long names, which would be truncated.
_HEADLINE_SIZES = (18, 17, 16, 15, 14, 13)
_WHAT_SIZES, _ADVICE_SIZES = (14, 13, 12), (14, 13, 12)
# The y of the icon and of the three lines, for a height of 220; lower banners have the second ones,
# for a height of 150, with a small icon. The lowest only have room for the icon and the headline.
_CENTRED_ROWS, _LOW_CENTRED_ROWS = (62, 122, 147, 182), (30, 72, 96, 126)
_LOW_HEIGHT, _MIN_HEIGHT_FOR_LARGE_ICON = 150, 180
_ONE_ROW_SIZES, _ONE_ROW_ICON_X, _ONE_ROW_X, _ONE_ROW_PADDING = (14.5, 13.5, 12.5), 24, 46, 16
# Only pictures wider than a phone's column have a narrow form: it hides the icon and scales the
# lines around their middle.
_MIN_WIDTH_FOR_NARROW, _NARROW_GROWTH = 640, 1.9
_LINES_MIDDLE_Y = 145.5
_PLACEHOLDER = "\x00"  # marks the place of the foreign text until a pattern is split there


class Icon(msgspec.Struct, frozen=True, gc=False):
    """The icon in the ring: `d` is path data around (0, 0); a broken ring is dashed."""

    d: str
    is_broken: bool = False
    is_on_ring: bool = False


class ExplanationLine(NamedTuple):
    """A line of text; `style` is a CSS class of the template."""

    style: str
    y: int
    text: Fitted


class Placement(msgspec.Struct, frozen=True, gc=False):
    """
    The positions of the icon and the lines.

    The icon's centre is at (`icon_x`, `icon_y`); `x` is the start of the lines, or their middle if
    they are centred. `narrow` is the CSS transform of the lines in the narrow form; empty if there
    is no such form.
    """

    icon_x: int
    icon_y: int
    has_small_icon: bool
    x: int
    is_centred: bool
    lines: tuple[ExplanationLine, ...]
    narrow: str = ""


class Explanation(msgspec.Struct, frozen=True, gc=False):
    """The values of `templates/explanation.svg`."""

    frame: Frame
    glow: str
    title: str
    desc: str
    icon: Icon
    placement: Placement


class _Message(NamedTuple):
    """
    The three lines of text.

    `headline` and `advice` are split around a foreign text, which is truncated if there is no room.
    """

    headline: tuple[str, str, str]
    what: str
    advice: tuple[str, str, str]


_QUESTION = Icon("M-3.8-3.4a3.8 3.8 0 1 1 5.6 3.4Q0 1.1 0 3.2M0 7.4v.1", is_broken=True)
_PULSE = Icon("M-8.5.5h3.2l3-6.5 4 12 2.8-5.5h4")
_CLOCK = Icon("M0-7V1l4.5 2.5")
_SLIDERS = Icon(
    "M-8.5-3.5h9.4M6-3.5h2.5M-8.5 3.5h3M-.4 3.5h8.9M.9-3.5a2.55 2.55 0 1 0 5.1 0 "
    "2.55 2.55 0 1 0-5.1 0M-5.5 3.5a2.55 2.55 0 1 0 5.1 0 2.55 2.55 0 1 0-5.1 0"
)
_PERSON = Icon("M0-1.6a3.3 3.3 0 1 1 0-6.6 3.3 3.3 0 0 1 0 6.6M-6.5 7.4a6.5 6.5 0 0 1 13 0")
_PROGRESS_ARC = Icon("M0-17A17 17 0 0 1 17 0", is_on_ring=True)

_ICONS = {
    ExplanationKind.UNKNOWN_USER: _QUESTION,
    ExplanationKind.UNKNOWN_BANNER: _QUESTION,
    ExplanationKind.UNKNOWN_REPOSITORY: _QUESTION,
    ExplanationKind.CARD_NOT_OFFERED: _QUESTION,
    ExplanationKind.GITHUB_UNAVAILABLE: _PULSE,
    ExplanationKind.NUMBERS_UNAVAILABLE: _PULSE,
    ExplanationKind.TOO_MANY_REQUESTS: _CLOCK,
    ExplanationKind.BUSY: _CLOCK,
    ExplanationKind.INVALID_OPTION: _SLIDERS,
    ExplanationKind.COUNTING: _PROGRESS_ARC,
    ExplanationKind.CONTRIBUTIONS_HIDDEN: _QUESTION,
    ExplanationKind.NO_CONTRIBUTIONS: _QUESTION,
    ExplanationKind.TOKEN_REQUIRED: _PULSE,
    ExplanationKind.USER_NOT_SERVED: _PERSON,
}
# The name that stands for `{option}` in the advice: a setting of the service, or an option.
_ADVISED_OPTIONS = {
    ExplanationKind.TOKEN_REQUIRED: "GITHUB_TOKENS",
    ExplanationKind.UNKNOWN_REPOSITORY: "repo=",
}
_LOGIN_PARAMETER = "username"


def build_explanation(
    error: BannersError,
    options: BannerOptions,
    *,
    host: str,
    canvas: Canvas,
    login_parameter: str = _LOGIN_PARAMETER,
) -> Explanation:
    """
    Build the explanation of an error, on the canvas and in the colours of the banner.

    `login_parameter` is what the login is called in the URL that the explanation is shown for.
    """
    message = _message(error, sanitize(host), options.locale, login_parameter)
    before, foreign_text, after = message.headline
    place = _one_row if canvas.height < _LOW_HEIGHT else _centred
    return Explanation(
        frame=frame(canvas, options, is_mirrored=is_right_to_left(options.locale)),
        glow="",
        title=f"{before}{isolate(foreign_text)}{after}",
        desc=error.public_message,
        icon=_ICONS[error.explanation_kind],
        placement=place(message, canvas),
    )


def explain_in_words(error: BannersError, *, host: str) -> tuple[str, str, str]:
    """Return the English headline of an explanation, what happened, and what to do."""
    message = _message(error, sanitize(host), "en", _LOGIN_PARAMETER)
    before, foreign_text, after = message.headline
    headline = f"{before}{isolate(foreign_text)}{after}"
    return headline, message.what, "".join(message.advice)


def _one_row(message: _Message, canvas: Canvas) -> Placement:
    """Place the icon and the headline in one row."""
    middle = canvas.height // 2
    room = canvas.width - _ONE_ROW_X - _ONE_ROW_PADDING
    headline = fit_between(*message.headline, _ONE_ROW_SIZES, room, bold=True)
    return Placement(
        icon_x=_ONE_ROW_ICON_X,
        icon_y=middle,
        has_small_icon=True,
        x=_ONE_ROW_X,
        is_centred=False,
        lines=(ExplanationLine("t", middle + 5, headline),),
    )


def _centred(message: _Message, canvas: Canvas) -> Placement:
    """Place the icon and three lines around the middle."""
    is_low = canvas.height < _MIN_HEIGHT_FOR_LARGE_ICON
    rows, height = (_LOW_CENTRED_ROWS, _LOW_HEIGHT) if is_low else (_CENTRED_ROWS, _CENTRED_HEIGHT)
    x, dy = canvas.width // 2, (canvas.height - height) // 2
    icon_y, headline_y, what_y, advice_y = (row + dy for row in rows)
    headline = fit_between(*message.headline, _HEADLINE_SIZES, _ROOM, bold=True)
    return Placement(
        icon_x=x,
        icon_y=icon_y,
        has_small_icon=is_low,
        x=x,
        is_centred=True,
        lines=(
            ExplanationLine("t", headline_y, headline),
            ExplanationLine("m", what_y, fit(message.what, _WHAT_SIZES, _ROOM)),
            ExplanationLine(
                "e", advice_y, fit_between(*message.advice, _ADVICE_SIZES, _ROOM, bold=True)
            ),
        ),
        narrow=_narrow(x, canvas.height / 2, dy) if canvas.width > _MIN_WIDTH_FOR_NARROW else "",
    )


def _narrow(x: float, y: float, dy: int) -> str:
    """Return the transform that scales the lines and moves their middle to (x, y)."""
    lines_y = _LINES_MIDDLE_Y + dy
    return (
        f"translate({format_coordinate(x - _NARROW_GROWTH * x)}px,"
        f"{format_coordinate(y - _NARROW_GROWTH * lines_y)}px)scale({_NARROW_GROWTH})"
    )


def _message(error: BannersError, host: str, locale: str, login_parameter: str) -> _Message:
    texts = load_translations(locale).explanations
    # `query` stands for a query string that can't be parsed at all: no single option is wrong.
    if isinstance(error, InvalidInput) and error.field != "query":
        return _input_message(error, texts, host, locale, login_parameter)
    template = texts.states[error.explanation_kind]
    name = (
        sanitize(error.name) if isinstance(error, NotFound | FetchPending | UserNotServed) else ""
    )
    seconds = error.retry_after_seconds if isinstance(error, TooManyRequests) else 0
    duration, when = format_wait(seconds, locale)
    lacks_host = error.explanation_kind is ExplanationKind.UNKNOWN_BANNER and not host
    advised = _ADVISED_OPTIONS.get(error.explanation_kind, f"{login_parameter}=")
    advice = _fill(
        texts.advice.start_page if lacks_host else template.advice,
        host,
        locale,
        option=isolate_foreign(advised, locale),
        duration=duration,
        when=when,
    )
    if isinstance(error, UnknownRepository) and error.suggestion is not None:
        advice = _suggest("repo", error.suggestion, texts, locale) or advice
    return _Message(
        headline=_fill(template.headline, name, locale), what=template.what, advice=advice
    )


def _input_message(
    error: InvalidInput, texts: Explanations, host: str, locale: str, login_parameter: str
) -> _Message:
    field, value = sanitize(error.written_field), sanitize(error.value)
    if error.field == "username" or (error.field == "repo" and not value):
        template, parameter = texts.impossible_name if value else texts.no_name, login_parameter
        if error.field == "repo":
            template, parameter = texts.no_repository, error.field
        option = isolate_foreign(f"{parameter}=", locale)
        return _Message(
            headline=_fill(template.headline, value, locale),
            what=template.what,
            advice=_fill(template.advice, "", locale, option=option),
        )
    headline = texts.option.no_such_value
    if not value:
        headline = texts.option.no_value
    elif len(error.allowed) == 1 or error.allowed == allowed_values("border"):
        headline = texts.option.impossible_value
    return _Message(
        headline=_fill(headline, value, locale, field=isolate_foreign(field, locale)),
        what=texts.option.what,
        advice=_hint(error, texts, host, locale),
    )


def _hint(error: InvalidInput, texts: Explanations, host: str, locale: str) -> tuple[str, str, str]:
    """Suggest the closest value, or list the allowed values, or say where they are listed."""
    field = sanitize(error.written_field)
    if error.suggestion is not None and (hint := _suggest(field, error.suggestion, texts, locale)):
        return hint
    if error.field == "type" and host:
        return _fill(texts.advice.types, host, locale)
    if not error.allowed:
        return _fill(texts.advice.check, "", locale, option=isolate_foreign(f"{field}=", locale))
    before, _, after = _fill(texts.advice.values, "", locale)
    phrase = texts.phrases.get(error.allowed[0]) if len(error.allowed) == 1 else None
    room = _ROOM - width(before + after, _ADVICE_SIZES[-1], bold=True)
    return before, phrase or _as_many_as_fit(error.allowed, room), after


def _suggest(
    field: str, value: str, texts: Explanations, locale: str
) -> tuple[str, str, str] | None:
    """Suggest another value; None if it does not fit, as a truncated one would be copied as it is."""
    suggestion = isolate_foreign(f"{field}={sanitize(value, max_graphemes=100)}", locale)
    hint = _fill(texts.advice.suggestion, "", locale, suggestion=suggestion)
    return hint if width("".join(hint), _ADVICE_SIZES[-1], bold=True) <= _ROOM else None


def _as_many_as_fit(allowed: Sequence[str], room: float) -> str:
    """Join the values that fit, at least one, and an ellipsis if there are more."""
    values = list(map(sanitize, allowed))
    text = ", ".join(values)
    while len(values) > 1 and width(text, _ADVICE_SIZES[-1], bold=True) > room:
        values.pop()
        text = ", ".join([*values, "…"])
    return text


def _fill(pattern: str, text: str, locale: str, **fields: str) -> tuple[str, str, str]:
    """
    Fill in a pattern, and split it around the foreign text: (before, text, after).

    The text takes the place of `{name}`, `{value}`, `{values}` or `{host}`; it stays separate so
    that the caller can truncate it.
    """
    placeholders = dict.fromkeys(
        ("name", "value", "values", "host"), isolate_foreign(_PLACEHOLDER, locale)
    )
    sentence = pattern.format_map({**placeholders, **fields})
    before, separator, after = sentence.partition(_PLACEHOLDER)
    return before, text if separator else "", after
