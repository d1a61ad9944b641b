"""The text of a variable: under which name it is set, as it stands there or in a file."""

import codecs
from collections.abc import Mapping
from pathlib import Path

from github_banners.settings.parsers import strip, unquote

SYNONYMS: Mapping[str, str] = {"GITHUB_TOKENS": "GITHUB_TOKEN"}
"""What is read where a variable is not set: how other programs call it."""

_MAX_FILE_BYTES = 1 << 20


def find_source(environment: Mapping[str, str], name: str, *, may_be_file: bool) -> str:
    """Return the name that a variable is set by: its own, or a synonym."""
    synonym = SYNONYMS.get(name)
    if synonym is None or is_set(environment, name, may_be_file=may_be_file):
        return name
    return synonym if is_set(environment, synonym, may_be_file=may_be_file) else name


def is_set(environment: Mapping[str, str], name: str, *, may_be_file: bool = True) -> bool:
    """Return whether a variable holds anything; an empty one counts as not set."""
    names = (name, f"{name}_FILE") if may_be_file else (name,)
    return any(strip(environment.get(name, "")) for name in names)


def raw_value(environment: Mapping[str, str], name: str, *, may_be_file: bool) -> str:
    """
    Return the text of a variable or of the file that `NAME_FILE` names, without what surrounds it.

    :raises ValueError: both are set, or the file can't be read
    """
    text = strip(environment.get(name, ""))
    path = unquote(strip(environment.get(f"{name}_FILE", ""))) if may_be_file else ""
    if path and text:
        raise ValueError(f"and {name}_FILE are both set: keep one")
    return strip(_read_file(path, name=name)) if path else text


def _read_file(path: str, *, name: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_FILE_BYTES)
        # PowerShell writes UTF-16 unless told otherwise.
        is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if is_utf_16 else "utf-8")
    except (OSError, ValueError):
        raise ValueError(f"can't be read: {name}_FILE must name a readable text file") from None
