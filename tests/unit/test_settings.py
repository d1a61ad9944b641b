"""Settings: parsing of every variable, and reports of invalid ones."""

import ipaddress
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from github_banners.errors import InvalidSettings
from github_banners.settings import (
    VARIABLES,
    LogFormat,
    LogLevel,
    OtlpProtocol,
    Secret,
    ServiceName,
    Settings,
    StorageBucket,
    Token,
    TracesExporter,
    TracesSampler,
    find_warnings,
    is_secret,
)
from github_banners.settings.parsers import Headers, strip, unquote

SECRET = "s3cret-'value'"
LOGINS = Path(__file__).with_name("logins.txt")

VALID: dict[str, tuple[str, Any]] = {
    "HOST": ("0.0.0.0", "0.0.0.0"),  # noqa: S104
    "PORT": (" 9000 ", 9000),
    "METRICS_PORT": ("9100", 9100),
    "PUBLIC_URL": ("https://banners.example/base/", "https://banners.example/base"),
    "CORS_ORIGINS": (
        "Example.com, https://A.example:8443/",
        ("example.com", "https://a.example:8443"),
    ),
    "TRUSTED_PROXIES": (
        "10.1.2.3/8,::1",
        (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1")),
    ),
    "GITHUB_TOKENS": (" one ,two\nthree,", (Token("one"), Token("two"), Token("three"))),
    "GITHUB_API_URL": ("http://127.0.0.1:8090/api/v3", "http://127.0.0.1:8090/api/v3"),
    "RATE_LIMIT_RPS": ("0.5", 0.5),
    "MAX_BANNERS_PER_USER": ("20", 20),
    "ALLOWED_USERS": ("Ada; @umbra-labs 'grace',", ("Ada", "umbra-labs", "grace")),
    "ALLOWED_USERS_FILE": (str(LOGINS), LOGINS),
    "DENIED_USERS": ("bob # since May", ("bob",)),
    "DENIED_USERS_FILE": (str(LOGINS), LOGINS),
    "CACHE_TTL": ("90s", timedelta(seconds=90)),
    "SOFT_TTL": ("1h30m", timedelta(minutes=90)),
    "HARD_TTL": ("48h", timedelta(hours=48)),
    "REQUEST_TIMEOUT": ("1500ms", timedelta(seconds=1.5)),
    "REFRESH_INTERVAL": ("2h", timedelta(hours=2)),
    "REMOVE_GONE_USERS_AFTER": ("720h", timedelta(days=30)),
    "BANNERS_STORAGE_URL": ("file:///var/lib/banners", Path("/var/lib/banners")),
    "AWS_REGION": ("eu-central-1", "eu-central-1"),
    "AWS_ENDPOINT_URL": ("http://minio:9000/", "http://minio:9000"),
    "AWS_ALLOW_HTTP": ("True", True),
    "AWS_ACCESS_KEY_ID": (SECRET, Secret(SECRET)),
    "AWS_SECRET_ACCESS_KEY": (SECRET, Secret(SECRET)),
    "AWS_SESSION_TOKEN": (SECRET, Secret(SECRET)),
    "LOG_LEVEL": ("WARNING", LogLevel.WARNING),
    "LOG_FORMAT": ("Text", LogFormat.TEXT),
    "DB_HOST": ("null", "null"),
    "PGPORT": ("6543", 6543),
    "POSTGRES_USER": ("somebody", "somebody"),
    "POSTGRES_PASSWORD": (SECRET, Secret(SECRET)),
    "POSTGRES_DB": ("elsewhere", "elsewhere"),
    "SERVICES_SECRET_KEY": (SECRET, Secret(SECRET)),
    "SERVICES_SECRET_KEY_PREVIOUS": (SECRET, Secret(SECRET)),
    "KAFKA_BROKERS_ADDRS": ("kafka:9092, [::1]:9093", ("kafka:9092", "[::1]:9093")),
    "RENDERER_BASE_URL": ("http://renderer:8081/", "http://renderer:8081"),
    "STORAGE_BASE_URL": ("http://storage:8082", "http://storage:8082"),
    "DATA_DIR": ("~/banners", Path("~/banners").expanduser()),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("http://collector:4318/", "http://collector:4318"),
    "OTEL_EXPORTER_OTLP_HEADERS": ("api-key=a%20b, x=y z", Headers("api-key=a%20b, x=y z")),
    "OTEL_SERVICE_NAME": ("banners", "banners"),
    "OTEL_TRACES_SAMPLER": ("ParentBased_TraceIdRatio", TracesSampler.PARENT_BASED_RATIO),
    "OTEL_TRACES_SAMPLER_ARG": ("0.25", 0.25),
    "OTEL_TRACES_EXPORTER": ("None", TracesExporter.NONE),
    "OTEL_EXPORTER_OTLP_PROTOCOL": ("grpc", OtlpProtocol.GRPC),
    "OTEL_BSP_MAX_QUEUE_SIZE": ("256", 256),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": ("64", 64),
    "OTEL_BSP_SCHEDULE_DELAY": ("1000", 1000),
    "OTEL_SDK_DISABLED": ("true", True),
}
INVALID = {
    "PORT": ["65536", "-1", "http", "80.5", "0x50", "1_000"],
    "PUBLIC_URL": [
        "example.com", "ftp://example.com", "http://", "http://[::1", "http://h:99999", "http://h:x",
        "http://h?q=1", "http://h#x", "http://a b", "http://u:p@h", "http://u@h", "http://:@h",
    ],
    "CORS_ORIGINS": ["https://example.com/page", "ftp://example.com", "a b", "*.example.com", "x,/"],
    "TRUSTED_PROXIES": ["somewhere", "10.0.0.0/33", "10.0.0.1,nobody"],
    "GITHUB_TOKENS": [
        "two words", "ümlaut", "a,bell\x07", "token=x", "<tok>", "[a]", "${TOKEN}", "user:tok",
    ],
    "GITHUB_API_URL": ["api.github.com", "http://token@api.github.com"],
    "RATE_LIMIT_RPS": ["0", "-1", "1e-320", "0.0009", "nan", "inf", "100001", "many"],
    "MAX_BANNERS_PER_USER": ["-1", "1.5", "1000001", "all"],
    "ALLOWED_USERS": ["a.b", "ada ümlaut", ",", "# ada", "x" * 40],
    "ALLOWED_USERS_FILE": ["/nowhere/at/all", "/", "~nobody-has-this-name/x"],
    "DENIED_USERS": ["https://github.com/ada", "ada,b/c"],
    "DENIED_USERS_FILE": ["/nowhere/at/all"],
    "CACHE_TTL": ["10", "-5m", "0s", "1d", "1h 30m", "٥m", "5M"],
    "SOFT_TTL": ["9" * 400 + "h", "soon", "25h"],
    "HARD_TTL": ["8785h", "1", "5m"],
    "REQUEST_TIMEOUT": ["0ms", "ten seconds"],
    "REFRESH_INTERVAL": ["0s", "daily"],
    "REMOVE_GONE_USERS_AFTER": ["0s", "90d", "8785h"],
    "BANNERS_STORAGE_URL": ["s3://", "s3:bucket", "file://host/path", "file:", "/var/lib"],
    "AWS_REGION": ["tcp://10.0.0.1:443", "eu\x07"],
    "AWS_ENDPOINT_URL": ["minio:9000", "http://key:secret@minio:9000", "s3://bucket"],
    "AWS_ALLOW_HTTP": ["maybe", "2"],
    "AWS_ACCESS_KEY_ID_FILE": ["/nowhere/at/all"],
    "AWS_SECRET_ACCESS_KEY_FILE": ["/nowhere/at/all"],
    "AWS_SESSION_TOKEN_FILE": ["/nowhere/at/all"],
    "HOST": ["a b", "127.0.0.1:80", "[::1]:80", "http://localhost", "[::1", "ümlaut"],
    "DB_HOST": ["postgresql://u:p@h/db", "u@h", "db:5432", "[::1]:5432"],
    "POSTGRES_USER": ["tcp://10.0.0.1:5432"],
    "POSTGRES_DB": ["udp://10.0.0.1:5432"],
    "LOG_LEVEL": ["loud", "warn,info"],
    "LOG_FORMAT": ["xml"],
    "PGPORT": ["0", "65536", "x"],
    "POSTGRES_PASSWORD_FILE": ["/nowhere/at/all", "/"],
    "METRICS_PORT": ["0", "65536", "null"],
    "SERVICES_SECRET_KEY_FILE": ["/nowhere/at/all"],
    "SERVICES_SECRET_KEY_PREVIOUS_FILE": ["/nowhere/at/all"],
    "KAFKA_BROKERS_ADDRS": ["kafka", "kafka:", ":9092", "kafka:0", "a b:1", "http://kafka:9092"],
    "RENDERER_BASE_URL": ["renderer:8081", "http://gw/a/../b", "http://gw/.", "http://gw/{a}"],
    "STORAGE_BASE_URL": ["http://u:p@storage", "http://storage/ä"],
    "DATA_DIR": ["~nobody-has-this-name/x"],
    "OTEL_EXPORTER_OTLP_ENDPOINT": ["collector:4318", "http://user:key@collector:4318", "grpc://c"],
    "OTEL_EXPORTER_OTLP_HEADERS": ["a key", "=value", "a=", "a=b,,c=d", "a=b\x07", "ä=b", "a=ä"],
    "OTEL_SERVICE_NAME": ["tcp://10.0.0.1:4318"],
    "OTEL_TRACES_SAMPLER": ["sometimes", "jaeger_remote"],
    "OTEL_TRACES_SAMPLER_ARG": ["1.1", "-0.1", "nan", "half"],
    "OTEL_TRACES_EXPORTER": ["console", "otlp,console"],
    "OTEL_EXPORTER_OTLP_PROTOCOL": ["http", "udp"],
    "OTEL_BSP_MAX_QUEUE_SIZE": ["0", "-1", "many"],
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": ["0", "1.5"],
    "OTEL_BSP_SCHEDULE_DELAY": ["0", "5s"],
    "OTEL_SDK_DISABLED": ["perhaps"],
}  # fmt: skip


def with_its_feature(environment: dict[str, str]) -> dict[str, str]:
    """Add what turns the feature of a variable on, if it has no effect otherwise."""
    features = {
        "AWS_": {**BUCKET_ACCESS, "BANNERS_STORAGE_URL": "s3://bucket"},
        "OTEL_": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
    }
    added = next(
        (features[start] for start in features if next(iter(environment)).startswith(start)), {}
    )
    replaced = {name.removesuffix("_FILE") for name in environment}
    return {name: text for name, text in added.items() if name not in replaced} | environment


def find_problems(environment: Mapping[str, str]) -> tuple[str, ...]:
    with pytest.raises(InvalidSettings) as error_info:
        Settings.from_environment(environment)
    return error_info.value.problems


def test_settings_every_variable_has_test_cases() -> None:
    assert VALID.keys() == VARIABLES.keys()
    reported = {name if name in VARIABLES else name.removesuffix("_FILE") for name in INVALID}
    assert reported == VARIABLES.keys()


def test_settings_secrets_hold_the_value_of_every_secret_variable() -> None:
    secret_names = [name for name, hint in VARIABLES.items() if is_secret(hint)]
    texts = {
        name: f"secret{'=' if VARIABLES[name] is Headers else '-'}{name}" for name in secret_names
    }
    settings = Settings.from_environment(texts)
    assert settings.secrets == tuple(map(Secret, texts.values()))
    assert Settings().secrets == ()


def test_settings_impossible_traces_are_reported_while_traces_are_on() -> None:
    variables = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4096"}
    on = {**variables, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}
    protocol, batch_size = find_problems(on)
    assert protocol.startswith("OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, not 'grpc'")
    assert batch_size == (
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE must not be greater than OTEL_BSP_MAX_QUEUE_SIZE, 2048"
    )
    for off in ({"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}):
        assert not Settings.from_environment(on | off).records_traces
    assert not Settings.from_environment(variables).records_traces


@pytest.mark.parametrize(
    ("variables", "batch_size"),
    [
        ({}, 512),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "256"}, 256),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "4096", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4096"}, 4096),
    ],
)
def test_traces_batch_size_fits_the_queue(variables: dict[str, str], batch_size: int) -> None:
    assert Settings.from_environment(variables).traces_batch_size == batch_size


@pytest.mark.parametrize("name", VALID)
def test_settings_valid_value_is_parsed(name: str) -> None:
    text, value = VALID[name]
    settings = Settings.from_environment({name: text})
    assert getattr(settings, name.lower()) == value
    assert value != getattr(Settings(), name.lower())


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in INVALID.items() for text in texts],
    ids=lambda text: ascii(text)[:30],
)  # fmt: skip
def test_settings_invalid_value_is_reported(name: str, text: str) -> None:
    (problem,) = find_problems(with_its_feature({name: text}))
    assert name in problem
    assert len(problem) < 200


