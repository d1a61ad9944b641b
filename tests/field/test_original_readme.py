"""
The contract in the README of the original Go program; docs/deviations.md lists the differences.

Each test checks a part: settings, sample `.env` files, endpoints, tables, services, ports, commands.
"""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from github_banners.errors import InvalidSettings
from github_banners.settings import ServiceName, Settings
from tests.unit.api.listed import api_routes

CHECKOUT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())
ZOOKEEPER = (CHECKOUT / "deploy/compose.zookeeper.yaml").read_text().replace("!override", "")

ROOT_SAMPLE = """
API_INTERNAL_SERVER_PORT=80
"""
API_SAMPLE = """
# CORS
CORS_ORIGINS=example.com,www.example.com

# GitHub tokens (comma-separated for load balancing)
GITHUB_TOKENS=ghp_token1,ghp_token2

# Rate limiting & Cache
RATE_LIMIT_RPS=10
CACHE_TTL=5m
REQUEST_TIMEOUT=10s

# Logging
LOG_LEVEL=DEBUG
LOG_FORMAT=json

# Service authentication
SERVICES_SECRET_KEY=your_secret_key

# PostgreSQL
POSTGRES_USER=github_banners
POSTGRES_PASSWORD=your_secure_password
POSTGRES_DB=github_banners
DB_HOST=api-psgr
PGPORT=5432
"""


def read_env(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))


COMPOSE_DEFAULTS = read_env((CHECKOUT / "deploy/defaults.env").read_text())


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("PORT", "8080"),
        ("CORS_ORIGINS", "*"),
        ("RATE_LIMIT_RPS", "10"),
        ("CACHE_TTL", "5m"),
        ("REQUEST_TIMEOUT", "10s"),
        ("LOG_LEVEL", "info"),
        ("LOG_FORMAT", "json"),
    ],
)
def test_setting_has_documented_default(name: str, default: str) -> None:
    assert Settings.from_environment({name: default}) == Settings.from_environment({}) == Settings()


@pytest.mark.parametrize(
    "text", ["debug", "info", "warn", "error", "DEBUG", "INFO", "WARN", "ERROR"]
)
def test_log_level_is_read_in_any_case(text: str) -> None:
    level = {"warn": "warning"}.get(text.lower(), text.lower())
    assert Settings.from_environment({"LOG_LEVEL": text}).log_level == level


@pytest.mark.parametrize("text", ["json", "text"])
def test_log_format_is_read(text: str) -> None:
    assert Settings.from_environment({"LOG_FORMAT": text}).log_format == text


@pytest.mark.parametrize("key", ["1234", "your_secret_key"])
@pytest.mark.parametrize(
    "service", [ServiceName.API, ServiceName.RENDERER, ServiceName.STORAGE, ServiceName.MIGRATE]
)
def test_sample_environment_is_refused_only_for_its_secret(service: ServiceName, key: str) -> None:
    sample = read_env(API_SAMPLE) | {"SERVICES_SECRET_KEY": key, "HOST": "0.0.0.0"}  # noqa: S104
    with pytest.raises(InvalidSettings) as refused:
        Settings.from_environment(COMPOSE_DEFAULTS | sample, service=service)
    (problem,) = refused.value.problems
    assert problem == (
        "SERVICES_SECRET_KEY is a well-known secret, and other machines can reach 0.0.0.0:"
        " make one with `openssl rand -hex 32` or `make secrets`"
    )


def test_sample_environment_with_own_secret_is_accepted() -> None:
    sample = read_env(API_SAMPLE) | {"HOST": "0.0.0.0"}  # noqa: S104
    sample["SERVICES_SECRET_KEY"] = "6f1ed002ab5595859014ebf0951522d9"
    settings = Settings.from_environment(COMPOSE_DEFAULTS | sample, service=ServiceName.API)
    assert settings.cors_origins == ("example.com", "www.example.com")
    assert [token.reveal() for token in settings.github_tokens] == ["ghp_token1", "ghp_token2"]
    assert settings.log_level == "debug"
    assert settings.database_address == "api-psgr:5432"


def test_root_sample_environment_is_used_by_compose() -> None:
    name, port = ROOT_SAMPLE.strip().split("=")
    for service in ("gateway", "api"):
        assert f"${{{name}:-{port}}}" in COMPOSE["services"][service]["environment"].values()


@pytest.mark.parametrize(
    "name",
    ["GITHUB_TOKENS", "SERVICES_SECRET_KEY", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB",
     "DB_HOST", "PGPORT"],
)  # fmt: skip
def test_setting_without_default_is_read(name: str) -> None:
    assert Settings.from_environment({name: "6543"}) != Settings()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/banners/preview"), ("POST", "/banners"), ("GET", "/banners/{name}")],
)
def test_documented_endpoint_exists(method: str, path: str) -> None:
    assert any(route.path == path and method in (route.methods or ()) for route in api_routes())


@pytest.mark.parametrize("table", ["users", "repositories", "banners"])
def test_documented_table_exists(table: str) -> None:
    versions = CHECKOUT / "src/github_banners/database/migrations/versions"
    sources = "".join(path.read_text() for path in versions.glob("*.py"))
    assert re.search(rf"create table {table}\b", sources)


@pytest.mark.parametrize("service", ["api", "api-psgr", "renderer", "storage", "kafka"])
def test_documented_service_exists(service: str) -> None:
    assert service in COMPOSE["services"]


def test_kafka_and_postgresql_listen_on_their_ports() -> None:
    assert COMPOSE_DEFAULTS["PGPORT"] == "5432"
    assert COMPOSE_DEFAULTS["KAFKA_BROKERS_ADDRS"] == "kafka:9092"
    assert "PLAINTEXT://:9092" in COMPOSE["services"]["kafka"]["environment"]["KAFKA_LISTENERS"]


def test_gateway_publishes_port_80() -> None:
    assert COMPOSE["services"]["gateway"]["ports"] == ["${GATEWAY_PORT:-80}:8080"]


def test_zookeeper_is_a_compose_override() -> None:
    services = yaml.safe_load(ZOOKEEPER)["services"]
    assert services["zookeeper"]["environment"]["ZOOKEEPER_CLIENT_PORT"] == 2181
    assert services["kafka"]["environment"]["KAFKA_ZOOKEEPER_CONNECT"] == "zookeeper:2181"


def test_run_tests_is_executable() -> None:
    script = CHECKOUT / "run_tests.sh"
    assert os.access(script, os.X_OK)
    assert b"\r" not in script.read_bytes()


def test_ttl_defaults_match_caching_strategy() -> None:
    assert Settings.from_environment({"SOFT_TTL": "10m", "HARD_TTL": "24h"}) == Settings()
