"""Every refusal of a live start, tried on a live profile of the embedded exchange: the hosts are all that differs."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from contract_arena import Arena
from eternal_engine import clock
from eternal_engine.cli.examination import examine
from eternal_engine.cli.remembered import remembered
from eternal_engine.config import Settings, load
from eternal_engine.launch import arm_desk, arming, carry_on, daemon, live
from eternal_engine.launch.carry_on import account_lock
from eternal_engine.launch.daemon import Outcome
from eternal_engine.launch.files import ARMING_FILE, INBOX_FILE
from eternal_engine.launch.live import DEMO_HOSTS, LIVE_HOSTS, Hosts
from eternal_engine.launch.markets import Wish
from eternal_engine.launch.start import Request, start
from eternal_engine.model.errors import LockHeld, RefusedError, UsageError
from eternal_engine.model.event import DaemonStarted
from eternal_engine.simulator.server.routes import ROUTES, Route
from eternal_engine.storage.backup import back_up, restore
from eternal_engine.storage.inbox import Inbox
from eternal_engine.storage.store import Store
from eternal_engine.storage.views import open_view

QUERY_API = "/v5/user/query-api"
ACCOUNT_INFO = "/v5/account/info"
NAMES = ("MASTER", "CORE_HODL", "TREND", "FUNDING", "TACTICAL")
COINS = "[BTCUSDT, ETHUSDT, SOLUSDT]"
SHARES = {"CORE_HODL": "60000", "TREND": "20000", "FUNDING": "15000", "TACTICAL": "5000"}


@dataclass
class House:
    """An exchange with five accounts, and settings that hold their keys."""

    arena: Arena
    folder: Path
    keys: dict[str, str]

    def environ(self, mode: Any = "live") -> dict[str, str]:
        return {
            "ETERNAL_SYMBOLS": COINS,
            "ETERNAL_CORE_HODL__WEIGHTS": "{BTCUSDT: 0.5, ETHUSDT: 0.3, SOLUSDT: 0.2}",
            "ETERNAL_PATHS__STATE_DIR": str(self.folder / "state"),
            "ETERNAL_PATHS__LOG_DIR": str(self.folder / "logs"),
            "ETERNAL_DAEMON__LATE_BAR_GRACE_S": "0",
            **{name.replace("LIVE", mode.upper()): text for name, text in self.keys.items()},
        }

    def settings(self, mode: Any = "live", **environ: str) -> Settings:
        return load(mode, directory=self.folder, environ={**self.environ(mode), **environ})

    @property
    def hosts(self) -> Hosts:
        return Hosts(self.arena.url, f"{self.arena.stream_url}/v5/private")

    def request(self, mode: Any = "live", **environ: str) -> Request:
        settings = self.settings(mode, **environ)
        return Request(
            mode=mode,
            settings=settings,
            directory=self.folder,
            read_settings=lambda: settings,
            # Its time has come already: a start that is allowed marks one hour and ends.
            until=clock.now() - timedelta(days=1),
            hosts=self.hosts,
            console=False,
            handles_signals=False,
        )

    async def arm(self, cap: str = "5000", days: int = 30, **environ: str) -> arming.Arming:
        settings = self.settings(**environ)
        ready = await arm_desk.look(settings, self.folder, self.hosts)
        return arm_desk.store_arming(settings, ready, Decimal(cap), days, clock.now())

    async def start(self, mode: Any = "live", **environ: str) -> Outcome:
        return await start(self.request(mode, **environ))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    # Accounts of its own: a lock on an account holds for the whole machine, other test runs included.
    arena = await Arena.open(first_uid=200_000_001 + os.getpid() * 100)
    venue = arena.world.venue
    master = venue.open_account("MASTER").uid
    keys = {}
    for name in NAMES:
        uid = master if name == "MASTER" else venue.open_account(name, parent_uid=master).uid
        venue.deposit(uid, "USDT", Decimal(SHARES.get(name, "0")))
        account = venue.state.account(uid)
        keys[f"ETERNAL_KEYS__LIVE__{name}__API_KEY"] = account.api_key
        keys[f"ETERNAL_KEYS__LIVE__{name}__API_SECRET"] = account.api_secret
    arena.world.settle()
    yield House(arena, tmp_path, keys)
    await arena.close()


async def no_orders(house: House) -> bool:
    return not house.arena.world.venue.state.orders


def test_k5_the_hosts_are_constants_and_only_demo_touches_the_demo_host() -> None:
    assert Hosts("https://api.bybit.com", "wss://stream.bybit.com/v5/private") == LIVE_HOSTS
    assert Hosts("https://api-demo.bybit.com", "wss://stream-demo.bybit.com/v5/private") == DEMO_HOSTS
    names = json.dumps(Settings.model_json_schema()).lower()
    assert "endpoint" not in names
    assert "bybit.com" not in names


async def test_k5_an_unarmed_live_start_is_refused_with_exit_code_4(house: House) -> None:
    with pytest.raises(RefusedError, match="never armed") as caught:
        await house.start()
    assert caught.value.exit_code == 4
    assert "eternal arm" in caught.value.mend


async def test_k5_an_armed_start_runs_and_is_journaled(house: House) -> None:
    await house.arm()
    outcome = await house.start()
    assert outcome.ending.exit_code == 0
    assert outcome.summary.mode == "live"
    assert outcome.summary.differences == ()
    store = await Store.open(house.folder / "state" / "eternal.db")
    assert isinstance(store.projection.run, DaemonStarted)
    await store.close()
    logged = (house.folder / "logs" / "eternal_engine.log").read_text()
    (warned,) = [line for line in map(json.loads, logged.splitlines()) if "works from any address" in line["text"]][:1]
    assert (warned["event"], warned["level"]) == ("daemon_said", "warning")
    assert not warned["text"].startswith("warning")
    assert not any(secret in logged for name, secret in house.keys.items() if name.endswith("SECRET"))
    assert await no_orders(house)


async def test_risk_13_a_changed_configuration_voids_the_arming_until_armed_again(house: House) -> None:
    await house.arm()
    changed = {"ETERNAL_TREND__ADX_MIN": "30"}
    with pytest.raises(RefusedError, match="configuration changed"):
        await house.start(**changed)
    await house.arm(**changed)
    assert (await house.start(**changed)).ending.exit_code == 0


async def test_risk_13_a_restored_database_voids_the_arming(house: House) -> None:
    await house.arm()
    database = house.folder / "state" / "eternal.db"
    back_up(database, house.folder / "copy.db")
    restore(house.folder / "copy.db", database, clock.now())
    with pytest.raises(RefusedError, match="restored"):
        await house.start()


async def test_risk_13_another_machine_and_the_end_of_its_time_void_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await house.arm()
    path = house.folder / "state" / ARMING_FILE
    arming.save(path, replace(record, expires_at=clock.now()))
    with pytest.raises(RefusedError, match="expired"):
        await house.start()
    arming.save(path, record)
    monkeypatch.setattr(carry_on, "machine_id", lambda: "elsewhere")
    with pytest.raises(RefusedError, match="another machine"):
        await house.start()


async def test_risk_13_another_sub_account_of_the_same_owner_voids_it(house: House) -> None:
    await house.arm()
    venue = house.arena.world.venue
    master = next(account.uid for account in venue.state.accounts.values() if account.name == "MASTER")
    other = venue.open_account("TREND2", parent_uid=master)
    house.arena.world.settle()
    keys = {"API_KEY": other.api_key, "API_SECRET": other.api_secret}
    with pytest.raises(RefusedError, match="account of trend is another one") as caught:
        await house.start(**{f"ETERNAL_KEYS__LIVE__TREND__{name}": text for name, text in keys.items()})
    assert caught.value.exit_code == 4


async def test_risk_13_another_database_voids_it(house: House) -> None:
    await house.arm()
    (house.folder / "state" / "eternal.db").unlink()
    with pytest.raises(RefusedError, match="database is another one"):
        await house.start()


@pytest.mark.parametrize(("part", "text"), [("cap_usdt", "50000"), ("expires_at", "2099-01-01T00:00:00+00:00")])
async def test_risk_13_a_record_that_was_edited_by_hand_is_refused(house: House, part: str, text: str) -> None:
    await house.arm()
    path = house.folder / "state" / ARMING_FILE
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, part: text}))
    with pytest.raises(RefusedError, match="changed after it was made"):
        await house.start()


async def test_risk_13_the_keys_of_other_accounts_void_it(house: House) -> None:
    await house.arm()
    other = house.arena.world.venue.open_account(
        "TREND2", parent_uid=house.arena.world.venue.state.account(house.arena.uids["main"]).uid
    )
    keys = {"API_KEY": other.api_key, "API_SECRET": other.api_secret}
    with pytest.raises(RefusedError, match="no sub-account of MASTER"):
        await house.start(**{f"ETERNAL_KEYS__LIVE__TREND__{name}": text for name, text in keys.items()})


@pytest.mark.parametrize("mode", ["live", "demo"])
async def test_k5_a_key_that_may_withdraw_is_refused_before_anything_is_sent(
    house: House, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    honest = ROUTES[QUERY_API]

    def lies(call: Any) -> Any:
        answer = honest.handler(call)
        answer["permissions"]["Wallet"] = ["AccountTransfer", "Withdraw"]
        return answer

    monkeypatch.setitem(ROUTES, QUERY_API, replace(honest, handler=lies))
    with pytest.raises(RefusedError, match="may withdraw") as caught:
        await house.start(mode)
    assert caught.value.exit_code == 4
    with pytest.raises(RefusedError, match="may withdraw"):
        await house.arm()
    assert not (house.folder / "state" / ARMING_FILE).exists()
    assert await no_orders(house)


def lie(monkeypatch: pytest.MonkeyPatch, path: str, account: str, change: Callable[[Any], None]) -> None:
    """Let the exchange answer otherwise about one account."""
    honest = ROUTES[path]

    def lies(call: Any) -> Any:
        answer = honest.handler(call)
        if call.account.name == account:
            change(answer)
        return answer

    monkeypatch.setitem(ROUTES, path, replace(honest, handler=lies))


KEY_LIES: dict[str, tuple[str, str, Callable[[Any], None], str]] = {
    "account type": (
        ACCOUNT_INFO,
        "TREND",
        lambda row: row.update(unifiedMarginStatus=1),
        "no unified trading account",
    ),
    "read-only key": (QUERY_API, "CORE_HODL", lambda row: row.update(readOnly=1), "read-only"),
    "missing right": (QUERY_API, "FUNDING", lambda row: row["permissions"].update(ContractTrade=[]), "may not"),
    "no right to move": (QUERY_API, "MASTER", lambda row: row["permissions"].update(Wallet=[]), "SubMemberTransfer"),
    "a sub's key for MASTER": (QUERY_API, "MASTER", lambda row: row.update(isMaster=False), "belongs to a sub-account"),
    "one account for two": (QUERY_API, "FUNDING", lambda row: row.update(userID=ROW_OF["TREND"]), "in one account"),
}
ROW_OF: dict[str, int] = {}


async def test_k5_check_finds_on_the_live_profile_what_a_start_would_refuse(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.arm()
    monkeypatch.chdir(house.folder)
    monkeypatch.setattr(live, "LIVE_HOSTS", house.hosts)
    for name, text in house.environ().items():
        monkeypatch.setenv(name, text)

    async def checked() -> dict[tuple[str, str], list[str]]:
        # It has an event loop of its own, as the command has.
        rows = await asyncio.to_thread(partial(examine, "live", None, clock.now(), ask_exchange=True))
        assert all(row.where and row.mend for row in rows if row.severity != "ok")
        kinds = sorted({(row.check, row.severity) for row in rows})
        return {kind: [row.what for row in rows if (row.check, row.severity) == kind] for kind in kinds}

    found = await checked()
    assert not [kind for kind in found if kind[1] == "error"]
    assert found["accounts", "ok"] == ["the accounts may be traded in"]
    assert found["arming", "ok"][0].endswith("cap 5000 USDT")
    assert "within" in found["clock", "ok"][0]
    lie(monkeypatch, QUERY_API, "TREND", lambda row: row["permissions"].update(Wallet=["Withdraw"]))
    assert (await checked())["accounts", "error"] == ["the key of trend may withdraw money"]
    assert await no_orders(house)


@pytest.mark.parametrize("name", KEY_LIES)
async def test_k5_every_wrong_right_kind_and_owner_refuses_an_armed_start(
    house: House, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    await house.arm()
    accounts = house.arena.world.venue.state.accounts.values()
    ROW_OF.update({account.name: account.uid for account in accounts})
    path, account, change, words = KEY_LIES[name]
    lie(monkeypatch, path, account, change)
    with pytest.raises(RefusedError, match=words) as caught:
        await house.start()
    assert caught.value.exit_code == 4
    assert caught.value.mend
    assert await no_orders(house)


@pytest.mark.parametrize("code", [10003, 33004, 10004, 10010])
async def test_k5_a_key_that_expired_or_is_bound_to_another_address_refuses_an_armed_start(
    house: House, code: int
) -> None:
    await house.arm()
    house.arena.world.faults.add([{"kind": "code", "code": code, "path": QUERY_API, "account": "FUNDING", "times": 0}])
    with pytest.raises(RefusedError, match="refuses the key") as caught:
        await house.start()
    assert caught.value.exit_code == 4
    assert "funding" in caught.value.where


async def test_k5_one_key_for_two_engines_is_refused(house: House) -> None:
    await house.arm()
    same = {
        f"ETERNAL_KEYS__LIVE__FUNDING__API_{part}": house.keys[f"ETERNAL_KEYS__LIVE__TREND__API_{part}"]
        for part in ("KEY", "SECRET")
    }
    with pytest.raises(RefusedError, match="same key"):
        await house.start(**same)


async def test_an_exchange_that_does_not_answer_is_waited_for_because_nobody_has_to_mend_anything(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.arm()
    monkeypatch.setattr(live, "WAIT_FOR_ANSWER_S", 0.01)
    house.arena.world.faults.add([{"kind": "http", "status": 502, "path": QUERY_API, "times": 3}])
    assert (await house.start()).ending.exit_code == 0
    logged = (house.folder / "logs" / "eternal_engine.log").read_text()
    assert "waiting for the exchange" in logged
    # What a person has to mend is not waited for, whatever else is silent.
    house.arena.world.faults.add([{"kind": "http", "status": 502, "path": QUERY_API, "account": "TREND", "times": 0}])
    house.arena.world.faults.add([{"kind": "code", "code": 10003, "path": QUERY_API, "account": "FUNDING", "times": 0}])
    with pytest.raises(RefusedError, match="refuses the key"):
        await house.start()


async def test_k5_a_key_of_another_environment_is_refused(house: House) -> None:
    wrong = {"ETERNAL_KEYS__LIVE__TREND__API_KEY": "x" * 18, "ETERNAL_KEYS__LIVE__TREND__API_SECRET": "y" * 36}
    with pytest.raises(RefusedError, match="refuses the key") as caught:
        await house.start(**wrong)
    assert caught.value.exit_code == 4


async def test_k5_missing_keys_are_a_usage_error(house: House) -> None:
    with pytest.raises(UsageError, match="no live key for trend"):
        await house.start(ETERNAL_KEYS__LIVE__TREND__API_KEY="", ETERNAL_KEYS__LIVE__TREND__API_SECRET="")


async def test_k5_a_key_in_the_committed_file_refuses_paper_too(house: House) -> None:
    (house.folder / ".env").write_text("ETERNAL_KEYS__LIVE__TREND__API_KEY=something\n")
    with pytest.raises(RefusedError, match="committed"):
        await start(replace(house.request(), mode="paper"))


async def test_demo_needs_no_arming_and_no_key_of_master(house: House) -> None:
    without = {f"ETERNAL_KEYS__DEMO__MASTER__API_{part}": "" for part in ("KEY", "SECRET")}
    outcome = await house.start("demo", **without)
    assert outcome.ending.exit_code == 0
    assert outcome.summary.mode == "demo"


async def test_a_command_for_an_engine_without_a_key_is_refused_because_nobody_would_send_its_orders(
    house: House,
) -> None:
    off = {"ETERNAL_TREND__ENABLED": "false"}
    off |= {f"ETERNAL_KEYS__DEMO__TREND__API_{part}": "" for part in ("KEY", "SECRET")}
    inbox = Inbox(house.folder / "state" / INBOX_FILE)
    (house.folder / "state").mkdir()
    asked = [inbox.leave("flatten", {"engines": name}, clock.now()) for name in ("trend", "tactical")]
    await house.start("demo", **off)
    refused, other = (inbox.read_answer(one) for one in asked)
    assert refused is not None
    assert other is not None
    assert not refused.accepted
    assert "does not run trend" in refused.text
    assert "does not run" not in other.text


async def test_d5_a_key_that_is_refused_while_it_runs_halts_its_engine_and_the_daemon_goes_on(house: House) -> None:
    await house.arm()
    database, inbox = house.folder / "state" / "eternal.db", Inbox(house.folder / "state" / INBOX_FILE)

    async def compared(times: int) -> dict[str, int]:
        """Have the accounts compared, and count how often each was, once TREND's turn has come and gone."""
        inbox.leave("reconcile", {}, clock.now())
        while True:
            await asyncio.sleep(0.1)
            with open_view(database) as view:  # arming has made it
                rows = view.rows("SELECT body FROM journal WHERE kind = 'Reconciled'")
            counted = Counter(json.loads(row["body"])["account"] for row in rows)
            if counted["tactical"] >= times:
                return dict(counted)

    running = asyncio.create_task(start(replace(house.request(), until=None)))
    try:
        async with asyncio.timeout(60):
            before = await compared(2)
            assert before["trend"] == before["tactical"]
            house.arena.world.faults.add(
                [{"kind": "code", "code": 33004, "path": "/v5/*", "account": "TREND", "times": 0}]
            )
            after = await compared(before["tactical"] + 1)
            assert (after["trend"], after["funding"]) == (before["trend"], before["funding"] + 1)
            await asyncio.sleep(0.2)
            assert not running.done()
            with open_view(database) as view:
                known = remembered(view)
                (told,) = view.events("ErrorOccurred", limit=9, holding=("refuses the key of trend",))
            assert known is not None
            assert known.halted == {"trend"}
            assert "the others trade on" in told["body"]["what"]
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_ord_8_a_second_daemon_on_an_account_is_refused_whatever_its_directory(house: House) -> None:
    uid = next(account.uid for account in house.arena.world.venue.state.accounts.values() if account.name == "TREND")
    with account_lock("demo", str(uid)), pytest.raises(LockHeld, match=str(uid)) as caught:
        await house.start("demo")
    assert caught.value.exit_code == 4
    assert (await house.start("demo")).ending.exit_code == 0


