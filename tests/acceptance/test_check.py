"""`check` with a GitHub that knows certain tokens, and how `serve` uses their budgets."""

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from github_banners import __version__
from tests.acceptance.fault_checks import post_banner
from tests.acceptance.processes import (
    Running,
    environment,
    run,
    running,
)

TOKENS = ("ghp_a=7", "ghp_b=7", "ghp_c=8", "ghp_dead=")
ALL = "ghp_a,ghp_b,ghp_c,ghp_dead"
BUDGET = 530  # of 5,000, of which a tenth is reserved for known logins


def declared(*options: str) -> list[str]:
    return ["sandbox", "--port", "0", *options, *(f"--token={token}" for token in TOKENS)]


@pytest.fixture(scope="module")
def github() -> Iterator[Running]:
    with running(*declared()) as sandbox:
        yield sandbox


def named(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:8]


def lines_with(word: str, text: str) -> list[str]:
    return [line for line in text.splitlines() if word in line]


def test_check_reports_every_token(github: Running, data_dir: Path) -> None:
    env = environment(
        PORT="0", GITHUB_TOKENS=ALL, GITHUB_API_URL=github.url, DATA_DIR=str(data_dir)
    )
    result = run("check", env=env)
    assert result.returncode == 1
    for token, holder in (
        ("ghp_a", "token-owner-7"),
        ("ghp_b", "token-owner-7"),
        ("ghp_c", "token-owner-8"),
    ):
        row = lines_with(named(token), result.stdout)[0]
        assert re.fullmatch(
            rf"{named(token)} +{holder} +[\d,]+ of 5,000 until \d\d:\d\d +[\d,]+ of 5,000 until .+",
            row,
        )
    assert f"{named('ghp_dead')} is rejected" in result.stdout
    both = f"{named('ghp_a')} and {named('ghp_b')} belong to one account, token-owner-7"
    assert both in " ".join(result.stdout.split())
    assert "ghp_" not in result.stdout + result.stderr
    assert result.stderr == ""
    assert list(data_dir.iterdir()) == []


def test_check_aligns_columns(github: Running, data_dir: Path) -> None:
    env = environment(
        PORT="0", GITHUB_TOKENS=ALL, GITHUB_API_URL=github.url, DATA_DIR=str(data_dir)
    )
    lines = run("check", env=env).stdout.splitlines()
    assert re.match(rf"version +github-banners {re.escape(__version__)}, Python 3\.\d+\.", lines[0])
    head = next(line for line in lines if line.startswith("token "))
    rows = lines[lines.index(head) + 1 : lines.index("", lines.index(head))]
    assert len(rows) == 3
    for start in (match.start() for match in re.finditer(r"(?<=   )\S|^\S", head)):
        assert all(row[start] != " " and row[max(0, start - 1)] in {" ", row[0]} for row in rows)


def test_check_with_working_setup_exits_0(github: Running, data_dir: Path) -> None:
    settings = {"PORT": "0", "GITHUB_API_URL": github.url, "DATA_DIR": str(data_dir)}
    for tokens in ({"GITHUB_TOKENS": "ghp_c"}, {}):
        result = run("check", env=environment(**settings, **tokens))
        assert result.returncode == 0
        assert "Everything that is needed works." in result.stdout
        assert "not running" in result.stdout


def test_check_with_invalid_settings_names_them_and_sends_nothing() -> None:
    result = run(
        "check", env=environment(PORT="http", SOFT_TTL="soon", GITHUB_TOKENS="ghp_one two")
    )
    assert result.returncode == 2
    assert all(name in result.stderr for name in ("PORT", "SOFT_TTL", "GITHUB_TOKENS"))
    assert "ghp_one" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
                "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "-1",
            },
            "not recorded: OpenTelemetry rejects one of the variables OTEL_*",
        ),
        ({"DB_HOST": "127.0.0.1", "PGPORT": "1"}, "127.0.0.1:1, can't be used"),
        ({"GITHUB_API_URL": "http://127.0.0.1:1"}, "http://127.0.0.1:1 can't be reached"),
    ],
)
def test_check_with_unusable_backends_names_them(
    github: Running, data_dir: Path, settings: dict[str, str], words: str
) -> None:
    base = {
        "PORT": "0",
        "GITHUB_API_URL": github.url,
        "DATA_DIR": str(data_dir),
        "GITHUB_TOKENS": "ghp_c",
    }
    result = run("check", env=environment(**{**base, **settings}))
    assert result.returncode == 1
    assert words in result.stdout
    assert "refreshes" not in result.stdout
    assert "Traceback" not in result.stderr


