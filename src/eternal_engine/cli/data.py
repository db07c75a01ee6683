"""`eternal data`: import, download, verify and list market data; `synthesize` and `likeness` are mounted here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eternal_engine.cli.dates import day_ms
from eternal_engine.cli.output import print_json
from eternal_engine.cli.synthesize import likeness, synthesize
from eternal_engine.market_data.history import DAY_MS
from eternal_engine.model.errors import DataError, UsageError

if TYPE_CHECKING:
    from stamina.instrumentation import RetryDetails

    from eternal_engine.market_data.inventory import Entry, Inventory
    from eternal_engine.market_data.manifest import Manifest

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Import, download, verify, list and synthesize market data."
)

app.command()(synthesize)
app.command()(likeness)

STORE_HELP = "The store to write; default: `market` in the configured data directory (paths.data_dir)."
StoreOption = Annotated[Path | None, typer.Option("--to", metavar="STORE", help=STORE_HELP)]
FolderArgument = Annotated[
    Path | None, typer.Argument(metavar="DIR", help="A store or a folder of plain files; default: the store.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Progress = Callable[[str, int, int], None]


@app.command("import")
def import_(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Has spot_1h/, perp_1h/, funding/, sentiment/: parquet or CSV files.")
    ],
    to: StoreOption = None,
    source: Annotated[str, typer.Option(help="Where the files came from, for the manifests and reports.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Allow stored rows to go that DIR lacks.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check every file of DIR and copy them into the store; one bad file and nothing is written."""
    from eternal_engine.market_data.importing import import_folder

    store = to or default_store()
    with _progress() as progress:
        manifests = import_folder(directory, store, source_name=source, replace=replace, progress=progress)
    _print_written(store, manifests, as_json)


