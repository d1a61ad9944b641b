"""
The builder page at `/`: choose a banner by looking at it, and copy the code for a README.

The server renders `page.html`, so that the page works without JavaScript; `page.js` updates it while
the user types. Its controls come from the OpenAPI document, its words from one file per language.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from github_banners.api.base_path import base_path_from_url, find_site_url
from github_banners.api.builder.controls import Control, build_controls
from github_banners.api.builder.script_data import canvas_size, page_data
from github_banners.api.builder.sources import SAMPLE, SAMPLE_REPOSITORY, read_minified
from github_banners.api.builder.words import (
    PageLanguage,
    Words,
    languages,
    negotiate_language,
    read_words,
    value_label,
)
from github_banners.api.documents import (
    HTML,
    IMMUTABLE,
    SCRIPT,
    Document,
    document_response,
    escape_url,
    html_environment,
)
from github_banners.drawing import draw
from github_banners.drawing.colours import is_dark
from github_banners.drawing.themes import scheme
from github_banners.errors import InvalidInput
from github_banners.options import (
    OPTIONS,
    BannerOptions,
    Layout,
    Theme,
    canonical_option_name,
    drop_redundant_options,
    find_misspelt_options,
    ignored_options,
    normalise_names,
    parse_login,
    parse_options,
    parse_options_leniently,
    parse_query,
)
from github_banners.serving.framework import SVG, Content, to_starlette_response
from github_banners.settings import Network

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_SAMPLE_AGE = "public, max-age=3600"
_MAX_QUERY_BYTES = 2048
_MAX_CACHED_PAGES, _MAX_CACHED_SAMPLES = 64, 256
_MEDIA_TYPES = {"css": "text/css; charset=utf-8", "js": SCRIPT, "svg": SVG}
_FILES = ("page.css", "page.js", "icon.svg")

# The page suggests a banner that follows the reader's colour scheme; the default of the API does not.
_DEFAULT_VALUES = {"type": Theme.AUTO.value}
# The first value of each is the default.
_PAGE_CHOICES = {
    "view": ("both", "phone", "readme"),
    "code": ("picture", "markdown", "html", "address"),
    "ground": ("all", "light", "dark", "both"),
}
_KINDS = ("switch", "choice", "number", "text")
_PAGE_PARAMETERS = {"username", "lang", *_PAGE_CHOICES, *OPTIONS}
_FIRST_OPTIONS = ("type", "repo", "show", "locale", "count_by", "animate", "border")
_MAX_SHOWN_VALUES = 12


@dataclass(frozen=True, slots=True)
class BuilderPage:
    """
    The page and its files.

    `read_openapi` returns the OpenAPI document of the API. `public_url` is PUBLIC_URL, None if it is
    not set: then the copied URLs have the requested host, and the scheme that `trusted_proxies`
    forward.
    """

    read_openapi: Callable[[], Mapping[str, Any]]
    public_url: str | None = None
    trusted_proxies: tuple[Network, ...] = ()

    @property
    def base_path(self) -> str:
        """The path of the service on its host, "" for the root."""
        return base_path_from_url(self.public_url)

    def routes(self) -> list[Route]:
        """Build the routes of the page and of its files."""
        return [Route("/", self.get_page), Route("/page/{name}", self.get_file)]

    async def get_page(self, request: Request) -> Response:
        """Send the page with the choices that its query describes."""
        query = _read_query(request.scope["query_string"])
        language = negotiate_language(
            query.get("lang", ""), request.headers.get("accept-language", "")
        )
        site_url = find_site_url(
            request, public_url=self.public_url, trusted_proxies=self.trusted_proxies
        )
        origin = site_url.removesuffix(self.base_path)
        return to_starlette_response(
            document_response(
                _page_document(self, tuple(query.items()), language, origin),
                request.headers,
                policy=POLICY,
                vary="Accept-Encoding, Accept-Language",
            )
        )

    async def get_file(self, request: Request) -> Response:
        """Send a file of the page by its hashed name, or a banner of the sample user."""
        name = request.path_params["name"]
        document = (
            _sample_document(request.scope["query_string"])
            if name == "sample.svg"
            else static_files().get(name)
        )
        if document is None:
            raise HTTPException(404)
        return to_starlette_response(
            document_response(document, request.headers, policy=_FILE_POLICY)
        )

    def render(self, query: Mapping[str, str], *, language: PageLanguage, origin: str) -> str:
        """Render the page as HTML; `origin` is the scheme and host of the URLs that are copied."""
        words = read_words(language.locale)
        controls = build_controls(self.read_openapi(), query, words, default_values=_DEFAULT_VALUES)
        login = _read_login(query)
        choices = _known_choices(query)
        layout = query.get("layout", "").strip().lower() or Layout.CLASSIC.value
        options = _chosen_options(controls, layout)
        light, dark = _light_and_dark(options["type"])
        markdown_url = f"{origin}{self._picture_path(login, options)}"
        return html_environment(read_minified).render_template(
            "page.html",
            base=escape_url(self.base_path),
            files={
                name.partition(".")[0] + name[name.rindex(".") :]: name for name in static_files()
            },
            language=language,
            languages=[
                {"language": entry, "link": escape_url(self._page_path(choices, lang=entry.locale))}
                for entry in languages()
            ],
            words=words["page"],
            live=words["live"],
            empty_controls={kind: Control("", kind, "", "", "") for kind in _KINDS},
            login=login,
            name=login or SAMPLE.owner.display_name,
            layout=layout,
            layouts=[(entry.value, value_label("layout", entry.value, words)) for entry in Layout],
            size=canvas_size(layout, parse_options_leniently(query).show),
            ignored=_ignored(layout),
            first_controls=[
                control for name in _FIRST_OPTIONS for control in controls if control.name == name
            ],
            more_controls=[
                control
                for control in controls
                if control.name not in _FIRST_OPTIONS and control.kind != "colour"
            ],
            colour_controls=[control for control in controls if control.kind == "colour"],
            light=escape_url(self._picture_path(login, options | {"type": light})),
            dark=escape_url(self._picture_path(login, options | {"type": dark})),
            alt=_alt_text(words, login, layout, options),
            markdown_url=markdown_url,
            choices={
                name: query.get(name) if query.get(name) in values else values[0]
                for name, values in _PAGE_CHOICES.items()
            },
            themes=self._themes(login, choices, chosen=options["type"]),
            problems=self._problems(query, words) if query.get("username") else [],
            data=page_data(language.locale, public_url=self.public_url),
        )

    def _themes(
        self, login: str, choices: Mapping[str, str], *, chosen: str
    ) -> list[dict[str, object]]:
        """Return what the page shows of each theme."""
        return [
            {
                "name": name,
                "background": _background(name),
                "is_chosen": name == chosen,
                "link": escape_url(self._page_path(choices, type=name)),
                "picture": escape_url(
                    self._picture_path(login, {"type": name, "layout": "card", "animate": "false"})
                ),
            }
            for name in dict.fromkeys(theme.value for theme in Theme)
        ]

    def _picture_path(self, login: str, options: Mapping[str, str]) -> str:
        """Return the path of a preview, or of the sample while no user is named."""
        if not login:
            return f"{self.base_path}/page/sample.svg?{urlencode(options)}"
        return f"{self.base_path}/banners/preview?{urlencode({'username': login, **options})}"

    def _page_path(self, choices: Mapping[str, str], **changes: str) -> str:
        """Return the path of the page with some choices changed."""
        return f"{self.base_path}/?{urlencode({**choices, **changes})}"

    def _problems(self, query: Mapping[str, str], words: Words) -> list[dict[str, str]]:
        """Return what is wrong with the query: texts, with a link to the corrected page if any."""
        live, choices = words["live"], _known_choices(query)
        problems = []
        try:
            parse_login(query.get("username"))
            parse_options(query)
        except InvalidInput as error:
            problems.append(
                {
                    "text": (live["no_repository"] if _is_missing(error) else live["invalid"])
                    .replace("{value}", error.value)
                    .replace("{option}", _labels(words)[error.field])
                    .replace("{allowed}", _shortened(error.allowed)),
                    "suggestion": error.suggestion or "",
                    "link": self._page_path(choices, **{error.field: error.suggestion or ""}),
                }
            )
        own_names = {name for name in query if name not in ("lang", *_PAGE_CHOICES)}
        for unknown, suggested in find_misspelt_options(dict.fromkeys(own_names)).items():
            intended = canonical_option_name(suggested)
            if intended not in _PAGE_PARAMETERS:
                continue
            problems.append(
                {
                    "text": live["unknown_option"].replace("{option}", unknown),
                    "suggestion": intended,
                    "link": self._page_path(choices, **{intended: query[unknown]}),
                }
            )
        return problems


def _chosen_options(controls: list[Control], layout: str) -> dict[str, str]:
    """
    Return the options that differ from the API's defaults, and always the type.

    What the layout ignores is left out.
    """
    ignored = _ignored(layout)
    options = {
        control.name: control.value
        for control in controls
        if (control.value != control.default or control.name in _DEFAULT_VALUES)
        and control.name not in ignored
    }
    return options if layout == Layout.CLASSIC.value else options | {"layout": layout}


def _labels(words: Words) -> dict[str, str]:
    """Return the words for everything that can have an invalid value."""
    page = words["page"]
    return {"username": page["login"], "layout": page["layout"], **words["options"]}


def _ignored(layout: str) -> Mapping[str, Any]:
    """Return the options that a layout ignores; none if there is no such layout."""
    return ignored_options(Layout(layout)) if layout in set(Layout) else {}


def _alt_text(words: Words, login: str, layout: str, options: Mapping[str, str]) -> str:
    """Return the text alternative of a banner; that of a repository names it."""
    repo = options.get("repo", "") if login else SAMPLE_REPOSITORY.name
    has_repository = layout == Layout.REPOSITORY.value and repo
    text: str = words["live"]["alt_repository" if has_repository else "alt"]
    name = login or str(SAMPLE.owner.display_name)
    return text.replace("{name}", name).replace("{repo}", repo.rpartition("/")[2])


def _is_missing(error: InvalidInput) -> bool:
    """Return whether the layout needs a repository that is not named."""
    return error.field == "repo" and not error.value


def _shortened(allowed: Sequence[str]) -> str:
    """Join the allowed values of an option; of many, only the first."""
    joined = ", ".join(allowed[:_MAX_SHOWN_VALUES])
    return f"{joined} …" if len(allowed) > _MAX_SHOWN_VALUES else joined


def _light_and_dark(theme: str) -> tuple[str, str]:
    """Return the types that a light and a dark page show; one that is no pair is shown by both."""
    try:
        palettes = parse_options({"type": theme}).theme.palette_names
    except InvalidInput:
        palettes = (theme,)
    return palettes[0], palettes[-1]


def _background(theme: str) -> str:
    """Return whether the background of a theme is "light", "dark" or, as a pair, "both"."""
    palettes = scheme(BannerOptions(theme=Theme(theme))).palettes
    if len(palettes) > 1:
        return "both"
    return "dark" if is_dark(palettes[0].bg) else "light"


def _read_query(raw: bytes) -> dict[str, str]:
    """Parse the query of the page; one that is too long for any choice is ignored."""
    try:
        query = parse_query(raw.decode(errors="replace")) if len(raw) <= _MAX_QUERY_BYTES else {}
    except ValueError:
        query = {}
    return normalise_names(query)


def _known_choices(query: Mapping[str, str]) -> dict[str, str]:
    """Return what the page's links repeat: its own parameters, with a login only if it can be one."""
    known = {name: value for name, value in query.items() if name in _PAGE_PARAMETERS}
    if not _read_login(query):
        known.pop("username", None)
    return known


