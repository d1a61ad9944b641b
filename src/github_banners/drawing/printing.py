"""
The one way from numbers to bytes: a template of `templates/` filled and encoded.

Everything that is filled in is escaped. What XML can't hold has been dropped before, by `cleaning`.

A template is read in two forms, as it stands and mirrored for what is read from right to left, and
marks what differs:

    @[x]            a position, whole unless it is written here; mirrored it is as far from the
                    right edge
    @[x;width]      where something starts that is not turned round itself
    @-[x]           a position seen from another one
    @<text@>        text, which mirrored has a direction of its own
"""

import re
from functools import cache, partial
from importlib.resources import files

import msgspec
from minijinja import Environment

_INCLUDE = re.compile(r'\{% include "([a-z.]+)" %\}')
_MARK = re.compile(r"@(-?)\[([^];]+)(?:;([0-9.]+))?\]|@([<>])")
_POP_ISOLATE = "\u2069"
# Anchors are swapped rather than `direction` set, which not every renderer heeds for them.
_MIRRORED = (
    ('text-anchor="end"', 'text-anchor="start"'),
    ('role="img"', 'role="img" text-anchor="end"'),
    ("rotate(-90)", "rotate(-90)scale(1 -1)"),
    (
        '<g clip-path="url(#e)"',
        '<g clip-path="url(#e)" transform="translate({{ frame.width }})scale(-1 1)"',
    ),
)


def print_svg(template: str, values: msgspec.Struct) -> bytes:
    """Fill a template, which sees the fields of the values by their names; one is the frame."""
    fields = msgspec.structs.asdict(values)
    frame = fields["frame"]
    environment = _environment(frame.width if frame.is_mirrored else None)
    return environment.render_template(template, **fields).encode()


@cache
def _environment(mirrored_width: int | None) -> Environment:
    """Read templates as they stand, or mirrored for pictures of a width."""
    return Environment(
        loader=_plain if mirrored_width is None else partial(_mirrored, mirrored_width),
        auto_escape_callback=_escaping,
        undefined_behavior="strict",
    )


def _plain(name: str) -> str:
    return _MARK.sub(_as_it_stands, _load(name))


def _mirrored(width: int, name: str) -> str:
    source = _load(name)
    for left, right in _MIRRORED:
        source = source.replace(left, right)
    return _MARK.sub(partial(_turned_round, width), source)


def _as_it_stands(found: re.Match[str]) -> str:
    _, position, _, isolate = found.groups()
    if isolate:
        return ""
    return position if _is_number(position) else f"{{{{ {position} }}}}"


def _turned_round(width: int, found: re.Match[str]) -> str:
    is_seen_from_another, position, own_width, isolate = found.groups()
    if isolate:
        return "{{ frame.isolate }}" if isolate == "<" else _POP_ISOLATE
    edge = (0 if is_seen_from_another else width) - float(own_width or 0)
    if _is_number(position):
        return f"{edge - float(position):g}"
    return f"{{{{ {edge:g} - ({position}) }}}}"


def _is_number(position: str) -> bool:
    return re.fullmatch(r"-?[0-9.]+", position) is not None


def _load(name: str) -> str:
    """
    Read a template without line breaks and indentation: they serve its reader, not a picture's.

    What it includes is pasted in, which draws a banner a tenth sooner than to include it each time.
    """
    source = (files(__package__) / "templates" / name).read_text(encoding="utf-8")
    joined = "".join(line.strip() for line in source.splitlines())
    return _INCLUDE.sub(lambda found: _load(found[1]), joined)


def _escaping(name: str) -> str:
    return "html"
