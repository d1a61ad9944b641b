"""
Draw banners and explanation cards: a layout computes the values of an SVG template in `templates/`.

Every value is escaped; characters that XML does not allow have been removed before, by `sanitize`.

A template is compiled once per canvas and reading direction: as written, or mirrored for
right-to-left pictures. These placeholders are resolved when it is compiled:

    @{width-2}      a field of the canvas, or a parameter of an include
    @[x]            an x position; a number, or an expression in template syntax. Mirrored, it is
                    measured from the right edge
    @[x;width]      the left edge of an element that is not mirrored itself, and its width
    @-[x]           an x position relative to another one
    @<text@>        text that gets a direction of its own in mirrored pictures
"""

import re
from datetime import date
from functools import lru_cache, partial
from importlib.resources import files

import msgspec
from minijinja import Environment

from github_banners.drawing.explanation_cards import build_explanation
from github_banners.drawing.layouts import LAYOUTS
from github_banners.drawing.text import POP_ISOLATE
from github_banners.drawing.themes import Canvas
from github_banners.errors import BannersError
from github_banners.models import Snapshot
from github_banners.options import BannerOptions

_DEFAULT_OPTIONS = BannerOptions()

_INCLUDE = re.compile(r'\{% include "([a-z.]+)"((?: [a-z]+=[0-9.]+)*) %\}')
_CANVAS_FIELD = re.compile(r"@\{([a-z_]+)(-[0-9]+)?\}")
_ROOT = re.compile(rb'\s*<svg [^>]*?\bwidth="(\d{1,4})" height="(\d{1,4})"[^>]*>')
_PLACEHOLDER = re.compile(r"@(-?)\[([^];]+)(?:;([0-9.]+))?\]|@([<>])")
# Each canvas as written, and mirrored with a left-to-right or right-to-left isolate; and that of links.
_MAX_ENVIRONMENTS = 19
# Swap the anchors rather than set `direction`, which not every renderer respects for them.
_MIRRORED = (
    ('text-anchor="end"', 'text-anchor="start"'),
    ('role="img"', 'role="img" text-anchor="end"'),
    ("rotate(-90)", "rotate(-90)scale(1 -1)"),
    (
        '<g clip-path="url(#e)"',
        '<g clip-path="url(#e)" transform="translate(@{width})scale(-1 1)"',
    ),
    # The cells of a heatmap, whose unit is a day.
    ("scale(14)", "scale(-14 14)"),
)


def draw(snapshot: Snapshot, options: BannerOptions, *, as_of: date | None = None) -> bytes:
    """
    Draw a banner as UTF-8 SVG.

    `as_of` is the day the numbers were fetched; pass it only for stale numbers, since the banner
    then shows it.
    """
    layout = LAYOUTS[options.layout]
    return render_svg(layout.template, layout.compute_layout(snapshot, options, as_of))


def explain(
    error: BannersError,
    *,
    options: BannerOptions = _DEFAULT_OPTIONS,
    host: str = "",
    login_parameter: str = "username",
) -> bytes:
    """
    Draw an explanation of an error as UTF-8 SVG, in the size of the requested banner.

    `host` is the public host of this service, for hints; empty if unknown. `login_parameter` is what
    the login is called in the requested URL.
    """
    canvas = LAYOUTS[options.layout].canvas
    card = build_explanation(
        error, options, host=host, canvas=canvas, login_parameter=login_parameter
    )
    return render_svg("explanation.svg", card)


def render_svg(template: str, values: msgspec.Struct) -> bytes:
    """
    Render a template; it sees the fields of `values` by name.

    Two fields are needed by all templates: `frame`, a `Frame`, which chooses the canvas and the
    direction, and `glow`, the colour of the frame's glow, which is that of the accent if empty.
    """
    fields = msgspec.structs.asdict(values)
    frame = fields["frame"]
    environment = _environment(frame.canvas, frame.isolate)
    return environment.render_template(template, **fields).encode()


def render_without_frame(template: str, values: msgspec.Struct, *, canvas: Canvas) -> bytes:
    """Render a template that is not mirrored and has no frame."""
    fields = msgspec.structs.asdict(values)
    return _environment(canvas, "").render_template(template, **fields).encode()


def find_root(svg: bytes) -> re.Match[bytes] | None:
    """Match the start tag of one of our SVGs, whose width and height are the groups; None for others."""
    return _ROOT.match(svg)


@lru_cache(_MAX_ENVIRONMENTS)
def _environment(canvas: Canvas, isolate: str) -> Environment:
    """Create the template environment of a canvas; mirrored if `isolate` is not empty."""
    return Environment(
        loader=partial(_prepare_template, canvas, isolate),
        auto_escape_callback=_escape_html,
        undefined_behavior="strict",
    )


def _prepare_template(canvas: Canvas, isolate: str, name: str) -> str:
    source = _load_template(name)
    if isolate:
        for left_to_right, right_to_left in _MIRRORED:
            source = source.replace(left_to_right, right_to_left)
    source = _CANVAS_FIELD.sub(partial(_canvas_value, canvas), source)
    resolve = partial(_mirror_position, isolate, canvas.width) if isolate else _keep_position
    return _PLACEHOLDER.sub(resolve, source)


def _canvas_value(canvas: Canvas, match: re.Match[str]) -> str:
    name, offset = match.groups()
    value = getattr(canvas, name)
    return str(value + int(offset)) if offset else str(value)


def _keep_position(match: re.Match[str]) -> str:
    _, position, _, text_edge = match.groups()
    if text_edge:
        return ""
    return position if _is_number(position) else f"{{{{ {position} }}}}"


def _mirror_position(isolate: str, width: int, match: re.Match[str]) -> str:
    is_relative, position, own_width, text_edge = match.groups()
    if text_edge:
        return isolate if text_edge == "<" else POP_ISOLATE
    edge = (0 if is_relative else width) - float(own_width or 0)
    if _is_number(position):
        return f"{edge - float(position):g}"
    return f"{{{{ {edge:g} - ({position}) }}}}"


def _is_number(position: str) -> bool:
    return re.fullmatch(r"-?[0-9.]+", position) is not None


def _load_template(name: str) -> str:
    """
    Read a template, without its line breaks and indentation.

    Includes are pasted in, since that renders a banner a tenth faster than including each time.
    """
    source = (files(__package__) / "templates" / name).read_text(encoding="utf-8")
    joined = "".join(line.strip() for line in source.splitlines())
    return _INCLUDE.sub(_inline_include, joined)


def _inline_include(match: re.Match[str]) -> str:
    source = _load_template(match[1])
    for parameter in match[2].split():
        name, value = parameter.split("=")
        source = source.replace(f"@{{{name}}}", value)
    return source


def _escape_html(name: str) -> str:
    return "html"
