"""Lists of allowed and denied users in a running service: every route, and changes of a file."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.acceptance.fault_checks import wait_until
from tests.acceptance.processes import Running, environment, run, running
from tests.svg_text import read_description

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]

MIA, POLLY = "mia-maintains", "polly-glot"
BANNER = f"/banners/{MIA}-default"
IMAGE, PAGE = "image/avif,image/*,*/*;q=0.8", "text/html,*/*;q=0.8"
NOT_SERVED = {"error": "user not served here"}
RELOAD_SECONDS = 30.0


@pytest.fixture(scope="module")
def github() -> Iterator[Running]:
    with running("sandbox", "--port", "0") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def users(shared_dir: Path) -> Path:
    return shared_dir / "users"


@pytest.fixture(scope="module")
def service(shared_dir: Path, github: Running, users: Path) -> Iterator[Running]:
    users.write_text(f"{MIA.upper()}  # who asked\n{POLLY}\numbra-labs\n")
    env = environment(
        PORT="0",
        DATA_DIR=str(shared_dir),
        GITHUB_API_URL=github.url,
        ALLOWED_USERS_FILE=str(users),
        DENIED_USERS=f"{POLLY}, dev-1",
        RATE_LIMIT_RPS="1000",
    )
    with running("serve", env=env) as service:
        yield service


def post(service: Running, login: str) -> httpx2.Response:
    return httpx2.post(service.url + "/banners", json={"username": login}, timeout=30)


def requests_sent(github: Running) -> int:
    calls: dict[str, int] = github.get("/_sandbox/calls").json()
    return sum(calls.values())


def is_explanation(response: httpx2.Response) -> bool:
    is_svg = response.headers["content-type"].startswith("image/svg+xml")
    return (
        response.status_code == 200
        and is_svg
        and read_description(response.content) == NOT_SERVED["error"]
        and response.headers["cache-control"] == "public, max-age=60"
    )


def is_png(response: httpx2.Response) -> bool:
    return response.status_code == 200 and response.content.startswith(b"\x89PNG")


def is_refused(response: httpx2.Response) -> bool:
    return (response.status_code, response.json()) == (403, NOT_SERVED)


def change(service: Running, users: Path, text: str, *, status: int) -> None:
    """Replace the file, and wait until the status of Mia's numbers is another."""
    new = users.with_suffix(".new")
    new.write_text(text)
    new.replace(users)
    wait_until(lambda: service.get(f"{BANNER}.json").status_code == status, limit=RELOAD_SECONDS)


@pytest.mark.parametrize("login", [POLLY, "dev-1", "octo-nobody", POLLY.title()])
def test_other_users_are_refused_without_a_request_to_github(
    service: Running, github: Running, login: str
) -> None:
    sent = requests_sent(github)
    path = f"/banners/preview?username={login}"
    assert is_refused(service.get(path))
    assert is_refused(service.get(f"{path}&format=json", accept=IMAGE.replace("image", "text")))
    assert is_refused(post(service, login))
    assert is_explanation(service.get(path, accept=IMAGE))
    assert is_explanation(service.get(f"{path}&layout=activity&locale=ar&format=svg"))
    assert is_explanation(service.get(path, user_agent="github-camo (876de43e)"))
    assert is_png(service.get(f"{path}&format=png"))
    # URLs of other services.
    for other in ("/api", "/api/top-langs", "/api/pin"):
        assert is_explanation(service.get(f"{other}?username={login}&repo=x", accept=IMAGE)), other
    assert is_explanation(service.get(f"/?user={login}", accept=IMAGE))
    assert requests_sent(github) == sent
    assert service.get(f"/banners/{login}-default.json").json() == {"error": "banner doesn't exist"}


def test_organisation_in_the_list_is_served(service: Running) -> None:
    assert service.get("/banners/preview?username=Umbra-Labs&format=json").status_code == 200


def test_user_who_leaves_the_list_is_refused_on_every_route(
    service: Running, github: Running, users: Path
) -> None:
    preview = f"/banners/preview?username={MIA}&type=dark"
    assert post(service, MIA).status_code == 201
    paths = (BANNER, f"{BANNER}.svg", f"{BANNER}.png", f"{BANNER}/og.png", preview)
    # With the third request all are in the caches, also by their bytes.
    before = [[service.get(path, accept=IMAGE).content for path in paths] for _ in range(3)][-1]
    page = service.get(f"{BANNER}/", accept=PAGE)
    assert page.status_code == 200
    assert "response_cache_hits_total" in service.get("/metrics").text
    sent = requests_sent(github)

    change(service, users, "umbra-labs\n", status=403)
    assert is_refused(service.get(f"{BANNER}.json"))
    assert is_refused(service.get(BANNER))
    assert is_refused(service.get(preview))
    assert is_refused(post(service, MIA))
    for path in (BANNER, f"{BANNER}.svg", f"{BANNER}/", preview):
        assert is_explanation(service.get(path, accept=IMAGE)), path
    for path in (f"{BANNER}.png", f"{BANNER}/og.png", f"{preview}&format=png"):
        picture = service.get(path, accept=IMAGE)
        assert is_png(picture), path
        assert picture.content not in before
    refused = service.get(f"{BANNER}/", accept=PAGE)
    assert refused.status_code == 403
    assert refused.headers["content-type"].startswith("text/html")
    assert "is not served here" in refused.text
    assert "og:image" not in refused.text
    assert requests_sent(github) == sent

    change(service, users, MIA, status=200)
    assert [service.get(path, accept=IMAGE).content for path in paths] == before
    assert service.get(f"{BANNER}/", accept=PAGE).text == page.text


def test_invalid_file_keeps_the_list_and_is_logged_once(service: Running, users: Path) -> None:
    before = users.read_text()
    users.write_text("a/b")

    def lines() -> list[str]:
        return [line for line in service.errors if "file_unusable" in line]

    wait_until(lambda: bool(lines()), limit=RELOAD_SECONDS)
    assert "a/b" in lines()[0]
    assert "ALLOWED_USERS_FILE" in lines()[0]
    time.sleep(1.2)
    assert len(lines()) == 1
    assert is_refused(service.get(f"/banners/preview?username={POLLY}"))
    users.write_text(before)


def test_check_counts_the_lists(shared_dir: Path, github: Running) -> None:
    listed = shared_dir / "listed"
    listed.write_text("ada\nADA\ngrace\n")
    env = environment(
        DATA_DIR=str(shared_dir),
        GITHUB_API_URL=github.url,
        ALLOWED_USERS_FILE=str(listed),
        DENIED_USERS="bob",
    )
    report = run("check", env=env).stdout
    assert f"2 allowed in {listed}, 1 denied" in report


@pytest.mark.parametrize("command", ["serve", "check"])
def test_invalid_logins_fail_at_start(command: str) -> None:
    ended = run(command, env=environment(ALLOWED_USERS="ada b/c d.e", DENIED_USERS_FILE="/nowhere"))
    assert ended.returncode == 2
    assert "ALLOWED_USERS must be GitHub logins, not 'b/c', 'd.e'" in ended.stderr
    assert "DENIED_USERS_FILE can't be read: No such file" in ended.stderr
