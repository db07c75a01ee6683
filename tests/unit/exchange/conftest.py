"""Fixtures of the exchange client's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripted_server import ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Give a scripted HTTP server on loopback."""
    scripted = ScriptedServer()
    yield scripted
    scripted.close()
