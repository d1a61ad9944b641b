"""The OpenAPI document agrees with the routes, the options and the responses."""

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis
from hypothesis import example, given
from hypothesis import strategies as st

from github_banners import errors
from github_banners.api.banner_responses import numbers_response
from github_banners.api.openapi import Numbers, build_document, option_schema
from github_banners.api.public_routes import FORMATS
from github_banners.errors import BannersError, InvalidInput
from github_banners.models import Owner, Snapshot, Stats
from github_banners.options import (
    CARDS,
    OPTIONS,
    BannerOptions,
    CompatibleCard,
    CountBy,
    Layout,
    ShownNumber,
    allowed_values,
    parse_login,
    parse_options,
)
from github_banners.serving.framework import error_response
from tests.snapshots import make_snapshot
from tests.unit.api.listed import api_routes

# The paths of the pages and their files, which are no part of the API.
PAGES = {"/", "/page/{name}", "/docs", "/docs/openapi.json", "/docs/{name}"}
DOCUMENT = build_document(formats=FORMATS, version="1.2.3")
PREVIEW = DOCUMENT["paths"]["/banners/preview"]["get"]
CREATE = DOCUMENT["paths"]["/banners"]["post"]
GET_BANNER = DOCUMENT["paths"]["/banners/{name}"]["get"]
REQUEST_PROPERTIES = CREATE["requestBody"]["content"]["application/json"]["schema"]["properties"]
PARAMETERS = {parameter["name"]: parameter for parameter in PREVIEW["parameters"]}
EDGES: dict[str, tuple[list[object], list[object]]] = {
    "langs_count": (["1", "10", 10], ["0", "11", 11]),
    "radius": (["0", "20", 0], ["21", -1]),
    "title": (["", "x" * 64], ["x" * 65]),
    "repo": (["Linux", "torvalds/linux", ".github", "x" * 100], ["..", "a b", "a/..", "x" * 101]),
    "bg_color": (["abc", "#ABCD", "12345678"], ["ab", "12345", "abcdefg"]),
}


def accepts(name: str, value: object) -> bool:
    """Return whether the parser accepts a value of an option; one layout needs a repository."""
    try:
        parse_options({"repo": "linux", name: value})
    except InvalidInput:
        return False
    return True


def error_schema(operation: dict[str, Any], status: int) -> Any:
    return operation["responses"][str(status)]["content"]["application/json"]["schema"]


def test_document_is_valid_openapi() -> None:
    schemathesis.openapi.from_dict(build_document(formats=FORMATS, version="1.2.3")).validate()


