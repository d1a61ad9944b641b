"""Checks of the files for Docker that need no engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from github_banners.drawing import explain
from github_banners.errors import InvalidSettings, Unavailable
from github_banners.options import BannerOptions, Theme
from github_banners.settings import VARIABLES, ServiceName, Settings
from tests.unit.env_file import read_variables

CHECKOUT = Path(__file__).parents[2]
COMPOSE = CHECKOUT / "docker-compose.yaml"
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()
REQUIREMENTS = CHECKOUT / "requirements-otel.txt"
OURS = ("api", "renderer", "storage", "migrate", "sandbox")


FILE: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SERVICES = FILE["services"]
ZOOKEEPER: dict[str, Any] = yaml.safe_load(
    (CHECKOUT / "deploy/compose.zookeeper.yaml").read_text().replace("!override", "")
)


def test_compose_has_all_services() -> None:
    assert SERVICES.keys() >= {"api", "api-psgr", "renderer", "storage", "kafka", "gateway"}
    assert SERVICES["sandbox"]["profiles"] == ["demo"]
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["gateway"]


@pytest.mark.parametrize("name", OURS)
def test_own_containers_are_read_only(name: str) -> None:
    assert SERVICES[name]["read_only"]
    assert SERVICES[name]["image"] == "github-banners"


@pytest.mark.parametrize("name", SERVICES)
def test_container_has_no_capabilities(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_zookeeper_has_no_capabilities() -> None:
    zookeeper = ZOOKEEPER["services"]["zookeeper"]
    assert zookeeper["cap_drop"] == ["ALL"]
    assert zookeeper["security_opt"] == ["no-new-privileges:true"]
    assert zookeeper["pids_limit"]


IMAGES = {service["image"] for service in SERVICES.values()} - {"github-banners"}
IMAGES |= set(re.findall(r"^FROM (\S+)", (CHECKOUT / "Dockerfile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("image", sorted(IMAGES))
def test_image_pins_its_operating_system(image: str) -> None:
    # Kafka's images have no variants: each version is built once.
    assert re.fullmatch(r"[\w/]+:[\w.-]+-bookworm|apache/kafka:\d+\.\d+\.\d+", image)


@pytest.mark.parametrize("name", SERVICES)
def test_container_has_limits_and_restarts(name: str) -> None:
    assert SERVICES[name]["mem_limit"]
    assert SERVICES[name]["pids_limit"]
    assert SERVICES[name]["restart"] == ("no" if name == "migrate" else "unless-stopped")


@pytest.mark.parametrize("name", ["renderer", "storage", "sandbox"])
def test_secrets_of_the_api_are_unset_in_other_services(name: str) -> None:
    environment = SERVICES[name]["environment"]
    secrets = ("GITHUB_TOKENS", "POSTGRES_PASSWORD")
    assert [environment[f"{secret}{end}"] for secret in secrets for end in ("", "_FILE")] == [
        ""
    ] * 4


@pytest.mark.parametrize("name", ["api-psgr", "sandbox"])
def test_secrets_of_the_services_are_unset_in_other_containers(name: str) -> None:
    secrets = ("SERVICES_SECRET_KEY", "SERVICES_SECRET_KEY_PREVIOUS", "OTEL_EXPORTER_OTLP_HEADERS")
    assert {SERVICES[name]["environment"][secret] for secret in secrets} == {""}


@pytest.mark.parametrize("name", ["renderer", "storage", "migrate"])
def test_files_of_users_are_read_by_the_api_only(name: str) -> None:
    # They are mounted into its container alone, and a missing file is an error.
    variables = SERVICES[name]["environment"]
    assert (variables["ALLOWED_USERS_FILE"], variables["DENIED_USERS_FILE"]) == ("", "")


def test_internal_services_have_no_route_to_the_internet() -> None:
    assert FILE["networks"]["back"] == {"internal": True}
    for name in ("renderer", "storage", "kafka", "api-psgr", "migrate"):
        assert SERVICES[name]["networks"] == ["back"]


def test_example_variables_are_valid_settings() -> None:
    environment = read_variables(CHECKOUT / "api/.env.example")
    assert environment.keys() <= VARIABLES.keys()
    assert read_variables(CHECKOUT / ".env.example")["API_INTERNAL_SERVER_PORT"] == "80"
    environment |= read_variables(CHECKOUT / "deploy/defaults.env")
    usable = {**environment, "SERVICES_SECRET_KEY": "0f1e2d3c4b5a", "HOST": "0.0.0.0"}  # noqa: S104
    for service in (
        ServiceName.API,
        ServiceName.RENDERER,
        ServiceName.STORAGE,
        ServiceName.MIGRATE,
    ):
        Settings.from_environment(usable, service=service)
        with pytest.raises(InvalidSettings, match="make secrets"):
            Settings.from_environment({**environment, "HOST": "0.0.0.0"}, service=service)  # noqa: S104


def test_image_pins_all_packages_and_runs_without_root() -> None:
    pinned = REQUIREMENTS.read_text()
    assert [line for line in pinned.splitlines() if line[:1].isalpha() and "==" not in line] == []
    assert "--require-hashes" in DOCKERFILE
    assert re.search(r"^USER \d+", DOCKERFILE, re.MULTILINE)
    assert "# syntax=" not in DOCKERFILE


def test_image_names_no_architecture() -> None:
    assert re.findall(r"(?i)amd64|x86|arm|aarch|--platform|TARGETARCH", DOCKERFILE) == []


def test_picture_of_the_gateway_equals_our_explanation() -> None:
    drawn = explain(Unavailable(), options=BannerOptions(theme=Theme.AUTO), host="")
    file = CHECKOUT / "deploy/nginx/unavailable.svg"
    assert file.read_bytes() == drawn, "write the bytes of `drawn` into the file"
