"""Accounts: wallet, settings, positions, logs, keys, transfers, demo funds."""

from __future__ import annotations

from typing import cast

from eternal_engine.simulator.server.call import Call, Json
from eternal_engine.simulator.server.paging import page
from eternal_engine.simulator.server.params import Params, wrong
from eternal_engine.simulator.server.render import closed_pnl_row, log_row, position_row, text, wallet_row
from eternal_engine.simulator.venue import LINEAR, Position, VenueReject, queries
from eternal_engine.simulator.venue.entities import ZERO, MarginMode

DEMO_FUNDS_MOST = {"BTC": 15, "ETH": 200, "USDT": 100_000, "USDC": 100_000}
TRIGGERS = ("LastPrice", "MarkPrice", "IndexPrice")


def wallet_balance(call: Call) -> Json:
    """Show the unified wallet; without a coin only coins that are not zero."""
    _unified(call.params)
    named = call.params.text("coin")
    coins = set(named.split(",")) if named else None
    return {"list": [wallet_row(call.venue, call.uid, coins)]}


def account_info(call: Call) -> Json:
    """Show how the account is set."""
    return {
        "unifiedMarginStatus": 6,
        "marginMode": call.account.margin_mode,
        "spotHedgingStatus": "OFF",
        "isMasterTrader": False,
        "updatedTime": str(call.account.created_ms),
        "dcpStatus": "OFF",
        "timeWindow": 10,
        "smpGroup": 0,
    }


def fee_rate(call: Call) -> Json:
    """Show the fees per symbol; derivatives leave out the category."""
    category = call.params.category()
    symbol = call.params.text("symbol")
    fees = call.venue.state.config.fees
    names = [name for kind, name in sorted(call.venue.state.instruments) if kind == category]
    rows = [
        {
            "symbol": name,
            "takerFeeRate": text(fees.of(category, maker=False)),
            "makerFeeRate": text(fees.of(category, maker=True)),
        }
        for name in names
        if not symbol or name == symbol
    ]
    return {"category": category, "list": rows} if category == "spot" else {"list": rows}


def transaction_log(call: Call) -> Json:
    """List wallet movements; only the last 24 hours unless told otherwise, 20 a page by default."""
    params = call.params
    rows = queries.transaction_log(
        call.venue.state,
        call.uid,
        category=params.text("category"),
        coin=params.text("currency"),
        base=params.text("baseCoin"),
        kind=params.text("type"),
        window=queries.window_of(
            call.now_ms, params.integer("startTime"), params.integer("endTime"), span_ms=queries.DAY_MS
        ),
    )
    limit = params.limit(20, 50)
    shown, cursor = page(
        rows, lambda row: (row.time_ms, int(row.row_id.rpartition("_")[2])), params.text("cursor"), limit
    )
    return {"nextPageCursor": cursor, "list": [log_row(row) for row in shown]}


def set_margin_mode(call: Call) -> Json:
    """Switch between cross and isolated margin."""
    mode = call.params.choice("setMarginMode", ("REGULAR_MARGIN", "ISOLATED_MARGIN", "PORTFOLIO_MARGIN"))
    if mode == "PORTFOLIO_MARGIN":
        raise VenueReject(3400045, "Set margin mode failed")
    call.venue.set_margin_mode(call.uid, cast("MarginMode", mode))
    return {"reasons": []}


def collateral_info(call: Call) -> Json:
    """List what backs positions: USDT and USDC; spot coins do not."""
    rows = []
    for coin, _ in call.venue.state.books.coins(call.uid):
        cash = coin in {"USDT", "USDC"}
        row = {"currency": coin, "hourlyBorrowRate": "0", "maxBorrowingAmount": "0", "freeBorrowingLimit": "0"}
        row |= {"freeBorrowAmount": "0", "borrowAmount": "0", "otherBorrowAmount": "0", "borrowUsageRate": "0"}
        ratio = {"marginCollateral": cash, "collateralSwitch": cash, "collateralRatio": "1" if cash else "0"}
        rows.append({**row, "availableToBorrow": "0", "borrowable": False, "freeBorrowingAmount": "0", **ratio})
    return {"list": rows}