def test_document_paths_equal_routes() -> None:
    described = {
        (method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item
    }
    routes = {
        (method, route.path)
        for route in api_routes()
        if route.path not in PAGES
        for method in route.methods or ()
    }
    # The URLs of other services have no routes: a middleware turns them into those of previews.
    translated = {("GET", card.path) for card in CARDS if card.is_served}
    # HEAD is described once, in the introduction.
    assert described == {(method, path) for method, path in routes if method != "HEAD"} | translated
    assert {path for method, path in routes if method == "HEAD"} == {
        path for method, path in routes if method == "GET"
    }


@pytest.mark.parametrize("name", OPTIONS)
def test_option_schema_has_values_and_default(name: str) -> None:
    schema = option_schema(name)
    assert REQUEST_PROPERTIES[name] == schema
    parameter = PARAMETERS[name]
    assert parameter["in"] == "query"
    assert parameter["required"] is False
    assert parameter["schema"] == {k: v for k, v in schema.items() if k != "description"}
    field = next(f for f in msgspec.structs.fields(BannerOptions) if f.encode_name == name)
    assert schema.get("default") == (json.loads(json.dumps(field.default)))
    values = schema.get("enum") or schema.get("items", {}).get("enum")
    if values is not None:
        assert values == list(allowed_values(name))
        assert all(accepts(name, value) for value in values)


@pytest.mark.parametrize("name", EDGES)
def test_option_schema_bounds_equal_the_parser(name: str) -> None:
    valid, invalid = EDGES[name]
    is_text = option_schema(name)["type"] == "string"
    validator = jsonschema_rs.validator_for(option_schema(name))
    for values, is_valid in ((valid, True), (invalid, False)):
        for value in values:
            assert accepts(name, value) is is_valid
            assert validator.is_valid(value if is_text else int(str(value))) is is_valid


@pytest.mark.parametrize("card", [card for card in CARDS if card.is_served], ids=lambda c: c.path)
def test_document_describes_every_parameter_of_other_services(card: CompatibleCard) -> None:
    parameters = DOCUMENT["paths"][card.path]["get"]["parameters"]
    assert [described["name"] for described in parameters] == [
        parameter.name for parameter in card.parameters
    ]
    for described, parameter in zip(parameters, card.parameters, strict=True):
        assert all(f"`{option}`" in described["description"] for option in parameter.options)
    required = {described["name"] for described in parameters if described["required"]}
    assert required == {"/": set(), "/api/pin": {"username", "repo"}}.get(card.path, {"username"})


def test_document_parameter_description_names_alias() -> None:
    assert "`theme`" in PARAMETERS["type"]["description"]


@given(st.text(st.sampled_from("aZ09-_ .é\n"), max_size=45))
@example("a" * 39)
@example("a" * 40)
@example("a-b_c")
@example("a--b")
@example("a\n")
def test_username_schema_equals_the_parser(login: str) -> None:
    try:
        is_accepted = parse_login(login) == login
    except InvalidInput:
        is_accepted = False
    validator = jsonschema_rs.validator_for(PARAMETERS["username"]["schema"])
    assert validator.is_valid(login) is is_accepted
    assert REQUEST_PROPERTIES["username"]["pattern"] == PARAMETERS["username"]["schema"]["pattern"]


def test_numbers_response_matches_schema() -> None:
    owner = Owner(1, "wycats", None, None)
    stats = Stats(3, 2, 1, 5, 7, {"Ruby": 2})
    snapshot = Snapshot(owner, stats, datetime(2026, 11, 20, tzinfo=UTC))
    sent = numbers_response(snapshot, BannerOptions(), is_stale=True).body
    assert msgspec.json.decode(sent, type=Numbers).stats == stats
    reference = PREVIEW["responses"]["200"]["content"]["application/json"]["schema"]
    schemas = {"components": DOCUMENT["components"], **reference}
    assert jsonschema_rs.is_valid(schemas, msgspec.json.decode(sent))


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (BannerOptions(layout=Layout.ACTIVITY), {"activity", "contribution_access"}),
        (BannerOptions(layout=Layout.REPOSITORY, repo="x"), {"repository"}),
        (BannerOptions(show=(ShownNumber.FOLLOWERS,)), {"followers"}),
        (BannerOptions(count_by=CountBy.BYTES), {"language_sizes"}),
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
def test_numbers_response_has_what_the_banner_shows(
    options: BannerOptions, fields: set[str], is_known: bool
) -> None:
    snapshot = Snapshot(Owner(1, "a"), Stats(0, 0, 0, 0, 0, {}), datetime.now(UTC))
    if is_known:
        snapshot = msgspec.structs.replace(
            make_snapshot(), followers=3, language_sizes={"C": 7, "": 2}
        )
    sent = msgspec.json.decode(numbers_response(snapshot, options, is_stale=False).body)
    assert sent.keys() >= fields
    assert all((sent[field] is not None) is is_known for field in fields - {"contribution_access"})
    reference = PREVIEW["responses"]["200"]["content"]["application/json"]["schema"]
    schemas = {"components": DOCUMENT["components"], **reference}
    assert jsonschema_rs.is_valid(schemas, sent)


def test_unknown_options_match_schema() -> None:
    unknown = {"layuot": "layout"}
    snapshot = Snapshot(Owner(1, "a", None, None), Stats(0, 0, 0, 0, 0, {}), datetime.now(UTC))
    sent = numbers_response(snapshot, BannerOptions(), is_stale=False, unknown=unknown).body
    assert msgspec.json.decode(sent, type=Numbers).unknown == unknown
    reference = PREVIEW["responses"]["200"]["content"]["application/json"]["schema"]
    schemas = {"components": DOCUMENT["components"], **reference}
    assert jsonschema_rs.is_valid(schemas, msgspec.json.decode(sent))
    problem = error_response(errors.InvalidOption("radius", "x", ("0 to 20",)), unknown=unknown)
    assert jsonschema_rs.is_valid(error_schema(CREATE, 400), msgspec.json.decode(problem.body))


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidType("type", "x", ("dark",)),
        errors.InvalidOption("radius", "x", ("0 to 20",)),
        errors.UserNotServed("nobody"),
        errors.UnknownUser("nobody"),
        errors.UnknownRepository("linus"),
        errors.ContributionsHidden("nobody"),
        errors.NoContributions("github"),
        errors.TokenRequired(),
        errors.TooManyRequests(3),
        errors.FetchPending("somebody"),
        errors.Overloaded(),
        errors.GitHubUnavailable(),
        errors.DatabaseUnavailable(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_response_matches_schema(error: BannersError) -> None:
    sent = error_response(error)
    for operation in (PREVIEW, CREATE):
        problem = msgspec.json.decode(sent.body)
        assert jsonschema_rs.is_valid(error_schema(operation, error.status), problem)
        described = set(error_schema(operation, error.status)["properties"])
        assert described - {"suggestion", "unknown"} == set(problem) - {"suggestion"}
        assert set(problem) <= described
        headers = operation["responses"][str(error.status)]["headers"]
        assert {name.lower() for name in headers} <= set(sent.headers)
        assert ("Retry-After" in headers) is ("retry-after" in sent.headers)


def test_too_many_banners_response_matches_schema() -> None:
    problem = msgspec.json.decode(error_response(errors.TooManyBanners()).body)
    assert problem == {"error": "too many banners"}
    assert jsonschema_rs.is_valid(error_schema(CREATE, 409), problem)


@pytest.mark.parametrize(
    "error",
    [
        errors.UserNotServed("x"),
        errors.UnknownBanner("x"),
        errors.UnknownRepository("linus", "linux"),
        errors.ContributionsHidden("x"),
        errors.NoContributions("github"),
        errors.TokenRequired(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_permanent_banner_error_response_matches_schema(error: BannersError) -> None:
    problem = msgspec.json.decode(error_response(error).body)
    assert jsonschema_rs.is_valid(error_schema(GET_BANNER, error.status), problem)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layout": "repository"},
        {"layout": "repository", "repo": "linux"},
        {"repo": "linux"},
        {"show": ["stars", "forks", "issues"]},
        {"show": ["stars", "forks", "issues", "reviews"]},
        {"layout": "compact", "show": ["stars", "forks", "issues", "reviews"]},
        {"layout": "card", "show": [*allowed_values("show")][:6]},
        {"layout": "card", "show": [*allowed_values("show")][:7]},
        {"layout": "languages", "show": [*allowed_values("show")]},
    ],
)
def test_request_schema_requirements_of_layouts_equal_the_parser(options: dict[str, Any]) -> None:
    body = CREATE["requestBody"]["content"]["application/json"]["schema"]
    try:
        is_accepted = parse_options(options) is not None
    except InvalidInput:
        is_accepted = False
    assert jsonschema_rs.is_valid(body, {"username": "ada", **options}) is is_accepted


def test_document_says_which_layouts_have_show_and_repo() -> None:
    description = DOCUMENT["info"]["description"]
    for text in ("`show`", "`repo` is required in the layout `repository`", "GitHub token"):
        assert text in description
    assert PARAMETERS["show"]["schema"]["default"] == ["stars", "forks", "repositories"]
    assert "default" not in PARAMETERS["repo"]["schema"]


def test_build_document_lists_given_formats() -> None:
    document = build_document(formats=("svg", "png", "json"), version="1")
    preview = document["paths"]["/banners/preview"]["get"]
    assert "image/png" in preview["responses"]["200"]["content"]
    assert "`.png`" in document["paths"]["/banners/{name}"]["get"]["description"]
