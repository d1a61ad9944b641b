"""
Every parser of foreign bytes returns or raises a BannersError, whatever its input is.

The parsers are found in the source; one without a case fails `test_every_parser_has_a_hostile_case`.
The module `hostile` generates the inputs.
"""

import ast
import base64
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import partial
from inspect import isawaitable
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import httpx2
import pytest
from aiokafka import codec as codec_module  # type: ignore[import-untyped]
from aiokafka.record.util import calc_crc32c  # type: ignore[import-untyped]
from starlette.requests import Request

from github_banners.api import public_routes as api_routes
from github_banners.api.admission import client_address
from github_banners.api.builder.words import negotiate_language
from github_banners.database import change_listener
from github_banners.database.banners import banner_from_row
from github_banners.database.loaders import LanguagesLoader
from github_banners.database.owner_data import parse_content
from github_banners.drawing import draw, fallback_fonts
from github_banners.drawing.open_graph import draw_open_graph, read_texts
from github_banners.errors import BannersError
from github_banners.github import (
    contributions,
    graphql,
    language_sizes,
    owner_query,
    protocol,
    rest,
)
from github_banners.github import repository_details as details
from github_banners.github.protocol import Failure, GitHubResponse, Resource
from github_banners.messaging.clients import StorageClient
from github_banners.messaging.decompression import DECODERS
from github_banners.messaging.mapping import from_preview_request
from github_banners.messaging.record_batches import read_batches
from github_banners.messaging.schemas import BatchedBanner, PreviewRequest, StoreRequest
from github_banners.messaging.signature_middleware import content_length_exceeds
from github_banners.messaging.signing import Signer
from github_banners.options import (
    CARDS,
    OPTIONS,
    parse_options,
    parse_options_leniently,
    parse_query,
    translate_url,
)
from github_banners.renderer.updates import parse_update, render_and_store
from github_banners.settings import Secret
from github_banners.storage import banner_routes, bucket_store
from github_banners.storage.banner_batch import store_batch
from github_banners.storage.folder_store import FolderStore
from github_banners.storage.picture_format import (
    check_picture,
    parse_version,
    split_version,
    with_version,
)
from tests.field.call_finder import SOURCE, called_name, find_calls
from tests.field.hostile import TEXTS, hostile_bytes, hostile_json
from tests.unit.github.data_samples import (
    ContributionGitHub,
    identity_data,
    languages_data,
    languages_node,
    repository_body,
    repository_data,
)
from tests.unit.messaging.captured_messages import EVENT, PREVIEW
from tests.unit.messaging.record_batch_samples import CODECS, Message, build_batch

PACKAGES = (
    *("messaging", "github", "api", "storage", "renderer"),
    *("database", "options", "drawing", "serving", "stats"),
)
PARSING_CALLS = {
    *("decode", "convert", "Decoder", "from_json", "loads"),
    *("int", "float", "fromisoformat", "fromtimestamp", "strptime", "ip_address", "ip_network"),
    *("unpack", "unpack_from", "ParserCreate", "GzipFile"),
}
# `decode` of a text is no parser; of JSON and of msgspec it is.
DECODING_MODULES = {"json", "msgpack"}

NOW = datetime(2026, 11, 26, tzinfo=UTC)
JSON_OID = 114
PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg"><text>1</text></svg>'
STORE = {
    "url_path": "ada-dark",
    "banner_info": base64.b64encode(PICTURE).decode(),
    "banner_format": "svg",
    "version": 7,
    "traceparent": "",
}
REPOSITORY = {
    "databaseId": 9,
    "name": "r",
    "stargazerCount": 1,
    "forkCount": 2,
    "isFork": False,
    "primaryLanguage": {"name": "C"},
}
LIST = {
    "totalCount": 1,
    "pageInfo": {"hasNextPage": True, "endCursor": "c"},
    "nodes": [REPOSITORY],
}
OWNER = {"id": "U_1", "login": "ada", "databaseId": 4, "name": "Ada", "repositories": LIST}
ERROR = {"message": "no", "type": "NOT_FOUND", "path": ["u0", 0]}
REST_REPOSITORY = {
    "id": 9,
    "name": "r",
    "fork": False,
    "private": False,
    "stargazers_count": 1,
    "forks_count": 2,
    "language": "C",
}
FEBRUARY = (date(2026, 2, 1), date(2026, 2, 28))
BUDGET = {"limit": 60, "remaining": 1, "reset": 1_796_000_000}

