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
from github_banners.settings.addresses import parse_address, to_netloc
from github_banners.settings.environment import SYNONYMS, find_source, is_set, raw_value
from github_banners.settings.parsers import (
    PARSERS,
    Broker,
    DatabaseHost,
    ListenHost,
    Network,
    Origin,
    Password,
    Secret,
    StorageUrl,
    Token,
    Url,
    quote_for_message,
    unquote,
)
from github_banners.settings.strength import RECOMMENDED_CHARACTERS, find_weakness, is_short

__all__ = [
    "Broker",
    "DatabaseHost",
    "ListenHost",
    "LogFormat",
    "LogLevel",
    "Network",
    "Origin",
    "Password",
    "Secret",
    "ServiceName",
    "Settings",
    "StorageUrl",
    "Token",
    "Url",
]


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


class ServiceName(StrEnum):
    """What can be started; each needs settings of its own."""

    ALL_IN_ONE = "serve"
    API = "api"
    RENDERER = "renderer"
    STORAGE = "storage"
    MIGRATE = "migrate"


MAX_PORT = 65535

PORTS: Mapping[ServiceName, int] = {ServiceName.RENDERER: 8081, ServiceName.STORAGE: 8082}
"""The usual ports, where they are not the one of `Settings`."""

REQUIRED: Mapping[ServiceName, tuple[str, ...]] = {
    ServiceName.API: ("DB_HOST", "KAFKA_BROKERS_ADDRS", "RENDERER_BASE_URL", "STORAGE_BASE_URL"),
    ServiceName.RENDERER: ("KAFKA_BROKERS_ADDRS", "STORAGE_BASE_URL"),
}
"""What a service can't start without."""

_LOOPBACK_KEY = "for this machine only"
_SERVICE_SECRETS = ("SERVICES_SECRET_KEY", "SERVICES_SECRET_KEY_PREVIOUS")
_SECRET_ADVICE = "make one with `openssl rand -hex 32` or `make secrets`"  # noqa: S105
_ENUM_SYNONYMS = {"warn": "warning"}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set; a variable's name is the field's in capitals."""

    host: Annotated[ListenHost, Meta(description="address to listen on")] = ListenHost("127.0.0.1")
    port: Annotated[
        int, Meta(ge=0, le=MAX_PORT, description="port to listen on; 0 takes a free one")
    ] = 8080
    metrics_port: Annotated[
        int | None,
        Meta(ge=1, le=MAX_PORT, description="port for `/metrics` alone; else it is on PORT"),
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
    log_level: Annotated[LogLevel, Meta(description="debug, info, warn, warning or error")] = (
        LogLevel.INFO
    )
    log_format: Annotated[LogFormat, Meta(description="json or text")] = LogFormat.JSON
    db_host: Annotated[
        DatabaseHost | None,
        Meta(description="PostgreSQL's host; without it `serve` brings its own server"),
    ] = None
    pgport: Annotated[int, Meta(ge=1, le=MAX_PORT, description="PostgreSQL's port")] = 5432
    postgres_user: Annotated[str, Meta(description="PostgreSQL's user")] = "postgres"
    postgres_password: Annotated[Password | None, Meta(description="PostgreSQL's password")] = None
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
        cls, environment: Mapping[str, str], *, service: ServiceName = ServiceName.ALL_IN_ONE
    ) -> "Settings":
        """
        Read every variable; an empty one counts as not set, a secret may come as `NAME_FILE`.

        :raises InvalidSettings: with one problem for each wrong variable
        """
        problems: list[str] = []
        values: dict[str, Any] = {"port": PORTS[service]} if service in PORTS else {}
        for name, hint in VARIABLES.items():
            source = find_source(environment, name, may_be_file=is_secret(hint))
            try:
                text = raw_value(environment, source, may_be_file=is_secret(hint))
                if text := text if hint is Password else unquote(text):
                    values[name.lower()] = _parse(text, hint)
            except (ValueError, OSError) as error:
                problems.append(f"{source} {error}")
        named = " ".join(problems)
        problems += _check_consistency(values)
        problems += [
            f"{name} is missing: {_description(name)}"
            for name in REQUIRED.get(service, ())
            if name.lower() not in values and name not in named
        ]
        if service is not ServiceName.ALL_IN_ONE and "SERVICES_SECRET_KEY" not in named:
            problems += _check_service_secrets(values)
        if problems:
            raise InvalidSettings(problems)
        return cls(**values)

    @property
    def is_reachable(self) -> bool:
        """Return whether other machines may reach HOST; a name means this machine alone."""
        return _is_reachable(self.host)

    @property
    def database_address(self) -> str:
        """Say where PostgreSQL is, for messages."""
        return to_netloc(self.db_host or "", self.pgport)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Give every secret, to be kept out of what is written."""
        single = (
            self.postgres_password,
            self.services_secret_key,
            self.services_secret_key_previous,
        )
        return (*self.github_tokens, *(secret for secret in single if secret is not None))

    @property
    def signing_keys(self) -> tuple[Secret, ...]:
        """Give the keys between services: the current one, which signs, and the one before."""
        current = self.services_secret_key or Secret(_LOOPBACK_KEY)
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
            f"{key}={_quote_conninfo_value(value)}"
            for key, value in parts.items()
            if value is not None
        )