class Echo(BaseHTTPRequestHandler):
    """A GitHub that quotes the Authorization header in its error message."""

    def do_GET(self) -> None:
        message = f"bad\\u001b[31m\\n\\r token {self.headers['authorization']}"
        body = f'{{"message": "{message}"}}'.encode()
        self.send_response(422)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.send_error(502)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("command", [["check"], ["render", "ada"]], ids=lambda command: command[0])
def test_check_hides_token_quoted_by_server(command: list[str], data_dir: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        token = "opaque+enterprise/token9"
        env = environment(PORT="0", GITHUB_TOKENS=token, GITHUB_API_URL=url, DATA_DIR=str(data_dir))
        result = run(*command, env=env)
        server.shutdown()
    output = result.stdout + result.stderr
    assert result.returncode == 1
    assert "bad[31m token Bearer" in output
    assert token not in output
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", output)


@pytest.mark.postgres
def test_check_reports_database_of_running_service(github: Running, prepared_dir: Path) -> None:
    env = environment(PORT="0", DATA_DIR=str(prepared_dir), GITHUB_API_URL=github.url)
    with running("serve", env=env) as served:
        assert served.get("/readyz").status_code == 200
        result = run("check", env=env)
        assert re.search(r"database +PostgreSQL \d+.* tables up to date", result.stdout)
        assert re.search(r"refreshes +no banner yet", result.stdout)
        assert post_banner(served, "dev-1").status_code == 201
        report = run("check", env=env).stdout
        expected = "1 banner of 1 owner: 2 of 30 REST requests an hour (background share without a"
        assert expected in report
        served.stop()
    stopped = run("check", env=env)
    assert "not running" in stopped.stdout
    assert "refreshes" not in stopped.stdout
    assert (result.returncode, stopped.returncode) == (0, 0)


def left(github: Running, token: str) -> int:
    response = github.get("/rate_limit", authorization=f"Bearer {token}")
    remaining: int = response.json()["resources"]["graphql"]["remaining"]
    return remaining


def exhaust(github: Running, token: str) -> None:
    """Use up the budget of a token's account."""
    headers = {"authorization": f"Bearer {token}"}
    question = {"query": "{ viewer { login } }"}
    with httpx2.Client(base_url=github.url, headers=headers, trust_env=False) as client:
        for _ in range(BUDGET):
            assert client.get("/user").status_code == 200
            assert client.post("/graphql", json=question).status_code == 200


@pytest.mark.postgres
def test_exhausted_account_is_replaced_by_another(prepared_dir: Path) -> None:
    with running(*declared("--initial-budget", str(BUDGET))) as github:
        exhaust(github, "ghp_a")
        env = environment(
            PORT="0",
            DATA_DIR=str(prepared_dir),
            GITHUB_TOKENS=ALL,
            GITHUB_API_URL=github.url,
            LOG_LEVEL="debug",
        )
        with running("serve", env=env) as served:
            responses = [
                served.get(f"/banners/preview?username=dev-{number}&format=json")
                for number in range(1, 7)
            ]
            served.stop()
        assert [response.status_code for response in responses] == [200] * len(responses)
        assert left(github, "ghp_b") == 0
        assert left(github, "ghp_c") <= BUDGET - len(responses)
        report = run("check", env=env)
    assert lines_with("has nothing left (graphql)", report.stdout)
    logged = "".join(served.errors)
    assert f"account={named('ghp_c')}" in logged
    output = [logged, report.stdout, report.stderr, *github.errors]
    assert not [
        text for text in [*output, *(response.text for response in responses)] if "ghp_" in text
    ]
