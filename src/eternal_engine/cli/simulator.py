"""`eternal simulator`: serve the embedded exchange on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import signal
import socket
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from eternal_engine import clock
from eternal_engine.cli.dates import instant
from eternal_engine.cli.simulator_proofs import endure, load, soak
from eternal_engine.model.errors import RefusedError, UsageError
from eternal_engine.simulator.faults import FaultPlan, read_faults
from eternal_engine.simulator.hosts import PUBLIC_URL
from eternal_engine.simulator.opening import Opening, accounts_of, fees_of, open_world, require_loopback
from eternal_engine.simulator.server.app import Server
from eternal_engine.simulator.server.world import World
from eternal_engine.simulator.store import wipe
from eternal_engine.simulator.venue import MarketShape

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Serve the embedded exchange on loopback.")

STATE_FOLDER = Path("state")
MOST_FILES = 20
PARENT_LOOK_S = 0.5
HANDLES_MOST = 65_536
DEPOSIT_MOST = Decimal(1_000_000_000)
FEE_MOST = Decimal(100)


@app.callback()
def _group() -> None:
    """Run the embedded Bybit-V5 exchange: for paper trading, tests, and other people's bots."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    market: Annotated[str, typer.Option(metavar="live|synthetic|DIR", help="Where prices come from.")] = "synthetic",
    live_url: Annotated[str, typer.Option(metavar="URL", help="Public host of --market live.")] = PUBLIC_URL,
    start: Annotated[str, typer.Option(metavar="DATE", help="Venue time to begin at, UTC (default: now).")] = "",
    speed: Annotated[float, typer.Option(help="Venue seconds per second; 0 waits to be advanced.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic market.")] = 7,
    faults: Annotated[Path | None, typer.Option(metavar="FILE", help="Faults to show, see docs/simulator.md.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line once connections are accepted.")] = False,
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="State file (default: state/simulator-*.db).")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over with an empty state file.")] = False,
    profile: Annotated[str, typer.Option(metavar="live|demo", help="Which host to behave like.")] = "live",
    deposit: Annotated[str, typer.Option(metavar="USDT", help="Money in a new master account.")] = "100000",
    limits: Annotated[bool, typer.Option("--limits/--no-limits", help="Enforce the exchange's rate limits.")] = True,
    with_parent: Annotated[
        bool, typer.Option("--with-parent", help="Stop when the process that started this one has ended.")
    ] = False,
    keep_rows: Annotated[
        int, typer.Option(min=100, help="Rows of each history an account keeps in memory; the file keeps two years.")
    ] = 10_000,
    slippage_bps: Annotated[str, typer.Option(help="What a taker pays beyond the price.")] = "5",
    spot_fee_bps: Annotated[str, typer.Option(help="Fee of a taker on spot.")] = "10",
    perp_fee_bps: Annotated[str, typer.Option(help="Fee of a taker on perpetuals.")] = "5.5",
    spread_bps: Annotated[str, typer.Option(help="Distance between bid and ask.")] = "0",
    depth_usdt: Annotated[str, typer.Option(help="Value resting on each price level; empty is bottomless.")] = "",
    match_delay_ms: Annotated[int, typer.Option(help="Venue time from acceptance to matching.")] = 0,
    visible_delay_ms: Annotated[int, typer.Option(help="Venue time until an order can be read.")] = 0,
) -> None:
    """Serve the exchange until SIGTERM or Ctrl-C; it keeps its state in a file and commits before it answers.

    Point a client at the printed URLs with one of the printed keys. /maintenance/* shows the ledger.
    """
    # Taken before anything slow: a parent that dies meanwhile must not be taken for the one that adopts orphans.
    parent = os.getppid() if with_parent else None
    require_loopback(host)
    if profile not in {"live", "demo"}:
        raise UsageError(f"there is no profile {profile!r}", where="--profile", mend="use live or demo")
    if not 0 <= speed <= 1_000_000:
        raise UsageError(f"a speed of {speed} makes no sense", where="--speed", mend="use 0 to 1000000")
    asked = Opening(
        market=market,
        start_ms=int(instant(start, "--start").timestamp() * 1000) if start else None,
        speed=speed,
        seed=seed,
        faults=FaultPlan() if faults is None else read_faults(faults),
        demo=profile == "demo",
        limits=limits,
        keep_rows=keep_rows,
        deposit_usdt=_amount("--deposit", deposit, most=DEPOSIT_MOST),
        shape=MarketShape(
            slippage_bps=_amount("--slippage-bps", slippage_bps),
            depth_usdt=_amount("--depth-usdt", depth_usdt) if depth_usdt else None,
        ),
        fees=fees_of(
            _amount("--spot-fee-bps", spot_fee_bps, most=FEE_MOST),
            _amount("--perp-fee-bps", perp_fee_bps, most=FEE_MOST),
        ),
        match_delay_ms=match_delay_ms,
        visible_delay_ms=visible_delay_ms,
        spread_bps=_amount("--spread-bps", spread_bps),
        live_url=live_url,
    )
    _check_free(host, port)
    world = _open(asked, state, port, fresh=fresh)
    try:
        asyncio.run(_serve(world, host, port, as_json=as_json, parent=parent))
    finally:
        if world.store is not None:
            world.store.close()


