"""`eternal run`: trade, in paper, on the demo, or live, until stopped or until a given time."""

from __future__ import annotations

import asyncio
import math
import os
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from eternal_engine.cli.command import typed
from eternal_engine.cli.dates import instant, is_day
from eternal_engine.cli.output import print_json
from eternal_engine.cli.state_dir import DaemonMode, logs_in
from eternal_engine.launch.files import ARMING_FILE
from eternal_engine.model.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from eternal_engine.config import Settings
    from eternal_engine.launch.daemon import Outcome
    from eternal_engine.launch.markets import Wish
    from eternal_engine.launch.summary import Summary

app = typer.Typer(add_completion=False, rich_markup_mode=None)

FASTEST: Final = 1_000_000.0
WORD: Final = "LIVE"


@app.command()
def run(
    mode: Annotated[DaemonMode, typer.Option("--mode", help="Play money here, play money at Bybit, or real money.")],
    market: Annotated[
        str | None,
        typer.Option("--market", metavar="live|synthetic|DIR", help="Paper: where prices come from."),
    ] = None,
    start: Annotated[
        str, typer.Option("--start", metavar="DATE", help="Paper: first day of a new state directory, UTC.")
    ] = "",
    until: Annotated[str, typer.Option("--until", metavar="DATE", help="Last day, inclusive; or a time, UTC.")] = "",
    speed: Annotated[
        str, typer.Option("--speed", metavar="X|max", help="Paper: market seconds per second (default 3600; live 1).")
    ] = "",
    engine: Annotated[
        list[str] | None,
        typer.Option("--engine", metavar="NAME", help="core_hodl (core), trend, funding, tactical; repeat; none: all."),
    ] = None,
    state_dir: Annotated[
        Path | None,
        typer.Option("--state-dir", metavar="DIR", help="Databases, lock and log (default: configured)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON summary at the end.")] = False,
) -> None:
    """Run the daemon. SIGTERM or Ctrl-C ends it within ten seconds; resting stops stay at the exchange."""
    from eternal_engine.launch.keys import refuse_committed_keys
    from eternal_engine.launch.markets import Wish

    asked = _Asked(mode, tuple(engine or ()), state_dir)
    end = parse_until(until)
    wish = Wish(market, _start_ms(start), parse_speed(speed))
    if start and end is not None and instant(start, "--start") >= end:
        raise UsageError(f"--until {until} is before --start {start}", where="--until", mend="swap them")
    if mode != "paper" and wish != Wish():
        raise UsageError(
            f"{mode} has its own market and time", where="--market, --start, --speed", mend="leave them out"
        )
    # Before anything is read into settings: half a pair of keys is committed all the same.
    refuse_committed_keys(Path())
    settings = asked.settings()
    if mode == "live":
        confirm_live(settings)
    shows_view = sys.stdout.isatty() and not as_json
    if shows_view:
        # Until the view comes, some seconds of imports and of looking for prices: nobody should wonder.
        typer.echo(f"starting in {mode} mode, state in {settings.paths.state_dir} ...", err=True)
    outcome = _run(asked, settings, wish, end, shows_view=shows_view)
    if as_json:
        print_json(outcome.summary.document())
    else:
        typer.echo(words_of(outcome.summary))
    if outcome.ending.exit_code:
        raise typer.Exit(outcome.ending.exit_code)


@dataclass(frozen=True)
class _Asked:
    """Hold what changes the settings, so that a reload changes them the same way."""

    mode: DaemonMode
    engines: tuple[str, ...]
    state_dir: Path | None

    def settings(self) -> Settings:
        """Read the configuration and put the command line over it."""
        from eternal_engine.cli.backtest_request import parse_engines
        from eternal_engine.config import load

        settings = load(self.mode)
        if self.engines:
            wanted = parse_engines(self.engines)
            switched = {
                name: getattr(settings, name).model_copy(update={"enabled": name in wanted})
                for name in ("core_hodl", "trend", "funding", "tactical")
            }
            settings = settings.model_copy(update=switched)
        if self.state_dir is not None:
            own = {"state_dir": self.state_dir, "log_dir": logs_in(self.state_dir)}
            settings = settings.model_copy(update={"paths": settings.paths.model_copy(update=own)})
        return settings


def _run(asked: _Asked, settings: Settings, wish: Wish, until: datetime | None, *, shows_view: bool) -> Outcome:
    from eternal_engine.engine.notify import Notifier, watchdog_interval_s
    from eternal_engine.launch.start import Request, start

    environ = os.environ
    request = Request(
        mode=asked.mode,
        settings=settings,
        directory=Path(),
        read_settings=asked.settings,
        wish=wish,
        until=until,
        view=shows_view,
        notifier=Notifier(environ.get("NOTIFY_SOCKET", "")),
        watchdog_s=watchdog_interval_s(environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", ""), os.getpid()),
    )
    return asyncio.run(start(request))


def confirm_live(settings: Settings) -> None:
    """Ask for the word LIVE on a terminal; without one the arming alone decides, which is looked at first.

    Raises RefusedError (exit 4) when nothing is armed here at all, or another word is typed.
    """
    from eternal_engine.launch.arming import read

    path = settings.paths.state_dir / ARMING_FILE
    record = read(path)
    if record is None:
        raise RefusedError(
            "live trading is not armed",
            where=str(path),
            mend="read `eternal check --mode live`, then arm on a terminal with `eternal arm --cap USDT`",
        )
    if not sys.stdin.isatty():
        return
    typed(
        WORD,
        f"This trades with REAL MONEY, at most {record.cap_usdt:,} USDT at once, "
        f"armed until {record.expires_at:%Y-%m-%d %H:%M} UTC.",
    )


def parse_speed(text: str) -> float | None:
    """Read `--speed`: 0 for max, None when nothing was said."""
    if not text:
        return None
    if text == "max":
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed <= FASTEST:
        raise UsageError(f"{text!r} is no speed", where="--speed", mend="write max, or a number from 1 to 1000000")
    return speed


def parse_until(text: str) -> datetime | None:
    """Read `--until`: a day counts to its end, a time as it is."""
    if not text:
        return None
    at = instant(text, "--until")
    return at + timedelta(days=1) if is_day(text) else at


def _start_ms(text: str) -> int | None:
    return int(instant(text, "--start").timestamp() * 1000) if text else None


def words_of(summary: Summary) -> str:
    """Say in a few lines what a run came to."""
    found = summary.document()
    amounts = found["equity_usdt"]
    rows = [f"  {name:<10} {_amount(value)}" for name, value in amounts.items()]
    match found["venue_ledger_matches"]:
        case True:
            ledger = "The exchange's own ledger matches the books."
        case False:
            ledger = "The exchange's ledger DIFFERS: " + "; ".join(found["differences"])
        case _:
            ledger = "The exchange did not answer: its ledger was not compared."
    return "\n".join(
        (
            f"Ended at {summary.ended_at:%Y-%m-%d %H:%M} UTC: {summary.reason}. {summary.market}.",
            f"{found['hours']} hours decided; on record are {found['orders']} orders and {found['fills']} fills.",
            "Equity, USDT:",
            *rows,
            ledger,
        )
    )


def _amount(text: str | None) -> str:
    return "unknown" if text is None else f"{float(text):>14,.2f}"
