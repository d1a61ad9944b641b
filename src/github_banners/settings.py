"""
Environment -> frozen settings.

Every variable is declared once, in `Settings`. Reading names all that is wrong at once and never
repeats a secret. Nothing here looks at the real environment: the caller passes a mapping.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NewType, TypeAlias, get_args, get_origin
from urllib.parse import urlsplit

import durationpy
import msgspec
from msgspec import Meta

from github_banners.errors import InvalidSettings

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Url = NewType("Url", str)
Origin = NewType("Origin", str)
StorageUrl = NewType("StorageUrl", str)

_GO_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|m|s|ms))+", re.ASCII)
_LONGEST = timedelta(days=366)
_MOST_FILE_BYTES = 1 << 20


class Secret:
    """A text that no log, error or output shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Give the text to whoever must send it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


class Token(Secret):
    """A secret that travels in an HTTP header."""

    __slots__ = ()


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a log line is written."""

    JSON = "json"
    TEXT = "text"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set; a variable's name is the field's in capitals."""

    host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="port to listen on; 0 takes a free one")
    ] = 8080
    public_url: Annotated[Url | None, Meta(description="address that READMEs use, if another")] = (
        None
    )
    cors_origins: Annotated[
        tuple[Origin, ...],
        Meta(description="who may read JSON from a browser; a host without a scheme means both"),
    ] = (Origin("*"),)
    trusted_proxies: Annotated[
        tuple[Network, ...], Meta(description="networks whose `X-Forwarded-For` is believed")
    ] = ()
    github_tokens: Annotated[
        tuple[Token, ...],
        Meta(description="tokens that pay for questions to GitHub, comma-separated"),
    ] = ()
    github_api_url: Annotated[
        Url, Meta(description="GitHub's API; an Enterprise Server's ends in `/api/v3`")
    ] = Url("https://api.github.com")
    rate_limit_rps: Annotated[
        float,
        Meta(gt=0, le=100_000, description="questions to GitHub and POSTs a second, per client"),
    ] = 10
    cache_ttl: Annotated[
        timedelta, Meta(description="how long memory is used before PostgreSQL is compared")
    ] = timedelta(minutes=5)
    soft_ttl: Annotated[
        timedelta, Meta(description="age above which numbers are refreshed while they are served")
    ] = timedelta(minutes=10)
    hard_ttl: Annotated[
        timedelta, Meta(description="age above which a request waits for new numbers")
    ] = timedelta(hours=24)
    refresh_interval: Annotated[
        timedelta, Meta(description="how often banners that are asked for daily are refreshed")
    ] = timedelta(hours=1)
    request_timeout: Annotated[
        timedelta, Meta(description="time for JSON clients and for questions to GitHub")
    ] = timedelta(seconds=10)
    log_level: Annotated[LogLevel, Meta(description="debug, info, warning or error")] = (
        LogLevel.INFO
    )
    log_format: Annotated[LogFormat, Meta(description="json or text")] = LogFormat.TEXT
    db_host: Annotated[
        str | None, Meta(description="PostgreSQL's host; without it `serve` brings its own server")
    ] = None
    pgport: Annotated[int, Meta(ge=1, le=65535, description="PostgreSQL's port")] = 5432
    postgres_user: Annotated[str, Meta(description="PostgreSQL's user")] = "postgres"
    postgres_password: Annotated[Secret | None, Meta(description="PostgreSQL's password")] = None
    postgres_db: Annotated[str, Meta(description="PostgreSQL's database")] = "github_banners"
    data_dir: Annotated[
        Path | None, Meta(description="where the embedded PostgreSQL keeps its files")
    ] = None
    banners_storage_url: Annotated[
        StorageUrl | None,
        Meta(description="where drawn banners are kept, `file:///...`; else below DATA_DIR"),
    ] = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """
        Read every variable; an empty one counts as not set, a secret may come as `NAME_FILE`.

        :raises InvalidSettings: with one problem for each wrong variable
        """
        problems: list[str] = []
        chosen: dict[str, Any] = {}
        for name, hint in VARIABLES.items():
            try:
                given = _given(environment, name, hint)
                if given:
                    chosen[name.lower()] = _read(given, hint)
            except (ValueError, OSError) as error:
                problems.append(f"{name} {error}")
        problems += _contradictions(chosen)
        if problems:
            raise InvalidSettings(problems)
        return cls(**chosen)

    @property
    def conninfo(self) -> str | None:
        """Where the database is, as libpq reads it; None leaves it to the embedded one."""
        if self.db_host is None:
            return None
        password = self.postgres_password.reveal() if self.postgres_password else None
        parts = {
            "host": self.db_host,
            "port": self.pgport,
            "user": self.postgres_user,
            "password": password,
            "dbname": self.postgres_db,
        }
        return " ".join(
            f"{key}={_quoted(value)}" for key, value in parts.items() if value is not None
        )


def is_secret(hint: object) -> bool:
    """Tell whether a variable of this type may also be given as a file."""
    kinds = (hint, *get_args(hint))
    return any(isinstance(kind, type) and issubclass(kind, Secret) for kind in kinds)


