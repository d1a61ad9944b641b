"""
Environment -> frozen settings.

Every variable is declared once, in `Settings`; `readers` knows what a text may be. Reading names all
that is wrong at once and never repeats a secret. Nothing here looks at the real environment: the
caller passes a mapping.
"""

import ipaddress
import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Meta

from github_banners.errors import InvalidSettings
from github_banners.settings.readers import (
    READERS,
    Broker,
    Network,
    Origin,
    Secret,
    StorageUrl,
    Token,
    Url,
)

__all__ = [
    "Broker",
    "LogFormat",
    "LogLevel",
    "Network",
    "Origin",
    "Secret",
    "Service",
    "Settings",
    "StorageUrl",
    "Token",
    "Url",
]

_MOST_FILE_BYTES = 1 << 20


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


class Service(StrEnum):
    """What can be started; each needs settings of its own."""

    ALL_IN_ONE = "serve"
    API = "api"
    RENDERER = "renderer"
    STORAGE = "storage"
    MIGRATE = "migrate"


PORTS: Mapping[Service, int] = {Service.RENDERER: 8081, Service.STORAGE: 8082}
"""The usual ports, where they are not the one of `Settings`."""

NEEDED: Mapping[Service, tuple[str, ...]] = {
    Service.API: ("DB_HOST", "KAFKA_BROKERS_ADDRS", "RENDERER_BASE_URL", "STORAGE_BASE_URL"),
    Service.RENDERER: ("KAFKA_BROKERS_ADDRS", "STORAGE_BASE_URL"),
}
"""What a service can't start without."""

_WELL_KNOWN_SECRETS = {"1234", "your_secret_key"}
_LOOPBACK_ONLY = "for this machine only"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set; a variable's name is the field's in capitals."""

    host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="port to listen on; 0 takes a free one")
    ] = 8080
    metrics_port: Annotated[
        int | None,
        Meta(ge=1, le=65535, description="port for `/metrics` alone; else it is on PORT"),
    ] = None
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
    max_banners_per_user: Annotated[
        int, Meta(ge=0, le=1_000_000, description="permanent banners that one user can have")
    ] = 1000
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
    services_secret_key: Annotated[
        Secret | None, Meta(description="signs the calls between services; the same for all")
    ] = None
    services_secret_key_previous: Annotated[
        Secret | None, Meta(description="the key before, accepted while it is replaced")
    ] = None
    kafka_brokers_addrs: Annotated[
        tuple[Broker, ...], Meta(description="Kafka's brokers, `host:port`, comma-separated")
    ] = ()
    renderer_base_url: Annotated[Url | None, Meta(description="where the renderer is")] = None
    storage_base_url: Annotated[Url | None, Meta(description="where the storage is")] = None

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], *, service: Service = Service.ALL_IN_ONE
    ) -> "Settings":
        """
        Read every variable; an empty one counts as not set, a secret may come as `NAME_FILE`.

        :raises InvalidSettings: with one problem for each wrong variable
        """
        problems: list[str] = []
        chosen: dict[str, Any] = {"port": PORTS[service]} if service in PORTS else {}
        for name, hint in VARIABLES.items():
            try:
                given = _given(environment, name, hint)
                if given:
                    chosen[name.lower()] = _read(given, hint)
            except (ValueError, OSError) as error:
                problems.append(f"{name} {error}")
        named = " ".join(problems)
        problems += _contradictions(chosen)
        problems += [
            f"{name} is missing: {_description(name)}"
            for name in NEEDED.get(service, ())
            if name.lower() not in chosen and name not in named
        ]
        if service is not Service.ALL_IN_ONE and "SERVICES_SECRET_KEY" not in named:
            problems += _open_doors(chosen)
        if problems:
            raise InvalidSettings(problems)
        return cls(**chosen)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Give every secret, to be kept out of what is written."""
        single = (
            self.postgres_password,
            self.services_secret_key,
            self.services_secret_key_previous,
        )
        return (*self.github_tokens, *(one for one in single if one is not None))

    @property
    def signing_keys(self) -> tuple[Secret, ...]:
        """Give the keys between services: the current one, which signs, and the one before."""
        current = self.services_secret_key or Secret(_LOOPBACK_ONLY)
        previous = self.services_secret_key_previous
        return (current, previous) if previous is not None else (current,)

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
    if hint in READERS:
        return READERS[hint](given)
    if get_origin(hint) is tuple:
        member = READERS[get_args(hint)[0]]
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


def _contradictions(chosen: Mapping[str, Any]) -> list[str]:
    soft = chosen.get("soft_ttl", Settings.__struct_defaults__[_index("soft_ttl")])
    hard = chosen.get("hard_ttl", Settings.__struct_defaults__[_index("hard_ttl")])
    return [] if soft <= hard else ["SOFT_TTL must not be longer than HARD_TTL"]


def _open_doors(chosen: Mapping[str, Any]) -> list[str]:
    """Complain of a service that others can reach without a secret, or with one that all know."""
    secrets = [chosen.get(name) for name in ("services_secret_key", "services_secret_key_previous")]
    is_known = any(
        one is not None and one.reveal().lower() in _WELL_KNOWN_SECRETS for one in secrets
    )
    what = "is one that everybody knows" if is_known else "is missing"
    host = chosen.get("host", Settings.__struct_defaults__[_index("host")])
    if _is_loopback(host) or not (is_known or secrets[0] is None):
        return []
    advice = "make one with `openssl rand -hex 32` or `make secrets`"
    return [f"SERVICES_SECRET_KEY {what}, and {host} can be reached from elsewhere: {advice}"]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _description(name: str) -> str:
    field = next(one for one in msgspec.structs.fields(Settings) if one.name == name.lower())
    return str(field.type.__metadata__[0].description)


def _index(name: str) -> int:
    return Settings.__struct_fields__.index(name)


def _quoted(value: object) -> str:
    """Quote a value for libpq: https://www.postgresql.org/docs/current/libpq-connect.html."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _hint(annotated: Any) -> Any:
    """Take `X | None` for X: an empty variable is None already."""
    bare = annotated.__origin__
    kinds = [kind for kind in get_args(bare) if kind is not type(None)]
    kind = kinds[0] if type(None) in get_args(bare) and len(kinds) == 1 else bare
    meta = annotated.__metadata__[0]
    return kind if meta.ge is None and meta.gt is None else Annotated[kind, meta]


VARIABLES: dict[str, Any] = {
    field.name.upper(): _hint(field.type) for field in msgspec.structs.fields(Settings)
}
"""Every variable with the type that it is read as."""