@app.command()
def download(
    symbols: Annotated[
        list[str] | None, typer.Option(help="Symbols such as BTCUSDT, repeated or with commas; default: configured.")
    ] = None,
    start: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="First day (UTC); default: all there is.")] = "",
    end: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="Last day, included; default: until now.")] = "",
    exchange: Annotated[str, typer.Option(help="bybit or binance.")] = "bybit",
    fallback: Annotated[
        str, typer.Option(help="Asked for a series that the exchange cannot give; `none`: nobody.")
    ] = "binance",
    to: StoreOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Fetch anew instead of continuing what is stored.")
    ] = False,
    api_url: Annotated[str, typer.Option(help="Another address of the exchange: a regional host or a proxy.")] = "",
    fallback_url: Annotated[str, typer.Option(help="The same for the fallback.")] = "",
    sentiment_url: Annotated[str, typer.Option(help="The same for the fear-and-greed index.")] = "",
    first_wait_s: Annotated[float, typer.Option(min=0.0, help="Seconds before the first of 6 retries.")] = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Fetch spot and perp candles, funding and sentiment; interrupted, the same command goes on where it stopped."""
    import stamina

    from eternal_engine.market_data.download.run import Request, download
    from eternal_engine.market_data.download.venue import Patience

    # The default hook prints to stdout, where --json promises one object.
    stamina.instrumentation.set_on_retry_hooks([_say_retry])
    request = Request(
        symbols=_symbols(symbols),
        start_ms=day_ms(start, "--start") if start else None,
        end_ms=day_ms(end, "--end") + DAY_MS if end else None,
        exchange=exchange,
        fallback="" if fallback == "none" else fallback,
        replace=replace,
        api_url=api_url,
        fallback_url=fallback_url,
        sentiment_url=sentiment_url,
        patience=Patience(first_wait_s=first_wait_s),
    )
    store = to or default_store()
    with _progress() as progress:
        outcome = download(request, store, progress)
    _print_written(store, outcome.manifests, as_json)
    for manifest in outcome.manifests:
        if manifest.note:
            typer.echo(f"note: {manifest.dataset} {manifest.symbol} from {manifest.source}: {manifest.note}", err=True)
    if outcome.failures:
        raise DataError(
            f"{len(outcome.failures)} series could not be had: " + " | ".join(outcome.failures),
            where=str(store),
            mend="correct the symbols or try again later; the others are stored",
        )


@app.command()
def verify(directory: FolderArgument = None, as_json: JsonOption = False) -> None:
    """Read every file, check every row and every sha256; exit 3 if anything is bad."""
    path = directory or default_store()
    inventory = _take(path)
    _print_inventory(inventory, as_json)
    if inventory.bad:
        for entry in inventory.bad[1:]:
            typer.echo(f"bad: {entry.problem}\nwhere: {entry.where}\nmend:  {entry.mend}", err=True)
        first = inventory.bad[0]
        raise DataError(
            f"{len(inventory.bad)} of {len(inventory.entries)} files are bad: {first.problem}",
            where=first.where,
            mend=first.mend,
        )


@app.command("list")
def list_(directory: FolderArgument = None, as_json: JsonOption = False) -> None:
    """List the files with their source, range, rows and gaps."""
    _print_inventory(_take(directory or default_store()), as_json)


def default_store() -> Path:
    """Give the store that is used when none is named: `market` in the configured data directory."""
    from eternal_engine.config import load

    return load().paths.data_dir / "market"


def _take(path: Path) -> Inventory:
    from eternal_engine.market_data.inventory import take_inventory

    with _progress() as progress:
        return take_inventory(path, progress)


def _say_retry(details: RetryDetails) -> None:
    cause = " ".join(str(details.caused_by).split())[:120]
    typer.echo(f"trying again in {details.wait_for:.1f} s: {cause}", err=True)


def _symbols(named: list[str] | None) -> tuple[str, ...]:
    if not named:
        from eternal_engine.config import load

        return tuple(load().symbols)
    symbols = [symbol.strip().upper() for text in named for symbol in text.split(",") if symbol.strip()]
    for symbol in symbols:
        if not symbol.isalnum():
            raise UsageError(f"{symbol!r} is not a symbol", where="--symbols", mend="write symbols like BTCUSDT")
    return tuple(dict.fromkeys(symbols))


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show a bar on stderr while it is a terminal; it vanishes at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda label, done, total: bar.update(task, description=label, completed=done, total=total)


def _print_written(store: Path, manifests: tuple[Manifest, ...], as_json: bool) -> None:
    if as_json:
        print_json({"store": str(store), "written": [asdict(manifest) for manifest in manifests]})
        return
    rows = sum(manifest.rows for manifest in manifests)
    gaps = sum(len(manifest.gaps) for manifest in manifests)
    dropped = sum(manifest.duplicates_dropped for manifest in manifests)
    typer.echo(
        f"{len(manifests)} files with {rows:,} rows are in {store} ({gaps} gaps, {dropped} duplicate rows dropped)"
    )
    typer.echo(f"see them: eternal data list {store}")


def _print_inventory(inventory: Inventory, as_json: bool) -> None:
    if as_json:
        files = [asdict(entry) for entry in inventory.entries]
        print_json(
            {
                "path": inventory.path,
                "is_store": inventory.is_store,
                "good": not inventory.bad,
                "files": files,
                "partial": list(inventory.partial),
            }
        )
        return
    _print_table(inventory)


def _print_table(inventory: Inventory) -> None:
    from rich.console import Console
    from rich.table import Table

    kind = "store" if inventory.is_store else "plain files"
    table = Table(title=f"{inventory.path} ({kind})", title_justify="left", box=None, padding=(0, 1), pad_edge=False)
    for heading in ("dataset", "symbol", "first", "last", "rows", "gaps", "missing"):
        right = heading in ("rows", "gaps", "missing")
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    table.add_column("source", overflow="fold")
    for entry in inventory.entries:
        table.add_row(*_cells(entry))
    console = Console()
    console.print(table)
    for name in inventory.partial:
        console.print(f"begun, not ended: {name} (the same download command goes on with it)", markup=False)
    console.print(f"{len(inventory.entries)} files, {len(inventory.bad)} bad")


def _cells(entry: Entry) -> tuple[str, ...]:
    if entry.problem:
        return (entry.dataset, entry.symbol, "", "", "", "", "", f"BAD: {entry.problem}")
    source = f"SYNTHETIC: {entry.source}" if entry.synthetic else entry.source
    span = ((entry.first or "-")[:10], (entry.last or "-")[:10])
    return (entry.dataset, entry.symbol, *span, f"{entry.rows:,}", str(entry.gaps), str(entry.missing), source)
