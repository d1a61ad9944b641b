"""The script of the GitHub Action commits and pushes to a repository on this machine."""

import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from update_banners import ActionError, Repository, read_token

OLD, NEW = b"<svg>old</svg>", b"<svg>new</svg>"
TOKEN = "ghs_secret"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Mia", "-c", "user.email=mia@example.org"]
    result = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return result.stdout.strip()


class Remote:
    """A bare repository with a branch `main`, in place of GitHub's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "mia" / "mia"
        self.folder.mkdir(parents=True)
        git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(self.folder))
        self.work = root / "work"
        git(root, "clone", "--quiet", str(self.folder), str(self.work))
        self.commit("README.md", b"hello")
        self.commit("banner.svg", OLD)

    def commit(self, path: str, content: bytes) -> None:
        (self.work / path).parent.mkdir(parents=True, exist_ok=True)
        (self.work / path).write_bytes(content)
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "-m", f"Write {path}")
        git(self.work, "push", "--quiet", "origin", "HEAD:main")

    def files(self, branch: str = "main") -> dict[str, bytes]:
        names = git(self.folder, "ls-tree", "-r", "-z", "--name-only", branch).split("\0")
        return {
            name: git(self.folder, "show", f"{branch}:{name}").encode() for name in names if name
        }

    def subjects(self, branch: str = "main") -> list[str]:
        return git(self.folder, "log", "--format=%s", branch).splitlines()

    def hook(self, name: str, script: str) -> None:
        hook = self.folder / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{script}\n")
        hook.chmod(0o755)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path / "server")


@pytest.fixture
def drawings(tmp_path: Path) -> Path:
    folder = tmp_path / "drawings"
    folder.mkdir()
    (folder / "banner.svg").write_bytes(NEW)
    return folder


def open_repository(tmp_path: Path, server: str, **variables: str) -> Repository:
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "GITHUB_SERVER_URL": server,
        "GITHUB_REPOSITORY": "mia/mia",
        **variables,
    }
    return Repository.from_environment(tmp_path / "repository", environment, token=TOKEN)


@pytest.fixture
def repository(tmp_path: Path, remote: Remote) -> Repository:
    return open_repository(tmp_path, f"file://{remote.root}")


def test_publish_commits_what_has_changed(
    repository: Repository, remote: Remote, drawings: Path
) -> None:
    (drawings / "my banners").mkdir()
    (drawings / "my banners" / "card of mine.svg").write_bytes(NEW)
    commit = repository.publish(drawings, branch="main", message="Update\n\nin two paragraphs")
    assert commit == git(remote.folder, "rev-parse", "main")
    assert remote.files() == {
        "README.md": b"hello",
        "banner.svg": NEW,
        "my banners/card of mine.svg": NEW,
    }
    assert remote.subjects() == ["Update", "Write banner.svg", "Write README.md"]
    author = git(remote.folder, "log", "-1", "--format=%an <%ae> %cn", "main")
    assert author == (
        "github-actions[bot] <41898282+github-actions[bot]@users.noreply.github.com>"
        " github-actions[bot]"
    )


def test_publish_without_changes_makes_no_commit(
    repository: Repository, remote: Remote, drawings: Path
) -> None:
    (drawings / "banner.svg").write_bytes(OLD)
    assert repository.publish(drawings, branch="main", message="Update") is None
    assert remote.subjects() == ["Write banner.svg", "Write README.md"]


def test_publish_to_missing_branch_begins_one_without_history(
    repository: Repository, remote: Remote, drawings: Path
) -> None:
    assert repository.publish(drawings, branch="drawn/banners", message="Update")
    assert remote.files("drawn/banners") == {"banner.svg": NEW}
    assert remote.subjects("drawn/banners") == ["Update"]
    assert remote.files()["banner.svg"] == OLD
    assert repository.publish(drawings, branch="drawn/banners", message="Update") is None


def push_meanwhile(tmp_path: Path, remote: Remote, *, times: int) -> dict[str, str]:
    """Put a `git` before the real one on the path, which lets another run push before ours."""
    real = subprocess.run(
        ["sh", "-c", "command -v git"], check=True, capture_output=True, text=True
    ).stdout.strip()
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "git"
    script.write_text(
        f"""#!/bin/sh
count=$(cat {folder}/count 2>/dev/null || echo 0)
if [ "$1" = push ] && [ "$count" -lt {times} ]; then
    echo $((count + 1)) >{folder}/count
    (unset GIT_DIR; cd {remote.work} && {real} pull --quiet origin main && date +%N >other.txt &&
        {real} add other.txt && {real} commit --quiet -m Other && {real} push --quiet origin HEAD:main)