def _read_login(query: Mapping[str, str]) -> str:
    """Return the login that is named, "" if it can be none."""
    try:
        return parse_login(query.get("username", "").strip())
    except InvalidInput:
        return ""


@lru_cache(_MAX_CACHED_PAGES)
def _page_document(
    page: BuilderPage, query: tuple[tuple[str, str], ...], language: PageLanguage, origin: str
) -> Document:
    content = page.render(dict(query), language=language, origin=origin)
    return Document(Content.text(content.encode(), HTML))


def _sample_document(raw_query: bytes) -> Document:
    """Return a banner of the sample user; invalid options are ignored."""
    return _draw_sample(drop_redundant_options(parse_options_leniently(_read_query(raw_query))))


@lru_cache(_MAX_CACHED_SAMPLES)
def _draw_sample(options: BannerOptions) -> Document:
    return Document(Content.svg(draw(SAMPLE, options)), _SAMPLE_AGE)


@cache
def static_files() -> dict[str, Document]:
    """Read the files of the page, by names that contain a digest of their content."""
    documents = {}
    for name in _FILES:
        body = read_minified(name).encode()
        stem, suffix = name.split(".")
        digest = hashlib.sha256(body).hexdigest()[:10]
        document = Document(Content.text(body, _MEDIA_TYPES[suffix]), IMMUTABLE)
        documents[f"{stem}.{digest}.{suffix}"] = document
    return documents
