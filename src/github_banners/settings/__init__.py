"""
Settings, parsed from environment variables into a frozen struct.

Every variable is declared once, in `Settings`; `parsers` holds one parser per type. All problems are
reported at once, and no message contains a secret. The caller passes the environment as a mapping.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta

from github_banners.errors import InvalidSettings
from github_banners.settings.addresses import is_reachable, to_netloc
from github_banners.settings.bucket_access import find_bucket_problems
from github_banners.settings.choices import PORTS, REQUIRED, LogFormat, LogLevel, ServiceName
from github_banners.settings.environment import (
    SYNONYMS,
    find_source,
    find_unread_database_variables,
    is_of_unused_feature,
    is_set,
    load_login_files,
    order_names,
    raw_value,
    read_logins,
)
from github_banners.settings.parsers import (
    Broker,
    DatabaseHost,
    ListenHost,
    Login,
    Network,
    Origin,
    Password,
    Secret,
    StorageBucket,
    StorageFolder,
    StorageLocation,
    Token,
    Url,
    is_secret,
    parse_storage_argument,
    parse_value,
    unquote,
)
from github_banners.settings.strength import find_key_problems, find_short_keys
from github_banners.settings.trace_settings import (
    OtlpProtocol,
    TracesExporter,
    TracesSampler,
    TracingSettings,
    find_trace_problems,
)

__all__ = [
    "Broker",
    "DatabaseHost",
    "ListenHost",
    "LogFormat",
    "LogLevel",
    "Login",
    "Network",
    "Origin",
    "OtlpProtocol",
    "Password",
    "Secret",
    "ServiceName",
    "Settings",
    "StorageBucket",
    "StorageFolder",
    "StorageLocation",
    "Token",
    "TracesExporter",
    "TracesSampler",
    "Url",
    "is_secret",
    "parse_storage_argument",
    "read_logins",
]


MAX_PORT = 65535

_STORES_BANNERS = (ServiceName.ALL_IN_ONE, ServiceName.STORAGE)

# Signs calls between services of one machine that have no secret. Never used on a reachable HOST.
_LOOPBACK_KEY = "for this machine only"


class Settings(TracingSettings, frozen=True, kw_only=True):
    """All settings; the variable of a field is its name in capitals."""

    host: Annotated[ListenHost, Meta(description="address to listen on")] = ListenHost("127.0.0.1")
    port: Annotated[
        int, Meta(ge=0, le=MAX_PORT, description="port to listen on; 0 means any free port")
    ] = 8080
    metrics_port: Annotated[
        int | None,
        Meta(
            ge=1,
            le=MAX_PORT,
            description="separate port for `/metrics`; by default it is served on PORT",
        ),
    ] = None
    public_url: Annotated[
        Url | None, Meta(description="base URL in links and examples, if it differs")
    ] = None
    cors_origins: Annotated[
        tuple[Origin, ...],
        Meta(description="origins whose pages may read JSON; without a scheme, http and https"),
    ] = (Origin("*"),)
    trusted_proxies: Annotated[
        tuple[Network, ...], Meta(description="networks whose `X-Forwarded-For` header is trusted")
    ] = ()
    github_tokens: Annotated[
        tuple[Token, ...],
        Meta(description="GitHub API tokens, comma-separated"),
    ] = ()
    github_api_url: Annotated[
        Url, Meta(description="URL of the GitHub API; of an Enterprise Server it ends in `/api/v3`")
    ] = Url("https://api.github.com")
    rate_limit_rps: Annotated[
        float,
        Meta(ge=0.001, le=100_000, description="GitHub requests and POSTs per second and client"),
    ] = 10
    max_banners_per_user: Annotated[
        int, Meta(ge=0, le=1_000_000, description="maximum number of permanent banners per user")
    ] = 1000
    allowed_users: Annotated[
        tuple[Login, ...],
        Meta(description="users and organisations to serve, comma-separated; by default all"),
    ] = ()
    allowed_users_file: Annotated[
        Path | None, Meta(description="file of allowed users, read again when it changes")
    ] = None
    denied_users: Annotated[
        tuple[Login, ...],
        Meta(description="users and organisations not to serve, comma-separated"),
    ] = ()
    denied_users_file: Annotated[
        Path | None, Meta(description="file of denied users, read again when it changes")
    ] = None
    cache_ttl: Annotated[
        timedelta,
        Meta(description="how long the in-memory cache is used before PostgreSQL is checked"),
    ] = timedelta(minutes=5)
    soft_ttl: Annotated[
        timedelta, Meta(description="age above which numbers are refreshed in the background")
    ] = timedelta(minutes=10)
    hard_ttl: Annotated[
        timedelta, Meta(description="age above which a request waits for fresh numbers")
    ] = timedelta(hours=24)
    refresh_interval: Annotated[
        timedelta, Meta(description="how often banners that are requested daily are refreshed")
    ] = timedelta(hours=1)
    remove_gone_users_after: Annotated[
        timedelta, Meta(description="how long users who are deleted on GitHub are stored")
    ] = timedelta(days=90)
    request_timeout: Annotated[
        timedelta, Meta(description="time limit of JSON requests and of requests to GitHub")
    ] = timedelta(seconds=10)
    log_level: Annotated[LogLevel, Meta(description="debug, info, warn, warning or error")] = (
        LogLevel.INFO
    )
    log_format: Annotated[LogFormat, Meta(description="json or text")] = LogFormat.JSON
    db_host: Annotated[
        DatabaseHost | None,
        Meta(description="PostgreSQL host; if unset, `serve` runs its own server"),
    ] = None
    pgport: Annotated[int, Meta(ge=1, le=MAX_PORT, description="PostgreSQL port")] = 5432
    postgres_user: Annotated[str, Meta(description="PostgreSQL user")] = "postgres"
    postgres_password: Annotated[Password | None, Meta(description="PostgreSQL password")] = None
    postgres_db: Annotated[str, Meta(description="PostgreSQL database")] = "github_banners"
    data_dir: Annotated[Path | None, Meta(description="data folder of the embedded PostgreSQL")] = (
        None
    )
    banners_storage_url: Annotated[
        StorageLocation | None,
        Meta(
            description="storage of rendered banners, `file:///...` or `s3://BUCKET/PREFIX`;"
            " default below DATA_DIR"
        ),
    ] = None
    aws_region: Annotated[str | None, Meta(description="region of the S3 bucket")] = None
    aws_endpoint_url: Annotated[
        Url | None, Meta(description="URL of an S3-compatible server other than that of AWS")
    ] = None
    aws_allow_http: Annotated[
        bool, Meta(description="whether an S3 server may be called without TLS")
    ] = False
    aws_access_key_id: Annotated[Secret | None, Meta(description="access key of the S3 bucket")] = (
        None
    )
    aws_secret_access_key: Annotated[
        Secret | None, Meta(description="secret key of the S3 bucket")
    ] = None
    aws_session_token: Annotated[
        Secret | None, Meta(description="session token of a temporary access key")
    ] = None
    services_secret_key: Annotated[
        Secret | None, Meta(description="shared key that signs calls between services")
    ] = None
    services_secret_key_previous: Annotated[
        Secret | None, Meta(description="previous key, still accepted while keys are rotated")
    ] = None
    kafka_brokers_addrs: Annotated[
        tuple[Broker, ...], Meta(description="Kafka brokers, `host:port`, comma-separated")
    ] = ()
    renderer_base_url: Annotated[Url | None, Meta(description="URL of the renderer")] = None
    storage_base_url: Annotated[Url | None, Meta(description="URL of the storage")] = None

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str],
        *,
        service: ServiceName = ServiceName.ALL_IN_ONE,
        secret_files: dict[str, str] | None = None,
    ) -> "Settings":
        """
        Parse all variables; an empty one counts as unset, secrets are also read from `NAME_FILE`.

        `secret_files` are texts of these files by path, which are not read again; others are added.

        :raises InvalidSettings: with one problem for each invalid or missing variable
        """
        problems: list[str] = []
        secret_files = {} if secret_files is None else secret_files
        values: dict[str, Any] = {"port": PORTS[service]} if service in PORTS else {}
        for name, hint in VARIABLES.items():
            may_be_file = is_secret(hint)
            source = find_source(environment, name, may_be_file=may_be_file)
            try:
                text = raw_value(
                    environment, source, may_be_file=may_be_file, secret_files=secret_files
                )
                if text := text if hint is Password else unquote(text):
                    values[name.lower()] = parse_value(text, hint)
            except (ValueError, OSError) as error:
                if not is_of_unused_feature(environment, name):
                    problems.append(f"{source} {error}")
        problems += load_login_files(values)
        reported = " ".join(problems)
        problems += [*_check_consistency(values), *find_trace_problems(values)]
        problems += [
            f"{name} is missing: {_description(name)}"
            for name in REQUIRED.get(service, ())
            if name.lower() not in values and name not in reported
        ]
        is_bucket = isinstance(values.get("banners_storage_url"), StorageBucket)
        if is_bucket and service in _STORES_BANNERS:
            problems += find_bucket_problems(values, environment, reported=reported)
        if service is not ServiceName.ALL_IN_ONE and "SERVICES_SECRET_KEY" not in reported:
            problems += find_key_problems(values, host=_value_or_default(values, "host"))
        if problems:
            raise InvalidSettings(problems)
        return cls(**values)

    @property
    def is_reachable(self) -> bool:
        """True if other machines may reach HOST; a host name is used only if it is loopback."""
        return is_reachable(self.host)

    @property
    def database_address(self) -> str:
        """Host and port of PostgreSQL, for messages."""
        return to_netloc(self.db_host or "", self.pgport)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All secrets, to be masked in logs."""
        values = [getattr(self, name) for name in self.__struct_fields__]
        lists = [value if isinstance(value, tuple) else (value,) for value in values]
        return tuple(
            member for members in lists for member in members if isinstance(member, Secret)
        )

    @property
    def signing_keys(self) -> tuple[Secret, ...]:
        """The keys for calls between services: the current one, which signs, then the previous."""
        current = self.services_secret_key or Secret(_LOOPBACK_KEY)
        previous = self.services_secret_key_previous
        return (current, previous) if previous is not None else (current,)

    @property
    def conninfo(self) -> str | None:
        """The libpq connection string; None means the embedded PostgreSQL."""
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
    """Return a sentence for each setting that is valid but probably a mistake."""
    warnings = []
    password = settings.postgres_password
    if password is not None and unquote(password.reveal()) != password.reveal():
        warnings.append("POSTGRES_PASSWORD is enclosed in quotes, which are part of the password")
    warnings += [
        f"{ignored} is ignored because {name} is set"
        for name, ignored in map(order_names, SYNONYMS)
        if is_set(environment, name)
        and is_set(environment, ignored)
        and environment.get(name) != environment.get(ignored)
    ]
    if service not in (ServiceName.RENDERER, ServiceName.STORAGE):
        warnings += find_unread_database_variables(environment)
    if service is not ServiceName.ALL_IN_ONE and settings.is_reachable:
        warnings += find_short_keys(msgspec.structs.asdict(settings))
    return warnings


