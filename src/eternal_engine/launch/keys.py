"""The API keys of demo and live: which are needed, which are there, and that none stands in the committed file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from eternal_engine.config import Settings
from eternal_engine.config.env_layer import read_dotenv
from eternal_engine.config.keys import ENV_PREFIX, all_keys
from eternal_engine.model.errors import RefusedError, UsageError
from eternal_engine.model.ids import Account, Engine

if TYPE_CHECKING:
    from eternal_engine.exchange.bybit.client import Credentials

Venue = Literal["demo", "live"]
PREFIX: Final = f"{ENV_PREFIX}KEYS__"


def refuse_committed_keys(directory: Path) -> None:
    """Refuse to start while the committed .env holds a key or an alert address: whoever sees it could use it.

    Raises RefusedError (exit 4) naming file, line and variable, never the key.
    """
    secret = {entry.env for entry in all_keys().values() if entry.secret}
    for name, (text, origin) in read_dotenv(directory / ".env").items():
        if text and (name.upper().startswith(PREFIX) or name.upper() in secret):
            raise RefusedError(
                f"{name} holds a key in a file that is committed",
                where=origin,
                mend="delete it there and where it was issued (it may be known), write a new one to .env.local",
            )


def engines_on(settings: Settings) -> tuple[Engine, ...]:
    """Give the engines that are switched on, in the order in which they decide."""
    return tuple(engine for engine in Engine if getattr(settings, engine.value).enabled)


def credentials_of(settings: Settings, venue: Venue) -> Mapping[Account, Credentials]:
    """Give the keys that are set, by account."""
    # What a start looks at first must not wait for the exchange's library.
    from eternal_engine.exchange.bybit.client import Credentials

    branch = getattr(settings.keys, venue)
    found = {}
    for account in Account:
        pair = getattr(branch, account.value)
        if pair.api_key is not None and pair.api_secret is not None:
            found[account] = Credentials(pair.api_key.get_secret_value(), pair.api_secret.get_secret_value())
    return found


def need_credentials(settings: Settings, venue: Venue) -> Mapping[Account, Credentials]:
    """Give the keys of the accounts a start needs, or raise UsageError naming every variable that is missing.

    Each engine that is switched on needs its own; live needs MASTER's too, because only MASTER can move money between
    the others (CAP-2); the demo has no transfers.
    """
    found = credentials_of(settings, venue)
    needed = [engine.account for engine in engines_on(settings)]
    needed += [Account.MASTER] if venue == "live" else []
    missing = [account for account in needed if account not in found]
    if missing:
        names = ", ".join(f"{PREFIX}{venue.upper()}__{account.name}__API_KEY and _SECRET" for account in missing)
        raise UsageError(
            f"no {venue} key for {', '.join(account.value for account in missing)}",
            where=names,
            mend="write them to .env.local or the environment; paper trading needs none",
        )
    _refuse_one_key_twice(found)
    return found


def _refuse_one_key_twice(found: Mapping[Account, Credentials]) -> None:
    holders: dict[str, Account] = {}
    for account, pair in found.items():
        other = holders.setdefault(pair.key, account)
        if other is not account:
            raise RefusedError(
                f"{other.value} and {account.value} have the same key, so they would trade in one account",
                where="API keys",
                mend="give each engine its own sub-account and key (CAP-1)",
            )
