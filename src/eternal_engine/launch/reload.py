"""SIGHUP: read the configuration again and apply what may change while the daemon runs, on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from eternal_engine.bootstrap import params_of
from eternal_engine.config import Settings
from eternal_engine.config.keys import all_keys, to_text, value_at
from eternal_engine.engine.market_watch import rate_history_h
from eternal_engine.launch.assembly import Crew, use
from eternal_engine.launch.keys import engines_on
from eternal_engine.launch.untended import untended
from eternal_engine.model.errors import EternalError, RefusedError, UsageError
from eternal_engine.model.event import ConfigChanged, ErrorOccurred
from eternal_engine.model.instrument import InstrumentTable

# What the state or the accounts were laid out by: changed in the middle, books and memory would not fit any more.
FIXED: Final = ("symbols", "shares", "capital_usdt", "paths", "backtest")
# Rules that look at data which a start reads only for them: switched on later they would stay idle without a word.
MORE_DATA: Final = ("trend.volume_filter", "tactical.fear_greed.enabled")
# Read once, when the daemon starts.
AT_START: Final = ("daemon", "log", "alerts")
MEND: Final = "stop the daemon and start it again"
# What a state was begun with: the next start refuses others, or has divided the money already.
BEGUN_WITH: Final = ("symbols", "capital_usdt")
LEVELS: Final = "the number of tactical.levels"
ANEW: Final = "set it back; another one needs a new --state-dir"


@dataclass(frozen=True, slots=True)
class Change:
    """Hold what differs, key by key, as texts: [old, new]."""

    difference: dict[str, list[str]]
    old_hash: str
    new_hash: str

    @property
    def words(self) -> str:
        """Say which settings changed, and which of them only the next start reads."""
        later = [path for path in self.difference if path.partition(".")[0] in AT_START]
        now = [path for path in self.difference if path not in later]
        told = [f"the configuration changed: {', '.join(now)}"] if now else []
        told += [f"from the next start on: {', '.join(later)}"] if later else []
        return "; ".join(told)

    def event(self, at: datetime) -> ConfigChanged:
        """Make the journal's record of it."""
        return ConfigChanged(at, self.old_hash, self.new_hash, json.dumps(self.difference, sort_keys=True))


def change_of(old: Settings, new: Settings) -> Change:
    """Compare two settings, keys and other secrets left out.

    Raises UsageError for a change that needs a restart.
    """
    difference = {
        path: [to_text(value_at(old, path)), to_text(value_at(new, path))]
        for path, entry in all_keys().items()
        if not entry.secret and value_at(old, path) != value_at(new, path)
    }
    fixed = [path for path in difference if path.partition(".")[0] in FIXED]
    if len(old.tactical.levels) != len(new.tactical.levels):
        fixed.append(LEVELS)
    fixed += [path for path in MORE_DATA if value_at(new, path) and not value_at(old, path)]
    if fixed:
        names = ", ".join(fixed)
        mend = ANEW if any(path in (*BEGUN_WITH, LEVELS) for path in fixed) else MEND
        raise UsageError(f"{names} cannot change while the daemon runs", where=names, mend=mend)
    return Change(difference, old.hash(), new.hash())


class Reloader:
    """Apply a changed configuration to a running crew; keep the old one when it is invalid or not allowed.

    `read` reads the files and variables again. `refuses` lists why a hash may not be used (live: it is not armed);
    an empty list allows it.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        table: Callable[[], InstrumentTable],
        refuses: Callable[[str, datetime], tuple[str, ...]],
        say: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self._read = read
        self._table = table
        self._refuses = refuses
        self._say = say

    async def __call__(self, crew: Crew, now: datetime) -> None:
        """Read, compare, apply and journal; every outcome is said."""
        try:
            await self._apply(crew, now)
        except EternalError as error:
            self._say(f"the configuration stays as it was: {error}")
            await crew.recorder.append(
                ErrorOccurred(now, f"the configuration stays as it was: {error.message}", error.where, error.mend)
            )

    async def _apply(self, crew: Crew, now: datetime) -> None:
        new = self._read()
        change = change_of(self.settings, new)
        _refuse_without_account(new, crew)
        if not change.difference:
            self._say("the configuration is as it was")
            return
        reasons = self._refuses(change.new_hash, now) if change.new_hash != change.old_hash else ()
        if reasons:
            raise RefusedError("; ".join(reasons), where="configuration", mend="arm again with `eternal arm`")
        cap_usdt = crew.engine.params.risk.cap_usdt
        params = params_of(new, self._table())
        if rate_history_h(params) > rate_history_h(crew.engine.params):
            raise UsageError(
                "the new windows look back further than the settled rates that were read at the start",
                where="funding.rate_window, funding.positive_settlements, tactical.capitulation.days",
                mend=MEND,
            )
        await crew.recorder.append(change.event(now))
        # The exchange's rules of now, not of the start: they are read each hour, and only a change is taken over.
        present = params._replace(instruments=crew.engine.params.instruments)
        use(crew, present._replace(risk=params.risk._replace(cap_usdt=cap_usdt)), change.new_hash)
        for manager in crew.managers.values():
            manager.leg_timeout_s = new.funding.leg_timeout_s
        self.settings = new
        self._say(change.words)
        for alert in untended(new, crew.recorder.memory, crew.recorder.projection.books):
            self._say(f"{alert.what} ({alert.where}); to mend: {alert.mend}")
            await crew.recorder.append(ErrorOccurred(now, alert.what, alert.where, alert.mend))


def _refuse_without_account(new: Settings, crew: Crew) -> None:
    """Refuse to switch an engine on whose account was not opened at the start: nobody would send its orders."""
    missing = [engine.value for engine in engines_on(new) if engine not in crew.managers]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} cannot be switched on while the daemon runs: its account was not opened",
            where=", ".join(f"{name}.enabled" for name in missing),
            mend=MEND,
        )
