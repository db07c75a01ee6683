"""Choose the market of paper trading once, at the first start, and keep to it: a daemon never switches by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from eternal_engine.files import write_whole
from eternal_engine.model.errors import EternalError, StorageError, UsageError
from eternal_engine.simulator.hosts import PUBLIC_URL

FILE: Final = "market.json"
VERSION: Final = 1
Probe = Callable[[], Awaitable[bool]]


class MarketKind(StrEnum):
    """Name where prices come from."""

    LIVE = "live"
    RECORDED = "recorded"
    SYNTHETIC = "synthetic"


@dataclass(frozen=True, slots=True)
class Market:
    """Hold the market of one state directory.

    `directory` holds recorded data, `seed` makes the synthetic market, `start_ms` is the first venue time (None: the
    exchange's own default), `speed` the market seconds per second unless a start says otherwise (0: as fast as it can).
    """

    kind: MarketKind
    directory: Path | None
    seed: int
    start_ms: int | None
    speed: float
    first_started_at: datetime

    @property
    def name(self) -> str:
        """Give what `--market` is called with, and what the embedded exchange calls it."""
        return str(self.directory) if self.directory is not None else self.kind.value

    @property
    def sentence(self) -> str:
        """Say it plainly, for the start and for status."""
        match self.kind:
            case MarketKind.LIVE:
                return f"LIVE PUBLIC DATA of {PUBLIC_URL.removeprefix('https://')}, orders go to the embedded exchange"
            case MarketKind.RECORDED:
                return f"RECORDED DATA of {self.directory}, orders go to the embedded exchange"
            case MarketKind.SYNTHETIC:
                return f"SYNTHETIC DATA, seed {self.seed}: invented prices, orders go to the embedded exchange"


@dataclass(frozen=True, slots=True)
class Wish:
    """Hold what the command line asked for; None is "as it was, or as it is best"."""

    market: str | None = None
    start_ms: int | None = None
    speed: float | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Hold what a choice depends on: the user's own store of candles, the coins, seed, usual speed, the network."""

    recorded: Path
    symbols: tuple[str, ...]
    seed: int
    speed: float
    probe: Probe


async def choose_market(state_dir: Path, wish: Wish, around: Surroundings, now: datetime) -> Market:
    """Continue with the stored market, or choose and store one.

    Raises UsageError (exit 2) for another market than the stored one, and for live prices at another speed than their
    own; DataError for a folder that lacks a coin; StorageError for a stored choice that cannot be read.
    """
    path = state_dir / FILE
    stored = read_market(path)
    if stored is not None:
        _check_same(stored, wish, path)
        return _checked(stored if wish.speed is None else replace(stored, speed=wish.speed), around.symbols)
    chosen = _checked(await _first_choice(wish, around, now), around.symbols)
    write_market(path, chosen)
    return chosen


def read_market(path: Path) -> Market | None:
    """Read a stored choice, None where there is none yet."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _unreadable(path, str(error)) from error
    try:
        if found["version"] != VERSION:
            raise _unreadable(path, f"version {found['version']}")
        return Market(
            kind=MarketKind(found["kind"]),
            directory=None if found["directory"] is None else Path(found["directory"]),
            seed=int(found["seed"]),
            start_ms=None if found["start_ms"] is None else int(found["start_ms"]),
            speed=float(found["speed"]),
            first_started_at=datetime.fromisoformat(found["first_started_at"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error


def write_market(path: Path, market: Market) -> None:
    """Store a choice, whole or not at all."""
    document: dict[str, Any] = {
        "version": VERSION,
        "kind": market.kind.value,
        "directory": None if market.directory is None else str(market.directory),
        "seed": market.seed,
        "start_ms": market.start_ms,
        "speed": market.speed,
        "first_started_at": market.first_started_at.isoformat(),
    }
    write_whole(path, json.dumps(document, indent=2) + "\n", private=True, kind=EternalError)


async def live_prices_answer(timeout_s: float, url: str = PUBLIC_URL) -> bool:
    """Ask the public host for its time, and nothing else; False after `timeout_s`."""
    import aiohttp

    try:
        async with (
            asyncio.timeout(timeout_s),
            aiohttp.ClientSession() as session,
            session.get(f"{url}/v5/market/time") as reply,
        ):
            answer = await reply.json(content_type=None)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return False
    # A hotel's login page answers, too.
    return isinstance(answer, dict) and answer.get("retCode") == 0


async def _first_choice(wish: Wish, around: Surroundings, now: datetime) -> Market:
    kind, directory = await _best(around, wish) if wish.market is None else _named(wish.market)
    usual = 1.0 if kind is MarketKind.LIVE else around.speed
    return Market(kind, directory, around.seed, wish.start_ms, usual if wish.speed is None else wish.speed, now)


async def _best(around: Surroundings, wish: Wish) -> tuple[MarketKind, Path | None]:
    # Who names a day or a speed asks for a market that has them.
    if wish.start_ms is None and wish.speed in (None, 1.0) and await around.probe():
        return MarketKind.LIVE, None
    if has_candles(around.recorded):
        return MarketKind.RECORDED, around.recorded.resolve()
    return MarketKind.SYNTHETIC, None


def has_candles(directory: Path) -> bool:
    """Tell whether a folder looks like a store of candles."""
    return any((directory / "spot_1h").glob("*.parquet"))


def _named(text: str) -> tuple[MarketKind, Path | None]:
    if text in (MarketKind.LIVE, MarketKind.SYNTHETIC):
        return MarketKind(text), None
    directory = Path(text)
    if not directory.is_dir():
        raise UsageError(
            f"there is no market {text!r}", where="--market", mend="use live, synthetic, or a directory of candles"
        )
    return MarketKind.RECORDED, directory.resolve()


def _checked(market: Market, symbols: tuple[str, ...]) -> Market:
    if market.kind is MarketKind.LIVE and market.speed != 1:
        raise UsageError("live prices come at their own speed", where="--speed", mend="leave out --speed")
    if market.kind is MarketKind.LIVE and market.start_ms is not None:
        raise UsageError("live prices begin now", where="--start", mend="leave out --start")
    if market.directory is not None:
        from eternal_engine.market_data.folder import require

        require(market.directory, symbols)
    return market


def _check_same(stored: Market, wish: Wish, path: Path) -> None:
    if wish.market is None or wish.market == stored.name:
        return
    if stored.directory is not None and Path(wish.market).resolve() == stored.directory:
        return
    raise UsageError(
        f"this state directory trades on the market {stored.name!r}, not on {wish.market!r}",
        where=str(path),
        mend="leave out --market, or name another --state-dir",
    )


def _unreadable(path: Path, problem: str) -> StorageError:
    return StorageError(
        f"the stored choice of market cannot be read: {problem}",
        where=str(path),
        mend="restore it from a backup, or start with another --state-dir",
    )
