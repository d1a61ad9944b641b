"""
Draw the banners of a list, and commit those that have changed to a branch of a GitHub repository.

Called by action.yml. The commit is built in an index of its own, without a working tree: nothing in the
repository is checked out or run, and a path in the list can't leave it. Problems become annotations of
the workflow run. Reads the inputs and what every runner sets from the environment.
"""

import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Another run may push in between; the next attempt builds on its commit.
_MAX_ATTEMPTS = 3
_AUTHOR = "github-actions[bot]"
_EMAIL = "41898282+github-actions[bot]@users.noreply.github.com"
_NO_SUCH_REFERENCE = 2
_CHANGED_MEANWHILE = re.compile(r"\[rejected\]|cannot lock ref|failed to update ref")
_REJECTED_TOKEN = re.compile(r"error: 401|could not read Username|Authentication failed")
_REFUSED_ACCESS = re.compile(r"error: 403|denied|Repository not found")
# https://www.rfc-editor.org/rfc/rfc6750#section-2.1
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
# Settings of the service that drawing reads too; what a job sets under these names is for something else.
_OTHER_SETTINGS = ("GITHUB_TOKENS_FILE", "LOG_FORMAT", "LOG_LEVEL", "REQUEST_TIMEOUT")
_DEFAULT_MESSAGE = "Update banners"


class ActionError(Exception):
    """The run fails; the message is the sentence that the workflow run shows."""


def main() -> None:
    """Draw and push; exit with 1 after printing a sentence for each problem."""
    problems: list[str] = []
    commit = None
    with tempfile.TemporaryDirectory(dir=os.environ.get("RUNNER_TEMP")) as folder:
        drawings = Path(folder) / "drawings"
        drawings.mkdir()
        try:
            branch = _find_branch(os.environ)
            token = read_token(os.environ)
            problems += _draw(drawings, token=token)
            if any(drawings.iterdir()):
                repository = Repository.from_environment(
                    Path(folder) / "repository", os.environ, token=token
                )
                message = os.environ.get("BANNERS_MESSAGE", "").strip() or _DEFAULT_MESSAGE
                commit = repository.publish(drawings, branch=branch, message=message)
                print(f"Pushed {commit} to {branch}." if commit else "No banner has changed.")
        except ActionError as error:
            problems.append(str(error))
    _write_outputs(changed="true" if commit else "false", commit=commit or "")
    for problem in problems:
        print(f"::error::{_escape(problem)}")
    sys.exit(1 if problems else 0)


def _find_branch(environment: Mapping[str, str]) -> str:
    """
    Return the branch of the input, or that of the run.

    :raises ActionError: the input is another reference, or the run belongs to a tag or a pull request
    """
    if branch := environment.get("BANNERS_BRANCH", "").strip():
        name = branch.removeprefix("refs/heads/")
        if name == "HEAD" or name.startswith("refs/"):
            raise ActionError(f"The input branch must name a branch, such as main, not {branch!r}.")
        return name
    reference = environment.get("GITHUB_REF", "")
    if not reference.startswith("refs/heads/"):
        raise ActionError(
            f"This run is for {reference or 'no branch'}: set the input branch to commit to a branch."
        )
    return reference.removeprefix("refs/heads/")


def read_token(environment: Mapping[str, str]) -> str:
    """
    Return the token of the input, without blanks and line ends around it.

    :raises ActionError: it is empty, or can't be a token
    """
    token = environment.get("GITHUB_TOKENS", "").strip()
    if not token:
        raise ActionError("The input token is empty: does the secret that it is read from exist?")
    if _TOKEN.fullmatch(token) is None:
        raise ActionError("The input token contains a character that no token can have.")
    return token