def demo_funds(call: Call) -> Json:
    """Deal out (or take back) play money, up to the exchange's limits per request."""
    rows = call.params.values.get("utaDemoApplyMoney")
    if rows is None:
        rows = [{"coin": "USDT", "amountStr": "100000"}]
    if not isinstance(rows, list):
        raise wrong("utaDemoApplyMoney")
    sign = -1 if call.params.integer("adjustType") == 1 else 1
    wanted = []
    for row in rows:
        params = Params(row if isinstance(row, dict) else {})
        coin, amount = params.need("coin"), params.need_decimal("amountStr")
        if not 0 < amount <= DEMO_FUNDS_MOST.get(coin, 0):
            raise VenueReject(10001, f"params error: amountStr of {coin} invalid")
        wanted.append((coin, amount))
    for coin, amount in wanted:
        call.venue.deposit(call.uid, coin, sign * amount)
    return {}


def position_list(call: Call) -> Json:
    """List positions: by symbol also a flat row, by settle coin only those held; 20 a page by default."""
    params = call.params
    category = params.choice("category", ("linear", "inverse", "option"))
    symbol, settle = params.text("symbol"), params.text("settleCoin")
    if category != LINEAR:
        return {"category": category, "list": [], "nextPageCursor": ""}
    if not (symbol or settle):
        raise VenueReject(10001, "params error: symbol or settleCoin is required")
    rows = _rows_of_symbol(call, symbol) if symbol else call.venue.state.positions_of(call.uid)
    if settle and not symbol and settle != "USDT":
        rows = []
    rows = sorted(rows, key=lambda row: (row.updated_ms, row.symbol, row.idx), reverse=True)
    start = max(0, params.integer("cursor") or 0)
    limit = params.limit(20, 200)
    shown = rows[start : start + limit]
    cursor = str(start + limit) if start + limit < len(rows) else ""
    return {"category": category, "list": [position_row(call.venue, row) for row in shown], "nextPageCursor": cursor}


def set_leverage(call: Call) -> Json:
    """Set a symbol's leverage; both sides must be equal here."""
    _linear_only(call.params)
    buy, sell = call.params.need_decimal("buyLeverage"), call.params.need_decimal("sellLeverage")
    if buy != sell:
        raise VenueReject(10001, "buy leverage should be equal to sell leverage")
    call.venue.set_leverage(call.uid, call.params.need("symbol"), buy)
    return {}


def switch_mode(call: Call) -> Json:
    """Switch a symbol (or all of a coin) between one-way and hedge mode."""
    _linear_only(call.params)
    hedge = call.params.choice("mode", ("0", "3")) == "3"
    symbol, coin = call.params.text("symbol"), call.params.text("coin")
    if not symbol and coin != "USDT":
        raise VenueReject(10001, "params error: symbol or coin is required")
    if symbol:
        call.venue.switch_mode(call.uid, symbol, hedge=hedge)
        return {}
    for kind, name in sorted(call.venue.state.instruments):
        if kind == LINEAR and (name in call.account.hedge_symbols) != hedge:
            call.venue.switch_mode(call.uid, name, hedge=hedge)
    return {}


def trading_stop(call: Call) -> Json:
    """Set or remove a position's protective orders."""
    _linear_only(call.params)
    params = call.params
    call.venue.set_trading_stop(
        call.uid,
        params.need("symbol"),
        params.integer("positionIdx") or 0,
        take_profit=params.decimal("takeProfit"),
        stop_loss=params.decimal("stopLoss"),
        trailing_stop=params.decimal("trailingStop"),
        active_price=params.decimal("activePrice"),
        tp_trigger_by=params.choice("tpTriggerBy", TRIGGERS, "LastPrice"),
        sl_trigger_by=params.choice("slTriggerBy", TRIGGERS, "LastPrice"),
    )
    return {}