fi
exec {real} "$@"
"""
    )
    script.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_publish_after_conflict_builds_on_the_other_commit(
    tmp_path: Path, remote: Remote, drawings: Path
) -> None:
    variables = push_meanwhile(tmp_path, remote, times=1)
    repository = open_repository(tmp_path, f"file://{remote.root}", **variables)
    assert repository.publish(drawings, branch="main", message="Update")
    assert remote.subjects()[:2] == ["Update", "Other"]
    assert remote.files().keys() == {"README.md", "banner.svg", "other.txt"}
    assert remote.files()["banner.svg"] == NEW


def test_publish_with_endless_conflicts_fails(
    tmp_path: Path, remote: Remote, drawings: Path
) -> None:
    variables = push_meanwhile(tmp_path, remote, times=9)
    repository = open_repository(tmp_path, f"file://{remote.root}", **variables)
    with pytest.raises(ActionError, match="main changed again"):
        repository.publish(drawings, branch="main", message="Update")
    assert remote.files()["banner.svg"] == OLD


def test_publish_to_protected_branch_says_why(
    repository: Repository, remote: Remote, drawings: Path
) -> None:
    remote.hook("pre-receive", "echo protected >&2; exit 1")
    with pytest.raises(ActionError) as failure:
        repository.publish(drawings, branch="main", message="Update")
    assert str(failure.value) == (
        "mia/mia refused the push to main: pre-receive hook declined."
        " Set the input branch to a branch without such rules."
    )


def test_publish_when_branch_moves_during_push_tries_again(
    repository: Repository, remote: Remote, drawings: Path
) -> None:
    # The server locks a branch only after its hooks: another push can still come first.
    marker = remote.root / "marker"
    remote.hook(
        "pre-receive",
        f"[ -e {marker} ] || {{ touch {marker}; unset GIT_QUARANTINE_PATH;"
        " git update-ref refs/heads/main main~1; }",
    )
    assert repository.publish(drawings, branch="main", message="Update")
    assert remote.subjects() == ["Update", "Write README.md"]


def test_publish_keeps_file_in_place_of_folder(
    repository: Repository, remote: Remote, drawings: Path
) -> None:
    (drawings / "README.md").mkdir()
    (drawings / "README.md" / "banner.svg").write_bytes(NEW)
    with pytest.raises(ActionError, match=r"README.md/banner.svg can't be added"):
        repository.publish(drawings, branch="main", message="Update")


def test_publish_path_that_git_refuses_says_so(repository: Repository, drawings: Path) -> None:
    (drawings / "git~1").mkdir()
    (drawings / "git~1" / "banner.svg").write_bytes(NEW)
    with pytest.raises(ActionError, match=r"git~1/banner.svg can't be added: .* git refuses"):
        repository.publish(drawings, branch="main", message="Update")


def test_publish_replaces_symlink(repository: Repository, remote: Remote, drawings: Path) -> None:
    (remote.work / "banner.svg").unlink()
    (remote.work / "banner.svg").symlink_to("README.md")
    remote.commit("other.txt", b"other")
    assert repository.publish(drawings, branch="main", message="Update")
    assert remote.files() == {"README.md": b"hello", "banner.svg": NEW, "other.txt": b"other"}
    assert git(remote.folder, "ls-tree", "main", "banner.svg").startswith("100644 blob")


@pytest.mark.parametrize("branch", ["a b", "a..b", "~", "x.lock", "a\nb"])
def test_publish_to_impossible_branch_fails(
    repository: Repository, drawings: Path, branch: str
) -> None:
    with pytest.raises(ActionError, match="can't be the name of a branch"):
        repository.publish(drawings, branch=branch, message="Update")


class RefusingHandler(BaseHTTPRequestHandler):
    """Refuses as GitHub does; remembers the credentials."""

    credentials: list[str | None] = []  # noqa: RUF012
    status = 403

    def do_GET(self) -> None:
        self.credentials.append(self.headers["Authorization"])
        self.send_response(self.status)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"Write access to repository not granted.\n")

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def refusing_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), RefusingHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "rejects the token"), (403, "`permissions: contents: write`")],
)
def test_publish_without_rights_gives_advice(
    tmp_path: Path, drawings: Path, refusing_server: str, status: int, advice: str
) -> None:
    RefusingHandler.status = status
    RefusingHandler.credentials.clear()
    repository = open_repository(tmp_path, refusing_server)
    with pytest.raises(ActionError) as failure:
        repository.publish(drawings, branch="main", message="Update")
    assert advice in str(failure.value)
    assert ("permissions" in str(failure.value)) == (status == 403)
    assert "mia/mia" in str(failure.value)
    assert RefusingHandler.credentials[-1] == "basic eC1hY2Nlc3MtdG9rZW46Z2hzX3NlY3JldA=="
    assert TOKEN not in str(failure.value) + repr(repository)
    written = [path for path in (tmp_path / "repository").rglob("*") if path.is_file()]
    assert [path for path in written if b"eC1hY2Nlc3M" in path.read_bytes()] == []


def test_read_token_removes_blanks_around_it() -> None:
    assert read_token({"GITHUB_TOKENS": f" {TOKEN}\r\n"}) == TOKEN


@pytest.mark.parametrize("text", ["", " \n", "gh s", f"{TOKEN},{TOKEN}", f'"{TOKEN}"', "ümlaut"])
def test_read_token_that_is_none_names_the_input(text: str) -> None:
    with pytest.raises(ActionError, match="The input token") as failure:
        read_token({"GITHUB_TOKENS": text})
    assert TOKEN not in str(failure.value)


def test_publish_to_unreachable_server_fails_in_one_line(tmp_path: Path, drawings: Path) -> None:
    repository = open_repository(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(ActionError, match=r"^Can't read mia/mia: fatal: .*connect.*$"):
        repository.publish(drawings, branch="main", message="Update")
