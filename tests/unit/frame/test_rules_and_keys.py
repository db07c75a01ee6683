"""The rule registries and the settings name each other rightly, in both directions."""

from __future__ import annotations

from collections import defaultdict
from importlib import import_module
from pathlib import Path

import eternal_engine
from eternal_engine.config.keys import all_keys, sections
from eternal_engine.model.rule import Rule

PACKAGE = Path(eternal_engine.__path__[0])


def registered() -> dict[str, list[Rule]]:
    rules: dict[str, list[Rule]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        # Only what holds rules is imported: migrations and kernels do not like to be.
        if "\nRULES" in path.read_text(encoding="utf-8"):
            module = ".".join(("eternal_engine", *path.relative_to(PACKAGE).with_suffix("").parts))
            for rule in import_module(module).RULES:
                rules[rule.id].append(rule)
    return rules


def test_every_key_that_a_rule_reads_exists() -> None:
    known = {*all_keys(), *sections()}
    read = {(rule.id, key) for rules in registered().values() for rule in rules for key in rule.config_keys}
    unknown = {(rule_id, key) for rule_id, key in read if key not in known}
    assert unknown == set()


def test_every_rule_that_a_key_names_is_registered() -> None:
    ids = set(registered())
    unknown = {(path, rule) for path, entry in all_keys().items() for rule in entry.rules if rule not in ids}
    assert unknown == set()


def test_every_key_that_a_rule_reads_names_the_rule() -> None:
    missing = {
        (key, rule.id)
        for rules in registered().values()
        for rule in rules
        for key in rule.config_keys
        if key in all_keys() and rule.id not in all_keys()[key].rules
    }
    assert missing == set()
