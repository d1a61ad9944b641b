"""
What can be wished of a banner, on the command line: one option for each of `look`'s.

`look` declares them and reads what is given, so that an address, a body and a command are one.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, get_args

import msgspec
import typer

from github_banners.errors import InvalidInput
from github_banners.options import LIST_OPTIONS, OPTIONS, BannerOptions, allowed_values

_MAX_LISTED, _FIRST_LISTED = 20, 3


def add_banner_options(command: Callable[..., None]) -> Callable[..., None]:
    """Put an option for everything that can be wished in the place of a command's `**wishes`."""
    parameters = inspect.signature(command).parameters.values()
    own = [one for one in parameters if one.kind is not inspect.Parameter.VAR_KEYWORD]
    wishes = [
        _option(field.encode_name, names=dict.fromkeys((field.encode_name, field.name)))
        for field in msgspec.structs.fields(BannerOptions)
    ]
    command.__signature__ = inspect.Signature([*own, *wishes])  # type: ignore[attr-defined]
    return command


def format_input_error(error: InvalidInput) -> str:
    """Say in one sentence what can't be, and what could; upper-case fields are arguments."""
    name = error.field if error.field.isupper() else _flag(error.field)
    end = f"; did you mean {error.suggestion}?" if error.suggestion else "."
    return f"{name} can't be {error.value!r}: it takes {_enumerate(error.allowed)}{end}"


def to_raw_options(arguments: Mapping[str, str | list[str] | None]) -> dict[str, str]:
    """Take the options that were given; those that may be repeated as one list."""
    found = {}
    for name, one in arguments.items():
        if one is not None and one != []:
            found[name] = ",".join(one) if isinstance(one, list) else one
    return found


def _option(name: str, *, names: Iterable[str]) -> inspect.Parameter:
    option = typer.Option(*map(_flag, names), metavar="VALUE", help=_help_text(name))
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[(list[str] if name in LIST_OPTIONS else str) | None, option],
    )


def _help_text(name: str) -> str:
    """Say what may be wished for; a closed set has words of its own where it is declared."""
    hint, allowed = OPTIONS[name], _enumerate(allowed_values(name))
    for kind in (hint, *get_args(hint)):
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            words = (kind.__doc__ or "").strip().removesuffix(".")
            return f"{words} ({allowed})."
    return f"{allowed[0].upper()}{allowed[1:]}."


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _enumerate(items: Sequence[str]) -> str:
    if len(items) > _MAX_LISTED:
        rest = len(items) - _FIRST_LISTED
        items = [*items[:_FIRST_LISTED], f"one of {rest} more that README lists"]
    return " or ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
