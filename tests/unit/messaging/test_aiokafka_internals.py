"""
The private names of aiokafka that the messaging package uses.

Its public API can neither close a client whose broker hangs nor commit without retrying for ever.
The version is capped in `pyproject.toml`; before raising the cap, check what these names do there.
"""

import ast
import inspect
import re
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, codec  # type: ignore[import-untyped]
from aiokafka.consumer.fetcher import Fetcher  # type: ignore[import-untyped]
from aiokafka.consumer.group_coordinator import GroupCoordinator  # type: ignore[import-untyped]

from github_banners import messaging

ROOT = Path(__file__).parents[3]
SOURCES = sorted(Path(messaging.__file__).parent.glob("*.py"))

INSTANCE_ATTRIBUTES = {
    "_client": AIOKafkaConsumer,
    "_coordinator": AIOKafkaConsumer,
    "_fetcher": AIOKafkaConsumer,
    "_coordination_task": GroupCoordinator,
    "_heartbeat_task": GroupCoordinator,
    "_commit_refresh_task": GroupCoordinator,
    "_fetch_task": Fetcher,
    "_pending_tasks": Fetcher,
    "_closed": AIOKafkaProducer,
    "_sender": AIOKafkaProducer,
}
"""Private attributes by the class that sets them on `self`."""

METHODS = {"_do_commit_offsets": (GroupCoordinator, ["self", "assignment", "offsets"])}
IMPORTED = {"_detect_xerial_stream": codec}


def private_names(source: str) -> set[str]:
    """Find private names that are imported, or read from anything but `self` and `cls`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            is_own = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
            if not is_own:
                names.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names}
    return {name for name in names if re.match(r"_(?!_)", name)}


def test_private_names_in_messaging_are_the_listed_ones() -> None:
    used = set().union(*(private_names(path.read_text(encoding="utf-8")) for path in SOURCES))
    assert used == INSTANCE_ATTRIBUTES.keys() | METHODS.keys() | IMPORTED.keys()


def test_aiokafka_version_is_capped_to_the_tested_minor_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (requirement,) = [text for text in project["dependencies"] if text.startswith("aiokafka")]
    assert requirement.endswith(">=0.14,<0.15")
    assert version("aiokafka").startswith("0.14.")


@pytest.mark.parametrize(("name", "owner"), INSTANCE_ATTRIBUTES.items(), ids=INSTANCE_ATTRIBUTES)
def test_private_attribute_is_set_by_its_class(name: str, owner: type) -> None:
    assert re.search(rf"\bself\.{name} = ", inspect.getsource(owner))


@pytest.mark.parametrize("name", METHODS)
def test_private_method_has_the_expected_parameters(name: str) -> None:
    owner, parameters = METHODS[name]
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters
    assert inspect.iscoroutinefunction(getattr(owner, name))


@pytest.mark.parametrize(("name", "module"), IMPORTED.items(), ids=IMPORTED)
def test_private_function_is_defined(name: str, module: object) -> None:
    assert callable(getattr(module, name))


def test_unlisted_public_names_of_internal_classes_exist() -> None:
    assert isinstance(Fetcher.error_future, property)
    assert "self.coordinator_id = " in inspect.getsource(GroupCoordinator)


@pytest.mark.parametrize("name", ["gzip_decode", "snappy_decode", "lz4_decode", "zstd_decode"])
def test_decoder_to_replace_is_imported_by_the_record_module(name: str) -> None:
    assert callable(getattr(import_module("aiokafka.record.default_records"), name))
