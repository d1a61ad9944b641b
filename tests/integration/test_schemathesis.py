"""The running service conforms to its OpenAPI document."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import settings
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

from github_banners import __version__
from github_banners.api.openapi import build_document
from github_banners.api.public_routes import FORMATS
from github_banners.errors import InvalidInput
from github_banners.options import CARDS, parse_options
from tests.acceptance.processes import Running, environment, prepared_data_dir, running

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]

PEOPLE = ["mia-maintains", "NELL-newcomer", "nobody-of-this-name"]
TRANSLATED = [card.path for card in CARDS if card.is_served]
NAMES = ["mia-maintains-default", "MIA-maintains-default.svg", "mia-maintains-default.json"]


def with_known_names(document: dict[str, Any]) -> dict[str, Any]:
    """Restrict names in the document to a few: hardly any generated name would exist."""
    preview = document["paths"]["/banners/preview"]["get"]["parameters"][0]
    permanent = document["paths"]["/banners/{name}"]["get"]["parameters"][0]
    create_body = document["paths"]["/banners"]["post"]["requestBody"]["content"][
        "application/json"
    ]
    for values, parameter in ((PEOPLE, preview), (NAMES, permanent)):
        parameter["schema"] = {"type": "string", "enum": values}
        parameter["example"] = values[0]
    create_body["schema"]["properties"]["username"] = preview["schema"]
    for path in TRANSLATED:
        for parameter in document["paths"][path]["get"]["parameters"]:
            if parameter["name"] in {"username", "user"}:
                parameter["schema"] = preview["schema"]
    return document


schema = schemathesis.openapi.from_dict(
    with_known_names(build_document(formats=FORMATS, version=__version__))
)


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with prepared_data_dir(demo=True) as folder:
        env = environment(
            PORT="0",
            DATA_DIR=str(folder),
            # High limits: rate limiting is not under test.
            RATE_LIMIT_RPS="100000",
            GITHUB_TOKENS="ghp_sandbox",
        )
        with running("serve", "--demo", env=env) as served:
            body = {"username": PEOPLE[0]}
            assert httpx2.post(served.url + "/banners", json=body, timeout=15).status_code == 201
            yield served


def requests_picture(case: Any) -> bool:
    """Return whether the response to an error is a picture with status 200."""
    return str((case.query or {}).get("format")).strip().lower() in {"svg", "png"}


def is_accepted_by_parser(case: Any) -> bool:
    """Return whether the parser accepts more than the document: `0` for `false`, other cases."""
    options = case.body if isinstance(case.body, dict) else case.query
    try:
        parse_options(json.loads(json.dumps(options)))
    except InvalidInput:
        return False
    return True


def has_conflict(case: Any) -> bool:
    """Return whether valid parameters don't fit together, which no document can say of a query."""
    query = case.query or {}
    try:
        for name, value in query.items():
            parse_options({"layout": "activity", name: value})
    except InvalidInput:
        return False
    return not is_accepted_by_parser(case)


@schema.exclude(path=TRANSLATED).parametrize()
@settings(derandomize=True, deadline=None, max_examples=100)
def test_service_conforms_to_openapi_document(case, service):
    is_excused = requests_picture(case) or is_accepted_by_parser(case)
    excluded_checks = [negative_data_rejection] if is_excused else []
    excluded_checks += [positive_data_acceptance] if has_conflict(case) else []
    case.call_and_validate(base_url=service.url, excluded_checks=excluded_checks)


@schema.include(path=TRANSLATED).parametrize()
@settings(derandomize=True, deadline=None, max_examples=10)
def test_urls_of_other_services_conform_to_openapi_document(case, service):
    # Invalid values become the default.
    case.call_and_validate(base_url=service.url, excluded_checks=[negative_data_rejection])


def test_create_banner_integral_float_equals_integer(service: Running) -> None:
    urls = {
        httpx2.post(
            service.url + "/banners", json={"username": PEOPLE[0], "radius": radius}, timeout=15
        ).json()["url"]
        for radius in (17, 17.0, "17")
    }
    assert len(urls) == 1


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/banners/" + NAMES[0]])
def test_head_returns_200_without_body(service: Running, path: str) -> None:
    response = httpx2.head(service.url + path, timeout=15)
    assert (response.status_code, response.content) == (200, b"")
