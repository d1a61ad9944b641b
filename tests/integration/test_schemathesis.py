"""The running service keeps to its OpenAPI document, whatever it is asked."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from github_banners import __version__
from github_banners.api.openapi import describe
from github_banners.api.routes import FORMATS
from tests.acceptance.processes import Running, environment, reachable_dir, running

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]

DOCUMENT = describe(formats=FORMATS, version=__version__)
schema = schemathesis.openapi.from_dict(DOCUMENT)


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
            yield served


@schema.parametrize()
@settings(
    derandomize=False,
    deadline=None,
    max_examples=400,
    suppress_health_check=list(HealthCheck),
)
def test_the_service_keeps_to_its_document(case, service):
    case.call_and_validate(base_url=service.url)