def _given(environment: Mapping[str, str], name: str, hint: object) -> str:
    given = environment.get(name, "").strip()
    path = environment.get(f"{name}_FILE", "").strip() if is_secret(hint) else ""
    if not path:
        return given
    if given:
        raise ValueError(f"and {name}_FILE are both set: keep one")
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(_MOST_FILE_BYTES).strip()
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"can't be read: {name}_FILE must name a readable text file") from None


def _read(given: str, hint: Any) -> Any:
    if hint in _READERS:
        return _READERS[hint](given)
    if get_origin(hint) is tuple:
        member = _READERS[get_args(hint)[0]]
        return tuple(member(one.strip()) for one in re.split(r"[,\n]", given) if one.strip())
    flat = given.lower() if isinstance(hint, type) and issubclass(hint, StrEnum) else given
    try:
        return msgspec.convert(flat, hint, strict=False)
    except msgspec.ValidationError:
        raise ValueError(f"must be {_expectation(hint)}, not {given[:64]!r}") from None


def _expectation(hint: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return " or ".join(hint)
    schema = msgspec.json.schema(hint)
    if "maximum" in schema:
        least = schema.get("minimum", schema.get("exclusiveMinimum"))
        return f"a number from {least} to {schema['maximum']}"
    return "a plain value"


def _read_duration(given: str) -> timedelta:
    """Read `10s`, `5m`, `1h30m` as https://pkg.go.dev/time#ParseDuration does, above zero."""
    try:
        if _GO_DURATION.fullmatch(given) is None:
            raise ValueError  # noqa: TRY301
        duration: timedelta = durationpy.from_str(given)
    except (ValueError, OverflowError, durationpy.DurationError):
        raise ValueError(
            f"must be a duration such as 10s, 5m or 1h30m, not {given[:64]!r}"
        ) from None
    if not timedelta(0) < duration <= _LONGEST:
        raise ValueError(f"must be longer than 0s and at most a year, not {given[:64]!r}")
    return duration


def _read_url(given: str) -> Url:
    wrong = ValueError("must be an address such as https://example.com")
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or a password")
    is_plain = not (parts.query or parts.fragment or re.search(r"\s", given))
    if parts.scheme not in {"http", "https"} or not host or not is_plain:
        raise wrong
    return Url(given.rstrip("/"))


def _read_origin(given: str) -> Origin:
    # Browsers send an origin in lower case, and never with a path.
    flat = given.lower()
    bare = urlsplit(_read_url(flat)) if "://" in flat else None
    if bare is not None and not bare.path:
        return Origin(bare.geturl())
    if flat != "*" and re.fullmatch(r"[\w.-]+(?::\d+)?", flat) is None:
        raise ValueError(f"must be *, hosts or origins separated by commas, not {given[:64]!r}")
    return Origin(flat)


def _read_storage_url(given: str) -> StorageUrl:
    parts = urlsplit(given)
    if parts.scheme != "file" or parts.netloc or not parts.path.startswith("/"):
        raise ValueError(f"must be an address such as file:///var/lib/banners, not {given[:64]!r}")
    return StorageUrl(given)


def _read_network(given: str) -> Network:
    try:
        return ipaddress.ip_network(given, strict=False)
    except ValueError:
        raise ValueError(
            f"must be addresses or networks such as 10.0.0.0/8, not {given[:64]!r}"
        ) from None


def _read_path(given: str) -> Path:
    try:
        return Path(given).expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"must be a path, and nobody has the home of {given[:64]!r}") from None


def _read_token(given: str) -> Token:
    if not given.isascii() or any(c.isspace() or not c.isprintable() for c in given):
        raise ValueError("holds a character that no token can have")
    return Token(given)


def _contradictions(chosen: Mapping[str, Any]) -> list[str]:
    soft = chosen.get("soft_ttl", Settings.__struct_defaults__[_index("soft_ttl")])
    hard = chosen.get("hard_ttl", Settings.__struct_defaults__[_index("hard_ttl")])
    return [] if soft <= hard else ["SOFT_TTL must not be longer than HARD_TTL"]


def _index(name: str) -> int:
    return Settings.__struct_fields__.index(name)


def _quoted(value: object) -> str:
    """Quote a value for libpq: https://www.postgresql.org/docs/current/libpq-connect.html."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


_READERS: dict[Any, Callable[[str], Any]] = {
    timedelta: _read_duration,
    Secret: Secret,
    Token: _read_token,
    Url: _read_url,
    Origin: _read_origin,
    StorageUrl: _read_storage_url,
    Network: _read_network,
    Path: _read_path,
}


def _hint(annotated: Any) -> Any:
    """Take `X | None` for X: an empty variable is None already."""
    bare = annotated
    if get_origin(annotated) is Annotated:
        meta = annotated.__metadata__[0]
        bare = annotated.__origin__
        if meta.ge is not None or meta.gt is not None:
            return annotated
    kinds = [kind for kind in get_args(bare) if kind is not type(None)]
    return kinds[0] if type(None) in get_args(bare) and len(kinds) == 1 else bare


VARIABLES: dict[str, Any] = {
    field.name.upper(): _hint(field.type) for field in msgspec.structs.fields(Settings)
}
"""Every variable with the type that it is read as."""
