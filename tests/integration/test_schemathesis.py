"""The running service keeps to its OpenAPI document, whatever it is asked."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import settings
from schemathesis.specs.openapi.checks import negative_data_rejection

from github_banners import __version__
from github_banners.api.openapi import build_document
from github_banners.api.public_routes import FORMATS
from github_banners.errors import InvalidInput
from github_banners.options import parse_options
from tests.acceptance.processes import Running, environment, reachable_dir, running

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]

PEOPLE = ["mia-maintains", "NELL-newcomer", "nobody-of-this-name"]
NAMES = ["mia-maintains-default", "MIA-maintains-default.svg", "mia-maintains-default.json"]


def asking_about(document: dict[str, Any]) -> dict[str, Any]:
    """The document, for a world where hardly any name that can be invented is somebody's."""
    preview = document["paths"]["/banners/preview"]["get"]["parameters"][0]
    permanent = document["paths"]["/banners/{name}"]["get"]["parameters"][0]
    made = document["paths"]["/banners"]["post"]["requestBody"]["content"]["application/json"]
    for known, described in ((PEOPLE, preview), (NAMES, permanent)):
        described["schema"] = {"type": "string", "enum": known}
        described["example"] = known[0]
    made["schema"]["properties"]["username"] = preview["schema"]
    return document


schema = schemathesis.openapi.from_dict(
    asking_about(build_document(formats=FORMATS, version=__version__))
)


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with reachable_dir() as folder:
        env = environment(
            PORT="0",
            DATA_DIR=str(folder),
            # Enough for every invented name: neither our share nor GitHub's ration is the question.
            RATE_LIMIT_RPS="100000",
            GITHUB_TOKENS="ghp_sandbox",
        )
        with running("serve", "--demo", env=env) as served:
            wish = {"username": PEOPLE[0]}
            assert httpx2.post(served.url + "/banners", json=wish, timeout=15).status_code == 201
            yield served


def asks_for_picture(case: Any) -> bool:
    """Whether an error is drawn, with status 200."""
    return str((case.query or {}).get("format")).strip().lower() in {"svg", "png"}


def is_understood(case: Any) -> bool:
    """Whether the parser takes what the document does not promise: `0` for `false`, other cases."""
    wishes = case.body if isinstance(case.body, dict) else case.query
    try:
        parse_options(json.loads(json.dumps(wishes)))
    except InvalidInput:
        return False
    return True


@schema.parametrize()
@settings(derandomize=True, deadline=None, max_examples=100)
def test_the_service_keeps_to_its_document(case, service):
    is_excused = asks_for_picture(case) or is_understood(case)
    too_strict = [negative_data_rejection] if is_excused else []
    case.call_and_validate(base_url=service.url, excluded_checks=too_strict)


def test_a_whole_number_may_have_a_point(service: Running) -> None:
    urls = {
        httpx2.post(
            service.url + "/banners", json={"username": PEOPLE[0], "radius": radius}, timeout=15
        ).json()["url"]
        for radius in (17, 17.0, "17")
    }
    assert len(urls) == 1


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/banners/" + NAMES[0]])
def test_head_works_wherever_get_does(service: Running, path: str) -> None:
    answer = httpx2.head(service.url + path, timeout=15)
    assert (answer.status_code, answer.content) == (200, b"")
