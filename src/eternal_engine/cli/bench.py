"""`eternal bench`: the speed goals as JSON lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)

START_MS = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp() * 1000)
END_MS = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp() * 1000)


@app.command()
def bench(
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Measure on this data; none: the synthetic market.")
    ] = None,
) -> None:
    """Measure the speed goals on five years of ten coins, 438,000 symbol-bars; one JSON object per line.

    `value` is the median of the rounds, `best` the fastest; the first round compiles and is not counted.
    """
    from eternal_engine.backtest.bench import figures
    from eternal_engine.bootstrap import params_of
    from eternal_engine.config import load

    settings = load("backtest")
    symbols = tuple(settings.symbols)
    if data is None:
        from eternal_engine.market_data.synthetic import synthesize

        history = synthesize(settings.backtest.seed, start_ms=START_MS, end_ms=END_MS, symbols=symbols)
    else:
        from eternal_engine.market_data.load import load_history

        history = load_history(data, symbols, start_ms=START_MS, end_ms=END_MS)
    for figure in figures(params_of(settings), history, data):
        line = {
            "name": figure.name,
            "value": round(figure.value, 4),
            "unit": figure.unit,
            "best": round(figure.best, 4),
            "rounds": figure.rounds,
            "symbol_bars": history.hours * len(symbols),
            "source": history.source,
        }
        typer.echo(json.dumps(line))
