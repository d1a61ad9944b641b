"""
Parsers from the text of a variable to its value, one for each type of setting.

They raise ValueError with a message that follows the name of the variable: "must be ...".
"""

import ipaddress
import re
import unicodedata
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, NewType, TypeAlias, get_args, get_origin

import durationpy
import msgspec

from github_banners.logins import LOGIN
from github_banners.settings.addresses import parse_address

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Url = NewType("Url", str)
Origin = NewType("Origin", str)
StorageFolder = NewType("StorageFolder", Path)


@dataclass(frozen=True, slots=True)
class StorageBucket:
    """An S3 bucket, and the prefix of all keys without slashes around it."""

    name: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}".rstrip("/")


StorageLocation: TypeAlias = StorageFolder | StorageBucket
Broker = NewType("Broker", str)
ListenHost = NewType("ListenHost", str)
DatabaseHost = NewType("DatabaseHost", str)
Login = NewType("Login", str)

_GO_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|m|s|ms))+", re.ASCII)
_NEEDS_ENCODING = re.compile(r"[^!-~]|[{}<>|\\^`\"]|/\.\.?(?:/|\Z)")
_MAX_DURATION = timedelta(days=366)
_MAX_SHOWN_CHARACTERS = 64
_MAX_SHOWN_LOGINS = 50
# Byte order mark, zero-width space, word joiner: left by Windows editors and copied web pages.
_INVISIBLE = "\ufeff\u200b\u2060"
_QUOTES = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u201e": "\u201c"}
# https://www.rfc-editor.org/rfc/rfc6750#section-2.1
_BEARER_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_HOST_NAME = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
# Characters that need no encoding, and no `.` or `..` between slashes.
_PREFIX = re.compile(r"(?!.*(?:\A|/)\.{0,2}(?:/|\Z))[A-Za-z0-9!_.*'()/-]{1,512}", re.ASCII)
_ENUM_SYNONYMS = {"warn": "warning"}
# https://www.rfc-editor.org/rfc/rfc9110#name-tokens for the name.
_HEADER = re.compile(r"[\w!#$%&'*+.^`|~-]+ *= *[!-~]+( [!-~]+)*", re.ASCII)
_BOOLS = {"true": True, "1": True, "false": False, "0": False}
# Patterns of a secret that was put into the wrong variable by mistake.
_MAYBE_SECRET = re.compile(r"@|gh[pousr]_|github_pat_")


class Secret:
    """A text that is masked in logs, errors and output."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


class Password(Secret):
    """A secret that may contain any character, including quotes around it."""

    __slots__ = ()


class Token(Secret):
    """A secret that is sent in an HTTP header."""

    __slots__ = ()


class Headers(Secret):
    """HTTP headers as `name=value`, separated by commas; names and values are percent-encoded."""

    __slots__ = ()


def strip(text: str) -> str:
    """Remove invisible characters around a value: blanks, a CR, a byte order mark."""
    return text.strip().strip(_INVISIBLE).strip()


def unquote(text: str) -> str:
    """
    Remove a pair of quotes that encloses the whole value.

    Shells and Docker Compose remove such quotes; `docker run --env-file` and many others keep them.
    """
    is_quoted = len(text) >= 2 and _QUOTES.get(text[0]) == text[-1]
    inner = text[1:-1]
    # `"a","b"` is a list of quoted values, not one quoted value.
    return strip(inner) if is_quoted and text[-1] not in inner else text


def quote_for_message(text: str) -> str:
    """Quote an invalid value for a message, unless it may be a secret."""
    is_maybe_secret = _MAYBE_SECRET.search(text) is not None
    return "a value that may be a secret" if is_maybe_secret else repr(text[:_MAX_SHOWN_CHARACTERS])


def _parse_duration(text: str) -> timedelta:
    """Parse a positive duration such as `1h30m`: https://pkg.go.dev/time#ParseDuration."""
    try:
        if _GO_DURATION.fullmatch(text) is None:
            raise ValueError  # noqa: TRY301
        duration: timedelta = durationpy.from_str(text)
    except (ValueError, OverflowError, durationpy.DurationError):
        raise ValueError(
            f"must be a duration such as 10s, 5m or 1h30m, not {quote_for_message(text)}"
        ) from None
    if not timedelta(0) < duration <= _MAX_DURATION:
        raise ValueError(
            f"must be longer than 0s and at most a year, not {quote_for_message(text)}"
        )
    return duration


