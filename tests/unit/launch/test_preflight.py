"""What a start on real accounts refuses, and what it warns of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from contract_arena import Arena
from eternal_engine.bootstrap import params_of
from eternal_engine.config import load
from eternal_engine.exchange.account import AccountInfo, KeyInfo, Wallet
from eternal_engine.exchange.bybit.local import LocalClient
from eternal_engine.exchange.terms import MarginMode
from eternal_engine.launch.keys import credentials_of, engines_on, need_credentials, refuse_committed_keys
from eternal_engine.launch.preflight import Finding, Seen, Severity, gather, judge, only_silence, refuse_errors
from eternal_engine.model.errors import (
    BadReply,
    ExchangeError,
    HaltTrading,
    RateLimited,
    RefusedError,
    RejectedForGood,
    Retry,
    UnknownOutcome,
    Unsupported,
    UsageError,
)
from eternal_engine.model.ids import Account, Engine
from eternal_engine.simulator.adapter import Door

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ENGINES = tuple(Engine)
SHARES = {
    Engine.CORE_HODL: Decimal("0.6"),
    Engine.TREND: Decimal("0.2"),
    Engine.FUNDING: Decimal("0.15"),
    Engine.TACTICAL: Decimal("0.05"),
}
RIGHTS = {
    Account.MASTER: (("Wallet", ("AccountTransfer", "SubMemberTransfer")),),
    Account.CORE_HODL: (("Spot", ("SpotTrade",)),),
    Account.TREND: (("ContractTrade", ("Order", "Position")), ("Derivatives", ("DerivativesTrade",))),
    Account.FUNDING: (("ContractTrade", ("Order", "Position")), ("Spot", ("SpotTrade",))),
    Account.TACTICAL: (("Spot", ("SpotTrade",)), ("Wallet", ("AccountTransfer",))),
}


def a_key(account: Account, **changes: Any) -> KeyInfo:
    number = 100 + list(Account).index(account)
    key = KeyInfo(number, False, RIGHTS[account], ("198.51.100.7",), None, account is Account.MASTER, "100")
    return replace(key, parent_uid="0" if account is Account.MASTER else "100", **changes)


def a_wallet(usd: str) -> Wallet:
    total = Decimal(usd)
    return Wallet("UNIFIED", total, total, total, total, None, None, None, None, None, ())


def a_house(**changes: KeyInfo) -> dict[Account, Seen]:
    info = AccountInfo(6, MarginMode.CROSS, False, False, NOW)
    money = {Account.MASTER: "0"} | {engine.account: str(100_000 * share) for engine, share in SHARES.items()}
    return {
        account: Seen(account, changes.get(account.value, a_key(account)), info, a_wallet(money[account]))
        for account in Account
    }


def found(house: dict[Account, Seen], engines: tuple[Engine, ...] = ENGINES) -> list[tuple[str, str]]:
    return [(finding.severity.value, finding.what) for finding in judge(house.values(), engines, SHARES, NOW)]


def test_k5_a_house_in_order_has_no_findings() -> None:
    assert found(a_house()) == []
    refuse_errors(judge(a_house().values(), ENGINES, SHARES, NOW))


@pytest.mark.parametrize(
    ("account", "changes", "severity", "words"),
    [
        (
            Account.TREND,
            {"permissions": (*RIGHTS[Account.TREND], ("Wallet", ("Withdraw",)))},
            "error",
            "trend may withdraw money",
        ),
        (
            Account.MASTER,
            {"permissions": (("Wallet", ("AccountTransfer", "SubMemberTransfer", "Withdraw")),)},
            "error",
            "master may withdraw money",
        ),
        (Account.TREND, {"permissions": (("Spot", ("SpotTrade",)),)}, "error", "ContractTrade/Order"),
        (Account.CORE_HODL, {"read_only": True}, "error", "it is read-only"),
        (Account.MASTER, {"permissions": ()}, "error", "Wallet/SubMemberTransfer"),
        (Account.MASTER, {"is_master": False}, "error", "belongs to a sub-account"),
        (Account.FUNDING, {"ips": ()}, "warning", "works from any address"),
        (Account.FUNDING, {"ips": ("*",)}, "warning", "works from any address"),
        (Account.FUNDING, {"expires_at": NOW + timedelta(days=29)}, "warning", "expires at 2026-03-30"),
        (
            Account.CORE_HODL,
            {"permissions": (("Spot", ("SpotTrade",)), ("Options", ("OptionsTrade",)))},
            "warning",
            "more than is needed: Options/OptionsTrade",
        ),
    ],
)
def test_k5_a_wrong_key_is_named_with_its_account(
    account: Account, changes: dict[str, Any], severity: str, words: str
) -> None:
    findings = found(a_house(**{account.value: a_key(account, **changes)}))
    assert [severity for _, what in findings if words in what] == [severity]


def test_k5_a_withdrawing_key_refuses_with_exit_code_4_and_says_the_mend() -> None:
    key = a_key(Account.TREND, permissions=(*RIGHTS[Account.TREND], ("Wallet", ("Withdraw",))))
    with pytest.raises(RefusedError, match="may withdraw") as caught:
        refuse_errors(judge(a_house(trend=key).values(), ENGINES, SHARES, NOW))
    assert caught.value.exit_code == 4
    assert "without the right to withdraw" in caught.value.mend


def test_warnings_alone_refuse_nothing() -> None:
    findings = judge(a_house(funding=a_key(Account.FUNDING, ips=())).values(), ENGINES, SHARES, NOW)
    assert [finding.severity for finding in findings] == [Severity.WARNING]
    refuse_errors(findings)


def test_k5_a_key_that_ends_in_a_month_and_a_day_is_no_finding() -> None:
    key = a_key(Account.FUNDING, expires_at=NOW + timedelta(days=30, seconds=1))
    assert found(a_house(funding=key)) == []


def test_k5_a_classic_account_is_an_error() -> None:
    house = a_house()
    info = AccountInfo(1, MarginMode.CROSS, False, False, NOW)
    house[Account.TREND] = replace(house[Account.TREND], info=info)
    assert found(house) == [("error", "trend is no unified trading account")]


def test_cap_1_two_engines_in_one_account_are_refused() -> None:
    twin = a_key(Account.FUNDING, user_id=a_key(Account.TREND).user_id)
    (finding,) = found(a_house(funding=twin))
    assert finding[0] == "error"
    assert "same perpetuals" in finding[1]
    spot = a_key(Account.TACTICAL, user_id=a_key(Account.CORE_HODL).user_id)
    assert "books could not be told apart" in found(a_house(tactical=spot))[0][1]
    # An engine that is switched off has books all the same where it has a key: the money would count twice.
    assert found(a_house(funding=twin), (Engine.CORE_HODL, Engine.TREND, Engine.TACTICAL)) == [finding]


def test_cap_1_balances_far_from_the_shares_are_a_warning() -> None:
    house = a_house()
    house[Account.CORE_HODL] = replace(house[Account.CORE_HODL], wallet=a_wallet("0"))
    findings = found(house)
    assert {severity for severity, _ in findings} == {"warning"}
    assert any("core_hodl holds 0% of the money, its share is 60%" in what for _, what in findings)
    empty = {account: replace(row, wallet=a_wallet("0")) for account, row in a_house().items()}
    assert found(empty) == [("warning", "the sub-accounts hold nothing")]


def test_a_sub_account_of_somebody_else_is_an_error() -> None:
    key = replace(a_key(Account.TREND), parent_uid="555")
    assert found(a_house(trend=key)) == [
        ("error", "trend is no sub-account of MASTER, so money cannot move between them")
    ]


def test_a_key_of_the_wrong_environment_and_a_silent_exchange_are_errors_with_their_own_mend() -> None:
    house = a_house()
    house[Account.TREND] = Seen(Account.TREND, problem=HaltTrading("API key is invalid.", code=10003))
    house[Account.FUNDING] = Seen(Account.FUNDING, problem=Retry("no connection"))
    findings: tuple[Finding, ...] = judge(house.values(), ENGINES, SHARES, NOW)
    assert [row.severity for row in findings] == [Severity.ERROR] * 2
    assert "demo keys belong to --mode demo" in findings[0].mend
    assert "no connection" in findings[1].what


@pytest.mark.parametrize(
    ("problem", "passes"),
    [
        (Retry("no connection"), True),
        (RateLimited("the address is banned", code=403), True),
        (UnknownOutcome("time-out"), True),
        (BadReply("a page of maintenance", field="body", value=""), True),
        (HaltTrading("API key is invalid.", code=10003), False),
        (RejectedForGood("HTTP status 404: bad method, path or category", code=404), False),
        (Unsupported("forbidden here"), False),
    ],
)
def test_a_start_waits_for_an_exchange_that_is_silent_and_for_nothing_that_it_says(
    problem: ExchangeError, passes: bool
) -> None:
    house = a_house()
    house[Account.FUNDING] = Seen(Account.FUNDING, problem=problem)
    findings = judge(house.values(), ENGINES, SHARES, NOW)
    assert bool(only_silence(findings)) is passes


async def test_gather_asks_the_real_client_and_the_embedded_keys_only_warn() -> None:
    arena = await Arena.open()
    try:
        doors = {name: Door(arena.world, uid) for name, uid in arena.uids.items()}
        ports = {
            Account.MASTER: LocalClient("master", doors["main"]),
            Account.TREND: LocalClient("trend", doors["alpha"]),
            Account.FUNDING: LocalClient("funding", doors["beta"]),
        }
        seen = await gather(ports)
        assert [row.problem for row in seen] == [None] * 3
        findings = judge(seen, (Engine.TREND, Engine.FUNDING), {}, NOW)
        assert {row.severity for row in findings} == {Severity.WARNING}
        assert len({row.key.user_id for row in seen if row.key}) == 3
    finally:
        await arena.close()


async def test_an_environment_without_key_information_is_looked_at_without() -> None:
    class Poor(LocalClient):
        async def key_info(self) -> KeyInfo:
            raise Unsupported("not here")

    arena = await Arena.open()
    try:
        (row,) = await gather({Account.TREND: Poor("trend", Door(arena.world, arena.uids["alpha"]))})
        assert (row.key, row.problem) == (None, None)
        assert row.wallet is not None
    finally:
        await arena.close()


@pytest.mark.parametrize("name", ["ETERNAL_KEYS__LIVE__TREND__API_SECRET", "ETERNAL_ALERTS__URLS"])
def test_k5_a_key_in_the_committed_file_refuses_every_start_without_repeating_it(tmp_path: Path, name: str) -> None:
    secret = "planted" + "Secret" * 3
    (tmp_path / ".env").write_text(f"# keys\n{name}={secret}\n")
    with pytest.raises(RefusedError) as caught:
        refuse_committed_keys(tmp_path)
    assert caught.value.exit_code == 4
    assert caught.value.where == ".env:2"
    assert secret not in str(caught.value)
    (tmp_path / ".env").write_text(f"{name}=\n")
    refuse_committed_keys(tmp_path)
    (tmp_path / ".env.local").write_text(f"{name}={secret}\n")
    refuse_committed_keys(tmp_path)


def keys(venue: str, *names: str, same: bool = False) -> dict[str, str]:
    return {
        f"ETERNAL_KEYS__{venue}__{name}__API_{part}": "one" if same and part == "KEY" else f"{name}{part}".lower()
        for name in names
        for part in ("KEY", "SECRET")
    }


def test_k5_missing_keys_are_all_named_and_master_is_needed_for_live_only(tmp_path: Path) -> None:
    four = ("CORE_HODL", "TREND", "FUNDING", "TACTICAL")
    demo = load("demo", directory=tmp_path, environ=keys("DEMO", *four))
    assert set(need_credentials(demo, "demo")) == {Account(name.lower()) for name in four}
    with pytest.raises(UsageError, match="no live key for core_hodl, trend, funding, tactical, master") as caught:
        need_credentials(demo, "live")
    assert "ETERNAL_KEYS__LIVE__MASTER__API_KEY" in caught.value.where
    live = load("live", directory=tmp_path, environ=keys("LIVE", *four, "MASTER"))
    assert len(need_credentials(live, "live")) == 5
    assert credentials_of(live, "demo") == {}


def test_k3_an_engine_that_is_off_needs_no_key(tmp_path: Path) -> None:
    environ = {
        **keys("DEMO", "CORE_HODL"),
        **{f"ETERNAL_{n}__ENABLED": "false" for n in ("TREND", "FUNDING", "TACTICAL")},
    }
    settings = load("demo", directory=tmp_path, environ=environ)
    assert engines_on(settings) == (Engine.CORE_HODL,)
    assert set(need_credentials(settings, "demo")) == {Account.CORE_HODL}
    assert params_of(settings).trend.enabled is False


def test_cap_1_one_key_for_two_engines_is_refused(tmp_path: Path) -> None:
    environ = keys("DEMO", "CORE_HODL", "TREND", "FUNDING", "TACTICAL", same=True)
    with pytest.raises(RefusedError, match="same key"):
        need_credentials(load("demo", directory=tmp_path, environ=environ), "demo")
