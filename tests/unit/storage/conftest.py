"""Fixtures of the storage tests: a path for a database, and a database with a history."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from builders import a_history
from eternal_engine.storage.chain import Head
from eternal_engine.storage.store import Store


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Give the path of a database that does not exist yet."""
    return tmp_path / "state" / "eternal.sqlite"


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Head]:
    """Write the history once for all tests that begin with it."""
    path = tmp_path_factory.mktemp("history") / "eternal.sqlite"

    async def write() -> Head:
        store = await Store.open(path)
        await store.append(*a_history())
        await store.close()
        return store.head

    return path, asyncio.run(write())


@pytest.fixture
def written(database: Path, history: tuple[Path, Head]) -> tuple[Path, Head]:
    """Give a closed database with the history, and its head."""
    database.parent.mkdir(parents=True)
    shutil.copy(history[0], database)
    return database, history[1]