Input = tuple[str, Any]


class Case(NamedTuple):
    """A parser, its location (`package.module:function`), a valid input, and hostile inputs."""

    name: str
    places: tuple[str, ...]
    parse: Callable[[Any], object]
    good: Any
    inputs: Callable[[Any], Iterable[Input]] = hostile_json


def dump(message: object) -> bytes:
    return json.dumps(message).encode()


def texts(_: str) -> Iterable[Input]:
    return TEXTS.items()


def make_response(body: bytes = b"", **headers: str) -> GitHubResponse:
    return GitHubResponse(
        200, {name.replace("_", "-"): value for name, value in headers.items()}, body
    )


def data(message: dict[str, object]) -> dict[str, object]:
    return {"data": message, "errors": [ERROR], "message": None}


def parse_contributions(body: bytes) -> object:
    """Parse a response, and add it up to a year."""
    window = contributions.Window(2026, 2, 2)
    page = contributions.parse_page(make_response(body), [window], owner_id=1, now=NOW)
    if isinstance(page, Failure):
        return page
    return contributions.build_year(2026, page.counts, today=NOW.date())


def ignore_outcome(outcome: str) -> None:
    pass


async def parse_body(body: bytes) -> object:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    return await api_routes.read_json_object(Request({"type": "http", "method": "POST"}, receive))


async def draw_event(body: bytes) -> None:
    async def store(store_request: StoreRequest) -> None:
        check_picture(store_request.banner_info)

    await render_and_store(parse_update(body, now=NOW), draw=draw, store=store)


def draw_preview(body: bytes) -> None:
    check_picture(draw(*from_preview_request(PreviewRequest.from_json(body))))


async def call_storage(body: bytes, *, call: str = "store") -> object:
    """Call a storage that responds with these bytes."""
    transport_ = httpx2.MockTransport(lambda _: httpx2.Response(200, content=body))
    async with httpx2.AsyncClient(transport=transport_) as http:
        signer = Signer(Secret("k"), service="api", clock=lambda: NOW)
        storage = StorageClient(http, base_url="http://storage", signer=signer)
        store_request = BatchedBanner(url_path="ada-dark", banner_info=PICTURE, banner_format="svg")
        if call == "remove":
            return await storage.remove("ada-dark", version=7)
        return await (
            storage.store(store_request)
            if call == "store"
            else storage.store_many([store_request, store_request])
        )


async def store_hostile_batch(body: bytes) -> None:
    with TemporaryDirectory() as folder:
        store = FolderStore(Path(folder), clock=lambda: NOW)
        await store_batch(store, body, count=ignore_outcome)
        store.close()


def read_font(body: bytes) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "a.ttf").write_bytes(body)
        fonts = fallback_fonts.FallbackFonts([folder])
        for text in ("a", "é漢", "\U0010ffff"):
            fonts.find(text)


def font_bytes(good: bytes) -> Iterator[Input]:
    yield from hostile_bytes(b"x" * 100)
    yield from ((f"cut off after {length}", good[:length]) for length in range(0, 1000, 7))
    dice = random.Random(0)
    for number in range(500):
        changed = bytearray(good)
        for _ in range(4):
            changed[dice.randrange(min(len(good), 1000))] = dice.randrange(256)
        yield f"random bytes, mutation {number}", bytes(changed)