def switch_isolated(_call: Call) -> Json:
    """Refuse: a unified account sets its margin mode as a whole."""
    raise VenueReject(100028, "The operation is forbidden since it is a unified account.")


def closed_pnl(call: Call) -> Json:
    """List results of closing orders of at most seven days, 50 a page by default."""
    params = call.params
    rows = queries.closed_pnl(
        call.venue.state,
        call.uid,
        symbol=params.text("symbol"),
        window=queries.window_of(call.now_ms, params.integer("startTime"), params.integer("endTime")),
    )
    order_numbers = {row.order_id: number for number, row in enumerate(rows[::-1])}
    shown, cursor = page(
        rows, lambda row: (row.created_ms, order_numbers[row.order_id]), params.text("cursor"), params.limit(50, 100)
    )
    return {"nextPageCursor": cursor, "category": "linear", "list": [closed_pnl_row(row) for row in shown]}


def query_api(call: Call) -> Json:
    """Show what the key may do: trade, read, move money between sub-accounts; never withdraw."""
    account = call.account
    master = account.parent_uid == 0
    wallet = ["AccountTransfer", "SubMemberTransfer"] if master else ["AccountTransfer"]
    return {
        "id": str(account.uid),
        "note": account.name,
        "apiKey": account.api_key,
        "readOnly": int(account.read_only),
        "secret": "",
        "permissions": {
            "ContractTrade": ["Order", "Position"],
            "Spot": ["SpotTrade"],
            "Wallet": wallet,
            "Options": [],
            "Derivatives": ["DerivativesTrade"],
            "Exchange": [],
            "Earn": [],
            "NFT": [],
            "BlockTrade": [],
            "Affiliate": [],
            "CopyTrading": [],
        },
        "ips": ["*"],
        "type": 1,
        "deadlineDay": 3650,
        "expiredAt": "2099-01-01T00:00:00Z",
        "createdAt": "2024-01-01T00:00:00Z",
        "unified": 0,
        "uta": 1,
        "userID": account.uid,
        "inviterID": 0,
        "vipLevel": "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": "",
        "isMaster": master,
        "parentUid": str(account.parent_uid),
        "kycLevel": "LEVEL_1",
        "kycRegion": "",
    }


def create_sub_member(call: Call) -> Json:
    """Open a sub-account; its key is read on the maintenance path."""
    _master_only(call)
    name = call.params.need("username")
    if not (6 <= len(name) <= 16 and name.isalnum()):
        raise VenueReject(20001, "username must be 6 to 16 letters and digits")
    if any(account.name == name for account in call.venue.state.accounts.values()):
        raise VenueReject(20002, "username already exists")
    account = call.venue.open_account(name, parent_uid=call.uid)
    return {"uid": str(account.uid), "username": name, "memberType": 1, "status": 1, "remark": ""}


def query_sub_members(call: Call) -> Json:
    """List the sub-accounts."""
    _master_only(call)
    subs = [account for account in call.venue.state.accounts.values() if account.parent_uid == call.uid]
    row = {"memberType": 1, "status": 1, "remark": "", "accountMode": 6}
    return {"subMembers": [{"uid": str(account.uid), "username": account.name, **row} for account in subs]}


def universal_transfer(call: Call) -> Json:
    """Move coins within the family; a sub-account can only send its own, and only to the master."""
    params = call.params
    source, target = params.integer("fromMemberId"), params.integer("toMemberId")
    transfer_id = params.need("transferId")
    if source is None or target is None:
        raise VenueReject(10001, "params error: fromMemberId and toMemberId are required")
    for name in ("fromAccountType", "toAccountType"):
        params.choice(name, ("UNIFIED", "FUND", "SPOT", "CONTRACT"))
    is_sub = call.account.parent_uid != 0
    if is_sub and (source != call.uid or target != call.account.parent_uid):
        raise VenueReject(131206, "cannot transfer on behalf of this account")
    for uid in (source, target):
        if (call.venue.state.account(uid).parent_uid or uid) != (call.account.parent_uid or call.uid):
            raise VenueReject(131206, "cannot transfer to or from an account of another family")
    row = call.venue.transfer(transfer_id, source, target, params.need("coin"), params.need_decimal("amount"))
    return {"transferId": row.transfer_id, "status": "SUCCESS"}


