"""
The steps of the GitHub Action run as on a runner, but for the installation of packages.

The fake GitHub is the API, and a repository on this machine the one that is pushed to.
"""

import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from github_banners.cli.banner_list import parse_banner_list
from tests.acceptance.processes import Running, environment, running

CHECKOUT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((CHECKOUT / "action.yml").read_text(encoding="utf-8"))
WORKFLOW: dict[str, Any] = yaml.safe_load(
    (CHECKOUT / ".github/workflows/banners.yml").read_text(encoding="utf-8")
)
# PyYAML reads YAML 1.1, in which `on` is a boolean.
WORKFLOW_CALL: dict[str, Any] = dict[Any, Any](WORKFLOW)[True]["workflow_call"]
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
EVENT = {"github.repository_owner": "mia-maintains", "github.token": "ghs_sandbox"}

BANNERS = """
banner.svg layout=classic theme=auto
"my card.png" layout=card title="Hello; $(id) <b>"
drawn/activity.svg layout=activity username=DEV-7
"""


@pytest.fixture(scope="module")
def github() -> Iterator[Running]:
    with running("sandbox", "--port", "0") as sandbox:
        yield sandbox


@dataclass
class Runner:
    """A runner with an installed action, and the repository `octo/profile`; `variables` of the job."""

    folder: Path
    api_url: str
    variables: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        python = self.folder / "temp/github-banners/bin/python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(python.stat().st_mode | stat.S_IXUSR)
        self.remote = self.folder / "octo/profile"
        self.remote.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", "--initial-branch=main", ".")

    def git(self, *arguments: str) -> str:
        result = subprocess.run(
            ["git", *arguments], cwd=self.remote, check=True, capture_output=True, text=True
        )
        return result.stdout.strip()

    def update(
        self, *, ref: str = "refs/heads/main", **inputs: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the step with these inputs; the others have their defaults."""
        step = STEPS["Update the banners"]
        values = {name: spec.get("default", "") for name, spec in ACTION["inputs"].items()} | inputs
        output = self.folder / "output"
        output.write_text("")
        env = environment(
            RUNNER_TEMP=str(self.folder / "temp"),
            GITHUB_ACTION_PATH=str(CHECKOUT),
            GITHUB_API_URL=self.api_url,
            GITHUB_SERVER_URL=f"file://{self.folder}",
            GITHUB_REPOSITORY="octo/profile",
            GITHUB_REF=ref,
            GITHUB_OUTPUT=str(output),
            PYTHONPATH=str(CHECKOUT / "src"),
            **self.variables,
            **{name: _evaluate(text, values) for name, text in step["env"].items()},
        )
        result = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=self.folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
        assert list((self.folder / "temp").iterdir()) == [self.folder / "temp/github-banners"]
        return result


def _evaluate(text: str, inputs: dict[str, str]) -> str:
    """Replace expressions as GitHub does; the defaults of inputs are expressions, too."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return EVENT[name] if name in EVENT else inputs[name.removeprefix("inputs.")]

    pattern = r"\$\{\{ ([\w.]+) \}\}"
    replaced = re.sub(pattern, value, text)
    return re.sub(pattern, value, replaced) if text.startswith("${{") else replaced


@pytest.fixture
def runner(github: Running, tmp_path: Path) -> Runner:
    return Runner(tmp_path, github.url)


def test_action_commits_banners_once(runner: Runner) -> None:
    first = runner.update(banners=BANNERS)
    assert (first.returncode, first.stderr) == (0, "")
    assert runner.git("ls-tree", "-r", "--name-only", "main").splitlines() == [
        "banner.svg",
        "drawn/activity.svg",
        "my card.png",
    ]
    commit = runner.git("rev-parse", "main")
    assert runner.outputs == {"changed": "true", "commit": commit}
    assert "@mia-maintains" in runner.git("show", "main:banner.svg")
    assert "@dev-7" in runner.git("show", "main:drawn/activity.svg").lower()

    second = runner.update(banners=BANNERS)
    assert (second.returncode, second.stdout) == (0, "No banner has changed.\n")
    assert runner.outputs == {"changed": "false", "commit": ""}
    assert runner.git("rev-parse", "main") == commit


def test_action_with_failing_banner_commits_the_others(runner: Runner) -> None:
    banners = "gone.svg layout=repository repo=no-such-repository\nbanner.svg"
    result = runner.update(banners=banners, branch="drawn", message="Draw")
    assert result.returncode == 1
    *_, error = result.stdout.splitlines()
    assert error.startswith("::error::Line 1: mia-maintains has no public repository called")
    assert runner.git("ls-tree", "--name-only", "drawn") == "banner.svg"
    assert runner.git("log", "--format=%s", "drawn") == "Draw"


def test_action_ignores_blanks_around_inputs_and_variables_of_the_job(runner: Runner) -> None:
    runner.variables = {"PORT": "abc", "LOG_LEVEL": "trace", "REQUEST_TIMEOUT": "30"}
    result = runner.update(banners="banner.svg", token="ghs_sandbox\n", message=" \n")
    assert (result.returncode, result.stderr) == (0, "")
    assert runner.git("log", "--format=%s", "main") == "Update banners"


@pytest.mark.parametrize(
    ("ref", "inputs", "errors"),
    [
        ("refs/pull/1/merge", {"banners": "a.svg"}, ["refs/pull/1/merge: set the input branch"]),
        ("refs/tags/v1", {"banners": "a.svg"}, ["refs/tags/v1: set the input branch"]),
        ("refs/heads/main", {"banners": " \n"}, ["The input banners is empty"]),
        ("refs/heads/main", {"banners": "# only\n"}, ["The input banners lists no banner"]),
        ("refs/heads/main", {"banners": "a.svg", "token": "gh s"}, ["The input token contains"]),
        ("refs/heads/main", {"banners": "a.svg", "token": " \n"}, ["The input token is empty"]),
        ("refs/heads/main", {"banners": "a.svg", "branch": "HEAD"}, ["The input branch must"]),
        (
            "refs/heads/main",
            {"banners": "a.svg", "branch": "refs/tags/v1"},
            ["The input branch must name a branch, such as main, not 'refs/tags/v1'."],
        ),
        (
            "refs/heads/main",
            {"banners": "b.svg\nb.svg/c.svg\nd.svg theme=nope"},
            ["Line 2: b.svg/c.svg", "Line 3: theme can't be 'nope'"],
        ),
        (
            "refs/heads/main",
            {"banners": '../a.svg\n$(touch x) `touch x`"; touch x;\n100%25.gif'},
            [
                "Line 1: '../a.svg' must be",
                "Line 2: No closing quotation.",
                "Line 3: '100%2525.gif'",
            ],
        ),
    ],
)
def test_action_with_unusable_inputs_fails_with_sentences(
    runner: Runner, ref: str, inputs: dict[str, str], errors: list[str]
) -> None:
    result = runner.update(ref=ref, **inputs)
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert [line.startswith("::error::") for line in lines] == [True] * len(errors)
    assert [error for error, line in zip(errors, lines, strict=True) if error not in line] == []
    assert not (runner.folder / "x").exists()
    assert runner.git("branch", "--list") == ""
    assert runner.outputs == {"changed": "false", "commit": ""}


def test_steps_contain_no_expression_in_scripts() -> None:
    assert [name for name, step in STEPS.items() if "${{" in step["run"]] == []
    jobs = WORKFLOW["jobs"].values()
    assert [step for job in jobs for step in job["steps"] if "run" in step] == []


def test_workflow_passes_every_input_but_the_token() -> None:
    (job,) = WORKFLOW["jobs"].values()
    (step,) = job["steps"]
    assert step["uses"] == "$/"
    assert step["with"].keys() == ACTION["inputs"].keys() - {"token"}
    assert step["with"] == {name: f"${{{{ inputs.{name} }}}}" for name in WORKFLOW_CALL["inputs"]}
    assert {name: spec.get("default") for name, spec in WORKFLOW_CALL["inputs"].items()} == {
        name: ACTION["inputs"][name].get("default") for name in WORKFLOW_CALL["inputs"]
    }
    assert job["outputs"].keys() == WORKFLOW_CALL["outputs"].keys() == ACTION["outputs"].keys()


@pytest.mark.parametrize("page", ["README.md", "docs/github-action.md"])
def test_documented_workflow_is_usable(page: str) -> None:
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(on:.*?)```", text, re.DOTALL)
    assert example is not None
    job = yaml.safe_load(example[1])["jobs"]["banners"]
    uses = re.fullmatch(r"[^/]+/github-banners/(.+)@.+", job["uses"])
    assert uses is not None
    assert (CHECKOUT / uses[1]).is_file()
    assert job["permissions"] == WORKFLOW["jobs"]["banners"]["permissions"]
    assert job["with"].keys() <= WORKFLOW_CALL["inputs"].keys()
    banners, problems = parse_banner_list(job["with"]["banners"], user="mia")
    assert banners
    assert problems == []


def test_documentation_names_every_input_and_output() -> None:
    text = (CHECKOUT / "docs/github-action.md").read_text(encoding="utf-8")
    names = {*ACTION["inputs"], *ACTION["outputs"]}
    assert {name for name in names if f"| `{name}` |" not in text} == set()


def test_install_names_unsupported_runner(tmp_path: Path) -> None:
    step = STEPS["Install"]
    env = environment(
        RUNNER_OS="Windows", RUNNER_TEMP=str(tmp_path), GITHUB_ACTION_PATH=str(CHECKOUT)
    )
    result = subprocess.run(
        ["bash", "-c", step["run"]], env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stdout.startswith("::error::github-banners runs on Linux and macOS")
    assert list(tmp_path.iterdir()) == []


def test_install_ignores_modules_of_the_checkout(tmp_path: Path) -> None:
    (tmp_path / "venv.py").write_text("open('replaced', 'w').close()")
    step = STEPS["Install"]
    # No folder, so that the installation ends before it downloads packages.
    env = environment(RUNNER_OS="Linux", RUNNER_TEMP="/dev/null", GITHUB_ACTION_PATH=str(CHECKOUT))
    result = subprocess.run(
        ["bash", "-c", step["run"]],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "::error::Python's module venv does not work" in result.stdout
    assert not (tmp_path / "replaced").exists()
