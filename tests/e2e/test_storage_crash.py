"""SIGKILL a real process that writes a real database, at random moments, again and again, on the same file.

After each kill: the file opens, the chain verifies, the tables equal a rebuild from the journal, and everything that
was acknowledged before the kill is there. The child is forked, so it starts at once and dies anywhere: in the middle of
a commit, of an archive, of a recovery.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import resource
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from builders import a_fill
from eternal_engine.model.errors import StorageError
from eternal_engine.model.event import Deposited, EquityMarked, Filled, StateSaved
from eternal_engine.model.ids import Account, Coin, ExecutionId, RecordId
from eternal_engine.model.instrument import Side
from eternal_engine.storage.archive import verify_archives
from eternal_engine.storage.chain import GENESIS
from eternal_engine.storage.store import Store
from eternal_engine.storage.verify import verify

AT = datetime(2024, 1, 1, tzinfo=UTC)
FORK = multiprocessing.get_context("fork")


def write_for_ever(database: Path, archive: Path, acknowledged: int) -> None:
    """Write batches until killed; write each head to the pipe once its commit has returned."""

    async def loop() -> None:
        store = await Store.open(database)
        if store.head.seq == 0:
            await store.append(
                Deposited(AT, RecordId("d"), Account.TREND, Coin("USDT"), Decimal(10**9), Decimal(10**9), AT)
            )
        while True:
            n = store.head.seq
            at = AT + timedelta(seconds=n)
            side = Side.SELL if n % 3 == 0 and store.projection.books.of(Account.TREND).spot else Side.BUY
            fill = a_fill(qty="0.001", price=str(100 + n % 7), side=side, fee="0.0001", at=at)
            await store.append(
                Filled(at, replace(fill, execution_id=ExecutionId(f"e{n}"))),
                StateSaved(at, "trend", 1, f'{{"seq":{n}}}'),
                EquityMarked(at, Account.TREND, Decimal(n)),
            )
            if n % 20 == 0:
                await store.archive(archive, at)
            os.write(acknowledged, f"{store.head.hash}\n".encode())

    asyncio.run(loop())


def killed_after(heads: int, seconds: float, database: Path, archive: Path) -> list[str]:
    """Let a child acknowledge some heads and go on for a moment, kill it, and give all heads it acknowledged."""
    reading, writing = os.pipe()
    child = FORK.Process(target=write_for_ever, args=(database, archive, writing))
    child.start()
    os.close(writing)
    with os.fdopen(reading) as lines:
        seen = [line.strip() for line in islice(lines, heads)]
        time.sleep(seconds)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        seen += [line.strip() for line in lines]
    child.join()
    assert child.exitcode == -signal.SIGKILL
    return seen


def run(rounds: int, seed: int, tmp_path: Path) -> int:
    """Kill `rounds` children; give how many had written something in between."""
    chance = random.Random(seed)
    database, archive = tmp_path / "eternal.sqlite", tmp_path / "archive"
    worked, last = 0, GENESIS
    for round_ in range(rounds):
        # Every fourth child dies while it opens the database, the others while they write.
        heads = 0 if chance.random() < 0.25 else chance.randint(1, 12)
        seen = killed_after(heads, chance.uniform(0.0, 0.4 if heads == 0 else 0.03), database, archive)
        worked += bool(seen)
        last = seen[-1] if seen else last
        if last != GENESIS:  # before that even the making of the tables may have been killed
            verified = verify(database, head=last)
            if round_ % 25 == 0 or round_ == rounds - 1:
                assert verify_archives(database, archive) == verified.archived_rows
    state = asyncio.run(_final(database))
    assert state == 0
    return worked


async def _final(database: Path) -> Decimal:
    store = await Store.open(database)
    imbalance = store.projection.books.imbalance_usdt
    saved = store.projection.states["trend"].document
    fills = len(store.projection.books.of(Account.TREND).seen) - 1
    await store.close()
    assert saved.startswith('{"seq":')
    assert store.head.seq == 1 + 3 * fills, "a batch is there with all its events, or not at all"
    return imbalance


def test_c8_a_killed_writer_leaves_a_whole_database(tmp_path: Path) -> None:
    assert run(12, seed=1, tmp_path=tmp_path) >= 6


def fill_the_disk(database: Path, acknowledged: int) -> None:
    """Write with little room left until a write fails; then show that the store refuses to go on."""

    async def loop() -> None:
        store = await Store.open(database)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        size = max(path.stat().st_size for path in (database, database.with_name(database.name + "-wal")))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 200_000, size + 200_000))

        async def write_until_it_fails() -> None:
            for n in range(10_000):
                await store.append(StateSaved(AT, "trend", 1, f'{{"n":{n},"room":"{"x" * 5000}"}}'))
                os.write(acknowledged, f"{store.head.hash}\n".encode())

        with pytest.raises(StorageError, match="the database failed"):
            await write_until_it_fails()
        head = store.head
        with pytest.raises(StorageError, match="a write failed before"):
            await store.append(StateSaved(AT, "trend", 1, "{}"))
        assert store.head == head
        await store.close()

    asyncio.run(loop())


def test_a_full_disk_stops_the_store_and_loses_nothing(tmp_path: Path) -> None:
    database = tmp_path / "eternal.sqlite"
    reading, writing = os.pipe()
    child = FORK.Process(target=fill_the_disk, args=(database, writing))
    child.start()
    os.close(writing)
    with os.fdopen(reading) as lines:
        heads = lines.read().split()
    child.join()
    assert child.exitcode == 0
    assert len(heads) > 5
    assert verify(database, head=heads[-1]).rows == len(heads)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_c8_a_hundred_kills(tmp_path: Path) -> None:
    assert run(100, seed=2, tmp_path=tmp_path) >= 60