for _proof in (soak, load, endure):
    app.command()(_proof)


async def _serve(world: World, host: str, port: int, *, as_json: bool, parent: int | None) -> None:
    _allow_many_connections()
    server = Server(world, host, port)
    try:
        await server.start()
    except OSError as error:
        raise _cannot_listen(error, host, port) from error
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    _announce(_greeting(server), as_json=as_json)
    watch = None if parent is None else asyncio.create_task(_stop_without(parent, stopped))
    await stopped.wait()
    if watch is not None:
        watch.cancel()
    await server.stop()


def _check_free(host: str, port: int) -> None:
    """Refuse a port that is taken before anything is made for it."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return
    except OSError as error:
        raise _cannot_listen(error, host, port) from error


def _cannot_listen(error: OSError, host: str, port: int) -> UsageError:
    return UsageError(f"cannot listen: {error.strerror}", where=f"{host}:{port}", mend="use --port 0 or another port")


def _allow_many_connections() -> None:
    """Take as many handles as the system grants: a client that leaves connections open must not lock out the others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = HANDLES_MOST if hard == resource.RLIM_INFINITY else min(hard, HANDLES_MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _stop_without(parent: int, stopped: asyncio.Event) -> None:
    """Stop when the parent has ended: an orphan would hold the state file against the next start."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing announces the end of a parent
        await asyncio.sleep(PARENT_LOOK_S)
    stopped.set()


def _greeting(server: Server) -> dict[str, Any]:
    host = f"[{server.host}]" if ":" in server.host else server.host
    return {
        "rest_url": f"http://{host}:{server.port}",
        "ws_public_url": f"ws://{host}:{server.port}/v5/public",
        "ws_private_url": f"ws://{host}:{server.port}/v5/private",
        "accounts": [
            {
                "name": account.name,
                "uid": account.uid,
                "api_key": account.api_key,
                "api_secret": account.api_secret,
            }
            for account in accounts_of(server.world)
        ],
        "started_at": clock.now().isoformat(),
        "opened_at": _time(min(account.created_ms for account in accounts_of(server.world))),
        "venue_time": _time(server.world.venue.state.now_ms),
        "state": None if server.world.store is None else str(server.world.store.path),
    }


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


def _announce(greeting: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(greeting), flush=True)
        return
    lines = [
        "The embedded exchange accepts connections.",
        f"  REST     {greeting['rest_url']}",
        f"  public   {greeting['ws_public_url']}/spot or /linear",
        f"  private  {greeting['ws_private_url']}",
        f"  ledger   {greeting['rest_url']}/maintenance/ledger",
        f"  time     {greeting['venue_time']}",
        f"  state    {greeting['state']}",
        "  accounts (name, uid, key, secret):",
        *(f"    {a['name']:<10} {a['uid']}  {a['api_key']}  {a['api_secret']}" for a in greeting["accounts"]),
        "Stop it with Ctrl-C; docs/simulator.md has a ten-line script to try it with.",
    ]
    print("\n".join(lines), flush=True)


def _open(asked: Opening, state: Path | None, port: int, *, fresh: bool) -> World:
    """Open the named state file, or the first of the default ones that no other process holds."""
    if state is not None:
        return _open_file(asked, state, fresh=fresh)
    stem = f"simulator-{_short_name(asked)}" + (f"-{port}" if port else "")
    for number in range(1, MOST_FILES + 1):
        name = f"{stem}.db" if number == 1 else f"{stem}-{number}.db"
        try:
            return _open_file(asked, STATE_FOLDER / name, fresh=fresh)
        except RefusedError as error:
            if "another process" not in error.message or number == MOST_FILES:
                raise
            print(f"{error.message} ({error.where}): trying the next file", file=sys.stderr)
    raise AssertionError("the loop returns or raises")


def _short_name(asked: Opening) -> str:
    if asked.market == "synthetic":
        return f"synthetic-{asked.seed}"
    if asked.market == "live":
        return "live"
    folder = Path(asked.market).resolve()
    return f"{folder.name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:6]}"


def _open_file(asked: Opening, path: Path, *, fresh: bool) -> World:
    if fresh:
        wipe(path)
    return open_world(replace(asked, state=path))


def _amount(flag: str, text: str, most: Decimal | None = None) -> Decimal:
    try:
        amount = Decimal(text)
    except ArithmeticError as error:
        raise UsageError(f"{text!r} is not a number", where=flag, mend="write digits, such as 100000") from error
    if not amount.is_finite() or amount < 0:
        raise UsageError(f"{text!r} is out of range", where=flag, mend="write zero or more")
    if most is not None and amount > most:
        raise UsageError(f"{text!r} is out of range", where=flag, mend=f"write {most:,} at most")
    return amount
