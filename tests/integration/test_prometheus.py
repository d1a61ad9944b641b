"""Alerts and dashboard use only metrics, labels and values that the services export."""

import asyncio
import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from github_banners import errors
from github_banners.app.distributed import open_distributed_api
from github_banners.renderer.renderer_service import open_renderer
from github_banners.serving.service import Service
from github_banners.settings import Settings
from github_banners.storage.storage_service import open_storage
from tests.unit.api.asgi import http_scope, send_request

CHECKOUT = Path(__file__).parents[2]
RULES: dict[str, Any] = yaml.safe_load((CHECKOUT / "deploy/prometheus/rules.yml").read_text())
RULE_TESTS: dict[str, Any] = yaml.safe_load(
    (CHECKOUT / "deploy/prometheus/rules.test.yml").read_text()
)
DASHBOARD: dict[str, Any] = json.loads((CHECKOUT / "deploy/grafana/banners.json").read_text())
OPERATIONS = (CHECKOUT / "docs/operations.md").read_text()
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

# Exported by Prometheus itself, or added to every series.
OF_PROMETHEUS = {"up": set[str](), "ALERTS": {"alertname", "alertstate"}}
TARGET_LABELS = {"job", "instance"}
# A name that is not that of a function, and its matchers.
SELECTOR = re.compile(r"\b([a-zA-Z_]\w*)\b(?!\s*\()\s*(?:\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"")
GROUPING = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
RANGE = re.compile(r"\[[^\]]*\]")
OPERATORS = {"and", "or", "unless"}
# Labels whose values are all exported from the start.
CLOSED_LABELS = {"outcome", "by", "dependency", "kind"}


class Expression:
    """The parts of a query that name metrics and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.grouping = {
            label.strip() for labels in GROUPING.findall(text) for label in labels.split(",")
        }
        rest = RANGE.sub(" ", GROUPING.sub("", text))
        self.selectors: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for name, matchers in SELECTOR.findall(rest):
            if name not in OPERATORS:
                self.selectors[name] += MATCHER.findall(matchers)


def alert_expressions() -> Iterator[tuple[str, str]]:
    for name, rule in ALERTS.items():
        yield name, rule["expr"]


def panel_expressions() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


EXPRESSIONS = [*alert_expressions(), *panel_expressions()]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, set[str]]]:
    """Scrape the three services after a request each: metric -> label -> values."""
    return asyncio.run(scrape_services(tmp_path_factory.mktemp("banners")))


async def scrape_services(banners_dir: Path) -> Mapping[str, Mapping[str, set[str]]]:
    settings = Settings.from_environment(
        {
            "DB_HOST": "127.0.0.1",
            "PGPORT": "9",
            "KAFKA_BROKERS_ADDRS": "127.0.0.1:9",
            "RENDERER_BASE_URL": "http://127.0.0.1:9",
            "STORAGE_BASE_URL": "http://127.0.0.1:9",
        }
    )
    samples: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    async with AsyncExitStack() as stack:
        for opened in (
            open_distributed_api(settings),
            open_renderer(settings),
            open_storage(settings, banners_dir=banners_dir),
        ):
            service: Service = await stack.enter_async_context(opened)
            await send_request(service.app, http_scope("/banners/preview"))
            text = (await send_request(service.metrics.app, http_scope("/metrics"))).body.decode()
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    labels = samples[sample.name]
                    for label, value in sample.labels.items():
                        labels[label].add(value)
    return samples


@pytest.mark.parametrize(("name", "text"), EXPRESSIONS, ids=[name for name, _ in EXPRESSIONS])
def test_expression_uses_exported_metrics_and_labels(
    exported: Mapping[str, Mapping[str, set[str]]], name: str, text: str
) -> None:
    expression = Expression(text)
    known = {**{metric: set(labels) for metric, labels in exported.items()}, **OF_PROMETHEUS}
    assert expression.selectors
    assert expression.selectors.keys() <= known.keys()
    labels = set().union(*(known[metric] for metric in expression.selectors)) | TARGET_LABELS
    assert expression.grouping <= labels
    for metric, matchers in expression.selectors.items():
        assert {label for label, _, _ in matchers} <= known[metric] | TARGET_LABELS


@pytest.mark.parametrize(("name", "text"), EXPRESSIONS, ids=[name for name, _ in EXPRESSIONS])
def test_expression_compares_labels_with_existing_values(
    exported: Mapping[str, Mapping[str, set[str]]], name: str, text: str
) -> None:
    for metric, matchers in Expression(text).selectors.items():
        for label, _, pattern in matchers:
            for value in pattern.split("|"):
                if label in CLOSED_LABELS:
                    assert value in exported[metric][label]
                elif label == "error":
                    assert issubclass(getattr(errors, value), errors.BannersError)


def heading_anchors(text: str) -> set[str]:
    """Return the anchors of headings, as GitHub builds them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("name", ALERTS)
def test_alert_says_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    annotations = rule["annotations"]
    assert annotations.keys() == {"summary", "description", "runbook_url"}
    assert len(annotations["summary"]) < 120
    assert len(annotations["description"]) > 80
    page, _, anchor = annotations["runbook_url"].partition("#")
    assert page == "docs/operations.md"
    assert anchor in heading_anchors(OPERATIONS)
    assert f"`{name}`" in OPERATIONS


def test_every_alert_has_a_test_in_which_it_alone_fires() -> None:
    fired = [
        sample["labels"]
        for test in RULE_TESTS["tests"]
        for expectation in test["promql_expr_test"]
        for sample in expectation["exp_samples"]
    ]
    assert sorted(fired) == sorted(f'{{alertname="{name}"}}' for name in ALERTS)


@pytest.mark.parametrize(
    "command", [["check", "rules", "rules.yml"], ["test", "rules", "rules.test.yml"]]
)
def test_rules_pass_promtool(command: list[str]) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    ended = subprocess.run(
        ["promtool", *command],
        cwd=CHECKOUT / "deploy/prometheus",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_documented_targets_are_the_metrics_ports_of_compose() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", OPERATIONS, re.MULTILINE | re.DOTALL)
    (scraping,) = [yaml.safe_load(block) for block in blocks if "scrape_configs" in block]
    targets = {
        job["job_name"]: job["static_configs"][0]["targets"] for job in scraping["scrape_configs"]
    }
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())["services"]
    environments = {name: compose[name]["environment"] for name in ("api", "renderer", "storage")}
    assert targets == {
        f"github-banners-{name}": [f"{name}:{variables.get('METRICS_PORT', variables['PORT'])}"]
        for name, variables in environments.items()
    }


def test_memory_alert_fires_below_the_limits_of_containers() -> None:
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())["services"]
    thresholds = [
        float(text) for text in re.findall(r"> (\d+e6)", ALERTS["BannersMemoryHigh"]["expr"])
    ]
    limits = [int(compose[name]["mem_limit"][:-1]) << 20 for name in ("api", "renderer", "storage")]
    assert (max(thresholds), min(thresholds)) == (400e6, 200e6)
    assert max(thresholds) < limits[0]
    assert min(thresholds) < min(limits[1:])


def test_every_metric_is_documented(exported: Mapping[str, Mapping[str, set[str]]]) -> None:
    suffix = re.compile(r"_(?:bucket|sum|count)$")
    names = {suffix.sub("", name) for name in exported if name.startswith("banners_")}
    assert {name for name in names if f"`{name}" not in OPERATIONS} == set()


def test_all_jobs_of_the_dashboard_are_those_of_the_services() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    job = variables["job"]
    assert f'up{{job=~"{job["allValue"]}"}}' in job["definition"]


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        position = panel["gridPos"]
        own = {
            (x, y)
            for x in range(position["x"], position["x"] + position["w"])
            for y in range(position["y"], position["y"] + position["h"])
        }
        assert not own & cells
        assert all(x < 24 for x, _ in own)
        cells |= own