def _parse_url(text: str) -> Url:
    error = ValueError("must be a URL such as https://example.com")
    try:
        parts = urllib.parse.urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise error from None
    if "@" in parts.netloc:
        raise ValueError("must not contain a user or a password")
    # HTTP clients normalise and encode such URLs, and the result would not match the signed one.
    is_plain = not (parts.query or parts.fragment or _NEEDS_ENCODING.search(text))
    if parts.scheme not in {"http", "https"} or not host or not is_plain:
        raise error
    return Url(text.rstrip("/"))


def _parse_origin(text: str) -> Origin:
    # Browsers send an origin in lower case, and never with a path.
    lowered = text.lower()
    parts = urllib.parse.urlsplit(_parse_url(lowered)) if "://" in lowered else None
    if parts is not None and not parts.path:
        return Origin(parts.geturl())
    if lowered != "*" and re.fullmatch(r"[\w.-]+(?::\d+)?", lowered) is None:
        raise ValueError(
            f"must be *, hosts or origins separated by commas, not {quote_for_message(text)}"
        )
    return Origin(lowered)


def _parse_storage_location(text: str) -> StorageLocation:
    """
    Parse the URL of a folder or of a bucket.

    :raises ValueError: it is neither
    """
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError:
        parts = urllib.parse.urlsplit("")
    path = urllib.parse.unquote(parts.path)
    is_plain = not (parts.query or parts.fragment or "\0" in path)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        if is_plain and path.startswith("/"):
            return StorageFolder(Path(path))
    elif parts.scheme == "s3" and is_plain:
        prefix = path.strip("/")
        if _BUCKET.fullmatch(parts.netloc) and (not prefix or _PREFIX.fullmatch(prefix)):
            return StorageBucket(parts.netloc, prefix)
    raise ValueError(
        "must be a URL such as file:///var/lib/banners or s3://bucket/banners,"
        f" not {quote_for_message(text)}"
    )


def parse_storage_argument(text: str) -> StorageLocation:
    """
    Parse the URL of a folder or of a bucket, or the path of a folder.

    :raises ValueError: it is none of them
    """
    is_url = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text) is not None
    return _parse_storage_location(text) if is_url else StorageFolder(_parse_path(text))


def _parse_network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"must be addresses or networks such as 10.0.0.0/8, not {quote_for_message(text)}"
        ) from None


def _parse_broker(text: str) -> Broker:
    host, _, port = text.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and 0 < int(port) <= 65535
    if not is_port or re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:]+\]", host, re.ASCII) is None:
        raise ValueError(f"must be addresses such as kafka:9092, not {quote_for_message(text)}")
    return Broker(text)


