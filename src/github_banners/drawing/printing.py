"""
The one way from numbers to bytes: a template of `templates/` filled and encoded.

Everything that is filled in is escaped. What XML can't hold has been dropped before, by `cleaning`.
"""

from functools import cache
from importlib.resources import files

import msgspec
from minijinja import Environment


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
    """Read a template without line breaks and indentation: they serve its reader, not a picture's."""
    source = (files(__package__) / "templates" / name).read_text(encoding="utf-8")
    return "".join(line.strip() for line in source.splitlines())


def _escaping(name: str) -> str:
    return "html"
