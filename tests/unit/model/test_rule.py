"""Every rule row of the model, the ledger and the storage names tests that exist."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import eternal_engine.ledger
import eternal_engine.model
import eternal_engine.storage
from eternal_engine.model.rule import Rule

ROOT = Path(__file__).resolve().parents[3]


def rules() -> Iterator[tuple[str, Rule]]:
    for package in (eternal_engine.model, eternal_engine.ledger, eternal_engine.storage):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            for rule in getattr(importlib.import_module(module.name), "RULES", ()):
                yield module.name, rule


ALL = list(rules())


@pytest.mark.parametrize(("module", "rule"), ALL, ids=[f"{module.split('.')[-1]}-{rule.id}" for module, rule in ALL])
def test_a_rule_names_tests_that_exist(module: str, rule: Rule) -> None:
    assert rule.sentence.endswith(".")
    assert rule.tests, f"{module} {rule.id} has no test"
    for name in rule.tests:
        path, _, function = name.partition("::")
        assert re.search(rf"def {function}\(", (ROOT / path).read_text()), f"{name} of {module} {rule.id} is not there"


def test_no_module_registers_a_rule_twice() -> None:
    named = [(module, rule.id) for module, rule in ALL]
    assert len(named) == len(set(named))
    assert {"U-2", "U-3", "U-6", "U-9", "CAP-1", "CAP-2", "CORE-10", "CORE-12", "ORD-1", "ORD-2", "ORD-4", "ORD-5"} <= {
        rule_id for _, rule_id in named
    }
