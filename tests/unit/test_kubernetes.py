"""What can be said of the manifests for Kubernetes without a cluster and without kustomize."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from github_banners.cli import app
from github_banners.messaging.events import PARTITIONS
from github_banners.serving.health import Health, health_routes
from github_banners.settings import VARIABLES, ServiceName, Settings
from tests.acceptance.gateway import real_ip_directives
from tests.unit.env_file import read_variables

CHECKOUT = Path(__file__).parents[2]
ROOT = CHECKOUT / "deploy/kubernetes"
BASE, OVERLAY = ROOT / "base", ROOT / "overlays/production"
NGINX = CHECKOUT / "deploy/nginx"
OURS = ("api", "renderer", "storage", "migrate")
PORTS = {"api": 8080, "renderer": 8081, "storage": 8082}
METRICS_PORT = 9100
OTLP_PORT = 4318


def read_manifests(folder: Path) -> list[dict[str, Any]]:
    files = sorted(set(folder.glob("*.yaml")) - {folder / "kustomization.yaml"})
    return [manifest for file in files for manifest in yaml.safe_load_all(file.read_text())]


MANIFESTS = read_manifests(BASE)
BY_KIND: dict[str, dict[str, Any]] = {}
for _manifest in MANIFESTS:
    BY_KIND.setdefault(_manifest["kind"], {})[_manifest["metadata"]["name"]] = _manifest
WORKLOADS = BY_KIND["Deployment"] | BY_KIND["Job"]
PODS = {name: workload["spec"]["template"]["spec"] for name, workload in WORKLOADS.items()}
CONTAINERS = {name: pod["containers"][0] for name, pod in PODS.items()}
BASE_SETTINGS = read_variables(BASE / "settings.env")
SETTINGS = BASE_SETTINGS | read_variables(OVERLAY / "settings.env")
SECRETS = read_variables(ROOT / "secrets/secrets.env.example")


def references(value: object, key: str) -> Iterator[Any]:
    """Yield what stands under a key, at any depth."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from [member] if name == key else references(member, key)
    elif isinstance(value, list):
        for member in value:
            yield from references(member, key)


def test_every_file_is_listed_in_its_kustomization() -> None:
    for folder in (BASE, OVERLAY):
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        listed = [*kustomization["resources"]]
        listed += [patch["path"] for patch in kustomization.get("patches", [])]
        files = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
        assert {name for name in listed if not name.startswith("..")} == files
        assert [name for name in listed if not (folder / name).exists()] == []


def test_configuration_files_of_nginx_are_those_of_compose() -> None:
    kustomization = yaml.safe_load((NGINX / "kustomization.yaml").read_text())
    files = {
        f"./deploy/nginx/{file}"
        for generator in kustomization["configMapGenerator"]
        for file in generator["files"]
    }
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())
    gateway = compose["services"]["gateway"]
    assert {volume.partition(":")[0] for volume in gateway["volumes"]} == files
    assert CONTAINERS["gateway"]["image"] == gateway["image"]
    mounts = {mount["mountPath"] for mount in CONTAINERS["gateway"]["volumeMounts"]}
    targets = {volume.split(":")[1] for volume in gateway["volumes"]}
    targets |= {volume.partition(":")[0] for volume in gateway["tmpfs"]}
    assert targets == mounts


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str) -> None:
    variables = {entry["name"] for entry in CONTAINERS[name]["env"]}
    assert variables <= VARIABLES.keys()
    assert CONTAINERS[name]["envFrom"] == [{"configMapRef": {"name": "settings"}}]


def test_settings_and_secrets_exist() -> None:
    assert SETTINGS.keys() <= VARIABLES.keys()
    assert SECRETS.keys() <= VARIABLES.keys()
    assert set(SECRETS.values()) == {""}


def test_every_referenced_secret_is_in_the_example() -> None:
    secret_references = list(references(MANIFESTS, "secretKeyRef"))
    assert {reference["name"] for reference in secret_references} == {"github-banners"}
    assert {reference["key"] for reference in secret_references} == SECRETS.keys()
    for name in OURS:
        for entry in CONTAINERS[name]["env"]:
            if "valueFrom" in entry:
                assert entry["valueFrom"]["secretKeyRef"]["key"] == entry["name"]


