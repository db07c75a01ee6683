"""`eternal arm`: allow live trading on this machine, with this configuration, up to a cap, for a time."""

from __future__ import annotations

import asyncio
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from eternal_engine import clock
from eternal_engine.cli.command import typed
from eternal_engine.cli.output import print_json
from eternal_engine.cli.state_dir import JsonOption, StateDirOption
from eternal_engine.launch.files import ARMING_FILE
from eternal_engine.model.errors import UsageError

if TYPE_CHECKING:
    from eternal_engine.config import Settings
    from eternal_engine.launch.arming import Arming

app = typer.Typer(add_completion=False, rich_markup_mode=None)

WORD: Final = "ARM"


@app.command()
def arm(
    cap: Annotated[str, typer.Option("--cap", metavar="USDT", help="The most that may be exposed at once.")] = "",
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=366, help="How long it holds (default: daemon.arming_days).")
    ] = None,
    state_dir: StateDirOption = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take the arming away; entries stop, exits go on.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Only show the record.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Arm live trading: look at the accounts, ask for the word ARM on a terminal, and write the record.

    It is void after any change of accounts, configuration, machine or database, and after its time.
    """
    from eternal_engine.launch.arming import read
    from eternal_engine.launch.arming import revoke as take_away

    settings = _settings(state_dir)
    record = settings.paths.state_dir / ARMING_FILE
    if show:
        _tell(read(record), as_json=as_json)
        return
    if revoke:
        text = "Live trading is not armed any more." if take_away(record) else "Live trading was not armed."
        _say(text, {"armed": False}, as_json=as_json)
        return
    amount = _amount(cap)
    from eternal_engine.launch.arm_desk import look, store_arming

    ready = asyncio.run(look(settings, Path()))
    for finding in ready.warnings:
        typer.echo(f"warning: {finding.what}; to mend: {finding.mend}", err=True)
    names = ", ".join(f"{name} {uid}" for name, uid in sorted(ready.facts.accounts.items()))
    held = settings.daemon.arming_days if days is None else days
    for_days = f"{held} day" if held == 1 else f"{held} days"
    typed(
        WORD,
        f"This allows trading with REAL MONEY in the accounts {names},\n"
        f"at most {amount:,} USDT at once, for {for_days}, with the configuration {ready.facts.config_hash[:12]}.",
    )
    _tell(store_arming(settings, ready, amount, held, clock.now()), as_json=as_json)


def _settings(state_dir: Path | None) -> Settings:
    from eternal_engine.config import load

    settings = load("live")
    if state_dir is None:
        return settings
    return settings.model_copy(update={"paths": settings.paths.model_copy(update={"state_dir": state_dir})})


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        raise UsageError(f"{text!r} is no cap", where="--cap", mend="name an amount of USDT, such as --cap 5000")
    return amount


def _tell(record: Arming | None, *, as_json: bool) -> None:
    if record is None:
        _say("Live trading is not armed.", {"armed": False}, as_json=as_json)
        return
    facts = record.facts
    document = {
        "armed": clock.now() < record.expires_at,
        "cap_usdt": str(record.cap_usdt),
        "created_at": record.created_at.isoformat(),
        "expires_at": record.expires_at.isoformat(),
        "accounts": dict(facts.accounts),
        "config_hash": facts.config_hash,
    }
    text = f"Armed up to {record.cap_usdt:,} USDT until {record.expires_at:%Y-%m-%d %H:%M} UTC."
    _say(text, document, as_json=as_json)


def _say(text: str, document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        typer.echo(text)
