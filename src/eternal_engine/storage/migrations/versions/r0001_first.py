"""Make all tables of the first version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables. Their columns are written out, so that this file never follows a later schema."""
    op.create_table(
        "meta",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "journal",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.create_index("journal_by_kind", "journal", ["kind", "seq"])
    op.create_table(
        "checkpoints",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("first_seq", sa.Integer, nullable=False),
        sa.Column("anchor", sa.Text, nullable=False),
        sa.Column("last_hash", sa.Text, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("segment_sha256", sa.Text, nullable=False),
    )
    op.create_table(
        "books",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("unassigned", sa.Boolean, primary_key=True),
        sa.Column("deposits_usdt", sa.Text, nullable=False),
        sa.Column("transfers_usdt", sa.Text, nullable=False),
        sa.Column("corrections_usdt", sa.Text, nullable=False),
        sa.Column("realised_usdt", sa.Text, nullable=False),
        sa.Column("fees_usdt", sa.Text, nullable=False),
        sa.Column("funding_usdt", sa.Text, nullable=False),
        sa.Column("closed_net_usdt", sa.Text, nullable=False),
    )
    op.create_table(
        "cash",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("unassigned", sa.Boolean, primary_key=True),
        sa.Column("coin", sa.Text, primary_key=True),
        sa.Column("amount", sa.Text, nullable=False),
    )
    op.create_table(
        "other_fees",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("unassigned", sa.Boolean, primary_key=True),
        sa.Column("coin", sa.Text, primary_key=True),
        sa.Column("amount", sa.Text, nullable=False),
    )
    op.create_table(
        "spot_holdings",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("unassigned", sa.Boolean, primary_key=True),
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("qty", sa.Text, nullable=False),
        sa.Column("cost_usdt", sa.Text, nullable=False),
        sa.Column("fees_usdt", sa.Text, nullable=False),
        sa.Column("opened_at", sa.Text, nullable=False),
    )
    op.create_table(
        "perp_positions",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("unassigned", sa.Boolean, primary_key=True),
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("qty", sa.Text, nullable=False),
        sa.Column("cost_usdt", sa.Text, nullable=False),
        sa.Column("fees_usdt", sa.Text, nullable=False),
        sa.Column("funding_usdt", sa.Text, nullable=False),
        sa.Column("opened_at", sa.Text, nullable=False),
    )
    op.create_table(
        "orders",
        sa.Column("client_order_id", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("engine", sa.Text, nullable=False),
        sa.Column("decided_at", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("leg", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("market", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("price_usdt", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("qty", sa.Text, nullable=True),
        sa.Column("amount_usdt", sa.Text, nullable=True),
        sa.Column("limit_price", sa.Text, nullable=True),
        sa.Column("trigger_price", sa.Text, nullable=True),
        sa.Column("reduce_only", sa.Boolean, nullable=False),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("quote", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("venue_order_id", sa.Text, nullable=True),
        sa.Column("filled_qty", sa.Text, nullable=False),
        sa.Column("filled_usdt", sa.Text, nullable=False),
        sa.Column("sends", sa.Integer, nullable=False),
        sa.Column("planned_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=True),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_index("orders_by_state", "orders", ["state"])
    op.create_table(
        "fills",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("execution_id", sa.Text, primary_key=True),
        sa.Column("unassigned", sa.Boolean, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("market", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("qty", sa.Text, nullable=False),
        sa.Column("price", sa.Text, nullable=False),
        sa.Column("fee", sa.Text, nullable=False),
        sa.Column("fee_coin", sa.Text, nullable=False),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("quote", sa.Text, nullable=False),
        sa.Column("executed_at", sa.Text, nullable=False),
        sa.Column("client_order_id", sa.Text, nullable=True),
        sa.Column("venue_order_id", sa.Text, nullable=True),
        sa.Column("is_maker", sa.Boolean, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
    )
    op.create_index("fills_by_order", "fills", ["client_order_id"])
    op.create_table(
        "closed_parts",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("execution_id", sa.Text, primary_key=True),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("market", sa.Text, nullable=False),
        sa.Column("position_side", sa.Text, nullable=False),
        sa.Column("client_order_id", sa.Text, nullable=True),
        sa.Column("qty", sa.Text, nullable=False),
        sa.Column("entry_usdt", sa.Text, nullable=False),
        sa.Column("exit_usdt", sa.Text, nullable=False),
        sa.Column("fees_usdt", sa.Text, nullable=False),
        sa.Column("funding_usdt", sa.Text, nullable=False),
        sa.Column("opened_at", sa.Text, nullable=False),
        sa.Column("closed_at", sa.Text, nullable=False),
        sa.Column("is_last", sa.Boolean, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
    )
    op.create_table(
        "funding_payments",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("execution_id", sa.Text, primary_key=True),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("qty", sa.Text, nullable=False),
        sa.Column("mark_price", sa.Text, nullable=False),
        sa.Column("rate", sa.Text, nullable=False),
        sa.Column("amount_usdt", sa.Text, nullable=False),
        sa.Column("settled_at", sa.Text, nullable=False),
    )
    op.create_table(
        "transfers",
        sa.Column("transfer_id", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("coin", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("planned_at", sa.Text, nullable=True),
        sa.Column("moved_at", sa.Text, nullable=True),
    )
    op.create_table(
        "deposits",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("coin", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("value_usdt", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.Text, nullable=False),
    )
    op.create_table(
        "corrections",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("unassigned", sa.Boolean, primary_key=True),
        sa.Column("correction_id", sa.Text, primary_key=True),
        sa.Column("symbol", sa.Text, nullable=True),
        sa.Column("coin", sa.Text, nullable=False),
        sa.Column("market", sa.Text, nullable=False),
        sa.Column("qty", sa.Text, nullable=False),
        sa.Column("price_usdt", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("corrected_at", sa.Text, nullable=False),
    )
    op.create_table(
        "engine_states",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("saved_at", sa.Text, nullable=False),
    )
    op.create_table(
        "phases",
        sa.Column("engine", sa.Text, primary_key=True),
        sa.Column("previous", sa.Text, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("since", sa.Text, nullable=False),
    )
    op.create_table(
        "breaker",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("previous", sa.Integer, nullable=False),
        sa.Column("equity_usdt", sa.Text, nullable=False),
        sa.Column("high_usdt", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("changed_at", sa.Text, nullable=False),
    )
    op.create_table(
        "commands",
        sa.Column("command_id", sa.Text, primary_key=True),
        sa.Column("verb", sa.Text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("applied_at", sa.Text, nullable=False),
    )
    op.create_table(
        "equity_marks",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("at", sa.Text, primary_key=True),
        sa.Column("equity_usdt", sa.Text, nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("started_at", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("config_hash", sa.Text, nullable=False),
        sa.Column("market", sa.Text, nullable=False),
        sa.Column("stopped_at", sa.Text, nullable=True),
        sa.Column("stop_reason", sa.Text, nullable=True),
    )