def find_warnings(
    environment: Mapping[str, str], settings: Settings, *, service: ServiceName
) -> list[str]:
    """Find what can be used and is probably not meant, a sentence each."""
    warnings = []
    password = settings.postgres_password
    if password is not None and unquote(password.reveal()) != password.reveal():
        warnings.append("POSTGRES_PASSWORD stands in quotes, which count as part of it")
    warnings += [
        f"{synonym} is not used beside {name}"
        for name, synonym in SYNONYMS.items()
        if is_set(environment, name) and is_set(environment, synonym)
    ]
    if service is not ServiceName.ALL_IN_ONE and settings.is_reachable:
        warnings += [
            f"{name} has fewer than {RECOMMENDED_CHARACTERS} characters: {_SECRET_ADVICE}"
            for name in _SERVICE_SECRETS
            if (secret := getattr(settings, name.lower())) and is_short(secret.reveal())
        ]
    return warnings


def is_secret(hint: object) -> bool:
    """Tell whether a variable of this type may also be given as a file."""
    kinds = (hint, *get_args(hint))
    return any(isinstance(kind, type) and issubclass(kind, Secret) for kind in kinds)


def _parse(text: str, hint: Any) -> Any:
    if re.match(r"(?:tcp|udp|sctp)://", text) and not is_secret(hint):
        raise ValueError(
            f"must not be {quote_for_message(text)}, which Kubernetes sets for a Service of that name:"
            " set `enableServiceLinks: false` in the pod, or rename the Service"
        )
    if hint in PARSERS:
        return PARSERS[hint](text)
    if get_origin(hint) is tuple:
        read_member = PARSERS[get_args(hint)[0]]
        members = (unquote(member.strip()) for member in re.split(r"[,;\n]", text))
        return tuple(read_member(member) for member in members if member)
    flat = text
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        flat = _ENUM_SYNONYMS.get(text.lower(), text.lower())
    try:
        return msgspec.convert(flat, hint, strict=False)
    except msgspec.ValidationError:
        raise ValueError(f"must be {_describe_type(hint)}, not {quote_for_message(text)}") from None


def _describe_type(hint: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return " or ".join(hint)
    schema = msgspec.json.schema(hint)
    if "maximum" in schema:
        least = schema.get("minimum", schema.get("exclusiveMinimum"))
        return f"a number from {least} to {schema['maximum']}"
    return "a plain value"


def _check_consistency(values: Mapping[str, Any]) -> list[str]:
    problems = []
    if _value_or_default(values, "soft_ttl") > _value_or_default(values, "hard_ttl"):
        problems.append("SOFT_TTL must not be longer than HARD_TTL")
    port = _value_or_default(values, "port")
    if port and port == values.get("metrics_port"):
        problems.append(f"METRICS_PORT must not be the same as PORT, {port}")
    return problems


def _check_service_secrets(values: Mapping[str, Any]) -> list[str]:
    """Complain of a service that others can reach without a secret, or with one that can be guessed."""
    host = _value_or_default(values, "host")
    if not _is_reachable(host):
        return []
    reason = f"and {host} can be reached from elsewhere: {_SECRET_ADVICE}"
    problems = []
    if values.get("services_secret_key") is None:
        problems.append(f"SERVICES_SECRET_KEY is missing, {reason}")
    for name in _SERVICE_SECRETS:
        secret = values.get(name.lower())
        if secret is not None and (weakness := find_weakness(secret.reveal())):
            problems.append(f"{name} {weakness}, {reason}")
    return problems


def _is_reachable(host: str) -> bool:
    address = parse_address(host)
    return address is not None and not ipaddress.ip_address(address).is_loopback


def _description(name: str) -> str:
    field = next(one for one in msgspec.structs.fields(Settings) if one.name == name.lower())
    return str(field.type.__metadata__[0].description)


def _value_or_default(values: Mapping[str, Any], name: str) -> Any:
    """Return what is set, or the default."""
    default = Settings.__struct_defaults__[Settings.__struct_fields__.index(name)]
    return values.get(name, default)


def _quote_conninfo_value(value: object) -> str:
    """Quote a value for libpq: https://www.postgresql.org/docs/current/libpq-connect.html."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _unwrap_optional(annotated: Any) -> Any:
    """Take `X | None` for X: an empty variable is None already."""
    bare = annotated.__origin__
    kinds = [kind for kind in get_args(bare) if kind is not type(None)]
    kind = kinds[0] if type(None) in get_args(bare) and len(kinds) == 1 else bare
    meta = annotated.__metadata__[0]
    return kind if meta.ge is None and meta.gt is None else Annotated[kind, meta]


VARIABLES: dict[str, Any] = {
    field.name.upper(): _unwrap_optional(field.type) for field in msgspec.structs.fields(Settings)
}
"""Every variable with the type that it is read as."""