def _check_consistency(values: Mapping[str, Any]) -> list[str]:
    problems = []
    if _value_or_default(values, "soft_ttl") > _value_or_default(values, "hard_ttl"):
        problems.append("SOFT_TTL must not be longer than HARD_TTL")
    port = _value_or_default(values, "port")
    if port and port == values.get("metrics_port"):
        problems.append(f"METRICS_PORT must not be the same as PORT, {port}")
    return problems


def _description(name: str) -> str:
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    return str(fields[name.lower()].type.__metadata__[0].description)


def _value_or_default(values: Mapping[str, Any], name: str) -> Any:
    default = Settings.__struct_defaults__[Settings.__struct_fields__.index(name)]
    return values.get(name, default)


def _quote_conninfo_value(value: object) -> str:
    """Quote a value for libpq: https://www.postgresql.org/docs/current/libpq-connect.html."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _unwrap_optional(annotated: Any) -> Any:
    """Return the type `X` of an annotation `X | None`, with its limits if it has any."""
    hint = annotated.__origin__
    if type(None) in get_args(hint):
        hint = reduce(or_, (member for member in get_args(hint) if member is not type(None)))
    meta = annotated.__metadata__[0]
    return hint if meta.ge is None else Annotated[hint, meta]


VARIABLES: dict[str, Any] = {
    field.name.upper(): _unwrap_optional(field.type) for field in msgspec.structs.fields(Settings)
}
"""The type that each variable is parsed as, by its name."""