def environment(name: str) -> dict[str, str]:
    """Return the environment of a container: the image's, the ConfigMap's and its own."""
    filled = {
        key: value or "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
        for key, value in SECRETS.items()
        if not key.endswith("_PREVIOUS")
    }
    own = {
        entry["name"]: entry["value"] if "value" in entry else filled.get(entry["name"], "")
        for entry in CONTAINERS[name]["env"]
    }
    return {"HOST": "0.0.0.0", "DATA_DIR": "/data", **SETTINGS, **own}  # noqa: S104


@pytest.mark.parametrize("name", OURS)
def test_services_accept_their_settings(name: str) -> None:
    settings = Settings.from_environment(environment(name), service=ServiceName(name))
    assert settings.is_reachable
    if name in PORTS:
        assert (settings.port, settings.metrics_port) == (PORTS[name], METRICS_PORT)


def test_secrets_go_only_to_who_needs_them() -> None:
    holders = {
        key: {name for name in OURS if key in {entry["name"] for entry in CONTAINERS[name]["env"]}}
        for key in SECRETS
    }
    assert holders == {
        "SERVICES_SECRET_KEY": {*OURS},
        "SERVICES_SECRET_KEY_PREVIOUS": {*PORTS},
        "POSTGRES_PASSWORD": {"api", "migrate"},
        "GITHUB_TOKENS": {"api"},
        "AWS_ACCESS_KEY_ID": {"storage"},
        "AWS_SECRET_ACCESS_KEY": {"storage"},
    }


def test_gateway_sets_the_variables_of_its_template() -> None:
    template = (NGINX / "gateway.conf.template").read_text()
    # The script that starts nginx sets these.
    expected = set(re.findall(r"\$\{([A-Z_]+)\}", template)) - {"RESOLVER", "REAL_IP"}
    variables = {entry["name"]: entry.get("value") for entry in CONTAINERS["gateway"]["env"]}
    assert variables.keys() - {"NAMESPACE"} == expected
    assert variables["API_HOST"] == "api.$(NAMESPACE).svc.cluster.local"
    assert variables["API_INTERNAL_SERVER_PORT"] == str(PORTS["api"])


def test_commands_exist() -> None:
    commands = {
        command.name or command.callback.__name__
        for command in app.registered_commands
        if command.callback is not None
    } | {group.name for group in app.registered_groups}
    assert {name: CONTAINERS[name]["args"] for name in OURS} == {name: [name] for name in OURS}
    assert commands >= set(OURS)


@pytest.mark.parametrize("name", PORTS)
def test_ports_and_probes_are_those_of_the_service(name: str) -> None:
    container = CONTAINERS[name]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": PORTS[name], "metrics": METRICS_PORT}
    paths = {route.path for route in health_routes(Health())}
    probes = {probe: container[f"{probe}Probe"] for probe in ("startup", "liveness", "readiness")}
    assert {probe["httpGet"]["port"] for probe in probes.values()} == {"http"}
    assert {probe["httpGet"]["path"] for probe in probes.values()} == paths
    assert probes["readiness"]["httpGet"]["path"] == "/readyz"
    annotations = WORKLOADS[name]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(METRICS_PORT)


def test_urls_of_services_name_services_and_their_ports() -> None:
    for name in ("renderer", "storage"):
        (port,) = BY_KIND["Service"][name]["spec"]["ports"]
        assert BASE_SETTINGS[f"{name.upper()}_BASE_URL"] == f"http://{name}:{port['port']}"
        assert port["port"] == PORTS[name]
    (port,) = BY_KIND["Service"]["api"]["spec"]["ports"]
    assert port["port"] == PORTS["api"]
    listening = re.search(r"listen (\d+)", (NGINX / "gateway.conf.template").read_text())
    assert listening is not None
    assert CONTAINERS["gateway"]["ports"] == [{"name": "http", "containerPort": int(listening[1])}]


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget"])
def test_selectors_match_pods(kind: str) -> None:
    assert BY_KIND[kind].keys() == BY_KIND["Deployment"].keys()
    for name, manifest in BY_KIND[kind].items():
        selector = manifest["spec"]["selector"]
        labels = WORKLOADS[name]["spec"]["template"]["metadata"]["labels"]
        assert selector.get("matchLabels", selector) == labels
        assert labels["app.kubernetes.io/component"] == name