def query_inputs(_: str) -> Iterator[Input]:
    for option in (*OPTIONS, "theme", "username"):
        for name, text in TEXTS.items():
            yield f"{name} as {option}", f"{option}={text}"
    yield "many fields", "a&" * 10_000
    yield "percent signs", "title=" + "%" * 1000 + "&%ff%00=%ed%a0%80"


def parse_banner_query(query: str) -> None:
    try:
        raw_options = parse_query(query)
    except ValueError:  # documented: too many options
        return
    parse_options_leniently(raw_options)
    parse_options(raw_options)


def foreign_query_inputs(_: str) -> Iterator[Input]:
    names = {parameter.options: parameter.name for card in CARDS for parameter in card.parameters}
    for name in names.values():
        for kind, text in TEXTS.items():
            yield f"{kind} as {name}", f"username=ada&user=ada&repo=a&{name}={text}"
    yield "many fields", "user&" * 10_000


def parse_foreign_query(query: str) -> None:
    for card in CARDS:
        translated = translate_url(card.path, query)
        if translated is not None and card.is_served:
            parse_banner_query(translated)


def read_banner_row(options: bytes, needs: Sequence[str] = ()) -> object:
    times = [NOW] * 3
    text = options.decode(errors="replace")
    return banner_from_row((1, 4, "ada-dark", text, needs, 1, 0, "ada-dark", True, *times))


def parse_stored_data(need: str, content: bytes) -> object:
    return parse_content(need, content.decode(errors="replace"))


def read_records(body: bytes) -> None:
    read_batches(body, topic="t", partition=0, offset=0, max_records=100)


def record_bytes(_: bytes) -> Iterator[Input]:
    headers = [(b"\xff", b"\0"), (b"", None)]
    for codec in (0, *CODECS):
        good = build_batch([Message(b"v", headers=headers)] * 3, codec=codec)
        for position in range(8, len(good)):
            for byte in (0, 1, 0x7F, 0x80, 0xFF):
                changed = bytearray(good)
                changed[position] = byte
                yield f"codec {codec}, byte {position} is {byte}, damaged", bytes(changed)
                changed[17:21] = calc_crc32c(bytes(changed[21:])).to_bytes(4, "big")
                yield f"codec {codec}, byte {position} is {byte}", bytes(changed)
        for length in range(len(good)):
            yield f"codec {codec}, cut off after {length}", good[:length]


def hostile_packed(good: bytes) -> Iterator[Input]:
    yield from hostile_bytes(b"x" * 100)
    for length in range(len(good)):
        yield f"cut off after {length}", good[:length]


def picture_bytes(_: bytes) -> Iterator[Input]:
    yield from ((name, value) for name, value in hostile_bytes(PICTURE))
    nested = b"<g>" * 10_000
    yield "nested", PICTURE.replace(b"<text>1</text>", nested + b"</g>" * 10_000)
    yield "unclosed", PICTURE.replace(b"</svg>", nested)
    yield "many attributes", PICTURE.replace(b"<text", b"<text" + b' a="1"' * 10_000)
    yield "a document type", b'<!DOCTYPE svg [<!ENTITY a "b">]>' + PICTURE
    yield "an encoding", b'<?xml version="1.0" encoding="x-unknown"?>' + PICTURE
    yield "a version", PICTURE + b"\n<!-- version 9999999999999999999 -->\n"


