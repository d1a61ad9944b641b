"""Workflows, forms and other project files fit to the Makefile, the scripts and pyproject.toml."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted(
    set((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    - {ROOT / ".github/ISSUE_TEMPLATE/config.yml"}
)
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TARGETS = set(
    re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)
# A local path, or an action pinned by commit, with its version as a comment.
PINNED = re.compile(r"(\./|\$/)\S*( # zizmor: .+)?|[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def by_name(path: Path) -> str:
    return path.name


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    workflow_jobs: dict[str, dict[str, Any]] = read(path)["jobs"]
    return workflow_jobs


def commands(path: Path) -> Iterator[str]:
    """Yield the lines of all scripts of a workflow."""
    for job in jobs(path).values():
        for step in job.get("steps", []):
            yield from step.get("run", "").splitlines()


@pytest.mark.parametrize("path", WORKFLOWS, ids=by_name)
def test_workflow_actions_are_pinned_by_commit(path: Path) -> None:
    uses = re.findall(r"^ *(?:- )?uses: (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert uses
    assert [action for action in uses if not PINNED.fullmatch(action)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=by_name)
def test_workflow_grants_permissions_by_job(path: Path) -> None:
    assert read(path)["permissions"] == {}
    assert [name for name, job in jobs(path).items() if "permissions" not in job] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=by_name)
def test_workflow_jobs_have_time_limits(path: Path) -> None:
    assert [
        name for name, job in jobs(path).items() if not {"timeout-minutes", "uses"} & job.keys()
    ] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=by_name)
def test_workflow_runs_existing_targets_and_scripts(path: Path) -> None:
    lines = list(commands(path))
    targets = {target for line in lines for target in re.findall(r"^make ([a-z-]+)", line)}
    assert targets <= TARGETS
    scripts = {
        name for line in lines for name in re.findall(r"(?:^|\s)((?:scripts|\.ci)/\S+)", line)
    }
    assert [name for name in scripts if not (ROOT / name).is_file()] == []


def test_ci_tests_every_supported_python() -> None:
    matrix = jobs(ROOT / ".github/workflows/ci.yml")["test"]["strategy"]["matrix"]["python"]
    prefix = "Programming Language :: Python :: "
    classifiers = [name.removeprefix(prefix) for name in PROJECT["project"]["classifiers"]]
    assert matrix == [name for name in classifiers if re.fullmatch(r"3\.\d+", name)]
    assert PROJECT["project"]["requires-python"] == f">={matrix[0]}"


def test_release_waits_for_ci() -> None:
    release = jobs(ROOT / ".github/workflows/release.yml")
    assert release["ci"]["uses"] == "./.github/workflows/ci.yml"
    for name in ("pypi", "image"):
        assert "ci" in release[name]["needs"]


@pytest.mark.parametrize("path", FORMS, ids=by_name)
def test_issue_form_has_unique_ids_and_labels(path: Path) -> None:
    form = read(path)
    assert form.keys() == {"name", "description", "labels", "body"}
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert [field["id"] for field in fields if not field["attributes"].get("label")] == []


def test_dependabot_watches_existing_files() -> None:
    files = {
        "github-actions": ".github/workflows/ci.yml",
        "docker": "Dockerfile",
        "docker-compose": "docker-compose.yaml",
    }
    updates = read(ROOT / ".github/dependabot.yml")["updates"]
    assert {update["package-ecosystem"] for update in updates} == files.keys()
    assert [name for name in files.values() if not (ROOT / name).is_file()] == []


def test_pre_commit_uses_pinned_tools() -> None:
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        command, *_ = hook["entry"].split()
        assert command == "make" or command.startswith(".venv/bin/")


CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SOURCE = ROOT / "src/github_banners"


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w.-]+/[\w./-]*)`", CONTRIBUTING))))
def test_contributing_names_existing_files(path: str) -> None:
    assert (ROOT / path).exists() or (SOURCE / path).exists()


def test_contributing_names_existing_constants_and_targets() -> None:
    sources = [*SOURCE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    names = re.findall(r"`(_?[A-Z][A-Z_0-9]{3,}|_[a-z_]+)`", CONTRIBUTING)
    assert [name for name in names if not re.search(rf"^(def )?{name}\b", text, re.MULTILINE)] == []
    assert set(re.findall(r"`make ([a-z-]+)", CONTRIBUTING)) <= TARGETS
