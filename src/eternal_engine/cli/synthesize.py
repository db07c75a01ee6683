"""`eternal data synthesize` and `eternal data likeness`: make a synthetic market, and say how like a real one it is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from eternal_engine.cli.dates import day_ms
from eternal_engine.cli.output import print_columns, print_json
from eternal_engine.market_data.history import DAY_MS, MarketHistory
from eternal_engine.model.errors import DataError

SeedOption = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Which market; default: the configured backtest seed.")
]
StartOption = Annotated[str, typer.Option("--start", metavar="YYYY-MM-DD", help="First day (UTC), from 2017-01-01 on.")]
EndOption = Annotated[str, typer.Option("--end", metavar="YYYY-MM-DD", help="Last day, included.")]
SymbolsOption = Annotated[
    list[str] | None, typer.Option("--symbols", help="Symbols such as BTCUSDT, repeated or with commas; default: ten.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def synthesize(
    seed: SeedOption = None,
    start: StartOption = "2017-01-01",
    end: EndOption = "2024-12-31",
    symbols: SymbolsOption = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Folder to write; default: synthetic-N in the data dir.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a market from a seed, the same on every machine, and write it as a store marked SYNTHETIC."""
    from eternal_engine.market_data.synthetic.storing import store_history

    chosen = _seed(seed)
    history = _market(chosen, start, end, symbols)
    store = to or _data_dir() / f"synthetic-{chosen}"
    manifests = store_history(history, store)
    if as_json:
        print_json(
            {
                "store": str(store),
                "seed": chosen,
                "synthetic": True,
                "fingerprint": history.fingerprint,
                "written": [asdict(manifest) for manifest in manifests],
            }
        )
        return
    rows = sum(manifest.rows for manifest in manifests)
    typer.echo(f"SYNTHETIC DATA, seed {chosen}: {len(manifests)} files with {rows:,} rows are in {store}")
    typer.echo(f"use them: eternal backtest run --data {store}")


def likeness(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="A folder of data; none: the synthetic market.")
    ] = None,
    seed: SeedOption = None,
    start: StartOption = "2020-01-01",
    end: EndOption = "2024-12-31",
    symbols: SymbolsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure tails, memory, correlation, drawdowns, funding and basis against their bands; exit 3 outside a band."""
    from eternal_engine.market_data.load import load_history
    from eternal_engine.market_data.synthetic.likeness import BANDS, measure, misfits

    if directory is None:
        history = _market(_seed(seed), start, end, symbols)
    else:
        history = load_history(
            directory, _symbols(symbols), start_ms=day_ms(start, "--start"), end_ms=day_ms(end, "--end") + DAY_MS
        )
    figures = measure(history)
    wrong = misfits(figures)
    if as_json:
        print_json({"source": history.source, "synthetic": history.synthetic, "figures": figures, "misfits": wrong})
    else:
        rows = [("figure", "value", "band", "meaning")]
        for name, band in BANDS.items():
            rows.append(
                (
                    name,
                    f"{figures[name]:.4g}" if name in figures else "none",
                    f"{band.low:g} to {band.high:g}",
                    band.meaning,
                )
            )
        print_columns(rows)
    if wrong:
        raise DataError(
            f"{len(wrong)} figures are outside their bands: {'; '.join(wrong)}",
            where=history.source,
            mend="the bands are meant for five or more years of ten coins; see docs/synthetic-market.md",
        )


def _market(seed: int, start: str, end: str, symbols: list[str] | None) -> MarketHistory:
    from eternal_engine.market_data.synthetic import synthesize as make

    return make(
        seed, start_ms=day_ms(start, "--start"), end_ms=day_ms(end, "--end") + DAY_MS, symbols=_symbols(symbols)
    )


def _symbols(named: list[str] | None) -> tuple[str, ...]:
    from eternal_engine.market_data.synthetic import SYMBOLS

    chosen = [symbol.strip().upper() for text in named or () for symbol in text.split(",") if symbol.strip()]
    return tuple(dict.fromkeys(chosen)) or SYMBOLS


def _seed(seed: int | None) -> int:
    if seed is not None:
        return seed
    from eternal_engine.config import load

    return load().backtest.seed


def _data_dir() -> Path:
    from eternal_engine.config import load

    return load().paths.data_dir