CASES = [
    Case(
        "messages: an event, drawn",
        (
            "messaging.schemas:WireModel.from_json",
            "messaging.schemas:StoreBatch.from_json",
            "renderer.updates:parse_update",
        ),
        draw_event,
        EVENT,
    ),
    Case(
        "renderer: a preview, drawn",
        ("renderer.preview_route:RendererRoutes.preview",),
        draw_preview,
        PREVIEW,
    ),
    Case(
        "storage: a picture to be stored",
        ("storage.banner_routes:StorageRoutes.put_banner",),
        StoreRequest.from_json,
        dump(STORE),
    ),
    Case(
        "storage: a batch",
        ("storage.banner_batch:store_batch",),
        store_hostile_batch,
        dump({"banners": [STORE]}),
    ),
    Case(
        "messages: what the storage answers",
        ("messaging.clients:_ServiceClient._decode",),
        call_storage,
        dump({"url": "/banners/ada-dark", "superseded": False}),
    ),
    Case(
        "messages: what the storage answers to a removal",
        ("messaging.clients:_ServiceClient._decode",),
        partial(call_storage, call="remove"),
        dump({"url": "/banners/ada-dark", "removed": True}),
    ),
    Case(
        "messages: what the storage answers to a batch",
        ("messaging.clients:_ServiceClient._decode",),
        partial(call_storage, call="store_many"),
        dump(
            {
                "results": [
                    {"url": "/banners/ada-dark"},
                    {"status": 400, "error": "no", "field": "f"},
                ]
            }
        ),
    ),
    Case(
        "messages: record batches of Kafka",
        ("messaging.record_batches:_split",),
        read_records,
        build_batch([Message(b"v")]),
        record_bytes,
    ),
    Case(
        "messages: a declared length",
        ("messaging.signature_middleware:content_length_exceeds",),
        lambda text: content_length_exceeds(
            [(b"content-length", text.encode(errors="surrogatepass"))], max_bytes=1
        ),
        "1796000000",
        texts,
    ),
    Case(
        "storage: the bytes of a picture",
        ("storage.picture_format:_make_parser",),
        check_picture,
        PICTURE,
        picture_bytes,
    ),
    Case(
        "storage: the version of a file",
        ("storage.picture_format:split_version", "storage.picture_format:parse_version"),
        lambda stored: (split_version(stored), parse_version(stored)),
        with_version(PICTURE, 7),
        hostile_bytes,
    ),
    Case(
        "storage: the version of a removal",
        ("storage.banner_routes:parse_removal_version",),
        banner_routes.parse_removal_version,
        "1796000000",
        texts,
    ),
    Case(
        "storage: the version of an object",
        ("storage.bucket_store:parse_metadata",),
        lambda text: bucket_store.parse_metadata({"version": text}),
        "1796000000",
        texts,
    ),
    Case(
        "api: the body of a POST",
        ("api.public_routes:read_json_object", "api.public_routes:_int_if_whole"),
        parse_body,
        dump({"username": "ada", "type": "dark", "radius": 17.0}),
    ),
    Case(
        "api: X-Forwarded-For",
        ("api.admission:_parse", "api.admission:_client_network"),
        lambda text: client_address("127.0.0.1", text, trusted=[ip_network("127.0.0.0/8")]),
        "1796000000",
        texts,
    ),
    Case(
        "api: Accept-Language",
        ("api.builder.words:_by_preference",),
        lambda text: negotiate_language("", text),
        "de-AT, fr;q=0.5, *;q=0.1",
        texts,
    ),
    Case(
        "options: a URL of another service",
        (
            "options.compatibility:_read_number",
            "options.compatibility:_to_radius",
            "options.compatibility:_to_langs_count",
        ),
        parse_foreign_query,
        "username=ada&user=ada&repo=a&border_radius=4.5&langs_count=8&size_weight=0.5",
        foreign_query_inputs,
    ),
    Case(
        "github: owners by login",
        ("github.graphql:_decode_envelope", "github.graphql:_decode_owner"),
        lambda body: graphql.parse_owners_by_login(
            make_response(body), graphql.build_login_query(["ada"]), now=NOW
        ),
        dump(data({"u0": OWNER})),
    ),
    Case(
        "github: owners by id",
        (
            "github.graphql:_decode_list",
            "github.graphql:_decode_repositories",
            "github.graphql:_decode_repository",
        ),
        lambda body: graphql.parse_owners_by_id(make_response(body), now=NOW),
        dump(data({"nodes": [OWNER, None]})),
    ),
    Case(
        "github: a further page",
        ("github.graphql:_decode_node",),
        lambda body: graphql.parse_repository_page(make_response(body), now=NOW),
        dump(data({"node": {"repositories": LIST}})),
    ),
    Case(
        "github: the holder of a token",
        ("github.graphql:_decode_viewer",),
        lambda body: graphql.parse_viewer(make_response(body), now=NOW),
        dump(data({"viewer": {"login": "ada", "databaseId": 4}})),
    ),
    Case(
        "github: an owner over REST",
        (
            "github.rest:_decode_owner",
            "github.rest:_decode_node_id",
            "github.rest:_decode_count",
            "github.protocol:decode_text",
        ),
        lambda body: rest.parse_owner(make_response(body)),
        dump({"id": 4, "login": "ada", "node_id": "U", "name": "Ada", "public_repos": 1}),
    ),
    Case(
        "github: a page over REST",
        (
            "github.rest:_decode_repositories",
            "github.rest:_decode_records",
            "github.rest:_decode_repository",
        ),
        lambda body: rest.parse_page(make_response(body), number=1),
        dump([REST_REPOSITORY, REST_REPOSITORY]),
    ),
    Case(
        "github: contributions",
        ("github.contributions:_decode_owner",),
        parse_contributions,
        dump(data(ContributionGitHub({date(2026, 2, 1): 5}).data([FEBRUARY]))),
    ),
    Case(
        "github: languages",
        ("github.language_sizes:_decode_owner", "github.language_sizes:_decode_repository"),
        lambda body: language_sizes.parse_languages_page(make_response(body), owner_id=1, now=NOW),
        dump(data(languages_data(languages_node(9, {"C": 5, "D": 4}, total=10), cursor="c"))),
    ),
    Case(
        "github: languages over REST",
        ("github.language_sizes:_decode_sizes",),
        lambda body: language_sizes.parse_repository_languages(
            make_response(body), repository_id=1
        ),
        dump({"C": 5, "D": 4}),
    ),
    Case(
        "github: a repository",
        ("github.repository_details:_decode_repository",),
        lambda body: details.parse_repository(make_response(body), owner_id=1, now=NOW),
        dump(data(repository_data())),
    ),
    Case(
        "github: a repository over REST",
        ("github.repository_details:_decode_body", "github.repository_details:_decode_license"),
        lambda body: details.parse_repository_body(make_response(body), owner_id=1),
        dump(repository_body()),
    ),
    Case(
        "github: the holder of a login",
        ("github.owner_query:_decode_identity",),
        lambda body: owner_query.parse_identity(make_response(body), now=NOW),
        dump(data(identity_data())),
    ),
    Case(
        "github: what is left of a budget",
        (
            "github.rest:_decode_rate_limits",
            "github.rest:_decode_rate_limit",
            "github.rest:_RateLimitBody.to_rate_limit",
        ),
        lambda body: rest.parse_token_info(make_response(body), now=NOW),
        dump({"resources": {"core": BUDGET, "graphql": BUDGET}}),
    ),
    Case(
        "github: when a token ends",
        ("github.rest:_parse_expiry",),
        lambda text: rest.parse_token_info(
            make_response(b'{"resources":{}}', github_authentication_token_expiration=text), now=NOW
        ),
        "1796000000",
        texts,
    ),
    Case(
        "github: where the last page is",
        (),
        lambda text: rest.parse_page(
            make_response(b"[]", link=f'<https://api.github.com/x?page={text}>; rel="last"'),
            number=1,
        ),
        "1796000000",
        texts,
    ),
    Case(
        "github: headers of a rate limit",
        (
            "github.protocol:parse_rate_limit",
            "github.protocol:_reset_at",
            "github.protocol:_retry_at",
        ),
        lambda text: [
            protocol.parse_rate_limit(
                make_response(
                    x_ratelimit_limit=limit, x_ratelimit_remaining=left, x_ratelimit_reset=reset
                ),
                resource=Resource.CORE,
                now=NOW,
            )
            for limit, left, reset in ((text, "1", "1"), ("1", text, "1"), ("1", "1", text))
        ],
        "1796000000",
        texts,
    ),
    Case(
        "github: how long to pause",
        (),
        lambda text: [
            protocol.classify(
                GitHubResponse(status, headers, b"{}"), resource=Resource.CORE, now=NOW
            )
            for status in (403, 429)
            for headers in ({"retry-after": text}, {"x-ratelimit-remaining": text})
        ],
        "1796000000",
        texts,
    ),
    Case(
        "github: what an error says",
        ("github.protocol:_decode_error",),
        lambda body: repr(
            protocol.classify(GitHubResponse(403, {}, body), resource=Resource.CORE, now=NOW)
        ),
        dump({"message": "no"}),
    ),
    Case(
        "database: the options of a banner",
        ("database.banners:banner_from_row",),
        read_banner_row,
        dump({"type": "dark", "radius": 3, "hide_langs": ["c"], "title": "x"}),
    ),
    *(
        Case(
            f"database: stored data, {need}",
            ("database.owner_data:parse_content", "options.schema:parse_need"),
            partial(parse_stored_data, need),
            dump(good),
        )
        for need, good in {
            "contributions": {"access": "visible"},
            "language_sizes": [{"repository_id": 1, "sizes": {"C": 2}, "other": 3}],
            "repository/7": {"id": 7, "name": "x", "description": "y", "stars": 3},
        }.items()
    ),
    Case(
        "database: the need of a banner",
        ("options.schema:parse_need",),
        lambda need: read_banner_row(b"{}", needs=[need.decode(errors="replace")]),
        b"repository/7",
        hostile_bytes,
    ),
    Case(
        "database: the languages of an owner",
        ("database.loaders:LanguagesLoader.load",),
        LanguagesLoader(JSON_OID).load,
        dump({"C": 1, "Go": 2}),
    ),
    Case(
        "database: a notification",
        ("database.change_listener:parse_owner_ids",),
        change_listener.parse_owner_ids,
        "1,2",
        texts,
    ),
    Case(
        "options: a query",
        (
            "options.parsing:_parse_digits",
            "options.parsing:_parse_option",
            "options.parsing:_suggestion",
            "options.parsing:parse_options",
            "options.parsing:parse_options_leniently",
        ),
        parse_banner_query,
        "type=dark&radius=3",
        query_inputs,
    ),
    Case(
        "drawing: a stored picture for a page",
        ("drawing.open_graph:draw_open_graph",),
        lambda body: (read_texts(body), draw_open_graph(body)),
        draw(*from_preview_request(PreviewRequest.from_json(PREVIEW))),
        hostile_bytes,
    ),
    Case(
        "drawing: a font of the machine",
        tuple(
            f"drawing.fallback_fonts:{function}"
            for function in (
                *("FontFile._has_glyph", "FontFile._is_in_groups", "FontFile._is_in_segments"),
                *("FontFile._number", "_face_offsets", "_family", "_read_table", "_unicode_map"),
            )
        ),
        read_font,
        next(Path(fallback_fonts.WORDS_FOLDER).glob("*.ttf")).read_bytes(),
        font_bytes,
    ),
    *(
        Case(
            f"messages: what is packed with {codec}",
            (f"messaging.decompression:_decode_{codec}", "messaging.decompression:_snappy_blocks"),
            decode,
            getattr(codec_module, f"{codec}_encode")(b"x" * 100),
            hostile_packed,
        )
        for codec, decode in DECODERS.items()
    ),
]

