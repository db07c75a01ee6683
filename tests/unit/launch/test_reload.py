"""SIGHUP: what may change is applied on record, what may not is refused, and the old configuration stays."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from builders import a_fill
from eternal_engine.bootstrap import params_of
from eternal_engine.config import Settings, load
from eternal_engine.engine.memory import fresh_memory
from eternal_engine.engine.trading_engine import Setup
from eternal_engine.launch.reload import Reloader, change_of
from eternal_engine.ledger.books import Books
from eternal_engine.model.errors import UsageError
from eternal_engine.model.event import ConfigChanged, ErrorOccurred, Event, Filled
from eternal_engine.model.ids import Account, Engine
from eternal_engine.model.instrument import BYBIT_2025, Market

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def settings(folder: Path, **environ: str) -> Settings:
    return load("live", directory=folder, environ={f"ETERNAL_{name}": text for name, text in environ.items()})


@dataclass
class Parts:
    """Stand in for a crew: what a reload touches, and the events it journals."""

    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        params = params_of(Settings())
        params = params._replace(risk=params.risk._replace(cap_usdt=5000.0))
        used: list[Any] = []
        self.engine = SimpleNamespace(
            setup=Setup(params, "old"), params=params, watch=SimpleNamespace(use=used.append), used=used
        )
        self.managers = {engine: SimpleNamespace(params=params) for engine in Engine}
        self.memory = fresh_memory(params, Settings().symbols, 0)
        self.recorder = SimpleNamespace(
            params=params, append=self.append, memory=self.memory, projection=SimpleNamespace(books=Books())
        )

    async def append(self, *events: Event) -> None:
        self.events += events


def a_reloader(old: Settings, new: Any, said: list[str], reasons: tuple[str, ...] = ()) -> Reloader:
    def read() -> Settings:
        if isinstance(new, Exception):
            raise new
        found: Settings = new
        return found

    return Reloader(old, read, lambda: BYBIT_2025, lambda _hash, _at: reasons, said.append)


async def test_a_valid_change_is_journaled_with_its_difference_and_in_force_everywhere(tmp_path: Path) -> None:
    old, new = settings(tmp_path), settings(tmp_path, TREND__ADX_MIN="30", LOG__LEVEL="error")
    parts, said = Parts(), []
    crew: Any = parts
    await a_reloader(old, new, said)(crew, NOW)
    (event,) = parts.events
    assert isinstance(event, ConfigChanged)
    assert json.loads(event.difference) == {"log.level": ["info", "error"], "trend.adx_min": ["25", "30"]}
    assert (event.old_hash, event.new_hash) == (old.hash(), new.hash())
    for params in (
        parts.engine.setup.params,
        parts.recorder.params,
        parts.managers[Engine.TREND].params,
        *parts.engine.used,
    ):
        assert params.trend.adx_min == 30
        assert params.risk.cap_usdt == 5000.0
    assert parts.engine.setup.config_hash == new.hash()
    assert said == ["the configuration changed: trend.adx_min; from the next start on: log.level"]


async def test_risk_10_a_changed_configuration_brings_no_old_instrument_rules_back(tmp_path: Path) -> None:
    old, new = settings(tmp_path), settings(tmp_path, TREND__ADX_MIN="30")
    parts, said = Parts(), []
    crew: Any = parts
    # The exchange has changed its steps since the start.
    table = parts.engine.params.instruments
    changed = table._replace(perp_step=table.perp_step * 10)
    parts.engine.params = parts.engine.params._replace(instruments=changed)
    await a_reloader(old, new, said)(crew, NOW)
    assert parts.engine.setup.params.trend.adx_min == 30
    assert parts.engine.setup.params.instruments is changed


async def test_an_engine_whose_account_was_not_opened_cannot_be_switched_on(tmp_path: Path) -> None:
    old, new = settings(tmp_path, TREND__ENABLED="false"), settings(tmp_path)
    parts, said = Parts(), []
    del parts.managers[Engine.TREND]
    crew: Any = parts
    await a_reloader(old, new, said)(crew, NOW)
    (event,) = parts.events
    assert isinstance(event, ErrorOccurred)
    assert (event.where, parts.engine.setup.config_hash) == ("trend.enabled", "old")
    assert "stop the daemon and start it again" in event.mend


async def test_an_engine_that_is_switched_off_while_it_holds_is_said(tmp_path: Path) -> None:
    parts, said = Parts(), []
    crew: Any = parts
    fill = a_fill(account=Account.TREND, market=Market.PERP, qty="0.1")
    parts.recorder.projection.books = Books().apply(Filled(NOW, fill)).books
    await a_reloader(settings(tmp_path), settings(tmp_path, TREND__ENABLED="false"), said)(crew, NOW)
    applied, told = parts.events
    assert isinstance(applied, ConfigChanged)
    assert isinstance(told, ErrorOccurred)
    assert "trend is switched off and holds BTCUSDT" in told.what
    assert told.what in said[1]


async def test_an_invalid_configuration_is_said_and_the_old_one_stays(tmp_path: Path) -> None:
    parts, said = Parts(), []
    crew: Any = parts
    before = parts.engine.setup
    await a_reloader(settings(tmp_path), UsageError("adx_mim names no setting", where="trend.yaml:3"), said)(crew, NOW)
    (event,) = parts.events
    assert isinstance(event, ErrorOccurred)
    assert (event.where, parts.engine.setup) == ("trend.yaml:3", before)
    assert "adx_mim" in said[0]


@pytest.mark.parametrize(
    ("variable", "text", "mend"),
    [
        ("CAPITAL_USDT", "5", "new --state-dir"),
        ("PATHS__STATE_DIR", "elsewhere", "start it again"),
        ("SHARES", "", "start it again"),
    ],
)
async def test_what_state_and_accounts_are_laid_out_by_needs_a_restart(
    tmp_path: Path, variable: str, text: str, mend: str
) -> None:
    environ = {variable: text}
    if variable == "SHARES":
        environ = {"SHARES__TREND": "0.1", "SHARES__CORE_HODL": "0.7"}
    parts, said = Parts(), []
    crew: Any = parts
    await a_reloader(settings(tmp_path), settings(tmp_path, **environ), said)(crew, NOW)
    assert isinstance(parts.events[0], ErrorOccurred)
    assert "cannot change while the daemon runs" in said[0]
    assert mend in parts.events[0].mend
    assert parts.engine.setup.config_hash == "old"


async def test_another_number_of_levels_needs_a_restart(tmp_path: Path) -> None:
    new = settings(tmp_path, TACTICAL__LEVELS='[{"drawdown_frac": 0.6, "budget_frac": 0.5}]')
    with pytest.raises(UsageError, match=r"the number of tactical.*new --state-dir"):
        change_of(settings(tmp_path), new)


@pytest.mark.parametrize("variable", ["TREND__VOLUME_FILTER", "TACTICAL__FEAR_GREED__ENABLED"])
async def test_a_rule_whose_data_only_a_start_reads_cannot_be_switched_on(tmp_path: Path, variable: str) -> None:
    off, on = settings(tmp_path), settings(tmp_path, **{variable: "true"})
    with pytest.raises(UsageError, match="cannot change while the daemon runs"):
        change_of(off, on)
    assert len(change_of(on, off).difference) == 1


async def test_a_window_beyond_the_rates_that_were_read_needs_a_restart(tmp_path: Path) -> None:
    parts, said = Parts(), []
    crew: Any = parts
    await a_reloader(settings(tmp_path), settings(tmp_path, FUNDING__RATE_WINDOW="140"), said)(crew, NOW)
    assert "look back further" in said[0]
    assert (type(parts.events[0]), parts.engine.setup.config_hash) == (ErrorOccurred, "old")
    # What the start has read in any case may be asked for at once.
    await a_reloader(settings(tmp_path), settings(tmp_path, FUNDING__RATE_WINDOW="130"), said)(crew, NOW)
    assert parts.engine.setup.params.funding.rate_window == 130


async def test_risk_13_in_live_a_changed_hash_is_refused_until_armed_again(tmp_path: Path) -> None:
    old, new = settings(tmp_path), settings(tmp_path, TREND__ADX_MIN="30")
    parts, said = Parts(), []
    crew: Any = parts
    reloader = a_reloader(old, new, said, ("the configuration changed",))
    await reloader(crew, NOW)
    assert isinstance(parts.events[0], ErrorOccurred)
    assert "eternal arm" in parts.events[0].mend
    assert parts.engine.setup.params.trend.adx_min == 25
    assert reloader.settings is old
    # What changes no decision is no reason to arm again.
    quiet = settings(tmp_path, LOG__LEVEL="error")
    await a_reloader(old, quiet, said, ("the configuration changed",))(crew, NOW)
    assert isinstance(parts.events[1], ConfigChanged)


async def test_an_unchanged_configuration_writes_nothing(tmp_path: Path) -> None:
    parts, said = Parts(), []
    crew: Any = parts
    await a_reloader(settings(tmp_path), settings(tmp_path), said)(crew, NOW)
    assert (parts.events, said) == ([], ["the configuration is as it was"])


def test_keys_never_stand_in_a_difference(tmp_path: Path) -> None:
    pair = {"KEYS__LIVE__TREND__API_KEY": "planted", "KEYS__LIVE__TREND__API_SECRET": "planted"}
    assert change_of(settings(tmp_path), settings(tmp_path, **pair)).difference == {}
