"""Fixtures of the storage tests: a path for a database, and a database with a history."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from builders import a_history
from eternal_engine.storage.chain import Head
from eternal_engine.storage.database import prepare
from eternal_engine.storage.store import Store


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the tables once for all tests: migrating takes longer than most of them."""
    path = tmp_path_factory.mktemp("prepared") / "eternal.sqlite"
    prepare(path)
    return path


@pytest.fixture
def database(tmp_path: Path, prepared: Path) -> Path:
    """Give a database in which nothing has happened."""
    path = tmp_path / "state" / "eternal.sqlite"
    path.parent.mkdir()
    shutil.copy(prepared, path)
    return path


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
    shutil.copy(history[0], database)
    return database, history[1]
