"""What holds for every test: a busy machine is no reason to fail, and what takes longest begins first."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import structlog
from coverage import Coverage
from hypothesis import settings

# CI tries the same examples each time: a red run is then a change's doing. On people's machines they are others (0139).
settings.register_profile("any machine", deadline=None, derandomize=os.environ.get("SAME_EXAMPLES") == "1")
settings.load_profile("any machine")

# Whole lives and thousands of examples: measuring slows them three to five times, and the gates hold without them.
UNMEASURED = {"e2e", "parity", "property", "scenario"}
TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what a daemon in a test's own process has set for the log: the next test reads other lines."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow ones, and keep together what shares a fixture of its module, which is then made once."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        if item.get_closest_marker("xdist_group") is None and _shares_a_fixture(item):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a pytest whose node ids the scheduler cannot mark: groups would be torn apart without a word."""
    if session.config.getoption("loadgroup", False):
        torn = [item for item in session.items if item.get_closest_marker("xdist_group") and "@" not in item.nodeid]
        if torn:
            raise pytest.UsageError(f"{torn[0].nodeid} should stay with its group: take another pytest or pytest-xdist")


def _shares_a_fixture(item: pytest.Item) -> bool:
    info = getattr(item, "_fixtureinfo", None)
    known = {} if info is None else info.name2fixturedefs
    return any(one.scope == "module" and one.baseid for found in known.values() for one in found)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure the coverage of what the parts hold by themselves; fuzzers, soaks and whole daemons add none."""
    is_measured = item.get_closest_marker("slow") is None and not UNMEASURED & set(item.path.relative_to(TESTS).parts)
    measuring = None if is_measured else Coverage.current()
    if measuring is None:
        return (yield)
    measuring.stop()
    try:
        return (yield)
    finally:
        measuring.start()