def _draw(folder: Path, *, token: str) -> list[str]:
    """Draw the banners of the list into a folder; return a sentence for each that failed."""
    banners = os.environ.get("BANNERS", "")
    lines = [line.strip() for line in banners.splitlines()]
    if all(not line or line.startswith("#") for line in lines):
        state = "lists no banner" if any(lines) else "is empty"
        return [f"The input banners {state}: write one banner per line, such as banner.svg."]
    variables = {name: text for name, text in os.environ.items() if name not in _OTHER_SETTINGS}
    result = subprocess.run(
        [
            # -P: a checkout in the working directory must not replace modules.
            *(sys.executable, "-P", "-m", "github_banners", "render-list", "-"),
            *("--user", os.environ.get("BANNERS_USERNAME", ""), "--folder", str(folder)),
        ],
        env=variables | {"GITHUB_TOKENS": token},
        input=banners,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    if result.returncode == 0:
        return []
    return result.stderr.splitlines() or [
        f"Drawing the banners ended with code {result.returncode}."
    ]


@dataclass(frozen=True)
class Repository:
    """A bare repository on the runner, and the remote one that it pushes to."""

    folder: Path
    name: str
    url: str
    variables: Mapping[str, str] = field(repr=False)

    @classmethod
    def from_environment(
        cls, folder: Path, environment: Mapping[str, str], *, token: str
    ) -> "Repository":
        """
        Create the local repository for the GitHub repository that the workflow runs in.

        :raises ActionError: there is no git
        """
        if shutil.which("git") is None:
            raise ActionError("git is not installed on the runner: install it in a step before.")
        server, name = environment["GITHUB_SERVER_URL"], environment["GITHUB_REPOSITORY"]
        credentials = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        # In variables, unlike arguments and files, other users and later steps can't read the token.
        configuration = {
            f"http.{server}/.extraheader": f"AUTHORIZATION: basic {credentials}",
            "credential.helper": "",
            "gc.auto": "0",
        }
        variables = dict(environment) | {
            "LC_ALL": "C",
            "GIT_DIR": str(folder),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": str(len(configuration)),
            **{f"GIT_CONFIG_KEY_{index}": key for index, key in enumerate(configuration)},
            **{
                f"GIT_CONFIG_VALUE_{index}": value
                for index, value in enumerate(configuration.values())
            },
            **{f"GIT_{role}_NAME": _AUTHOR for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": _EMAIL for role in ("AUTHOR", "COMMITTER")},
        }
        repository = cls(folder, name, f"{server}/{name}", variables)
        repository._git("init", "--quiet", "--bare", str(folder))
        return repository

    def publish(self, drawings: Path, *, branch: str, message: str) -> str | None:
        """
        Commit the files below `drawings` to a branch and push it; None if none of them differs.

        A branch that does not exist begins with this commit, without the history of another.

        :raises ActionError: the branch can't be read or pushed
        """
        if self._run("check-ref-format", f"refs/heads/{branch}").returncode:
            raise ActionError(f"{branch!r} can't be the name of a branch.")
        for _ in range(_MAX_ATTEMPTS):
            parent = self._fetch(branch)
            commit = self._commit(drawings, parent=parent, message=message)
            if commit is None or self._push(commit, branch=branch):
                return commit
        raise ActionError(f"{branch} changed again during each attempt to push: run it later.")

    def _fetch(self, branch: str) -> str | None:
        """Fetch the last commit of a remote branch; None if there is no such branch."""
        reference = f"refs/heads/{branch}"
        listing = self._run("ls-remote", "--exit-code", self.url, reference)
        if listing.returncode == _NO_SUCH_REFERENCE:
            return None
        if listing.returncode:
            raise ActionError(self._explain(listing, f"read {self.name}"))
        fetched = self._run("fetch", "--quiet", "--no-tags", "--depth=1", self.url, reference)
        if fetched.returncode:
            raise ActionError(self._explain(fetched, f"read {branch} of {self.name}"))
        return self._git("rev-parse", "FETCH_HEAD")

    def _commit(self, drawings: Path, *, parent: str | None, message: str) -> str | None:
        """Create a commit of `parent` with the drawings; None if it would change nothing."""
        files = sorted(path for path in drawings.rglob("*") if path.is_file())
        self._git("read-tree", parent or "--empty")
        for file in files:
            blob = self._git("hash-object", "-w", "--no-filters", "--", str(file))
            path = file.relative_to(drawings).as_posix()
            entry = f"100644,{blob},{path}"
            if self._run("update-index", "--add", "--cacheinfo", entry).returncode:
                raise ActionError(
                    f"{path} can't be added: something else is in its place in the repository,"
                    " or git refuses the name."
                )
        tree = self._git("write-tree")
        if parent is not None and tree == self._git("rev-parse", f"{parent}^{{tree}}"):
            return None
        parents = ("-p", parent) if parent is not None else ()
        return self._git("commit-tree", tree, *parents, "-m", message)

    def _push(self, commit: str, *, branch: str) -> bool:
        """Push a commit; return False if the branch has changed since it was fetched."""
        pushed = self._run("push", "--porcelain", self.url, f"{commit}:refs/heads/{branch}")
        if not pushed.returncode:
            return True
        # Each reference that was not updated has a line: a flag, the names, and the reason.
        lines = [line.split("\t") for line in pushed.stdout.splitlines()]
        reason = next((fields[-1] for fields in lines if fields[0] == "!"), "")
        if _CHANGED_MEANWHILE.search(reason):
            return False
        if reason:
            raise ActionError(
                f"{self.name} refused the push to {branch}: {reason.removeprefix('[remote rejected] ').strip('()')}."
                " Set the input branch to a branch without such rules."
            )
        raise ActionError(self._explain(pushed, f"push to {self.name}"))

    def _explain(self, result: subprocess.CompletedProcess[str], task: str) -> str:
        """Return a sentence for a failed call of the remote repository."""
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        remarks = [line.removeprefix("remote: ") for line in lines if line.startswith("remote: ")]
        remark = f" ({remarks[0].rstrip('. ')})" if remarks else ""
        if any(_REJECTED_TOKEN.search(line) for line in lines):
            return (
                f"Can't {task}: the server rejects the token{remark}. Set the input token to one that"
                " has not expired, or leave it out."
            )
        if any(_REFUSED_ACCESS.search(line) for line in lines):
            return (
                f"The token may not {task}{remark}: give the job of the workflow"
                " `permissions: contents: write`, or set the input token."
            )
        return f"Can't {task}: {lines[-1] if lines else f'git ended with code {result.returncode}'}"

    def _git(self, *arguments: str) -> str:
        """
        Run git and return what it prints.

        :raises ActionError: it fails
        """
        result = self._run(*arguments)
        if result.returncode:
            raise ActionError(f"git {arguments[0]} failed: {result.stderr.strip()}")
        return result.stdout.strip()

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *arguments],
            env=dict(self.variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )


def _write_outputs(**outputs: str) -> None:
    """Set outputs of the step."""
    if path := os.environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in outputs.items())


def _escape(message: str) -> str:
    """Escape a message of a workflow command, whose line ends at the first line break."""
    return message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


if __name__ == "__main__":
    main()
