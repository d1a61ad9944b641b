"""A GitHub and a service, each a process of its own, shared by the tests of one file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import Running, environment, reachable_dir, running

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "github-recordings"


@pytest.fixture(scope="module")
def github() -> Iterator[Running]:
    options = ["--recordings", str(RECORDINGS)] if RECORDINGS.is_dir() else []
    with running("sandbox", "--port", "0", *options) as sandbox:
        yield sandbox


@pytest.fixture(scope="module", params=["rest", "graphql"])
def service(request: pytest.FixtureRequest, github: Running) -> Iterator[Running]:
    """The service with and without a token: everything must look the same from outside."""
    tokens = {"GITHUB_TOKENS": "ghp_sandbox"} if request.param == "graphql" else {}
    with reachable_dir() as folder:
        env = environment(
            PORT="0",
            DATA_DIR=str(folder),
            GITHUB_API_URL=github.url,
            RATE_LIMIT_RPS="1000",
            LOG_FORMAT="json",
            **tokens,
        )
        with running("serve", env=env) as served:
            yield served
