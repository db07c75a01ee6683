"""Look at real accounts before trading in them: rights of the keys, kind of account, whose they are, what is in them.

`gather` asks the exchange, `judge` is pure. `eternal check` shows the findings; a start refuses on the first error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from eternal_engine.exchange.account import AccountInfo, KeyInfo, Wallet
from eternal_engine.exchange.port import TradingAccount
from eternal_engine.model.errors import (
    EternalError,
    ExchangeError,
    HaltTrading,
    RefusedError,
    RejectedForGood,
    Unsupported,
)
from eternal_engine.model.ids import Account, Engine
from eternal_engine.model.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "CAP-1",
        "On demo and live nobody but the operator divides the money: a start compares balances with the shares and "
        "says where they differ; two engines in one account are refused.",
        ("shares.core_hodl", "shares.trend", "shares.funding", "shares.tactical"),
        (
            "tests/unit/launch/test_preflight.py::test_cap_1_balances_far_from_the_shares_are_a_warning",
            "tests/unit/launch/test_preflight.py::test_cap_1_two_engines_in_one_account_are_refused",
        ),
    ),
)

UNIFIED: Final = range(3, 7)
NEAR_END: Final = timedelta(days=30)
SHARE_TOLERANCE_FRAC: Final = Decimal("0.10")
PERP_ENGINES: Final = frozenset({Engine.TREND, Engine.FUNDING})
WITHDRAW: Final = "Withdraw"
TRADE_RIGHTS: Final = {
    Engine.CORE_HODL: (("Spot", "SpotTrade"),),
    Engine.TREND: (("ContractTrade", "Order"), ("ContractTrade", "Position")),
    Engine.FUNDING: (("Spot", "SpotTrade"), ("ContractTrade", "Order"), ("ContractTrade", "Position")),
    Engine.TACTICAL: (("Spot", "SpotTrade"),),
}
TRANSFER_RIGHT: Final = ("Wallet", "SubMemberTransfer")
# "Derivatives" is what the exchange adds to "ContractTrade" by itself; moving inside the account harms nobody.
HARMLESS: Final = frozenset({("Derivatives", "DerivativesTrade"), ("Wallet", "AccountTransfer")})


class Severity(StrEnum):
    """Name how bad a finding is: only an error refuses a start."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """Say what is wrong, where, and the mend; `may_pass`: nobody but the exchange has to do anything about it."""

    severity: Severity
    what: str
    where: str
    mend: str
    may_pass: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold what one account showed; a part is None where the environment has no such call or it failed (`problem`)."""

    account: Account
    key: KeyInfo | None = None
    info: AccountInfo | None = None
    wallet: Wallet | None = None
    problem: EternalError | None = None


async def gather(ports: Mapping[Account, TradingAccount]) -> tuple[Seen, ...]:
    """Ask every account for its key, its settings and its balance, all accounts at once."""
    return tuple(await asyncio.gather(*(_look(account, port) for account, port in ports.items())))


def judge(
    seen: Iterable[Seen], engines: tuple[Engine, ...], shares: Mapping[Engine, Decimal], now: datetime
) -> tuple[Finding, ...]:
    """Judge what the accounts showed. `shares` are fractions of the portfolio by engine (CAP-1)."""
    rows = {row.account: row for row in seen}
    findings: list[Finding] = []
    for row in rows.values():
        findings += _account(row, engines, now)
    findings += _shared_accounts(rows)
    findings += _strangers(rows)
    findings += _balances(rows, shares)
    return tuple(sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR))


def only_silence(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Give the errors when all of them may pass by themselves, none when a person has to mend one, or there is none."""
    errors = tuple(finding for finding in findings if finding.severity is Severity.ERROR)
    return errors if all(finding.may_pass for finding in errors) else ()


def refuse_errors(findings: Iterable[Finding]) -> None:
    """Raise RefusedError (exit 4) with every error among the findings."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        raise RefusedError(
            "; ".join(finding.what for finding in errors),
            where=", ".join(dict.fromkeys(finding.where for finding in errors)),
            mend="; ".join(dict.fromkeys(finding.mend for finding in errors)),
        )


async def _look(account: Account, port: TradingAccount) -> Seen:
    try:
        key: KeyInfo | None = await port.key_info()
    except Unsupported:
        key = None  # the documents disagree whether the demo has it (bybit-v5 4): the rights show at the first order
    except ExchangeError as error:
        return Seen(account, problem=error)
    try:
        return Seen(account, key, await port.account_info(), await port.wallet())
    except ExchangeError as error:
        return Seen(account, key, problem=error)


def _account(row: Seen, engines: tuple[Engine, ...], now: datetime) -> list[Finding]:
    where = f"account of {row.account.value}"
    found = []
    if row.problem is not None:
        found.append(_unanswered(row.problem, where))
    if row.key is not None:
        found += _key(row.key, row.account, engines, now, where)
    if row.info is not None and row.info.unified_status not in UNIFIED:
        what = f"{row.account.value} is no unified trading account"
        found.append(Finding(Severity.ERROR, what, where, "upgrade it to a unified account on the exchange's site"))
    return found