@pytest.mark.parametrize(
    "name",
    [name for name in INVALID if name.startswith(("AWS_", "OTEL_")) and "ENDPOINT" not in name],
)
def test_settings_invalid_value_of_unused_feature_is_ignored(name: str) -> None:
    for text in INVALID[name]:
        assert Settings.from_environment({name: text}) == Settings()


@pytest.mark.parametrize("location", ["", "file:///srv/banners"])
def test_settings_bucket_server_without_bucket_is_ignored(location: str) -> None:
    server = {"AWS_ENDPOINT_URL": "localhost:4566", "AWS_ALLOW_HTTP": "yes"}
    settings = Settings.from_environment({**server, "BANNERS_STORAGE_URL": location})
    assert (settings.aws_endpoint_url, settings.aws_allow_http) == (None, False)
    problems = find_problems({**BUCKET_ACCESS, **server, "BANNERS_STORAGE_URL": "S3://bucket"})
    assert [problem.split()[0] for problem in problems] == ["AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP"]


def test_settings_all_problems_are_reported_at_once() -> None:
    environment = {name: texts[0] for name, texts in INVALID.items()}
    problems = find_problems(environment)
    assert len(problems) == len(INVALID)
    assert all(any(name in problem for problem in problems) for name in INVALID)


def test_settings_empty_environment_gives_defaults() -> None:
    empty = dict.fromkeys([*VARIABLES, "POSTGRES_PASSWORD_FILE"], " ")
    assert Settings.from_environment({}) == Settings.from_environment(empty) == Settings()
    assert Settings.from_environment({"UNKNOWN": "x", "port": "1"}) == Settings()


