"""
The one way from numbers to bytes: a template of `templates/` filled and encoded.

Everything that is filled in is escaped. What XML can't hold has been dropped before, by `cleaning`.
"""

import re
from functools import cache
from importlib.resources import files

import msgspec
from minijinja import Environment

_INCLUDE = re.compile(r'\{% include "([a-z.]+)" %\}')


def print_svg(template: str, values: msgspec.Struct) -> bytes:
    """Fill a template, which sees the fields of the values by their names."""
    return _environment().render_template(template, **msgspec.structs.asdict(values)).encode()


@cache
def _environment() -> Environment:
    return Environment(
        loader=_load,
        auto_escape_callback=_escaping,
        undefined_behavior="strict",
    )


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
