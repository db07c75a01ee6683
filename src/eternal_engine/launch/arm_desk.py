"""What `eternal arm` does between its question and its answer: look at the accounts, bind the record, store it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from eternal_engine import clock
from eternal_engine.config import Settings
from eternal_engine.launch.arming import Arming, Facts, arm, save
from eternal_engine.launch.carry_on import facts_of
from eternal_engine.launch.files import ARMING_FILE, DATABASE_FILE
from eternal_engine.launch.keys import refuse_committed_keys
from eternal_engine.launch.live import Hosts, close_accounts, open_accounts, preflight
from eternal_engine.launch.preflight import Finding, refuse_errors
from eternal_engine.model.errors import RefusedError, UsageError
from eternal_engine.storage.store import Store


@dataclass(frozen=True, slots=True)
class Ready:
    """Hold what an arming would be bound to, and what the preflight warned of."""

    facts: Facts
    warnings: tuple[Finding, ...]


async def look(settings: Settings, directory: Path, hosts: Hosts | None = None) -> Ready:
    """Look at the live accounts as a start would; makes the database where there is none yet.

    Raises RefusedError (exit 4) for what a start would refuse, UsageError for missing keys.
    """
    refuse_committed_keys(directory)
    ports = open_accounts(settings, "live", hosts)
    try:
        looked = await preflight(ports, settings, clock.now())
    finally:
        await close_accounts(ports)
    refuse_errors(looked.findings)
    if len(looked.uids) < len(ports):
        raise RefusedError(
            "the exchange does not say whose accounts the keys belong to", where="query-api", mend="try again later"
        )
    database = settings.paths.state_dir / DATABASE_FILE
    if not database.is_file():
        await (await Store.open(database)).close()
    return Ready(facts_of(settings, database, looked.uids), looked.findings)


def store_arming(settings: Settings, ready: Ready, cap_usdt: Decimal, days: int, now: datetime) -> Arming:
    """Store a record that holds for `days`. Raises UsageError for a cap that is no amount of money."""
    if not cap_usdt.is_finite() or cap_usdt <= 0:
        raise UsageError(f"a cap of {cap_usdt} makes no sense", where="--cap", mend="name an amount of USDT above zero")
    record = arm(ready.facts, cap_usdt, now, days)
    save(settings.paths.state_dir / ARMING_FILE, record)
    return record
