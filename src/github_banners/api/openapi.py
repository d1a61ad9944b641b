"""
Builds the OpenAPI 3.1 document of the public API, as plain data.

It is not generated from the signatures of handlers: those read the raw request, so that one parser
serves query, body and command line. The options come from `options.OPTIONS` and the messages of
errors from their classes; a test compares the paths with the routes.
https://spec.openapis.org/oas/v3.1.1.html
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from github_banners.api.banner_page import OPEN_GRAPH_FILE
from github_banners.api.base_path import PREVIEW_PATH
from github_banners.api.openapi_compatibility import build_compatible_paths
from github_banners.api.openapi_responses import (
    RETRYABLE_ERRORS,
    UNKNOWN_OPTIONS,
    JsonSchema,
    error_responses,
    object_schema,
    response_headers,
)
from github_banners.errors import (
    ContributionsHidden,
    InvalidOption,
    InvalidType,
    NoContributions,
    TokenRequired,
    TooManyBanners,
    UnknownBanner,
    UnknownRepository,
    UnknownUser,
    UserNotServed,
)
from github_banners.logins import LOGIN_PATTERN
from github_banners.models import Activity, ContributionAccess, RepositoryDetails, Stats
from github_banners.options import MAX_SHOWN_NUMBERS, OPTIONS, BannerOptions, Layout, allowed_values
from github_banners.serving.media_types import JSON, PNG, SVG

_DESCRIPTION = """\
Live banners with a developer's GitHub statistics.

- `HEAD` works wherever `GET` does.
- Names and values of options are case-insensitive, and an empty value selects the default, except
  that an empty `include` leaves archived repositories out. Unknown names are ignored; JSON responses
  list those that resemble an option as `unknown`.
- `show` takes three names in the layouts `classic` and `compact` and six in `card`, drawn in their
  order; the other layouts ignore it. `repo` is required in the layout `repository`, and ignored in
  the others.
- Commits, pull requests, issues, reviews and contributions, in `show` and in the layout `activity`,
  need a service with a GitHub token. Organisations and private profiles have none.
- Image clients get every error as a drawn explanation with status 200. These are clients whose
  `Accept` has `image/` but not `text/html`, that send `Sec-Fetch-Dest: image`, that request a URL
  ending in `.svg` or `.png` or with such a `format`, and GitHub's image proxy.
- Types accept the names of other services' themes, and locales accept `pt_BR` or `de-AT`.
- PNG has twice the width and height, no animation, and the light variant of types that follow the
  reader's colour scheme. Names in other scripts than Latin, Greek and Cyrillic are drawn in fonts
  of the server; words without a font are drawn as boxes.
  If it can't be drawn in time the response is SVG: check the `Content-Type`.
"""
_CREATE_DESCRIPTION = """\
The same user and options always return the same URL. Options may also be written as in a query:
lists separated by commas, numbers and booleans as text.
"""
_PAGE_DESCRIPTION = """\
A link to it shows the banner in chats and social networks. It has the properties of
https://ogp.me, the banner, and the title and description of its SVG. Image clients get the banner
itself.
"""
_OPEN_GRAPH_DESCRIPTION = """\
The banner, as large as it fits, on a background of 1200 x 630 pixels. Errors are drawn in the same
size, and have status 200.
"""
_MEDIA_TYPES = {"svg": SVG, "png": PNG, "json": JSON}
_REF = "#/components/schemas/{name}"
_USERNAME: JsonSchema = {
    "type": "string",
    "pattern": f"^{LOGIN_PATTERN}$",
    "description": "a GitHub login, case-insensitive",
    "examples": ["torvalds"],
}
_NAME: JsonSchema = {
    "type": "string",
    "description": "the name of a permanent banner, case-insensitive",
    "examples": ["torvalds-dark"],
}
# Some layouts and numbers need more than an existing user.
_DATA_ERRORS = (UnknownRepository, ContributionsHidden, NoContributions, TokenRequired)
_DEFAULTS = {
    field.encode_name: msgspec.json.decode(msgspec.json.encode(field.default))
    for field in msgspec.structs.fields(BannerOptions)
}
_ALIASES = {
    field.encode_name: field.name
    for field in msgspec.structs.fields(BannerOptions)
    if field.name != field.encode_name
}


class Numbers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    An owner's numbers; `stale` if older than the soft TTL, `unknown` lists misspelt options.

    The other fields are there if the banner shows them, and null if they are not known.
    """

    username: str
    display_name: str | None
    stats: Stats
    fetched_at: datetime
    stale: bool
    followers: int | msgspec.UnsetType | None = msgspec.UNSET
    language_sizes: dict[str, int] | msgspec.UnsetType | None = msgspec.UNSET
    activity: Activity | msgspec.UnsetType | None = msgspec.UNSET
    contribution_access: ContributionAccess | msgspec.UnsetType = msgspec.UNSET
    repository: RepositoryDetails | msgspec.UnsetType | None = msgspec.UNSET
    unknown: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


