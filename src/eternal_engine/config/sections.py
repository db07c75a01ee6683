"""The settings of the project itself: money, symbols, shares, paths, costs, backtest, daemon, log, alerts, API keys."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from eternal_engine.config.types import Frac, Section, check_sum_is_one, key

SYMBOLS = (
    "BTCUSDT",
    "ETHUSDT",
    "SOLUSDT",
    "XRPUSDT",
    "BNBUSDT",
    "DOGEUSDT",
    "ADAUSDT",
    "TRXUSDT",
    "AVAXUSDT",
    "LINKUSDT",
)


class Shares(Section):
    """How the portfolio is divided over the engines at first start; the four must sum to 1."""

    core_hodl: Frac = key(Decimal("0.60"), "Share of CORE_HODL.", unit="fraction of portfolio", rules="CAP-1")
    trend: Frac = key(Decimal("0.20"), "Share of TREND.", unit="fraction of portfolio", rules="CAP-1")
    funding: Frac = key(Decimal("0.15"), "Share of FUNDING.", unit="fraction of portfolio", rules="CAP-1")
    tactical: Frac = key(Decimal("0.05"), "Share of TACTICAL.", unit="fraction of portfolio", rules="CAP-1")

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        check_sum_is_one("the engine shares", self.model_dump())
        return self


def _user_cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "eternal-engine"


class Paths(Section):
    """Where files are kept; relative paths start at the directory the command runs in."""

    data_dir: Path = key(Path("data"), "Candles, funding rates and sentiment, as parquet with a manifest.", unit="path")
    state_dir: Path = key(
        Path("state"), "Databases and locks of the daemon and the embedded exchange.", unit="path", rules="ORD-8"
    )
    log_dir: Path = key(Path("logs"), "Log files.", unit="path")
    report_dir: Path = key(Path("reports"), "Reports of backtests.", unit="path")
    cache_dir: Path = key(
        None,
        "Compiled kernels and synthetic markets; safe to delete. Default: the user's cache directory.",
        unit="path",
        default_factory=_user_cache_dir,
    )


class Costs(Section):
    """What trading costs in a backtest and at the embedded exchange."""

    spot_fee_bps: Decimal = key(
        Decimal(10), "Taker fee on spot.", unit="basis points", rules="U-9 RISK-10", ge=0, le=100
    )
    perp_fee_bps: Decimal = key(
        Decimal("5.5"), "Taker fee on perpetuals.", unit="basis points", rules="U-9 RISK-10", ge=0, le=100
    )
    slippage_bps: Decimal = key(
        Decimal(5), "How much worse than the open a fill is.", unit="basis points", rules="U-9", ge=0, le=500
    )


class Backtest(Section):
    """What only a backtest decides for itself."""

    approval_delay_h: int = key(
        72, "How long the operator takes to approve a breaker's release.", unit="hours", rules="BRK-5", ge=0, le=8760
    )
    deposit_weekly_usdt: Decimal = key(
        Decimal(0), "Deposit into CORE_HODL every week.", unit="USDT", rules="CORE-10", ge=0
    )
    seed: int = key(7, "Seed of the synthetic market.", unit="number", ge=0, lt=2**32)


class Daemon(Section):
    """How the daemon keeps its hours: no setting here can change a decision."""

    ping_interval_s: float = key(
        10.0,
        "Time between two calls that ask whether the exchange answers.",
        unit="seconds",
        rules="ORD-6",
        gt=0,
        le=30,
    )
    reconcile_interval_s: float = key(
        300.0, "Time between two comparisons with the exchange.", unit="seconds", rules="ORD-7", ge=10, le=86400
    )
    late_bar_grace_s: float = key(
        60.0, "How long a decision waits for bars that come late.", unit="seconds", rules="U-10", ge=0, le=1800
    )
    probe_timeout_s: float = key(
        2.5, "How long the first start of paper trading looks for live prices.", unit="seconds", gt=0, le=3
    )
    paper_speed: float = key(
        3600.0,
        "Market seconds per second in paper trading on synthetic or recorded data; live prices have their own time.",
        unit="times",
        ge=1,
        le=1_000_000,
    )
    arming_days: int = key(30, "How long an arming of live trading holds.", unit="days", rules="RISK-13", ge=1, le=366)


class Log(Section):
    """How much is written to the log."""

    level: Literal["debug", "info", "warning", "error"] = key(
        "info", "The least severe event that is written.", unit="name"
    )
    max_mb: int = key(20, "Size at which the log file is rotated.", unit="megabytes", ge=1, le=1000)
    files: int = key(10, "Rotated files that are kept.", unit="files", ge=1, le=1000)


class Alerts(Section):
    """Whom to tell what should not wait. Services are named by address, as apprise reads them."""

    urls: SecretStr | None = key(
        None, "Addresses of alert services, with blanks between; none: alerts only go to the log.", unit="secret"
    )
    daily_summary: bool = key(True, "Send one summary at the end of each UTC day.", unit="switch")
    most_per_hour: int = key(
        20, "Messages after which an hour's rest is counted and sent as one.", unit="messages", ge=1, le=1000
    )


class ApiKey(Section):
    """One sub-account's API key; kept out of every output, file and hash."""

    api_key: SecretStr | None = key(None, "API key of this sub-account.", unit="secret")
    api_secret: SecretStr | None = key(None, "API secret of this sub-account.", unit="secret")

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.api_key is None) != (self.api_secret is None):
            raise ValueError("api_key and api_secret belong together: set both or neither")
        return self


class AccountKeys(Section):
    """The API keys of one environment: one per engine's sub-account, and MASTER's, which only moves money."""

    master: ApiKey = Field(default_factory=ApiKey, description="MASTER, which only moves money (CAP-1).")
    core_hodl: ApiKey = Field(default_factory=ApiKey, description="CORE_HODL's sub-account.")
    trend: ApiKey = Field(default_factory=ApiKey, description="TREND's sub-account.")
    funding: ApiKey = Field(default_factory=ApiKey, description="FUNDING's sub-account.")
    tactical: ApiKey = Field(default_factory=ApiKey, description="TACTICAL's sub-account.")


class Keys(Section):
    """API keys. Only from .env.local or the environment; a YAML file with keys in it is refused."""

    demo: AccountKeys = Field(default_factory=AccountKeys, description="Keys of the demo environment.")
    live: AccountKeys = Field(default_factory=AccountKeys, description="Keys of the live environment.")