# Decoders raise what they like: all of it becomes a record that can't be decoded (`_parse_records`).
UNPACKERS = {case.name for case in CASES if case.name.startswith("messages: what is packed")}

NOT_FOREIGN = {
    "api.openapi:_DEFAULTS": "our own defaults",
    "api.openapi:build_document": "our own document",
    "api.builder.script_data:canvas_size": "our own layouts",
    "api.builder.words:read_words": "our own files",
    "api.response_cache:ResponseCache.seconds_fresh": "the clock",
    "database.banners:count_banners": "a count",
    "database.forgotten_users:count_removed_pictures": "a count",
    "database.forgotten_users:delete_user_rows": "a count",
    "database.server_info:count_rows_ahead": "a count",
    "database.embedded:_stop_stale_server": "our own folder",
    "database.embedded_process:_make_preexec.prepare": "a signal",
    "drawing.character_widths:_read_widths": "our own file",
    "drawing.colours:_language_colours": "our own file",
    "drawing.colours:linear_rgb": "our own colours",
    "drawing.colours:mix": "our own colours",
    "drawing.colours:normalise_hex": "colours that options have checked",
    "drawing.layouts.classic:_narrow": "our own drawing",
    "drawing.layouts.repository:_facts": "our own drawing",
    "drawing.png_text:_coverage": "our own file",
    "drawing.rendering:_canvas_value": "our own drawing",
    "drawing.rendering:_mirror_position": "our own drawing",
    "github.batch:BatchFetcher._rotate": "the clock",
    "github.transport:_matches": "NO_PROXY, a setting",
    "github.transport:_parse_address": "GITHUB_API_URL and NO_PROXY, settings",
    "serving.telemetry.spans:LoggedTraceIds.generate_trace_id": "our own id",
    "serving.worker_main:main": "our own process",
    "serving.worker_process:_read": "our own process",
}
"""Calls that parse no foreign input -> the reason."""


