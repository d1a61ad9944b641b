"""The schema is a part of GitHub's own."""

from importlib.resources import files

import pytest
from graphql import GraphQLSchema, build_schema, find_breaking_changes

from github_sandbox.resolvers import load_schema
from tests.resources import GRAPHQL_SCHEMA, needs_graphql_schema

pytestmark = needs_graphql_schema


@pytest.fixture(scope="module")
def github() -> GraphQLSchema:
    # The published schema does not pass the checks of schemas.
    text = GRAPHQL_SCHEMA.read_text(encoding="utf-8")
    return build_schema(text, assume_valid=True, assume_valid_sdl=True, no_location=True)


def test_every_client_of_the_sandbox_can_use_github(github: GraphQLSchema) -> None:
    assert find_breaking_changes(load_schema(), github) == []


@pytest.mark.parametrize(
    ("ours", "changed"),
    [
        ("weekday: Int!", "weekday: String!"),
        ("totalSize: Int!", "totalBytes: Int!"),
        ("followRenames: Boolean = true", "follow: Boolean = true"),
        ("FOURTH_QUARTILE", "FIFTH_QUARTILE"),
    ],
)
def test_schema_with_a_difference_is_noticed(
    github: GraphQLSchema, ours: str, changed: str
) -> None:
    text = files("github_sandbox").joinpath("schema.graphql").read_text("utf-8")
    assert ours in text
    assert find_breaking_changes(build_schema(text.replace(ours, changed)), github)
