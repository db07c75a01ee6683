"""The tables. `journal` is the truth; every other table but `meta` and `checkpoints` can be made again from it."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text

from eternal_engine.storage.columns import ExactDecimal, UtcTime

METADATA = MetaData()


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _flag_key(name: str) -> Column[bool]:
    return Column(name, Boolean, primary_key=True)


def _text(name: str, *, optional: bool = False) -> Column[str]:
    return Column(name, Text, nullable=optional)


def _number(name: str, *, optional: bool = False) -> Column[object]:
    return Column(name, ExactDecimal, nullable=optional)


def _time(name: str, *, optional: bool = False) -> Column[object]:
    return Column(name, UtcTime, nullable=optional)


def _int(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


META = Table("meta", METADATA, _key("name"), _text("value"))

JOURNAL = Table(
    "journal",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    _time("at"),
    _text("kind"),
    _text("body"),
    _text("hash"),
    Index("journal_by_kind", "kind", "seq"),
)

CHECKPOINTS = Table(
    "checkpoints",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    _time("at"),
    _int("first_seq"),
    _text("anchor"),
    _text("last_hash"),
    Column("document", LargeBinary, nullable=False),
    _text("hash"),
    _text("segment"),
    _text("segment_sha256"),
)

BOOKS = Table(
    "books",
    METADATA,
    _key("account"),
    _flag_key("unassigned"),
    _number("deposits_usdt"),
    _number("transfers_usdt"),
    _number("corrections_usdt"),
    _number("realised_usdt"),
    _number("fees_usdt"),
    _number("funding_usdt"),
    _number("closed_net_usdt"),
)

CASH = Table("cash", METADATA, _key("account"), _flag_key("unassigned"), _key("coin"), _number("amount"))

OTHER_FEES = Table("other_fees", METADATA, _key("account"), _flag_key("unassigned"), _key("coin"), _number("amount"))

SPOT_HOLDINGS = Table(
    "spot_holdings",
    METADATA,
    _key("account"),
    _flag_key("unassigned"),
    _key("symbol"),
    _number("qty"),
    _number("cost_usdt"),
    _number("fees_usdt"),
    _time("opened_at"),
)

PERP_POSITIONS = Table(
    "perp_positions",
    METADATA,
    _key("account"),
    _flag_key("unassigned"),
    _key("symbol"),
    _number("qty"),
    _number("cost_usdt"),
    _number("fees_usdt"),
    _number("funding_usdt"),
    _time("opened_at"),
)

ORDERS = Table(
    "orders",
    METADATA,
    _key("client_order_id"),
    _text("account"),
    _text("engine"),
    _time("decided_at"),
    _text("symbol"),
    _text("leg"),
    _int("attempt"),
    _text("market"),
    _text("side"),
    _text("kind"),
    _number("price_usdt"),
    _text("reason"),
    _number("qty", optional=True),
    _number("amount_usdt", optional=True),
    _number("limit_price", optional=True),
    _number("trigger_price", optional=True),
    _flag("reduce_only"),
    _text("base"),
    _text("quote"),
    _text("state"),
    _text("venue_order_id", optional=True),
    _number("filled_qty"),
    _number("filled_usdt"),
    _int("sends"),
    _time("planned_at"),
    _time("updated_at", optional=True),
    _text("note"),
    Index("orders_by_state", "state"),
)

FILLS = Table(
    "fills",
    METADATA,
    _key("account"),
    _key("execution_id"),
    _flag("unassigned"),
    _text("symbol"),
    _text("market"),
    _text("side"),
    _number("qty"),
    _number("price"),
    _number("fee"),
    _text("fee_coin"),
    _text("base"),
    _text("quote"),
    _time("executed_at"),
    _text("client_order_id", optional=True),
    _text("venue_order_id", optional=True),
    _flag("is_maker"),
    _text("kind"),
    Index("fills_by_order", "client_order_id"),
)

CLOSED_PARTS = Table(
    "closed_parts",
    METADATA,
    _key("account"),
    _key("execution_id"),
    _text("symbol"),
    _text("market"),
    _text("position_side"),
    _text("client_order_id", optional=True),
    _number("qty"),
    _number("entry_usdt"),
    _number("exit_usdt"),
    _number("fees_usdt"),
    _number("funding_usdt"),
    _time("opened_at"),
    _time("closed_at"),
    _flag("is_last"),
    _int("seq"),
)

FUNDING_PAYMENTS = Table(
    "funding_payments",
    METADATA,
    _key("account"),
    _key("execution_id"),
    _text("symbol"),
    _number("qty"),
    _number("mark_price"),
    _number("rate"),
    _number("amount_usdt"),
    _time("settled_at"),
)

TRANSFERS = Table(
    "transfers",
    METADATA,
    _key("transfer_id"),
    _text("source"),
    _text("target"),
    _text("coin"),
    _number("amount"),
    _text("rule"),
    _time("planned_at", optional=True),
    _time("moved_at", optional=True),
)

DEPOSITS = Table(
    "deposits",
    METADATA,
    _key("account"),
    _key("record_id"),
    _text("coin"),
    _number("amount"),
    _number("value_usdt"),
    _time("recorded_at"),
)

CORRECTIONS = Table(
    "corrections",
    METADATA,
    _key("account"),
    _flag_key("unassigned"),
    _key("correction_id"),
    _text("symbol", optional=True),
    _text("coin"),
    _text("market"),
    _number("qty"),
    _number("price_usdt"),
    _text("reason"),
    _text("detail"),
    _time("corrected_at"),
)

ENGINE_STATES = Table(
    "engine_states", METADATA, _key("owner"), _int("schema_version"), _text("document"), _time("saved_at")
)

PHASES = Table(
    "phases",
    METADATA,
    _key("engine"),
    _text("previous"),
    _text("phase"),
    _text("rule"),
    _text("detail"),
    _time("since"),
)

BREAKER = Table(
    "breaker",
    METADATA,
    _key("name"),
    _int("level"),
    _int("previous"),
    _number("equity_usdt"),
    _number("high_usdt"),
    _text("rule"),
    _text("detail"),
    _time("changed_at"),
)

COMMANDS = Table(
    "commands",
    METADATA,
    _key("command_id"),
    _text("verb"),
    _text("arguments"),
    _text("answer"),
    _flag("accepted"),
    _time("applied_at"),
)

EQUITY_MARKS = Table(
    "equity_marks",
    METADATA,
    _key("account"),
    Column("at", UtcTime, primary_key=True),
    _number("equity_usdt", optional=True),
    _text("reason"),
)

RUNS = Table(
    "runs",
    METADATA,
    Column("started_at", UtcTime, primary_key=True),
    _text("version"),
    _text("mode"),
    _text("config_hash"),
    _text("market"),
    _time("stopped_at", optional=True),
    _text("stop_reason", optional=True),
)

PROJECTIONS: tuple[Table, ...] = (
    BOOKS,
    CASH,
    OTHER_FEES,
    SPOT_HOLDINGS,
    PERP_POSITIONS,
    ORDERS,
    FILLS,
    CLOSED_PARTS,
    FUNDING_PAYMENTS,
    TRANSFERS,
    DEPOSITS,
    CORRECTIONS,
    ENGINE_STATES,
    PHASES,
    BREAKER,
    COMMANDS,
    EQUITY_MARKS,
    RUNS,
)