def build_document(*, formats: Sequence[str], version: str, base_path: str = "") -> JsonSchema:
    """
    Build the whole document; `formats` are the formats of banners, the default first.

    `base_path` is the path of the service on its host, "" for the root.
    """
    servers = {"servers": [{"url": base_path}]} if base_path else {}
    _, schemas = msgspec.json.schema_components([Numbers], ref_template=_REF)
    # Defaults of tuples are no JSON.
    schemas = msgspec.json.decode(msgspec.json.encode(schemas))
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "GitHub Banners",
            "version": version,
            "description": _DESCRIPTION,
        },
        **servers,
        "tags": [{"name": "Banners"}, {"name": "Other services"}, {"name": "Health"}],
        "paths": {
            PREVIEW_PATH: {"get": _preview_operation(formats)},
            "/banners/{name}/": {"get": _get_page_operation()},
            f"/banners/{{name}}/{OPEN_GRAPH_FILE}": {"get": _get_open_graph_operation()},
            "/banners": {"post": _create_banner_operation()},
            "/banners/{name}": {"get": _get_banner_operation(formats)},
            **build_compatible_paths(
                {"username": _plain(_USERNAME), "repo": _plain(option_schema("repo"))},
                responses=_preview_operation(formats)["responses"],
            ),
            "/healthz": {"get": _health_operation("alive", "Is the process alive?")},
            "/readyz": {"get": _health_operation("ready", "Can the service serve banners?")},
        },
        "components": {"schemas": schemas},
    }


def option_schema(name: str) -> JsonSchema:
    """Build the JSON Schema of an option; no `default` if the layout or theme chooses it."""
    schema = msgspec.json.schema(OPTIONS[name])
    definitions = schema.pop("$defs", {})
    variants = schema.get("anyOf", [schema])
    schema = next(variant for variant in variants if variant.get("type") != "null")
    values: JsonSchema = {"type": "string", "enum": [*allowed_values(name)]}
    if "$ref" in schema:
        definition = definitions[schema["$ref"].rpartition("/")[2]]
        schema = {"description": definition.get("description", ""), **values}
    if "$ref" in schema.get("items", {}):
        schema["items"] = values
    if "pattern" in schema:
        # The pattern of a canonical colour or repository; requests may also use capitals, and begin
        # with `#` or the owner.
        prefix = "(.*/)?" if name == "repo" else "#?"
        pattern = schema["pattern"].replace("^", f"^{prefix}")
        schema["pattern"] = pattern.replace("a-f", "a-fA-F").replace("a-z", "a-zA-Z")
    default = _DEFAULTS[name]
    return schema if default is None else {**schema, "default": default}


def _preview_operation(formats: Sequence[str]) -> JsonSchema:
    format_schema = {"type": "string", "enum": [*formats], "default": formats[0]}
    return {
        "operationId": "preview",
        "tags": ["Banners"],
        "summary": "Draw a banner",
        "description": "Nothing is stored: the query holds all options of the banner.",
        "parameters": [
            _parameter("username", _USERNAME, required=True),
            *(_parameter(name, option_schema(name)) for name in OPTIONS),
            _parameter("format", format_schema),
        ],
        "responses": _banner_responses(formats)
        | error_responses(
            InvalidType, InvalidOption, UserNotServed, UnknownUser, *_DATA_ERRORS, *RETRYABLE_ERRORS
        ),
    }


def _get_banner_operation(formats: Sequence[str]) -> JsonSchema:
    suffixes = ", ".join(f"`.{response_format}`" for response_format in formats)
    description = f"The name may end in {suffixes}; the default is `.{formats[0]}`."
    return {
        "operationId": "getBanner",
        "tags": ["Banners"],
        "summary": "Draw a permanent banner",
        "description": description,
        "parameters": [_parameter("name", _NAME, location="path", required=True)],
        "responses": _banner_responses(formats)
        | error_responses(
            InvalidOption, UserNotServed, UnknownBanner, *_DATA_ERRORS, *RETRYABLE_ERRORS
        ),
    }


