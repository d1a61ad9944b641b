"""
Files that tests use and that are no part of the repository, found through one environment variable.

`BANNERS_TEST_RESOURCES` names a folder with GitHub's recorded responses, GitHub's GraphQL schema
and scripts that run Apache Kafka and an S3 server. Tests that need a missing file are skipped.
"""

import os
from pathlib import Path

import pytest

VARIABLE = "BANNERS_TEST_RESOURCES"
# Nothing exists below the null device, so that a path is missing if the variable is not set.
_FOLDER = Path(os.environ.get(VARIABLE) or os.devnull).absolute()

RECORDINGS = _FOLDER / "github-recordings"
GRAPHQL_SCHEMA = _FOLDER / "github" / "schema.graphql"
KAFKA_LOCAL = _FOLDER / "kafka" / "kafka-local"
S3_LOCAL = _FOLDER / "s3" / "s3-local"


def explain_missing(path: Path) -> str:
    """Return why a resource is not there, as the reason of a skipped test."""
    if not os.environ.get(VARIABLE):
        return f"{VARIABLE} is not set"
    return f"{path.relative_to(_FOLDER)} is not in {VARIABLE}"


needs_recordings = pytest.mark.skipif(not RECORDINGS.is_dir(), reason=explain_missing(RECORDINGS))
needs_graphql_schema = pytest.mark.skipif(
    not GRAPHQL_SCHEMA.is_file(), reason=explain_missing(GRAPHQL_SCHEMA)
)