async def test_ord_8_a_second_daemon_on_a_database_is_refused(house: House) -> None:
    store = await Store.open(house.folder / "state" / "eternal.db")
    with pytest.raises(LockHeld, match=str(os.getpid())):
        await start(replace(house.request(), mode="paper", wish=Wish(market="synthetic", speed=0.0)))
    await store.close()


async def test_an_arming_without_sense_is_refused(house: House) -> None:
    for cap in ("0", "-5", "NaN", "Infinity"):
        with pytest.raises(UsageError, match="makes no sense"):
            await house.arm(cap)


async def test_arming_can_be_taken_away(house: House) -> None:
    await house.arm()
    record = house.folder / "state" / ARMING_FILE
    assert arming.revoke(record)
    assert not arming.revoke(record)
    with pytest.raises(RefusedError, match="never armed"):
        await house.start()


async def test_k2_what_is_set_for_the_log_the_alerts_and_the_legs_is_what_the_daemon_uses(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes: list[Any] = []
    crews: list[Any] = []
    watch, build = carry_on.watching, daemon.assemble

    def watching(wish: Any) -> Any:
        wishes.append(wish)
        return watch(wish)

    def assemble(*parts: Any) -> Any:
        crews.append(build(*parts))
        return crews[-1]

    monkeypatch.setattr(carry_on, "watching", watching)
    monkeypatch.setattr(daemon, "assemble", assemble)
    own = {"LOG__LEVEL": "error", "LOG__MAX_MB": "3", "LOG__FILES": "4", "FUNDING__LEG_TIMEOUT_S": "17"}
    own |= {"ALERTS__MOST_PER_HOUR": "5", "ALERTS__DAILY_SUMMARY": "false"}
    await house.start("demo", **{f"ETERNAL_{name}": text for name, text in own.items()})
    ((wish,), (crew,)) = wishes, crews
    assert (wish.level, wish.max_mb, wish.files) == ("error", 3, 4)
    assert (wish.most_per_hour, wish.daily_summary) == (5, False)
    assert {manager.leg_timeout_s for manager in crew.managers.values()} == {17}


def test_the_routes_used_above_exist() -> None:
    assert isinstance(ROUTES[QUERY_API], Route)
    assert isinstance(ROUTES[ACCOUNT_INFO], Route)
