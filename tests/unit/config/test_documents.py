"""The generated documents, the committed files, and the proof that every documented variable works (K2)."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from eternal_engine.bootstrap import params_of
from eternal_engine.config import MODES, Settings, load, read
from eternal_engine.config.documents import configuration_markdown, explanation, schema_json
from eternal_engine.config.keys import PROGRAM_VARIABLES, all_keys, keys_by_env, sections, to_text, value_at
from eternal_engine.model.errors import UsageError

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "configuration.md"
ENGINES = ("core_hodl", "trend", "funding", "tactical")

# Values that only hold together with others: the companions are set too, the named one is what is looked at.
COMPANIONS = {
    "shares.core_hodl": ("0.5", {"ETERNAL_SHARES__TREND": "0.3"}),
    "shares.trend": ("0.3", {"ETERNAL_SHARES__CORE_HODL": "0.5"}),
    "shares.funding": ("0.2", {"ETERNAL_SHARES__TREND": "0.15"}),
    "shares.tactical": ("0.1", {"ETERNAL_SHARES__TREND": "0.15"}),
    "core_hodl.weights": ("{BTCUSDT: 0.67, ETHUSDT: 0.33}", {}),
    "funding.weights": ("{BTCUSDT: 1}", {}),
    "tactical.weights": ("{ETHUSDT: 1}", {}),
    "tactical.levels": ("[{drawdown_frac: 0.6, budget_frac: 1}]", {}),
    "core_hodl.rebalance_over": ("[0.6, 0.4, 0.2, 0]", {}),
    "core_hodl.rebalance_under": ("[1.1, 1.2, 1.3, 1.4]", {}),
    "risk.kelly.min_trades": ("20", {}),
    "symbols": ("[ETHUSDT, BTCUSDT, SOLUSDT]", {"ETERNAL_CORE_HODL__WEIGHTS": "{BTCUSDT: 1}"}),
    "trend.leverage": ("1", {}),
    "funding.leverage": ("1", {}),
    "tactical.capitulation.rate_8h": ("-0.001", {}),
    "core_hodl.gap_medium_usdt": ("600", {}),
}

# Not parameters of the core: the runner, the simulator, the daemon or the commands read them.
READ_ELSEWHERE = {
    "capital_usdt",
    "shares.trend",
    "shares.funding",
    "shares.tactical",
    "paths.data_dir",
    "paths.state_dir",
    "paths.log_dir",
    "paths.report_dir",
    "paths.cache_dir",
    "backtest.deposit_weekly_usdt",
    "backtest.seed",
    "log.level",
    "log.max_mb",
    "log.files",
    "alerts.daily_summary",
    "alerts.most_per_hour",
    "daemon.ping_interval_s",
    "daemon.reconcile_interval_s",
    "daemon.late_bar_grace_s",
    "daemon.probe_timeout_s",
    "daemon.paper_speed",
    "daemon.arming_days",
    "funding.leg_timeout_s",
}


def documented_variables() -> list[str]:
    return re.findall(r"^\| `\w+` .*\| `(ETERNAL_\w+)` \|$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)


def another_value(path: str) -> str:
    """Give a valid text that differs from the default."""
    default: Any = value_at(Settings(), path)
    if isinstance(default, bool):
        return str(not default).lower()
    if isinstance(default, int):
        return str(default + 1)
    if isinstance(default, Decimal | float):
        return str(Decimal(str(default)) * Decimal("1.01")) if default else "0.5"
    if isinstance(default, Path):
        return f"{default}-elsewhere"
    choices = {"log.level": "error", "risk.on_breach": "emergency_stop", "risk.breaker.scope": "portfolio"}
    return choices.get(path, "a-secret")


@pytest.mark.parametrize("variable", documented_variables())
def test_k2_every_documented_variable_changes_the_value_it_names(variable: str) -> None:
    entry = keys_by_env()[variable]
    text, companions = COMPANIONS.get(entry.path, (another_value(entry.path), {}))
    if entry.path.startswith("keys."):
        pair = variable.rpartition("_")[0]
        companions = {f"{pair}_KEY": text, f"{pair}_SECRET": text}
    found = load(directory=Path("no such directory"), environ={**companions, variable: text})
    value = value_at(found, entry.path)
    assert value != value_at(Settings(), entry.path)
    shown = value.get_secret_value() if entry.secret else to_text(value)
    assert shown == (text if entry.container or not _is_number(text) else to_text(Decimal(text)))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None


@pytest.mark.parametrize(
    "path", [path for path, entry in all_keys().items() if not entry.secret and path not in READ_ELSEWHERE]
)
def test_k2_every_setting_of_a_rule_reaches_the_core(path: str) -> None:
    text, companions = COMPANIONS.get(path, (another_value(path), {}))
    changed = load(directory=Path("no such directory"), environ={**companions, all_keys()[path].env: text})
    assert repr(params_of(changed)) != repr(params_of(Settings()))


def test_k2_the_document_names_every_variable_there_is() -> None:
    assert sorted(documented_variables()) == sorted(keys_by_env())
    text = DOCUMENT.read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in PROGRAM_VARIABLES)


def test_k2_every_setting_is_read_outside_the_configuration() -> None:
    package = ROOT / "src" / "eternal_engine"
    readers = [path for path in package.rglob("*.py") if "config" not in path.relative_to(package).parts]
    text = "\n".join(path.read_text(encoding="utf-8") for path in readers)
    unread = [path for path in all_keys() if not re.search(rf"\.{path.rpartition('.')[2]}\b", text)]
    assert unread == []


def test_every_key_is_described() -> None:
    for path, entry in all_keys().items():
        assert entry.sentence.endswith("."), path
        assert entry.unit, path
        if path.split(".")[0] in (*ENGINES, "risk", "shares") and not path.endswith("enabled"):
            assert entry.rules, path
    for path, sentence in sections().items():
        assert sentence.endswith("."), path


def test_the_document_is_what_the_code_says() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == configuration_markdown(), "run `make docs`"


def test_the_schema_is_what_the_code_says() -> None:
    assert (ROOT / "config" / "schema.json").read_text(encoding="utf-8") == schema_json(), "run `make docs`"


def test_the_schema_has_no_room_for_keys() -> None:
    schema = json.loads(schema_json())
    assert "keys" not in schema["properties"]
    assert "ApiKey" not in schema["$defs"]
    assert schema["additionalProperties"] is False


def test_the_committed_files_say_what_the_defaults_say() -> None:
    found = load(directory=ROOT, environ={})
    defaults = Settings()
    for path in all_keys():
        if path != "log.level":
            assert value_at(found, path) == value_at(defaults, path), path
    assert found.hash() == defaults.hash()


def test_the_committed_files_name_every_key_once() -> None:
    origins = read("backtest", directory=ROOT, environ={}).origins
    unnamed = [path for path, entry in all_keys().items() if path not in origins and not entry.secret]
    assert unnamed == ["paths.cache_dir"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_loads_and_every_yaml_file_names_the_schema(mode: str) -> None:
    assert load(mode, directory=ROOT, environ={}).hash() == Settings().hash()  # type: ignore[arg-type]
    for path in (ROOT / "config").glob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n"), path


def test_paper_demo_and_live_share_no_state() -> None:
    dirs = {load(mode, directory=ROOT, environ={}).paths.state_dir for mode in MODES}
    assert len(dirs) == len(MODES)


def test_the_committed_env_file_holds_no_value() -> None:
    lines = (ROOT / ".env").read_text(encoding="utf-8").splitlines()
    assignments = [line for line in lines if line and not line.startswith("#")]
    assert assignments
    assert all(line.endswith("=") for line in assignments)
    assert {line.rstrip("=") for line in assignments} == {e.env for e in all_keys().values() if e.secret}


def test_explain_names_the_nearest_key() -> None:
    assert explanation("trend.sma_days")["variable"] == "ETERNAL_TREND__SMA_DAYS"
    assert "trend.sma_days" in explanation("trend")["keys"]
    assert len(explanation("")["keys"]) == len(all_keys())
    with pytest.raises(UsageError, match=r"trend\.sma_days"):
        explanation("trend.sma_day")
