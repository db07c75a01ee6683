"""A rule of the house: the row from which docs/rules.md is generated."""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """Name one rule: its id, what it does in a sentence, the config keys it reads and the tests that hold it.

    `config_keys` are dotted paths of the settings tree; `tests` are pytest ids relative to the repository root.
    A module that implements rules exposes `RULES: tuple[Rule, ...]`; nothing is registered by side effect.
    """

    id: str
    sentence: str
    config_keys: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
