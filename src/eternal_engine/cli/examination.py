"""What the doctor looks at, in order: one small function per part, each giving its findings."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from eternal_engine.cli import readiness
from eternal_engine.cli.finding import ERROR, OK, WARNING, Finding, error_of
from eternal_engine.cli.state_dir import DaemonMode, logs_in
from eternal_engine.launch.files import DATABASE_FILE, INBOX_FILE
from eternal_engine.model.errors import EternalError

if TYPE_CHECKING:
    from eternal_engine.config import Settings
    from eternal_engine.launch.keys import Venue

PACKAGES = ("aiohttp", "aiosqlite", "alembic", "apprise", "numpy", "pybit", "sqlalchemy", "structlog", "talib")
LEAST_FREE_MB = 200
WANTED_FREE_MB = 2_000
_MB = 1_000_000


def examine(mode: DaemonMode, state_dir: Path | None, now: datetime, *, ask_exchange: bool) -> list[Finding]:
    """Look at everything; what cannot be looked at without a readable configuration is left out."""
    from eternal_engine.config import load

    findings = [*_program(), *_secrets(Path())]
    try:
        settings = load(mode)
    except EternalError as problem:
        known = any((one.what, one.where) == (problem.message, problem.where) for one in findings)
        return findings if known else [*findings, error_of("configuration", problem)]
    directory = state_dir or settings.paths.state_dir
    logs = settings.paths.log_dir if state_dir is None else logs_in(state_dir)
    findings.append(Finding("configuration", OK, f"the configuration of {mode} reads, hash {settings.hash()[:12]}"))
    for name, folder in (("state directory", directory), ("log directory", logs)):
        findings += _folder(name, folder)
    findings += _database(directory)
    findings += readiness.alerts(settings, mode)
    findings += readiness.fear(settings, mode, directory, ask=ask_exchange)
    if mode != "paper":
        findings += _accounts(settings, mode, now, ask_exchange=ask_exchange)
    if mode == "live":
        findings += readiness.arming(settings, directory, now)
    return findings


def _program() -> Iterator[Finding]:
    yield Finding("python", OK, f"Python {'.'.join(map(str, sys.version_info[:3]))}")
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        yield Finding(
            "packages", ERROR, f"packages are missing: {', '.join(missing)}", sys.prefix, "run `make setup` again"
        )
    else:
        yield Finding("packages", OK, "all packages are installed")


def _secrets(project: Path) -> Iterator[Finding]:
    """Look at the files that hold keys, without ever showing one."""
    from eternal_engine.launch.keys import refuse_committed_keys

    try:
        refuse_committed_keys(project)
        yield Finding("secrets", OK, "the committed .env holds no key")
    except EternalError as problem:
        yield error_of("secrets", problem)
    local = project / ".env.local"
    if local.is_file() and stat.S_IMODE(local.stat().st_mode) & 0o077:
        yield Finding("secrets", WARNING, "others can read your keys", str(local), f"chmod 600 {local}")


def _folder(name: str, folder: Path) -> Iterator[Finding]:
    existing = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        yield Finding(name, ERROR, f"the {name} cannot be written", str(existing), "let it belong to this user")
        return
    free_mb = shutil.disk_usage(existing).free // _MB
    if free_mb < LEAST_FREE_MB:
        yield Finding(name, ERROR, f"only {free_mb} MB are free", str(existing), "free some disk space")
    elif free_mb < WANTED_FREE_MB:
        yield Finding(name, WARNING, f"only {free_mb} MB are free", str(existing), "free some disk space soon")
    else:
        yield Finding(name, OK, f"the {name} {folder} can be written, {free_mb // 1_000} GB are free")
    if folder.is_dir() and stat.S_IMODE(folder.stat().st_mode) & 0o022:
        yield Finding(name, WARNING, f"others can write to the {name}", str(folder), f"chmod go-w {folder}")


def _database(directory: Path) -> Iterator[Finding]:
    """Verify the database there is; none yet is fine, the first start makes it."""
    from eternal_engine.storage.holder import lock_holder
    from eternal_engine.storage.verify import verify

    database = directory / DATABASE_FILE
    if not database.is_file():
        yield Finding("database", OK, "no daemon has run here yet")
        return
    try:
        verified = verify(database)
        yield Finding("database", OK, f"journal and tables hold, {verified.head.seq} rows")
    except EternalError as problem:
        yield error_of("database", problem)
    for name in (DATABASE_FILE, INBOX_FILE):
        path = directory / name
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Finding("database", WARNING, "others can read it", str(path), f"chmod 600 {path}")
    holder = lock_holder(database)
    running = "no daemon runs" if holder is None else f"a daemon runs (process {holder})"
    yield Finding("daemon", OK, running)


def _accounts(settings: Settings, mode: DaemonMode, now: datetime, *, ask_exchange: bool) -> Iterator[Finding]:
    """Look at keys, and with them at the accounts: rights, kind, owner and balances."""
    from eternal_engine.launch.keys import need_credentials

    venue: Venue = "live" if mode == "live" else "demo"
    try:
        need_credentials(settings, venue)
    except EternalError as problem:
        yield error_of("keys", problem)
        return
    yield Finding("keys", OK, f"every account that is needed has a {venue} key")
    if not ask_exchange:
        yield Finding("accounts", WARNING, "the exchange was not asked", "--offline", "run it without --offline")
        return
    try:
        found = asyncio.run(_ask(settings, mode, now))
    except EternalError as problem:
        yield error_of("accounts", problem)
        return
    yield from found
    if not any(finding.severity == ERROR for finding in found):
        yield Finding("accounts", OK, "the accounts may be traded in")


async def _ask(settings: Settings, mode: DaemonMode, now: datetime) -> list[Finding]:
    from eternal_engine.exchange.bybit.client import PybitClient
    from eternal_engine.launch.live import close_accounts, open_accounts, preflight

    ports = open_accounts(settings, "live" if mode == "live" else "demo")
    try:
        looked = await preflight(ports, settings, now)
        offsets = [port.clock_offset_ms for port in ports.values() if isinstance(port, PybitClient)]
    finally:
        await close_accounts(ports)
    known = [offset for offset in offsets if offset is not None]
    return [
        *(Finding("accounts", found.severity.value, found.what, found.where, found.mend) for found in looked.findings),
        *readiness.skew(max(known, key=abs) if known else None),
    ]