def inter_transfer(call: Call) -> Json:
    """Answer a move between account types: a unified account has only one, so nothing changes hands."""
    params = call.params
    amount, coin = params.need_decimal("amount"), params.need("coin")
    if amount <= ZERO:
        raise VenueReject(131203, "amount must be greater than zero")
    if amount > call.venue.free(call.uid, coin):
        raise VenueReject(131212, "user insufficient balance")
    return {"transferId": params.need("transferId"), "status": "SUCCESS"}


def transfer_list(call: Call) -> Json:
    """List transfers of the account, newest first."""
    wanted = call.params.text("transferId")
    rows = [
        {
            "transferId": row.transfer_id,
            "coin": row.coin,
            "amount": text(row.amount),
            "fromMemberId": str(row.from_uid),
            "toMemberId": str(row.to_uid),
            "fromAccountType": "UNIFIED",
            "toAccountType": "UNIFIED",
            "timestamp": str(row.time_ms),
            "status": "SUCCESS",
        }
        for row in call.venue.state.transfers.values()
        if (not wanted or row.transfer_id == wanted)
        and (call.account.parent_uid == 0 or call.uid in {row.from_uid, row.to_uid})
    ]
    return {"list": rows[::-1], "nextPageCursor": ""}


def coins_balance(call: Call) -> Json:
    """Show balances per coin, as the transfer pages do."""
    member = call.params.integer("memberId") or call.uid
    if member != call.uid and call.venue.state.account(member).parent_uid != call.uid:
        raise VenueReject(10005, "Permission denied, please check your API key permissions.")
    named = call.params.text("coin")
    rows = [
        {
            "coin": coin,
            "walletBalance": text(balance),
            "transferBalance": text(max(ZERO, call.venue.free(member, coin))),
            "bonus": "",
        }
        for coin, balance in call.venue.state.books.coins(member)
        if not named or coin in named.split(",")
    ]
    return {"memberId": str(member), "accountType": "UNIFIED", "balance": rows}


def coin_info(call: Call) -> Json:
    """List coins with one chain each: what a client asks for at its start."""
    bases = sorted({item.base for item in call.venue.state.instruments.values()} | {"USDT", "USDC"})
    rows = []
    for coin in bases:
        chain = {"chain": coin, "chainType": coin, "confirmation": "1", "withdrawFee": "0", "depositMin": "0"}
        chain |= {"withdrawMin": "0", "minAccuracy": "8", "chainDeposit": "0", "chainWithdraw": "0"}
        chain |= {"withdrawPercentageFee": "0", "contractAddress": "", "safeConfirmNumber": "1"}
        rows.append({"name": coin, "coin": coin, "remainAmount": "0", "chains": [chain]})
    return {"rows": rows}


def _rows_of_symbol(call: Call, symbol: str) -> list[Position]:
    call.venue.linear(symbol)
    indices = (1, 2) if symbol in call.account.hedge_symbols else (0,)
    known = call.venue.state.positions
    return [known.get((call.uid, symbol, idx)) or Position(call.uid, symbol, idx) for idx in indices]


def _unified(params: Params) -> None:
    if params.need("accountType") != "UNIFIED":
        raise VenueReject(10001, "accountType only support UNIFIED.")


def _linear_only(params: Params) -> None:
    if params.need("category") != LINEAR:
        raise VenueReject(10001, "params error: Category is invalid")


def _master_only(call: Call) -> None:
    if call.account.parent_uid:
        raise VenueReject(10005, "Permission denied, please check your API key permissions.")
