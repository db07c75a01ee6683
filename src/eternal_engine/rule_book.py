"""Collect the rule tables of all modules: the source of docs/rules.md (a test fails when it drifts)."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, NamedTuple

from eternal_engine.model.rule import Rule

# In the order of the document: a rule implemented in several modules is listed under each.
MODULES = (
    "config.types",
    "config.settings",
    "model.money",
    "model.instrument",
    "ledger.books",
    "portfolio.flows",
    "ledger.transfers",
    "strategies.core_hodl",
    "strategies.trend",
    "strategies.funding",
    "strategies.tactical",
    "risk.manager",
    "risk.sizing",
    "risk.breaker",
    "portfolio.hour",
    "portfolio.breaker_hour",
    "backtest.loop",
    "backtest.fills",
    "model.ids",
    "model.order",
    "ledger.book",
    "ledger.equity",
    "ledger.pnl",
    "engine.memory",
    "engine.work",
    "engine.outcome",
    "engine.sender",
    "engine.order_manager",
    "engine.price_look",
    "engine.trading_engine",
    "engine.reconcile",
    "engine.adopt",
    "engine.downtime",
    "engine.commands",
    "engine.manual_orders",
    "engine.reviews",
    "engine.supervisor",
    "launch.port_bars",
    "launch.account_setup",
    "launch.preflight",
    "launch.arming",
    "storage.lock",
    "storage.store",
)


class RuleRow(NamedTuple):
    """Hold one line of the document: the rule, where it lives, its configuration keys with defaults, its tests."""

    id: str
    sentence: str
    file: str
    defaults: dict[str, str]
    tests: tuple[str, ...]


def rule_rows() -> list[RuleRow]:
    """Give every registered rule with the defaults of its configuration keys, sorted by family and number."""
    from eternal_engine.config.settings import Settings

    settings = Settings()
    rows = []
    for name in MODULES:
        module = import_module(f"eternal_engine.{name}")
        rules: tuple[Rule, ...] = module.RULES
        for rule in rules:
            file = f"src/eternal_engine/{name.replace('.', '/')}.py"
            defaults = {key: _default(settings, key) for key in rule.config_keys}
            rows.append(RuleRow(rule.id, rule.sentence, file, defaults, rule.tests))
    return sorted(rows, key=lambda row: _place(row.id))


def _default(settings: Any, key: str) -> str:
    """Read one dotted key of the default settings; raises AttributeError for a key that does not exist."""
    value = settings
    for part in key.split("."):
        value = getattr(value, part)
    if hasattr(value, "model_dump"):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.model_dump().items())
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, dict) or hasattr(value, "items"):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if hasattr(value, "model_dump"):
        return _text(value.model_dump())
    return str(value)


FAMILIES = ("U", "CAP", "CORE", "TREND", "FUND", "TACT", "RISK", "BRK", "ORD")


def _place(rule_id: str) -> tuple[int, str, int, str]:
    family, _, rest = rule_id.partition("-")
    number = re.search(r"\d+", rest)
    letters = re.sub(r"\d", "", rest)
    return (FAMILIES.index(family), letters, int(number.group()) if number else 0, rest)


def markdown(rows: list[RuleRow]) -> str:
    """Render the rules as one Markdown table per family."""
    lines = [
        "# Rules",
        "",
        "Generated from the rule tables in the code by `make docs`; a test fails when it drifts.",
    ]
    family = ""
    for row in rows:
        if row.id.partition("-")[0] != family:
            family = row.id.partition("-")[0]
            lines += ["", f"## {family}", "", "| rule | what the code does | file | defaults | tests |"]
            lines.append("|---|---|---|---|---|")
        defaults = "<br>".join(f"`{key}` = {value}" for key, value in row.defaults.items())
        tests = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in row.tests)
        file = row.file.removeprefix("src/eternal_engine/")
        lines.append(f"| {row.id} | {row.sentence} | `{file}` | {defaults} | {tests} |")
    return "\n".join(lines) + "\n"