def _parse_path(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ValueError(
            f"must be a path, and the home directory in {quote_for_message(text)} does not exist"
        ) from None


def _parse_token(text: str) -> Token:
    if _BEARER_TOKEN.fullmatch(text) is None:
        raise ValueError(
            "contains a character that no token can have: set tokens only, separated by commas"
        )
    return Token(text)


def parse_logins(text: str) -> tuple[Login, ...]:
    """
    Parse logins separated by commas, semicolons or blanks; a `#` begins a comment, up to the line's end.

    :raises ValueError: some of them are no logins; the message names them
    """
    words = re.split(r"[,;\s]+", re.sub(r"#.*", "", text))
    logins = [unquote(strip(word)).removeprefix("@") for word in words]
    invalid = [login for login in logins if login and not LOGIN.fullmatch(login)]
    if invalid:
        shown = [quote_for_message(login) for login in invalid[:_MAX_SHOWN_LOGINS]]
        hidden = len(invalid) - len(shown)
        more = f" and {hidden} more" if hidden else ""
        raise ValueError(f"must be GitHub logins, not {', '.join(shown)}{more}")
    return tuple(Login(login) for login in logins if login)


def _parse_password(text: str) -> Password:
    return Password(_parse_line(text))


def _parse_secret(text: str) -> Secret:
    return Secret(_parse_line(text))


def _parse_headers(text: str) -> Headers:
    # The values are not shown: most are keys.
    if not all(_HEADER.fullmatch(header.strip()) for header in text.split(",")):
        raise ValueError("must be headers such as name=value, separated by commas")
    return Headers(_parse_line(text))


def _parse_bool(text: str) -> bool:
    try:
        return _BOOLS[text.lower()]
    except KeyError:
        raise ValueError(f"must be true or false, not {quote_for_message(text)}") from None


def _parse_line(text: str) -> str:
    categories = {unicodedata.category(character) for character in text}
    if "Cc" in categories:
        raise ValueError("must be one line without control characters")
    # Python decodes invalid bytes of the environment to lone surrogates.
    if "Cs" in categories:
        raise ValueError("must be text in UTF-8")
    return text


def _parse_listen_host(text: str) -> ListenHost:
    address = parse_address(text)
    if address is None and _HOST_NAME.fullmatch(text) is None:
        raise ValueError(
            f"must be an address to listen on, such as 127.0.0.1 or ::, not {quote_for_message(text)};"
            " set the port in PORT"
        )
    return ListenHost(address or text)


def _parse_database_host(text: str) -> DatabaseHost:
    has_path = any("/" in host for host in text.split(",") if not host.startswith("/"))
    if "@" in text or "?" in text or has_path:
        raise ValueError(
            "must be a host such as db.example.com: put the other parts of the address into PGPORT,"
            " POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB"
        )
    if re.fullmatch(r"[^:,/]+:\d+|\[.*\]:\d+", text):
        raise ValueError(
            f"must be a host without a port, not {quote_for_message(text)}: set PGPORT"
        )
    return DatabaseHost(parse_address(text) or _parse_line(text))


PARSERS: dict[Any, Callable[[str], Any]] = {
    timedelta: _parse_duration,
    str: _parse_line,
    ListenHost: _parse_listen_host,
    DatabaseHost: _parse_database_host,
    Secret: _parse_secret,
    Password: _parse_password,
    Token: _parse_token,
    Headers: _parse_headers,
    Url: _parse_url,
    Origin: _parse_origin,
    StorageLocation: _parse_storage_location,
    bool: _parse_bool,
    Broker: _parse_broker,
    Network: _parse_network,
    Path: _parse_path,
    tuple[Login, ...]: parse_logins,
}
"""The parser of each type."""


def is_secret(hint: object) -> bool:
    """Return True if variables of this type are secrets, which may also be read from a file."""
    types = (hint, *get_args(hint))
    return any(isinstance(member, type) and issubclass(member, Secret) for member in types)


def parse_value(text: str, hint: Any) -> Any:
    """
    Parse a value of any type that a setting has.

    :raises ValueError: it is invalid
    """
    # A Service called `renderer` makes Kubernetes set RENDERER_PORT and others in every pod.
    if re.match(r"(?:tcp|udp|sctp)://", text) and not is_secret(hint):
        raise ValueError(
            f"must not be {quote_for_message(text)}, which Kubernetes sets for a Service of that name:"
            " set `enableServiceLinks: false` in the pod, or rename the Service"
        )
    if hint in PARSERS:
        return PARSERS[hint](text)
    if get_origin(hint) is tuple:
        parse_member = PARSERS[get_args(hint)[0]]
        members = (unquote(member.strip()) for member in re.split(r"[,;\n]", text))
        values = tuple(parse_member(member) for member in members if member)
        if not values and is_secret(hint):
            raise ValueError("has only separators: add a value, or unset it")
        return values
    normalised = text
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        normalised = _ENUM_SYNONYMS.get(text.lower(), text.lower())
    try:
        return msgspec.convert(normalised, hint, strict=False)
    except msgspec.ValidationError:
        raise ValueError(f"must be {_describe_type(hint)}, not {quote_for_message(text)}") from None


def _describe_type(hint: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return " or ".join(hint)
    schema = msgspec.json.schema(hint)
    if "maximum" in schema:
        return f"a number from {schema['minimum']} to {schema['maximum']}"
    return "a plain value"