@pytest.mark.parametrize("name", PODS)
def test_pods_are_restricted(name: str) -> None:
    """The Pod Security Standard `restricted`, and more than it asks for."""
    pod, container = PODS[name], CONTAINERS[name]
    assert len(pod["containers"]) == 1
    assert "initContainers" not in pod
    assert pod["automountServiceAccountToken"] is False
    assert BY_KIND["ServiceAccount"][pod["serviceAccountName"]]["automountServiceAccountToken"] is (
        False
    )
    assert pod["enableServiceLinks"] is False
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert {kind for volume in pod["volumes"] for kind in volume} == {"name", "emptyDir"} | (
        {"configMap"} if name == "gateway" else set()
    )
    assert [volume for volume in pod["volumes"] if volume.get("emptyDir") == {}] == []
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_users_are_those_of_the_images() -> None:
    dockerfile = (CHECKOUT / "Dockerfile").read_text()
    user = re.search(r"^USER (\d+):", dockerfile, re.MULTILINE)
    assert user is not None
    users = {name: PODS[name]["securityContext"]["runAsUser"] for name in PODS}
    assert users == {**dict.fromkeys(OURS, int(user[1])), "gateway": 101}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_have_resources(name: str) -> None:
    resources = CONTAINERS[name]["resources"]
    assert resources["requests"].keys() == {"cpu", "memory"}
    assert resources["limits"].keys() == {"memory"}


@pytest.mark.parametrize("name", BY_KIND["Deployment"])
def test_deployments_replace_pods_without_a_gap(name: str) -> None:
    spec, pod = WORKLOADS[name]["spec"], PODS[name]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    waiting = CONTAINERS[name]["lifecycle"]["preStop"]["sleep"]["seconds"]
    # A service exits within 10 s after SIGTERM, the gateway with its longest request.
    assert pod["terminationGracePeriodSeconds"] > waiting + (30 if name == "gateway" else 10)
    assert BY_KIND["PodDisruptionBudget"][name]["spec"]["maxUnavailable"] == 1
    assert {constraint["topologyKey"] for constraint in pod["topologySpreadConstraints"]} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }


def test_replicas_are_fixed_or_scaled() -> None:
    scaled = BY_KIND["HorizontalPodAutoscaler"]
    assert scaled.keys() == {"api", "renderer"}
    for name, deployment in BY_KIND["Deployment"].items():
        assert ("replicas" in deployment["spec"]) == (name not in scaled)
        replicas = (
            scaled[name]["spec"]["minReplicas"]
            if name in scaled
            else deployment["spec"]["replicas"]
        )
        assert replicas >= 2
    assert scaled["renderer"]["spec"]["maxReplicas"] == PARTITIONS
    # PostgreSQL allows 100 connections by default, and one more api runs during an update.
    assert (scaled["api"]["spec"]["maxReplicas"] + 1) * 9 < 100


def test_policies_refuse_by_default_and_name_existing_ports() -> None:
    policies = BY_KIND["NetworkPolicy"]
    default = policies["default-deny"]["spec"]
    label = {"app.kubernetes.io/name": "github-banners"}
    assert default == {"podSelector": {"matchLabels": label}, "policyTypes": ["Ingress", "Egress"]}
    for workload in WORKLOADS.values():
        assert workload["spec"]["template"]["metadata"]["labels"].items() >= label.items()
    for name, port in PORTS.items():
        (rule,) = policies[name]["spec"]["ingress"]
        assert rule["ports"] == [{"port": port}]
    for name, policy in policies.items():
        directions = {kind.lower() for kind in policy["spec"]["policyTypes"]}
        assert name == "default-deny" or directions == policy["spec"].keys() - {
            "podSelector",
            "policyTypes",
        }
        components = list(references(policy, "app.kubernetes.io/component"))
        assert {*components} - {"network"} <= WORKLOADS.keys()
    ports = {rule["port"] for rules in references(policies["dns"], "ports") for rule in rules}
    assert ports == {53}