def _get_page_operation() -> JsonSchema:
    headers = response_headers("Cache-Control") | response_headers("ETag", required=False)
    html = {"text/html": {"schema": {"type": "string"}}}
    errors = error_responses(UserNotServed, UnknownBanner, *_DATA_ERRORS, *RETRYABLE_ERRORS)
    for status, response in errors.items():
        # JSON for a name with a dot, which no page has.
        others = response["content"] if status == "404" else {}
        response["content"] = response["content"] if status == "405" else html | others
    return {
        "operationId": "page",
        "tags": ["Banners"],
        "summary": "Get the page of a permanent banner",
        "description": _PAGE_DESCRIPTION,
        "parameters": [_parameter("name", _NAME, location="path", required=True)],
        "responses": {
            "200": {
                "description": "the page",
                "headers": headers,
                "content": {**html, SVG: {"schema": {"type": "string"}}},
            },
            "304": {"description": "the client's copy is current", "headers": headers},
        }
        | errors,
    }


def _get_open_graph_operation() -> JsonSchema:
    return {
        "operationId": "openGraph",
        "tags": ["Banners"],
        "summary": "Draw a permanent banner for link previews",
        "description": _OPEN_GRAPH_DESCRIPTION,
        "parameters": [_parameter("name", _NAME, location="path", required=True)],
        "responses": _banner_responses(["png", "svg"]),
    }


def _create_banner_operation() -> JsonSchema:
    url: JsonSchema = {"type": "string", "examples": ["/banners/torvalds-dark"]}
    schema = object_schema({"url": url})
    schema["properties"]["unknown"] = UNKNOWN_OPTIONS
    created = {JSON: {"schema": schema}}
    request = object_schema({"username": _USERNAME}) | {"title": "Banner request"}
    request["properties"] |= {name: option_schema(name) for name in OPTIONS}
    request["allOf"] = _layout_conditions()
    return {
        "operationId": "createBanner",
        "tags": ["Banners"],
        "summary": "Create a permanent banner",
        "description": _CREATE_DESCRIPTION,
        "requestBody": {"required": True, "content": {JSON: {"schema": request}}},
        "responses": {
            "200": {"description": "the banner exists already", "content": created},
            "201": {
                "description": "the banner was created",
                "headers": response_headers("Location"),
                "content": created,
            },
        }
        | error_responses(
            InvalidType,
            InvalidOption,
            UserNotServed,
            UnknownUser,
            TooManyBanners,
            *_DATA_ERRORS,
            *RETRYABLE_ERRORS,
        ),
    }


def _layout_conditions() -> list[JsonSchema]:
    """Build what the layouts require of the options: a repository, or not too many numbers."""
    layout = {"properties": {"layout": {"const": Layout.REPOSITORY.value}}, "required": ["layout"]}
    conditions: list[JsonSchema] = [{"if": layout, "then": {"required": ["repo"]}}]
    for name, limit in MAX_SHOWN_NUMBERS.items():
        # Without a layout the default one is drawn.
        required = [] if name is BannerOptions().layout else ["layout"]
        layout = {"properties": {"layout": {"const": name.value}}, "required": required}
        conditions.append({"if": layout, "then": {"properties": {"show": {"maxItems": limit}}}})
    return conditions


def _health_operation(status: str, summary: str) -> JsonSchema:
    body = object_schema({"status": {"type": "string", "enum": [status]}})
    if status == "ready":
        degraded = {
            "type": "array",
            "items": {"type": "string"},
            "description": "dependencies that are down",
        }
        body = object_schema({**body["properties"], "degraded": degraded})
    return {
        "operationId": status,
        "tags": ["Health"],
        "summary": summary,
        "responses": {"200": {"description": "yes", "content": {JSON: {"schema": body}}}}
        | error_responses(),
    }


def _parameter(
    name: str, schema: JsonSchema, *, location: str = "query", required: bool = False
) -> JsonSchema:
    """Build a parameter object; lists are comma-separated (`style: form`, no `explode`)."""
    notes = [schema.get("description"), name in _ALIASES and f"also written `{_ALIASES[name]}`"]
    parameter: JsonSchema = {"name": name, "in": location, "required": required}
    parameter["schema"] = _plain(schema)
    if any(notes):
        parameter["description"] = "; ".join(note.rstrip(".") for note in notes if note)
    if "examples" in schema:
        parameter["example"] = schema["examples"][0]
    if schema["type"] == "array":
        parameter |= {"style": "form", "explode": False}
    return parameter


def _plain(schema: JsonSchema) -> JsonSchema:
    """Return a schema without what a parameter has outside of it."""
    return {key: value for key, value in schema.items() if key not in {"description", "examples"}}


def _banner_responses(formats: Sequence[str]) -> JsonSchema:
    numbers = {"$ref": _REF.format(name=Numbers.__name__)}
    content = {
        _MEDIA_TYPES[response_format]: {
            "schema": numbers if response_format == "json" else {"type": "string"}
        }
        for response_format in formats
    }
    headers = response_headers("Cache-Control") | response_headers("ETag", required=False)
    return {
        "200": {"description": "the banner", "headers": headers, "content": content},
        "304": {"description": "the client's copy is current", "headers": headers},
    }
