"""REST routes of single repositories, their renames, and heavy contributions, in process."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from github_sandbox import create_app

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MIA = "/repos/mia-maintains/quick-journal"
AUTHORIZATION = {"authorization": "Bearer x"}


@pytest.fixture
async def github() -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=create_app(clock=lambda: NOW))
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://sandbox", headers=AUTHORIZATION
    ) as client:
        yield client


async def get_json(github: httpx2.AsyncClient, path: str) -> Any:
    response = await github.get(path)
    assert response.status_code == 200
    return response.json()


async def test_repository_is_the_same_by_name_by_id_and_in_the_list(
    github: httpx2.AsyncClient,
) -> None:
    shown = await get_json(github, MIA.upper().replace("/REPOS", "/repos"))
    assert await get_json(github, f"/repositories/{shown['id']}") == shown
    listed = await get_json(github, "/users/mia-maintains/repos?per_page=100")
    [in_list] = [body for body in listed if body["id"] == shown["id"]]
    assert shown == {**in_list, "network_count": in_list["forks"], "subscribers_count": 0}
    assert shown["description"] == "A diary in Markdown files (work in progress)"
    assert shown["license"] == {
        "key": "gpl-3.0",
        "name": "GNU General Public License v3.0",
        "spdx_id": "GPL-3.0",
        "url": "http://sandbox/licenses/gpl-3.0",
    }
    assert shown["topics"] == ["journal"]
    assert shown["homepage"] == "https://quick-journal.example"


async def test_license_that_is_not_recognized_has_no_url(github: httpx2.AsyncClient) -> None:
    shown = await get_json(github, "/repos/mia-maintains/brisk-lens")
    assert (shown["license"]["spdx_id"], shown["license"]["url"]) == ("NOASSERTION", None)
    assert (await get_json(github, "/repos/mia-maintains/simple-kernel"))["license"] is None


async def test_languages_are_sizes_in_bytes_largest_first(github: httpx2.AsyncClient) -> None:
    shown = await get_json(github, "/repos/mia-maintains/fast-journal")
    sizes = await get_json(github, "/repos/mia-maintains/fast-journal/languages")
    assert next(iter(sizes)) == shown["language"] == "TypeScript"
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    assert await get_json(github, f"/repositories/{shown['id']}/languages") == sizes
    assert await get_json(github, f"{MIA}/languages") == {}


@pytest.mark.parametrize("path", [MIA, f"{MIA}/languages"])
async def test_unchanged_repository_is_not_sent_again(
    github: httpx2.AsyncClient, path: str
) -> None:
    first = await github.get(path)
    assert first.headers["x-ratelimit-remaining"] == "4999"
    again = await github.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.headers["x-ratelimit-remaining"]) == (304, "4999")
    missing = await github.get("/repos/mia-maintains/zz")
    assert missing.headers["x-ratelimit-remaining"] == "4998"


@pytest.mark.parametrize(
    "path",
    [
        *("/repos/mia-maintains/zz", "/repos/zz/zz", "/repositories/5"),
        *("/repos/mia-maintains/zz/languages", "/repositories/5/languages"),
    ],
)
async def test_unknown_repository_returns_404(github: httpx2.AsyncClient, path: str) -> None:
    response = await github.get(path)
    assert (response.status_code, response.json()["message"]) == (404, "Not Found")


async def rename(github: httpx2.AsyncClient, **command: str) -> httpx2.Response:
    return await github.post("/_sandbox/rename", json=command)


@pytest.mark.parametrize("prefix", ["", "/api/v3"])
@pytest.mark.parametrize("suffix", ["", "/languages"])
async def test_renamed_repository_is_redirected_to_its_id(
    github: httpx2.AsyncClient, prefix: str, suffix: str
) -> None:
    before = await get_json(github, MIA)
    renamed = await rename(github, login="mia-maintains", repository="quick-journal", to="diary")
    assert renamed.json()["login"] == "mia-maintains"
    moved = await github.get(f"{prefix}{MIA}{suffix}")
    url = f"http://sandbox{prefix}/repositories/{before['id']}{suffix}"
    assert (moved.status_code, moved.headers["location"]) == (301, url)
    assert (moved.json()["message"], moved.json()["url"]) == ("Moved Permanently", url)
    assert moved.headers["x-ratelimit-remaining"] == "4998"
    followed = await github.get(f"{prefix}{MIA}", follow_redirects=True)
    assert followed.json()["full_name"] == "mia-maintains/diary"


async def test_repository_of_a_renamed_user_is_redirected(github: httpx2.AsyncClient) -> None:
    await rename(github, login="mia-maintains", to="mia")
    assert (await github.get(MIA)).status_code == 301
    followed = await github.get(MIA, follow_redirects=True)
    assert followed.json()["full_name"] == "mia/quick-journal"
    assert (await github.get("/repos/mia/quick-journal")).status_code == 200


@pytest.mark.parametrize(
    ("repository", "to", "status"),
    [("zz", "free", 404), ("quick-journal", "Fast-Journal", 409), ("quick-journal", "new", 200)],
)
async def test_rename_of_a_repository_is_refused_with_a_reason(
    github: httpx2.AsyncClient, repository: str, to: str, status: int
) -> None:
    response = await rename(github, login="mia-maintains", repository=repository, to=to)
    assert response.status_code == status
    assert ("error" in response.json()) is (status != 200)


@pytest.mark.parametrize(("failure", "status"), [("partial", 200), ("502", 502)])
async def test_heavy_contributions_are_set_by_the_control_api(
    github: httpx2.AsyncClient, failure: str, status: int
) -> None:
    heavy = {"login": "dev-1", "max_days": 31, "failure": failure}
    await github.put("/_sandbox/faults", json={"heavy_contributions": heavy})
    query = """query ($from: DateTime) { user(login: "dev-1") {
      contributionsCollection(from: $from) { contributionCalendar { totalContributions } }
    } }"""
    year = await github.post("/graphql", json={"query": query})
    assert year.status_code == status
    assert ("RESOURCE_LIMITS_EXCEEDED" in year.text) is (status == 200)
    window = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-31T23:59:59Z"}
    query = query.replace("$from: DateTime", "$from: DateTime, $to: DateTime")
    query = query.replace("from: $from)", "from: $from, to: $to)")
    month = await github.post("/graphql", json={"query": query, "variables": window})
    assert month.json()["data"]["user"]["contributionsCollection"]


async def test_days_are_sent_as_dates_and_times_in_utc(github: httpx2.AsyncClient) -> None:
    query = """{ user(login: "mia-maintains") { createdAt contributionsCollection {
      endedAt contributionCalendar { weeks { contributionDays { date } } }
    } } }"""
    user = (await github.post("/graphql", json={"query": query})).json()["data"]["user"]
    collection = user["contributionsCollection"]
    assert collection["endedAt"] == "2026-11-26T12:00:00Z"
    assert user["createdAt"].endswith("Z")
    last_week = collection["contributionCalendar"]["weeks"][-1]["contributionDays"]
    assert last_week[-1] == {"date": "2026-11-26"}
