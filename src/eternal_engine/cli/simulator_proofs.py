"""The verbs of `eternal simulator` that prove it: random operations, load, a long run."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from eternal_engine import clock
from eternal_engine.model.errors import DataError
from eternal_engine.simulator.endurance import Endurance
from eternal_engine.simulator.load import ORDER, Send, bare_sender, measure
from eternal_engine.simulator.opening import Opening, accounts_of, open_world
from eternal_engine.simulator.server.app import Server
from eternal_engine.simulator.soak import Soak
from eternal_engine.simulator.venue import Account

SERVE = "from eternal_engine.cli import main; main()"
END_S = 20


def soak(
    operations: Annotated[int, typer.Option(min=1, help="How many random operations.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Seed; odd ones have a thin market.")] = 1,
    audit_every: Annotated[int, typer.Option(min=1, help="Balance the books so often.")] = 1000,
) -> None:
    """Do random operations in a venue of its own and prove that its books balance; exits 1 when they do not."""
    began = clock.monotonic()
    run = Soak(seed, audit_every=audit_every)
    wrong = run.run(operations)
    took_s = clock.monotonic() - began
    done = {"operations": operations, "seed": seed, "audits": run.audits, "seconds": round(took_s, 1)}
    kinds = {
        "done": dict(run.done),
        "fills": dict(run.fills),
        "refused": {str(code): n for code, n in run.refused.items()},
    }
    print(json.dumps({**done, **kinds, "wrong": list(wrong)}), flush=True)
    if wrong:
        raise typer.Exit(1)


def load(
    orders: Annotated[int, typer.Option(min=1, help="Orders per account and client.")] = 500,
) -> None:
    """Measure order creates per second over bare HTTP and pybit, from one account and from five at once."""
    with TemporaryDirectory() as folder:
        asked = Opening(speed=0, limits=False, state=Path(folder) / "load.db", deposit_usdt=Decimal(10_000_000))
        world = open_world(asked)
        everyone = accounts_of(world)
        for account in everyone[1:]:
            world.venue.deposit(account.uid, "USDT", Decimal(10_000_000))
        asyncio.run(_load(Server(world), everyone, orders))


def endure(
    minutes: Annotated[float, typer.Option(min=0.01, help="How long, in minutes of real time.")] = 60.0,
    market: Annotated[str, typer.Option(metavar="synthetic|DIR", help="Where prices come from.")] = "synthetic",
    speed: Annotated[float, typer.Option(min=0.0, help="Venue seconds per second.")] = 3600.0,
    per_s: Annotated[float, typer.Option(min=0.1, help="Orders per second, all accounts together.")] = 20.0,
    every_s: Annotated[float, typer.Option(min=0.1, help="Seconds between looks.")] = 60.0,
    keep_rows: Annotated[
        int, typer.Option(min=100, help="Rows of each history in memory: once these are full, memory must stay flat.")
    ] = 10_000,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the samples here as they come.")] = None,
) -> None:
    """Serve an accelerated exchange, trade and stream against it, and show what becomes of its memory and handles.

    Prints one JSON object: resident memory first, last, most and its slope. Exits 1 when the books do not balance.
    """
    with TemporaryDirectory() as folder:
        report = asyncio.run(
            _endure(Path(folder) / "venue.db", minutes, (market, speed, per_s, every_s), keep_rows, csv)
        )
    print(json.dumps(report), flush=True)
    if report["wrong"]:
        raise typer.Exit(1)


async def _endure(
    state: Path, minutes: float, how: tuple[str, float, float, float], keep_rows: int, csv: Path | None
) -> dict[str, Any]:
    market, speed, per_s, every_s = how
    flags = ["--market", market, "--speed", str(speed), "--state", str(state), "--no-limits", "--json", "--with-parent"]
    flags += ["--keep-rows", str(keep_rows)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, "simulator", "serve", *flags, stdout=asyncio.subprocess.PIPE
    )
    if process.stdout is None:
        raise AssertionError("the child has a pipe")
    try:
        first_line = await process.stdout.readline()
        if not first_line:
            raise DataError("the exchange did not start", where=market, mend="see its message above")
        greeting = json.loads(first_line)
        run = Endurance(greeting, process.pid, per_s)
        if csv is None:
            await run.run(minutes, every_s)
        else:
            with csv.open("w", encoding="utf-8", newline="") as run.csv_file:
                await run.run(minutes, every_s)
        wrong = (await _audit(greeting["rest_url"]))["wrong"]
    finally:
        if process.returncode is None:
            process.terminate()
        code = await asyncio.wait_for(process.wait(), END_S)
    return {**run.report(), "market": market, "speed": speed, "exit_code": code, "wrong": wrong}


async def _audit(url: str) -> dict[str, Any]:
    import aiohttp

    async with aiohttp.ClientSession() as session, session.get(f"{url}/maintenance/audit") as answer:
        return dict(await answer.json())


async def _load(server: Server, everyone: list[Account], orders: int) -> None:
    await server.start()
    url = f"http://{server.host}:{server.port}"
    for client, make in (("http", bare_sender), ("pybit", _pybit_sender)):
        for who in (everyone[:1], everyone):
            figures = await asyncio.to_thread(measure, client, make, url, who, orders)
            print(json.dumps(asdict(figures)), flush=True)
    wrong = server.world.venue.audit()
    await server.stop()
    if server.world.store is not None:
        server.world.store.close()
    if wrong:
        raise typer.Exit(1)


def _pybit_sender(url: str, account: Account) -> Send:
    from pybit.unified_trading import HTTP

    session = HTTP(api_key=account.api_key, api_secret=account.api_secret, recv_window=20_000)
    session.endpoint = url
    return lambda: bool(session.place_order(**ORDER)["retCode"] == 0)
