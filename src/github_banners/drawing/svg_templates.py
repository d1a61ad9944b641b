"""
The one way from numbers to bytes: a template of `templates/` filled and encoded.

Everything that is filled in is escaped. What XML can't hold has been dropped before, by `cleaning`.

A template is read once for each size of pictures, as it stands and mirrored for what is read from
right to left. It marks what differs:

    @{width-2}      what the ground of the picture has, or what an include is given
    @[x]            a position, whole unless it is written here; mirrored it is as far from the
                    right edge
    @[x;width]      where something starts that is not turned round itself
    @-[x]           a position seen from another one
    @<text@>        text, which mirrored has a direction of its own
"""

import re
from functools import lru_cache, partial
from importlib.resources import files

import msgspec
from minijinja import Environment

from github_banners.drawing.frame import Canvas

_INCLUDE = re.compile(r'\{% include "([a-z.]+)"((?: [a-z]+=[0-9.]+)*) %\}')
_CANVAS_FIELD = re.compile(r"@\{([a-z_]+)(-[0-9]+)?\}")
_MARK = re.compile(r"@(-?)\[([^];]+)(?:;([0-9.]+))?\]|@([<>])")
# As they stand and mirrored in two ways, for each ground of the layouts.
_MAX_ENVIRONMENTS = 16
_POP_ISOLATE = "\u2069"
# Anchors are swapped rather than `direction` set, which not every renderer heeds for them.
_MIRRORED = (
    ('text-anchor="end"', 'text-anchor="start"'),
    ('role="img"', 'role="img" text-anchor="end"'),
    ("rotate(-90)", "rotate(-90)scale(1 -1)"),
    (
        '<g clip-path="url(#e)"',
        '<g clip-path="url(#e)" transform="translate(@{width})scale(-1 1)"',
    ),
)


def render_svg(template: str, values: msgspec.Struct) -> bytes:
    """Fill a template, which sees the fields of the values by their names; one is the frame."""
    fields = msgspec.structs.asdict(values)
    frame = fields["frame"]
    environment = _environment(frame.canvas, frame.isolate)
    return environment.render_template(template, **fields).encode()


@lru_cache(_MAX_ENVIRONMENTS)
def _environment(canvas: Canvas, isolate: str) -> Environment:
    """Read templates for pictures of a size; mirrored if there is an isolate for their texts."""
    return Environment(
        loader=partial(_prepare_template, canvas, isolate),
        auto_escape_callback=_escaping,
        undefined_behavior="strict",
    )


def _prepare_template(canvas: Canvas, isolate: str, name: str) -> str:
    source = _load_template(name)
    if isolate:
        for left, right in _MIRRORED:
            source = source.replace(left, right)
    source = _CANVAS_FIELD.sub(partial(_canvas_value, canvas), source)
    turn = partial(_mirror_position, isolate, canvas.width) if isolate else _keep_position
    return _MARK.sub(turn, source)


def _canvas_value(canvas: Canvas, match: re.Match[str]) -> str:
    name, offset = match.groups()
    value = getattr(canvas, name)
    return str(value + int(offset)) if offset else str(value)


def _keep_position(match: re.Match[str]) -> str:
    _, position, _, isolate = match.groups()
    if isolate:
        return ""
    return position if _is_number(position) else f"{{{{ {position} }}}}"


def _mirror_position(isolate: str, width: int, match: re.Match[str]) -> str:
    is_seen_from_another, position, own_width, text_edge = match.groups()
    if text_edge:
        return isolate if text_edge == "<" else _POP_ISOLATE
    edge = (0 if is_seen_from_another else width) - float(own_width or 0)
    if _is_number(position):
        return f"{edge - float(position):g}"
    return f"{{{{ {edge:g} - ({position}) }}}}"


def _is_number(position: str) -> bool:
    return re.fullmatch(r"-?[0-9.]+", position) is not None


def _load_template(name: str) -> str:
    """
    Read a template without line breaks and indentation: they serve its reader, not a picture's.

    What it includes is pasted in, which draws a banner a tenth sooner than to include it each time.
    """
    source = (files(__package__) / "templates" / name).read_text(encoding="utf-8")
    joined = "".join(line.strip() for line in source.splitlines())
    return _INCLUDE.sub(_inline_include, joined)


def _inline_include(match: re.Match[str]) -> str:
    source = _load_template(match[1])
    for given in match[2].split():
        name, value = given.split("=")
        source = source.replace(f"@{{{name}}}", value)
    return source


def _escaping(name: str) -> str:
    return "html"
