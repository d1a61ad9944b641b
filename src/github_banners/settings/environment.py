"""Look up the raw text of a variable: under its name or a synonym, directly or in a file."""

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from github_banners.settings.parsers import Login, parse_logins, strip, unquote

SYNONYMS: Mapping[str, str] = {
    "GITHUB_TOKENS": "GITHUB_TOKEN",
    "AWS_REGION": "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL": "AWS_ENDPOINT_URL_S3",
}
"""
Names that other programs use; read if the variable itself is not set.

A longer form of the name is more specific, and comes first.
"""

# Variables that name a database for other programs, by the one that is read here. Providers of
# managed databases print the first ones; the service must not take another database by accident.
_UNREAD_DATABASE_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "DB_HOST": (
        *("DATABASE_URL", "POSTGRES_URL", "POSTGRESQL_URL", "DB_URL"),
        *("PGHOST", "PGHOSTADDR", "PGSERVICE", "POSTGRES_HOST", "DATABASE_HOST"),
    ),
    "PGPORT": ("POSTGRES_PORT", "DB_PORT", "DATABASE_PORT"),
    "POSTGRES_USER": ("PGUSER", "DB_USER", "DATABASE_USER"),
    "POSTGRES_PASSWORD": ("PGPASSWORD", "PGPASSFILE", "DB_PASSWORD", "DATABASE_PASSWORD"),
    "POSTGRES_DB": ("PGDATABASE", "POSTGRES_DATABASE", "DB_NAME", "DATABASE_NAME"),
}

_MAX_FILE_BYTES = 1 << 20


def find_source(environment: Mapping[str, str], name: str, *, may_be_file: bool) -> str:
    """Return the name under which a variable is set: its own, or its synonym."""
    for candidate in order_names(name):
        if is_set(environment, candidate, may_be_file=may_be_file):
            return candidate
    return name


def order_names(name: str) -> list[str]:
    """Return a variable's own name and its synonym, if it has one; the first that is set is read."""
    if name not in SYNONYMS:
        return [name]
    synonym = SYNONYMS[name]
    return [synonym, name] if synonym.startswith(f"{name}_") else [name, synonym]


def is_set(environment: Mapping[str, str], name: str, *, may_be_file: bool = True) -> bool:
    """Return True if a variable is set; an empty one counts as unset."""
    names = (name, f"{name}_FILE") if may_be_file else (name,)
    return any(strip(environment.get(name, "")) for name in names)


def is_of_unused_feature(environment: Mapping[str, str], name: str) -> bool:
    """Return True if a variable has no effect, so that the value of another program does no harm."""
    if name.startswith("OTEL_") and name != "OTEL_EXPORTER_OTLP_ENDPOINT":
        return not is_set(environment, "OTEL_EXPORTER_OTLP_ENDPOINT")
    location = unquote(strip(environment.get("BANNERS_STORAGE_URL", "")))
    return name.startswith("AWS_") and not location.lower().startswith("s3:")


def find_unread_database_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable of other programs whose counterpart here is not set."""
    names = _UNREAD_DATABASE_VARIABLES
    # Without an address, the others are those of a developer's shell for other databases.
    if not any(is_set(environment, name) for name in ("DB_HOST", *names["DB_HOST"])):
        return []
    sentences = []
    for name, unread in names.items():
        for other in () if is_set(environment, name) else unread:
            # Kubernetes sets POSTGRES_PORT=tcp://... for a Service called `postgres`.
            if is_set(environment, other) and not environment[other].startswith("tcp://"):
                instead = ", ".join(names) if other.endswith("_URL") else name
                sentences.append(f"{other} is not read: set {instead} instead")
    return sentences


def raw_value(
    environment: Mapping[str, str], name: str, *, may_be_file: bool, secret_files: dict[str, str]
) -> str:
    """
    Return the text of a variable, or of the file that `NAME_FILE` names, stripped of blanks.

    The text of a file is added to `secret_files` by its path; a file that is there is not read again.

    :raises ValueError: both are set, or the file can't be read or is empty
    """
    text = strip(environment.get(name, ""))
    path = unquote(strip(environment.get(f"{name}_FILE", ""))) if may_be_file else ""
    if path and text:
        raise ValueError(f"and {name}_FILE are both set: keep one")
    if not path:
        return text
    if path not in secret_files:
        try:
            secret_files[path] = _read_text_file(Path(path))
        except (OSError, ValueError):
            raise ValueError(f"can't be read: {name}_FILE must name a readable text file") from None
    if not unquote(secret_files[path]):
        raise ValueError(f"is empty: fill the file that {name}_FILE names, or unset {name}_FILE")
    return secret_files[path]


def load_login_files(values: dict[str, Any]) -> list[str]:
    """
    Add the logins of ALLOWED_USERS_FILE and DENIED_USERS_FILE to parsed settings.

    Return a problem for each file that can't be used, and for a list that would allow nobody.
    """
    problems = []
    for name in ("allowed_users", "denied_users"):
        path, variable = values.get(f"{name}_file"), name.upper()
        if path is None:
            continue
        if name in values:
            problems.append(f"{variable} and {variable}_FILE are both set: keep one")
            continue
        try:
            if path.is_fifo():
                # A pipe, such as that of a shell's `<(...)`, would be empty the next time.
                raise ValueError("must be a file, not a pipe: it is read again when it changes")  # noqa: TRY301
            values[name] = read_logins(path)
        except OSError as error:
            problems.append(f"{variable}_FILE can't be read: {error.strerror}")
        except ValueError as error:
            problems.append(f"{variable}_FILE {error}")
    if values.get("allowed_users") == ():
        source = "ALLOWED_USERS_FILE" if "allowed_users_file" in values else "ALLOWED_USERS"
        problems.append(f"{source} has no logins: unset it to serve everybody")
    return problems


def read_logins(path: Path) -> tuple[Login, ...]:
    """
    Read logins from a file, as ALLOWED_USERS has them; a `#` begins a comment.

    :raises OSError: the file can't be read
    :raises ValueError: it is too large, not text, or has invalid logins, which the message names
    """
    return parse_logins(_read_text_file(path))


def _read_text_file(path: Path) -> str:
    """
    Read a text file, stripped of blanks.

    :raises OSError: the file can't be read
    :raises ValueError: it is too large, or neither UTF-8 nor UTF-16
    """
    with path.open("rb") as file:
        content = file.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise ValueError(f"has more than {_MAX_FILE_BYTES:,} bytes")
    # PowerShell writes UTF-16 unless told otherwise.
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return strip(content.decode("utf-16" if is_utf_16 else "utf-8"))
    except UnicodeDecodeError:
        raise ValueError("is not text in UTF-8") from None
