"""Every public metric is in every law, or the law says why not; every metric has reference values."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import isoloss as il
from conformance.kit.laws import LAWS, Law
from conformance.kit.metrics import ALL, concrete_classes
from conformance.kit.records import RECORDS
from conformance.kit.structures import STRUCTURES, features

for _module in ("conformance.test_devices", "conformance.test_strategies",
                "conformance.test_transforms_jax", "conformance.test_transforms_torch",
                "tests.test_dask", "tests.test_groups", "tests.test_laws"):  # fmt: skip
    importlib.import_module(_module)


def instances(kind: type[il.Metric]) -> list[il.Metric]:
    return [metric for metric in ALL.values() if type(metric) is kind]


@pytest.mark.parametrize("kind", concrete_classes(), ids=lambda kind: kind.__name__)
def test_every_class_is_in_every_law(kind: type[il.Metric]) -> None:
    """A law of every metric runs over every class, a law of structures over each of its features."""
    assert instances(kind), f"{kind.__name__} has no instance: add its parameters to PARAMETERS"
    missing = [name for name, law in LAWS.items() if not covered(kind, law)]
    assert not missing, f"{kind.__name__} is missing from {missing}, which give no reason"


def covered(kind: type[il.Metric], law: Law) -> bool:
    """Whether a law runs over a class, or over the structures that have all its features."""
    applies = [metric for metric in instances(kind) if law.excuse(metric) is None]
    if not applies or any(type(metric) is kind for metric in law.members.values()):
        return True
    if not law.metrics.keys() <= STRUCTURES.keys():
        return False
    return all(needed(metric, law) <= law.features for metric in applies)


def needed(metric: il.Metric, law: Law) -> set[Any]:
    """Return the features that a law is about: those of the whole structure, or of a part of it."""
    whole = law.metrics.keys() == STRUCTURES.keys()
    return {one for one in features(metric) if whole or one[0] == "state"}


@pytest.mark.parametrize("name", LAWS)
def test_every_excuse_is_needed(name: str) -> None:
    """A law states its promise, and no excuse that excuses nothing or everything."""
    law = LAWS[name]
    assert law.promise.endswith("."), "a law states in one sentence what is promised"
    assert law.members
    for reason, applies in law.excuses.items():
        assert any(map(applies, law.metrics.values())), f"nothing is excused by: {reason}"


@pytest.mark.parametrize("kind", concrete_classes(), ids=lambda kind: kind.__name__)
def test_every_class_has_reference_values(kind: type[il.Metric]) -> None:
    """Values that this code did not make are there for every class, under its name or its instance's."""
    recorded = {getattr(il, name) for name in RECORDS}
    kinds = {thing if isinstance(thing, type) else type(thing) for thing in recorded}
    assert kind in kinds


if __name__ == "__main__":  # prints who is excused from what
    for name, law in LAWS.items():
        print(f"{name}: {len(law.members)} metrics. {law.promise}")
        for reason, applies in law.excuses.items():
            names = [metric for metric, m in law.metrics.items() if applies(m)]
            print(f"    not {', '.join(names)}: {reason}")