def _unanswered(problem: EternalError, where: str) -> Finding:
    if isinstance(problem, HaltTrading):
        mend = "check key and secret; demo keys belong to --mode demo, live keys to --mode live"
        return Finding(Severity.ERROR, f"the exchange refuses the key: {problem.message}", where, mend)
    mend = problem.mend or "try again in a minute"
    what = f"the account could not be looked at: {problem.message}"
    # What the exchange says no to, it will say no to for ever: waiting for another answer would hide it.
    is_silent = not isinstance(problem, RejectedForGood | Unsupported)
    return Finding(Severity.ERROR, what, where, mend, may_pass=is_silent)


def _key(key: KeyInfo, account: Account, engines: tuple[Engine, ...], now: datetime, where: str) -> list[Finding]:
    found = []
    rights = {(group, right) for group, names in key.permissions for right in names}
    if any(right.startswith(WITHDRAW) for _, right in rights):
        what = f"the key of {account.value} may withdraw money"
        found.append(Finding(Severity.ERROR, what, where, "make a key without the right to withdraw"))
    needed = (TRANSFER_RIGHT,) if account is Account.MASTER else TRADE_RIGHTS[Engine(account.value)]
    missing = [f"{group}/{right}" for group, right in needed if not key.may(group, right)]
    if missing and _is_used(account, engines):
        what = f"the key of {account.value} may not {', '.join(missing)}{' (it is read-only)' if key.read_only else ''}"
        found.append(Finding(Severity.ERROR, what, where, "give the key these rights, or make a new one"))
    broader = sorted(
        f"{group}/{right}"
        for group, right in rights - set(needed) - HARMLESS - {TRANSFER_RIGHT}
        if not right.startswith(WITHDRAW)
    )
    if broader:
        what = f"the key of {account.value} may more than is needed: {', '.join(broader)}"
        found.append(Finding(Severity.WARNING, what, where, "take these rights away from the key"))
    if not key.ips or "*" in key.ips:
        what = f"the key of {account.value} works from any address"
        found.append(Finding(Severity.WARNING, what, where, "bind the key to this machine's address"))
    if key.expires_at is not None and key.expires_at - now <= NEAR_END:
        what = f"the key of {account.value} expires at {key.expires_at:%Y-%m-%d %H:%M} UTC"
        found.append(Finding(Severity.WARNING, what, where, "renew it, or bind it to an address: then it does not end"))
    return found


def _is_used(account: Account, engines: tuple[Engine, ...]) -> bool:
    return account is Account.MASTER or Engine(account.value) in engines


def _shared_accounts(rows: Mapping[Account, Seen]) -> list[Finding]:
    """Find accounts that are one; an engine that is off counts, because the books of each key's account are opened."""
    owners: dict[int, list[Account]] = {}
    for account, row in rows.items():
        if row.key is not None:
            owners.setdefault(row.key.user_id, []).append(account)
    found = []
    for accounts in owners.values():
        if len(accounts) < 2:
            continue
        names = " and ".join(account.value for account in accounts)
        perps = {account.value for account in accounts} >= {engine.value for engine in PERP_ENGINES}
        why = "they would share positions in the same perpetuals" if perps else "their books could not be told apart"
        mend = "make one sub-account per engine, each with its own key (CAP-1), or take away the key of one that is off"
        found.append(Finding(Severity.ERROR, f"{names} trade in one account: {why}", names, mend))
    return found


def _strangers(rows: Mapping[Account, Seen]) -> list[Finding]:
    """Find sub-accounts that MASTER cannot send money to: they are another owner's."""
    master = rows.get(Account.MASTER)
    if master is None or master.key is None:
        return []
    found = []
    if master.key.is_master is False:
        mend = "use a key of the main account for MASTER"
        found.append(Finding(Severity.ERROR, "MASTER's key belongs to a sub-account", "account of master", mend))
    for account, row in rows.items():
        parent = None if row.key is None else row.key.parent_uid
        if account is Account.MASTER or parent in (None, "", "0", str(master.key.user_id)):
            continue
        what = f"{account.value} is no sub-account of MASTER, so money cannot move between them"
        mend = "use keys of one main account and its sub-accounts"
        found.append(Finding(Severity.ERROR, what, f"account of {account.value}", mend))
    return found


def _balances(rows: Mapping[Account, Seen], shares: Mapping[Engine, Decimal]) -> list[Finding]:
    held = {
        engine: row.wallet.total_equity_usd
        for engine in shares
        if (row := rows.get(engine.account)) is not None
        and row.wallet is not None
        and row.wallet.total_equity_usd is not None
    }
    total = sum(held.values(), Decimal(0))
    if len(held) < len(shares):
        return []
    if total <= 0:
        mend = "move money into the sub-accounts on the exchange's site"
        return [Finding(Severity.WARNING, "the sub-accounts hold nothing", "balances", mend)]
    found = []
    for engine, share in shares.items():
        part = held[engine] / total
        if abs(part - share) > SHARE_TOLERANCE_FRAC:
            what = f"{engine.value} holds {part:.0%} of the money, its share is {share:.0%}"
            mend = f"move money on the exchange's site until it holds about {total * share:,.0f} USD (CAP-1)"
            found.append(Finding(Severity.WARNING, what, f"account of {engine.value}", mend))
    return found
