"""`forget` and `allow` as commands, with `serve` and its embedded PostgreSQL running and stopped."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.fault_checks import new_login, post_banner, wait_until
from tests.acceptance.processes import Running, environment, run, running

pytestmark = pytest.mark.postgres


@pytest.fixture
def env(prepared_dir: Path, github: Running) -> dict[str, str]:
    return environment(
        PORT="0", DATA_DIR=str(prepared_dir), GITHUB_API_URL=github.url, GITHUB_TOKENS="ghp_sandbox"
    )


def stored(prepared_dir: Path, login: str) -> bytes:
    return (prepared_dir / "files" / "banners" / f"{login}-default.svg").read_bytes()


def run_on_terminal(reply: str, *arguments: str, env: dict[str, str]) -> tuple[int, str]:
    """Run a command on a terminal and answer its question; return its exit code and output."""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "github_banners", *arguments],
        env=env,
        stdin=inside,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.write(terminal, f"{reply}\n".encode())
    output, _ = process.communicate(timeout=60)
    os.close(inside)
    os.close(terminal)
    return process.returncode, output


def test_forget_beside_a_running_serve_and_after_it(
    prepared_dir: Path, env: dict[str, str]
) -> None:
    login = new_login()
    with running("serve", env=env) as service:
        assert post_banner(service, login).status_code == 201
        assert b"<!-- version " in stored(prepared_dir, login)
        shown = run("forget", login.upper(), "--dry-run", env=env)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert re.search(r"permanent banners +1\n", shown.stdout)
        unconfirmed = run("forget", login, env=env)
        assert (unconfirmed.returncode, "--yes" in unconfirmed.stderr) == (2, True)
        assert run_on_terminal("n", "forget", login, env=env)[0] == 1
        assert service.get(f"/banners/{login}-default").status_code == 200

        code, output = run_on_terminal("y", "forget", login, env=env)
        assert (code, "1 banner," in output, "1 picture." in output) == (0, True, True)
        assert "Kafka" not in output
        wait_until(lambda: service.get(f"/banners/{login}-default").status_code == 404, limit=60)
        tombstone = stored(prepared_dir, login)
        assert b"<!-- removed at version " in tombstone

        # Without `--deny`, a new request starts anew.
        assert post_banner(service, login).status_code == 201
        assert b"<!-- version " in stored(prepared_dir, login)
        denied = run("forget", login, "--yes", "--deny", env=env)
        assert f"Denied from now on: {login}" in denied.stdout
        wait_until(lambda: post_banner(service, login).status_code == 403, limit=60)
        assert run("allow", login, env=env).returncode == 0
        wait_until(lambda: post_banner(service, login).status_code == 201, limit=60)
    last = run("forget", login, "--yes", env=env)
    assert (last.returncode, last.stderr) == (0, "")
    assert b"<!-- removed at version " in stored(prepared_dir, login)
    again = run("forget", login, "--yes", env=env)
    assert (again.returncode, again.stdout) == (1, f"Nothing is stored of {login}.\n")


def test_forget_with_wrong_settings_says_what_to_set(
    prepared_dir: Path, env: dict[str, str]
) -> None:
    wrong = {
        "there is no database in": {"DATA_DIR": str(prepared_dir / "nowhere")},
        "PostgreSQL at 127.0.0.1:1 can't be used": {
            "DB_HOST": "127.0.0.1",
            "PGPORT": "1",
            "STORAGE_BASE_URL": "http://127.0.0.1:1",
        },
        "set STORAGE_BASE_URL or BANNERS_STORAGE_URL": {"DB_HOST": "127.0.0.1"},
    }
    for message, settings in wrong.items():
        ended = run("forget", "ada", "--yes", env={**env, **settings})
        assert ended.returncode == 2, message
        assert message in ended.stderr
        assert "Traceback" not in ended.stderr
    invalid = run("forget", "a b", env=env)
    assert (invalid.returncode, "LOGIN" in invalid.stderr) == (2, True)