def test_settings_soft_ttl_above_hard_ttl_is_reported() -> None:
    assert find_problems({"SOFT_TTL": "2h", "HARD_TTL": "1h"}) == (
        "SOFT_TTL must not be longer than HARD_TTL",
    )
    equal = Settings.from_environment({"SOFT_TTL": "2h", "HARD_TTL": "2h"})
    assert equal.soft_ttl == equal.hard_ttl == timedelta(hours=2)


@pytest.mark.parametrize("name", [name for name, hint in VARIABLES.items() if is_secret(hint)])
def test_settings_secret_is_read_from_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    text = VALID[name][0]
    file.write_text(f"{text}\n")
    from_file = Settings.from_environment({f"{name}_FILE": str(file), name: " "})
    assert from_file == Settings.from_environment({name: text}) != Settings()


@pytest.mark.parametrize("name", [name for name, hint in VARIABLES.items() if is_secret(hint)])
@pytest.mark.parametrize("content", ["", " \r\n", "\ufeff", '""\n'])
def test_settings_empty_file_of_a_secret_is_reported(
    name: str, content: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(content, encoding="utf-8")
    (problem,) = find_problems(with_its_feature({f"{name}_FILE": str(file)}))
    assert problem == f"{name} is empty: fill the file that {name}_FILE names, or unset {name}_FILE"


def test_settings_secret_file_with_separators_only_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(",\n;\n")
    problem = "GITHUB_TOKENS has only separators: add a value, or unset it"
    assert find_problems({"GITHUB_TOKENS_FILE": str(file)}) == (problem,)
    assert find_problems({"GITHUB_TOKENS": ","}) == (problem,)


def test_settings_secret_files_that_were_read_are_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text('"ghp_first"\nghp_second')
    environment = {"GITHUB_TOKENS_FILE": str(file)}
    secret_files: dict[str, str] = {}
    settings = Settings.from_environment(environment, secret_files=secret_files)
    assert len(settings.github_tokens) == 2
    file.unlink()
    assert Settings.from_environment(environment, secret_files=secret_files) == settings


@pytest.mark.parametrize("name", ["ALLOWED_USERS_FILE", "DENIED_USERS_FILE"])
def test_settings_pipe_of_users_is_reported(name: str, tmp_path: Path) -> None:
    pipe = tmp_path / "users"
    os.mkfifo(pipe)
    assert find_problems({name: str(pipe)}) == (
        f"{name} must be a file, not a pipe: it is read again when it changes",
    )


def test_is_secret_selects_tokens_password_and_keys() -> None:
    assert {name for name, hint in VARIABLES.items() if is_secret(hint)} == {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "GITHUB_TOKENS",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "POSTGRES_PASSWORD",
        "SERVICES_SECRET_KEY",
        "SERVICES_SECRET_KEY_PREVIOUS",
    }


@pytest.mark.parametrize("name", ["ALLOWED_USERS", "DENIED_USERS"])
def test_settings_users_are_read_from_file(name: str) -> None:
    settings = Settings.from_environment({f"{name}_FILE": str(LOGINS)})
    assert getattr(settings, name.lower()) == ("Ada", "umbra-labs", "grace")
    assert find_problems({f"{name}_FILE": str(LOGINS), name: "ada"}) == (
        f"{name} and {name}_FILE are both set: keep one",
    )


def test_settings_invalid_users_are_all_named(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("ada\nb/c # no login\nd.e\n", encoding="utf-16")
    assert find_problems({"ALLOWED_USERS": "x y.z,ghp_0123@4", "DENIED_USERS_FILE": str(file)}) == (
        "ALLOWED_USERS must be GitHub logins, not 'y.z', a value that may be a secret",
        "DENIED_USERS_FILE must be GitHub logins, not 'b/c', 'd.e'",
    )
    (problem,) = find_problems({"DENIED_USERS": ",".join(f"{n}!" for n in range(60))})
    assert problem.endswith("'49!' and 10 more")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"# nobody\n", "has no logins: unset it to serve everybody"),
        (b"\xff\xfa", "is not text in UTF-8"),
        (b"a\n" * 600_000, "has more than 1,048,576 bytes"),
    ],
    ids=["empty", "binary", "large"],
)
def test_settings_unusable_file_of_allowed_users_is_reported(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "users"
    file.write_bytes(content)
    environment = {"ALLOWED_USERS_FILE": str(file)}
    assert find_problems(environment) == (f"ALLOWED_USERS_FILE {reason}",)


def test_settings_file_without_denied_users_has_no_denied_users(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("# nobody\n")
    assert Settings.from_environment({"DENIED_USERS_FILE": str(file)}).denied_users == ()


def test_settings_file_of_other_variable_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "port"
    file.write_text("9000")
    assert Settings.from_environment({"PORT_FILE": str(file)}).port == 8080


def test_settings_secret_and_its_file_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret-in-file")
    (problem,) = find_problems({"POSTGRES_PASSWORD": "s3cret", "POSTGRES_PASSWORD_FILE": str(file)})
    assert problem == "POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set: keep one"


def test_settings_binary_secret_file_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b"\xff\xfe\x00s3cret")
    (problem,) = find_problems({"GITHUB_TOKENS_FILE": str(file)})
    assert problem == (
        "GITHUB_TOKENS can't be read: GITHUB_TOKENS_FILE must name a readable text file"
    )


@pytest.mark.parametrize("text", ["s3cret token", "s3cret\x00", "s3crét,fine", "s3\u2028cret"])
def test_settings_errors_do_not_contain_tokens(text: str, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(text, encoding="utf-8")
    for environment in ({"GITHUB_TOKENS": text}, {"GITHUB_TOKENS_FILE": str(file)}):
        with pytest.raises(InvalidSettings) as error_info:
            Settings.from_environment(environment)
        assert "s3" not in f"{error_info.value!r} {error_info.value} {error_info.value.problems}"
        assert "contains a character that no token can have" in error_info.value.problems[0]


def test_settings_errors_do_not_contain_url_password() -> None:
    (problem,) = find_problems({"PUBLIC_URL": "http://me:s3cret@example.com"})
    assert problem == "PUBLIC_URL must not contain a user or a password"


def test_secret_is_masked_in_repr_and_str() -> None:
    settings = Settings.from_environment({"GITHUB_TOKENS": "s3cret", "POSTGRES_PASSWORD": SECRET})
    for text in (repr(settings), str(settings), f"{settings}", f"{settings.postgres_password}"):
        assert "s3cret" not in text
        assert "***" in text
    assert settings.github_tokens[0].reveal() == "s3cret"


def test_secret_equality_compares_text() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_conninfo_without_host_is_none() -> None:
    assert Settings.from_environment({"POSTGRES_PASSWORD": "x"}).conninfo is None


def test_conninfo_without_password_has_none() -> None:
    conninfo = Settings.from_environment({"DB_HOST": "db"}).conninfo
    assert conninfo is not None
    assert conninfo_to_dict(conninfo) == {
        "host": "db",
        "port": "5432",
        "user": "postgres",
        "dbname": "github_banners",
    }


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(strip)
NAMES = TEXTS.filter(lambda text: unquote(strip(text)) == strip(text))
HOSTS = NAMES.filter(lambda text: not set("@:[]?/") & set(text))


@given(
    host=HOSTS, user=NAMES, password=TEXTS | st.just("it's a \\ 'test' sslmode=disable"), name=NAMES
)
def test_conninfo_any_values_survive_libpq_parsing(
    host: str, user: str, password: str, name: str
) -> None:
    settings = Settings.from_environment(
        {
            "DB_HOST": host,
            "POSTGRES_USER": user,
            "POSTGRES_PASSWORD": password,
            "POSTGRES_DB": name,
            "PGPORT": "6543",
        }
    )
    assert settings.conninfo is not None
    assert conninfo_to_dict(settings.conninfo) == {
        "host": strip(host),
        "port": "6543",
        "user": strip(user),
        "password": strip(password),
        "dbname": strip(name),
    }


@given(name=st.sampled_from(list(VARIABLES)), text=st.text(st.characters(), max_size=50))
def test_settings_any_text_is_parsed_or_reported(name: str, text: str) -> None:
    problems: tuple[str, ...] = (name,)
    try:
        Settings.from_environment({name: text})
    except InvalidSettings as error:
        problems = error.problems
    assert [name in problem for problem in problems] == [True]


API = {
    "DB_HOST": "db",
    "KAFKA_BROKERS_ADDRS": "kafka:9092",
    "RENDERER_BASE_URL": "http://renderer:8081",
    "STORAGE_BASE_URL": "http://storage:8082",
}


def test_settings_each_service_has_own_default_port() -> None:
    ports = [
        Settings.from_environment(API, service=service).port
        for service in (ServiceName.API, ServiceName.RENDERER, ServiceName.STORAGE)
    ]
    assert ports == [8080, 8081, 8082]
    assert Settings.from_environment({"PORT": "99"}, service=ServiceName.STORAGE).port == 99


def test_settings_missing_and_invalid_variables_are_reported_together() -> None:
    with pytest.raises(InvalidSettings) as error_info:
        Settings.from_environment(
            {"STORAGE_BASE_URL": "x", "PORT": "y"}, service=ServiceName.RENDERER
        )
    reported = [problem.partition(" ")[0] for problem in error_info.value.problems]
    assert sorted(reported) == ["KAFKA_BROKERS_ADDRS", "PORT", "STORAGE_BASE_URL"]
    with pytest.raises(InvalidSettings) as error_info:
        Settings.from_environment({}, service=ServiceName.API)
    reported = [problem.partition(" ")[0] for problem in error_info.value.problems]
    assert reported == list(API)


@pytest.mark.parametrize(
    "service", [service for service in ServiceName if service is not ServiceName.ALL_IN_ONE]
)
@pytest.mark.parametrize(
    "secrets",
    [
        {},
        {"SERVICES_SECRET_KEY": "1234"},
        {"SERVICES_SECRET_KEY": "your_secret_key"},
        {"SERVICES_SECRET_KEY": "YOUR_SECRET_KEY"},
        {"SERVICES_SECRET_KEY": "K7#fjq02", "SERVICES_SECRET_KEY_PREVIOUS": "1234"},
        {"SERVICES_SECRET_KEY": "ChangeMe"},
        {"SERVICES_SECRET_KEY": "K7#fjq0"},
    ],
)
def test_settings_reachable_service_requires_strong_secret(
    service: ServiceName, secrets: dict[str, str]
) -> None:
    for host in ("0.0.0.0", "::", "[::]", "10.1.2.3", "2001:db8::1"):  # noqa: S104
        with pytest.raises(InvalidSettings, match=r"^SERVICES_SECRET_KEY\w* .*rand -hex 32"):
            Settings.from_environment({**API, **secrets, "HOST": host}, service=service)
    # A host name is used only if it resolves to loopback.
    for host in ("127.0.0.1", "::1", "localhost", "banners.example.com"):
        Settings.from_environment({**API, **secrets, "HOST": host}, service=service)
    Settings.from_environment({**secrets, "HOST": "0.0.0.0"})  # noqa: S104


def test_signing_keys_are_current_then_previous() -> None:
    both = {"SERVICES_SECRET_KEY": "new", "SERVICES_SECRET_KEY_PREVIOUS": "old"}
    assert Settings.from_environment(both).signing_keys == (Secret("new"), Secret("old"))
    assert len(Settings().signing_keys) == 1


BUCKET_ACCESS = {
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "an-id",
    "AWS_SECRET_ACCESS_KEY": "hidden-key",
}
STORAGE_URLS: dict[str, str | StorageBucket | None] = {
    "file:///srv/banners": "/srv/banners",
    "file://localhost/srv/banners": "/srv/banners",
    "file:/srv/banners": "/srv/banners",
    "FILE:///srv/banners/": "/srv/banners",
    "file:///srv/a%20b%2520c/%C3%BC%23": "/srv/a b%20c/ü#",
    "file:///srv/a b/ü": "/srv/a b/ü",
    "file:///srv/a#b": None,
    "file:///srv/a?b": None,
    "file:///srv/%00": None,
    "file://elsewhere/srv": None,
    "file:relative": None,
    "/srv/banners": None,
    "s3://bucket": StorageBucket("bucket", ""),
    "s3://my.bucket-2/": StorageBucket("my.bucket-2", ""),
    "s3://bucket/banners": StorageBucket("bucket", "banners"),
    "s3://bucket/a/b_c/": StorageBucket("bucket", "a/b_c"),
    "s3://Bucket/a": None,
    "s3://by/a": None,
    "s3://buck_et/a": None,
    "s3://key:secret@bucket/a": None,
    "s3://bucket:80/a": None,
    "s3://bucket/a//b": None,
    "s3://bucket/../b": None,
    "s3://bucket/a/.": None,
    "s3://bucket/ü": None,
    "s3://bucket/a b": None,
    "s3://bucket/a?b": None,
    "s3://bucket/a#b": None,
    "relative": None,
    "https://example.com/": None,
}


@pytest.mark.parametrize(
    ("url", "expected"), STORAGE_URLS.items(), ids=[f"E21 {url}" for url in STORAGE_URLS]
)
def test_banners_storage_url_is_a_folder_or_a_bucket(
    url: str, expected: str | StorageBucket | None
) -> None:
    environment = {**BUCKET_ACCESS, "BANNERS_STORAGE_URL": url}
    if expected is None:
        with pytest.raises(InvalidSettings, match="BANNERS_STORAGE_URL") as error_info:
            Settings.from_environment(environment)
        assert "secret" not in str(error_info.value).replace("may be a secret", "")
        return
    location = Path(expected) if isinstance(expected, str) else expected
    assert Settings.from_environment(environment).banners_storage_url == location


def test_storage_bucket_is_shown_as_its_url() -> None:
    assert str(StorageBucket("bucket", "a/b")) == "s3://bucket/a/b"
    assert str(StorageBucket("bucket", "")) == "s3://bucket"


ROLE = {
    "AWS_REGION": "eu-central-1",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/run/token",
    "AWS_ROLE_ARN": "arn:aws:iam::1:role/banners",
}
BUCKET_PROBLEMS: dict[str, tuple[Mapping[str, str], list[str]]] = {
    "nothing": ({}, ["AWS_REGION is missing", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are"]),
    "everything": (BUCKET_ACCESS, []),
    "a role": (ROLE, []),
    "the other name of the region": ({**ROLE, "AWS_REGION": "", "AWS_DEFAULT_REGION": "r"}, []),
    "an own server": ({**BUCKET_ACCESS, "AWS_REGION": "", "AWS_ENDPOINT_URL": "https://s"}, []),
    "its other name": ({**BUCKET_ACCESS, "AWS_REGION": "", "AWS_ENDPOINT_URL_S3": "https://s"}, []),
    "no secret": ({**BUCKET_ACCESS, "AWS_SECRET_ACCESS_KEY": ""}, ["AWS_SECRET_ACCESS_KEY is"]),
    "no id": ({**BUCKET_ACCESS, "AWS_ACCESS_KEY_ID": " "}, ["AWS_ACCESS_KEY_ID is missing"]),
    "half a key and a role": ({**ROLE, "AWS_ACCESS_KEY_ID": "k"}, ["AWS_SECRET_ACCESS_KEY is"]),
    "a role without its name": ({**ROLE, "AWS_ROLE_ARN": ""}, ["AWS_ROLE_ARN is missing"]),
    "a pod's identity without its token": (
        {"AWS_REGION": "r", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1"},
        ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE is missing"],
    ),
    "a profile": (
        {"AWS_REGION": "r", "AWS_PROFILE": "banners"},
        ["AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are missing, AWS_PROFILE is not read"],
    ),
    "only a session": ({**ROLE, "AWS_SESSION_TOKEN": "t"}, ["AWS_SESSION_TOKEN is of no use"]),
    "no TLS": (
        {**BUCKET_ACCESS, "AWS_ENDPOINT_URL": "http://minio:9000"},
        ["AWS_ENDPOINT_URL is without TLS"],
    ),
    "no TLS, in capitals": (
        {**BUCKET_ACCESS, "AWS_ENDPOINT_URL": "HTTP://minio:9000"},
        ["AWS_ENDPOINT_URL is without TLS"],
    ),
    "no TLS, as intended": (
        {**BUCKET_ACCESS, "AWS_ENDPOINT_URL": "http://minio:9000", "AWS_ALLOW_HTTP": "true"},
        [],
    ),
    "an invalid server": (
        {"AWS_ENDPOINT_URL": "minio", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "a\x07b"},
        ["AWS_ENDPOINT_URL must be", "AWS_SECRET_ACCESS_KEY must be one line"],
    ),
}


@pytest.mark.parametrize(
    ("variables", "expected"), BUCKET_PROBLEMS.values(), ids=list(BUCKET_PROBLEMS)
)
@pytest.mark.parametrize("service", [ServiceName.ALL_IN_ONE, ServiceName.STORAGE])
def test_bucket_access_is_checked_with_the_other_settings(
    variables: Mapping[str, str], expected: list[str], service: ServiceName
) -> None:
    environment = {**variables, "BANNERS_STORAGE_URL": "s3://bucket/banners"}
    if not expected:
        Settings.from_environment(environment, service=service)
    with pytest.raises(InvalidSettings) as error_info:
        Settings.from_environment({**environment, "PGPORT": "x"}, service=service)
    problems = [problem for problem in error_info.value.problems if "PGPORT" not in problem]
    assert len(problems) == len(expected)
    assert all(map(str.startswith, problems, expected)), problems
    assert BUCKET_ACCESS["AWS_SECRET_ACCESS_KEY"] not in str(error_info.value)


def test_bucket_access_is_not_needed_without_a_bucket_or_by_other_services() -> None:
    Settings.from_environment({"AWS_ACCESS_KEY_ID": "k", "AWS_ENDPOINT_URL": "http://minio:9000"})
    bucket = {**API, "BANNERS_STORAGE_URL": "s3://bucket/banners"}
    Settings.from_environment(bucket, service=ServiceName.API)


def test_bucket_secrets_are_read_from_files(tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        (tmp_path / name).write_text(f"value of {name}\n")
    environment = {f"{path.name}_FILE": str(path) for path in tmp_path.iterdir()}
    settings = Settings.from_environment(
        {**environment, "AWS_REGION": "r", "BANNERS_STORAGE_URL": "s3://bucket"}
    )
    assert settings.aws_secret_access_key == Secret("value of AWS_SECRET_ACCESS_KEY")
    assert settings.aws_session_token == Secret("value of AWS_SESSION_TOKEN")
    assert "value of" not in repr(settings)


def test_find_warnings_synonym_with_the_same_value_is_no_mistake() -> None:
    regions = {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}
    assert find_warnings(regions, Settings(), service=ServiceName.ALL_IN_ONE) == []
    other = {**regions, "AWS_DEFAULT_REGION": "us-east-1"}
    (warning,) = find_warnings(other, Settings(), service=ServiceName.ALL_IN_ONE)
    assert warning == "AWS_DEFAULT_REGION is ignored because AWS_REGION is set"
