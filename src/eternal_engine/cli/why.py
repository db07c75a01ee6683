"""`eternal why ORDER`: the inputs, the rules, the verdict, the configuration and the life of one order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from eternal_engine.cli.output import print_json
from eternal_engine.cli.state_dir import (
    JsonOption,
    ModeOption,
    SegmentsOption,
    StateDirOption,
    database_in,
    directory_of,
)
from eternal_engine.launch.files import SEGMENTS_FOLDER

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def why(
    order: Annotated[
        str, typer.Argument(metavar="ORDER", help="Its client order id, the exchange's, or an execution id.")
    ],
    state_dir: StateDirOption = None,
    mode: ModeOption = "paper",
    segments: SegmentsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain one order: what its engine saw, which rules spoke, what the risk manager said, what happened then."""
    from eternal_engine.cli.why_document import why_document
    from eternal_engine.cli.why_fill import fill_document
    from eternal_engine.storage.views import open_view

    directory = directory_of(state_dir, mode)
    with open_view(database_in(directory)) as view:
        own = fill_document(view, order)
        document = own or why_document(view, order, segments or directory / SEGMENTS_FOLDER)
    if as_json:
        print_json(document)
    elif own is not None:
        _print_fill(own)
    else:
        _print(document)


def _print(document: dict[str, Any]) -> None:
    from eternal_engine.cli.people import console, facts, number, table, titled

    out, order, decision = console(), document["order"], document["decision"]
    out.print(facts(_order_facts(document)))
    if decision is None:
        out.print(
            titled("Decision", None, empty="its journal row is archived elsewhere: name the folder by --segments")
        )
    else:
        seen = [*decision["inputs"].items(), *(decision["symbol_inputs"] or {}).items()]
        out.print(titled(f"What {order['engine']} saw", facts((name, _shown(value)) for name, value in seen)))
        for signal in decision["signals"]:
            out.print(titled("What it wanted", facts(_wanted(signal))))
    verdicts = [
        (review["verdict"], review["rule"], number(review["asked"]), number(review["allowed"]), review["detail"])
        for review in document["reviews"]
    ]
    body = table(("verdict", "rule", "asked", "allowed", "why"), verdicts) if verdicts else None
    out.print(titled("What the risk manager said", body, empty="nothing: it is not in the journal here"))
    out.print(titled("What happened", _steps(document)))


def _wanted(signal: dict[str, Any]) -> list[tuple[str, str]]:
    """Give what a signal says to people: sizes in steps are for programs, the verdict has them in USDT."""
    return [(name, _shown(value)) for name, value in signal.items() if value != "" and not name.endswith("_steps")]


def _print_fill(document: dict[str, Any]) -> None:
    """Explain what the exchange did by itself."""
    from eternal_engine.cli.people import console, facts, moment, number, titled

    out, fill = console(), document["fill"]
    what = f"{fill['account']}: {fill['side']} {number(fill['qty'])} {fill['symbol']} {fill['market']}"
    rows = [
        ("execution", fill["execution_id"]),
        ("what", f"{what} at {number(fill['price'])}"),
        ("why", f"{document['cause']}: the exchange did it by itself, no order was sent"),
        ("executed", f"{moment(fill['executed_at'])} UTC"),
        ("entered by", document["entry"]),
    ]
    out.print(facts(rows))
    out.print(titled("What happened", _steps(document)))


def _steps(document: dict[str, Any]) -> RenderableType:
    from eternal_engine.cli.people import moment, table

    steps = [(moment(step["at"]), step["kind"], step["what"]) for step in document["timeline"]]
    return table(("time (UTC)", "row", "what"), steps)


def _order_facts(document: dict[str, Any]) -> list[tuple[str, Any]]:
    from eternal_engine.cli.people import moment, number

    order, decision = document["order"], document["decision"]
    size = number(order["qty"]) if order["qty"] else f"{number(order['amount_usdt'])} USDT"
    rows = [
        ("order", order["client_order_id"]),
        ("what", f"{order['engine']}: {order['side']} {size} {order['symbol']} {order['market']}"),
        ("why", _reason_words(document)),
        ("decided", f"{moment(order['decided_at'])} UTC"),
        ("state", f"{order['state']}, filled {number(order['filled_qty'])} for {number(order['filled_usdt'])} USDT"),
        ("configuration", None if decision is None else document["config_hash"]),
    ]
    if document["command"] is not None:
        command = document["command"]
        rows.append(("ordered by", f"the operator: {command['verb']} {command['arguments']}"))
    if document["same_decision"]:
        rows.append(("with", ", ".join(document["same_decision"])))
    return rows


def _reason_words(document: dict[str, Any]) -> str:
    """Give the rule in words: the signal says them, the order itself carries the rule's id only."""
    decision = document["decision"]
    for signal in [] if decision is None else decision["signals"]:
        if str(signal.get("reason", "")).startswith(document["reason"]):
            return str(signal["reason"])
    return str(document["reason"])


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    if value is None:
        return "unknown"
    return str(value)
