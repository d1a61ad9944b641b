"""
Command-line options for banner options, and the messages of what is wrong with them.

They are generated from the schema in `options`, which also parses their values, so that query, body
and command line behave alike.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, get_args

import typer

from github_banners.errors import (
    ContributionsHidden,
    InvalidInput,
    NoContributions,
    NotFound,
    TokenRequired,
    Unavailable,
    UnknownRepository,
)
from github_banners.options import (
    LIST_OPTIONS,
    OPTION_NAMES,
    OPTIONS,
    allowed_values,
    canonical_option_name,
)
from github_banners.settings import Settings

_MAX_LISTED, _FIRST_LISTED = 20, 3


def add_banner_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the `**options` of a Typer command by one option for each banner option and alias."""
    parameters = inspect.signature(command).parameters.values()
    own_parameters = [
        parameter for parameter in parameters if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*own_parameters, *map(_option, OPTION_NAMES)]
    )
    return command


def format_input_error(error: InvalidInput, *, is_flag: bool = True) -> str:
    """Build the message for an invalid option or, if the field is in upper case, argument."""
    name = error.written_field
    if is_flag and not error.field.isupper():
        name = _flag(name)
    end = f"; did you mean {error.suggestion}?" if error.suggestion else "."
    return f"{name} can't be {error.value!r}: it takes {_enumerate(error.allowed)}{end}"


def format_github_error(error: NotFound | Unavailable, login: str, settings: Settings) -> str:
    """Build the message for data that GitHub does not have of an owner or can't return, without secrets."""
    if isinstance(error, NotFound | TokenRequired):
        return _format_missing_data(error, login)
    from github_banners.serving.logs import Redactor

    reason = Redactor(settings.secrets).redact_text(error)
    return f"GitHub at {settings.github_api_url} did not answer: {reason}"


def _format_missing_data(error: NotFound | TokenRequired, login: str) -> str:
    if isinstance(error, UnknownRepository):
        end = f" Did you mean {error.suggestion}?" if error.suggestion else ""
        return f"{login} has no public repository called {error.name}.{end}"
    if isinstance(error, ContributionsHidden):
        return f"The profile of {login} is private: GitHub shows no contributions."
    if isinstance(error, NoContributions):
        return f"{login} is an organisation, and organisations have no contributions."
    if isinstance(error, TokenRequired):
        return "GitHub gives these numbers only to those who have a token: set GITHUB_TOKENS."
    return f"GitHub has no user or organisation called {login}."


def to_raw_options(arguments: Mapping[str, str | list[str] | None]) -> dict[str, str]:
    """Return the options that were given; values of repeated ones are joined by commas."""
    raw_options = {}
    for name, value in arguments.items():
        if value is not None and value != []:
            raw_options[name] = ",".join(value) if isinstance(value, list) else value
    return raw_options


def _option(name: str) -> inspect.Parameter:
    option = typer.Option(_flag(name), metavar="VALUE", help=_help_text(name))
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[(list[str] if name in LIST_OPTIONS else str) | None, option],
    )


def _help_text(name: str) -> str:
    """List the allowed values; for an enum its docstring comes first. An alias has its name instead."""
    if (canonical := canonical_option_name(name)) != name:
        return f"The same as {_flag(canonical)}."
    hint, allowed = OPTIONS[name], _enumerate(allowed_values(name))
    for variant in (hint, *get_args(hint)):
        if isinstance(variant, type) and issubclass(variant, StrEnum):
            description = (variant.__doc__ or "").strip().removesuffix(".")
            return f"{description} ({allowed})."
    return f"{allowed[0].upper()}{allowed[1:]}."


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _enumerate(items: Sequence[str]) -> str:
    if len(items) > _MAX_LISTED:
        rest = len(items) - _FIRST_LISTED
        items = [*items[:_FIRST_LISTED], f"one of {rest} more listed in docs/http-api.md"]
    return " or ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