def parses(call: ast.Call) -> bool:
    function, name = call.func, called_name(call)
    if name not in PARSING_CALLS or (not call.args and name not in {"ParserCreate", "GzipFile"}):
        return False
    if name == "decode":
        return isinstance(function, ast.Attribute) and (
            getattr(function.value, "attr", getattr(function.value, "id", "")) in DECODING_MODULES
        )
    # Rounding a number or naming a constant parses nothing.
    return name not in {"int", "float"} or not isinstance(call.args[0], ast.BinOp | ast.Constant)


def test_every_parser_has_a_hostile_case() -> None:
    registered = {place for case in CASES for place in case.places} | NOT_FOREIGN.keys()
    files = [file for package in PACKAGES for file in (SOURCE / package).rglob("*.py")]
    places = {*find_calls(files, parses)}
    assert len(places) > 30
    assert sorted(places - registered) == []


async def parse(case: Case, raw: Any) -> object:
    result = case.parse(raw)
    return await result if isawaitable(result) else result


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_parser_with_hostile_input_raises_only_own_errors(case: Case) -> None:
    assert not isinstance(await parse(case, case.good), Failure)
    wrong, count = {}, 0
    for name, raw in case.inputs(case.good):
        count += 1
        try:
            await parse(case, raw)
        except BannersError:
            pass
        except Exception as error:  # noqa: BLE001 - it is what is looked for
            if case.name not in UNPACKERS:
                wrong[name] = f"{type(error).__name__}: {str(error)[:100]}"
    assert count >= 20
    assert wrong == {}


GITHUB_JSON = [
    case
    for case in CASES
    if case.name.startswith("github: ") and isinstance(case.good, bytes) and b"{" in case.good
]


@pytest.mark.parametrize("case", GITHUB_JSON, ids=lambda case: case.name)
@pytest.mark.parametrize("escape", [rb"\ud83d", rb"\uDE00", rb"\\\uD83D\u0041", rb"\uDE00\uD83D"])
def test_parser_of_github_accepts_half_a_surrogate_pair(case: Case, escape: bytes) -> None:
    """RFC 8259 (8.2) allows it, in any text."""
    body = case.good.replace(b"{", b'{"x' + escape + b'": 1, ', 1)
    assert len(GITHUB_JSON) > 10
    assert not isinstance(case.parse(body), Failure)