def test_every_caller_is_allowed_by_both_policies() -> None:
    policies = BY_KIND["NetworkPolicy"]
    calls = {("gateway", "api"), ("api", "renderer"), ("api", "storage"), ("renderer", "storage")}
    for caller, callee in calls:
        rules = policies[caller]["spec"]["egress"]
        allowed = {
            (component, rule["ports"][0]["port"])
            for rule in rules
            for component in references(rule, "app.kubernetes.io/component")
        }
        assert (callee, PORTS[callee]) in allowed
        callers = references(policies[callee]["spec"]["ingress"], "app.kubernetes.io/component")
        assert caller in set(callers)


def test_services_can_reach_a_collector_and_are_reached_by_prometheus() -> None:
    policies = BY_KIND["NetworkPolicy"]
    components = [{"key": "app.kubernetes.io/component", "operator": "In", "values": [*PORTS]}]
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    for name in ("metrics", "traces"):
        assert policies[name]["spec"]["podSelector"]["matchExpressions"] == components
    (scraped,) = policies["metrics"]["spec"]["ingress"]
    assert scraped == {"ports": [{"port": METRICS_PORT}], "from": peers}
    (sent,) = policies["traces"]["spec"]["egress"]
    assert sent == {"ports": [{"port": OTLP_PORT}], "to": peers}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector.monitoring:{OTLP_PORT}" in text


def test_documented_scrape_job_selects_the_pods() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(scrape_configs:.*?)^```", text, re.MULTILINE | re.DOTALL)
    (job,) = yaml.safe_load(block)["scrape_configs"]
    application, port, component = job["relabel_configs"][:3]
    assert (application["action"], application["regex"]) == ("keep", "github-banners")
    names = {port["name"] for name in PORTS for port in CONTAINERS[name]["ports"]}
    assert (port["action"], port["regex"]) == ("keep", "metrics")
    assert port["regex"] in names
    assert (component["target_label"], component["replacement"]) == ("job", "github-banners-$1")


def test_overlay_patches_what_exists() -> None:
    kinds = {manifest["kind"] for manifest in read_manifests(OVERLAY)}
    assert kinds == {"Namespace", "Ingress", "NetworkPolicy", "Deployment"}
    for manifest in read_manifests(OVERLAY):
        name = manifest["metadata"]["name"]
        if manifest["kind"] == "NetworkPolicy":
            assert name in BY_KIND["NetworkPolicy"]
            ports = list(references(BY_KIND["NetworkPolicy"][name]["spec"], "ports"))
            patched = list(references(manifest["spec"], "ports"))
            assert patched == ports[: len(patched)]
        if manifest["kind"] == "Deployment":
            (variables,) = references(manifest, "env")
            assert [variable["name"] for variable in variables] == ["TRUSTED_PROXIES"]
            assert name == "gateway"
            assert "TRUSTED_PROXIES" in (NGINX / "start-gateway").read_text()
            assert real_ip_directives(variables[0]["value"]).startswith("set_real_ip_from 10.")
        if manifest["kind"] == "Ingress":
            (service,) = references(manifest, "service")
            (port,) = BY_KIND["Service"][service["name"]]["spec"]["ports"]
            assert service["port"]["name"] == port["name"]
        if manifest["kind"] == "Namespace":
            labels = manifest["metadata"]["labels"]
            assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    database = SETTINGS["PGPORT"]
    assert [*references(BY_KIND["NetworkPolicy"]["database"]["spec"], "port")] == [int(database)]
    brokers = SETTINGS["KAFKA_BROKERS_ADDRS"].rpartition(":")[2]
    assert [*references(BY_KIND["NetworkPolicy"]["kafka"]["spec"], "port")] == [int(brokers)]


def test_readme_links_exist_and_says_what_was_not_tried() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "They have not run in a cluster" in text
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []
    assert {name for name in WORKLOADS if f"| `{name}` |" not in text} == set()
