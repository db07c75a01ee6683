"""Every distinct call that a procedure makes to the exchange, and every private message it hears."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

import eternal_engine
from crash_daemon import Knife
from eternal_engine.exchange.bybit.client import Client
from eternal_engine.model.ids import read_client_order_id
from eternal_engine.simulator.server.call import Json
from eternal_engine.simulator.server.streams import STREAM_FAULTS
from eternal_engine.simulator.server.world import World

SOURCES: Final = Path(eternal_engine.__file__).parent
# Where the daemon's own decisions to call are written; the exchange package only carries them out.
CALLERS: Final = ("engine", "launch", "exchange/lookup.py")
START: Final = frozenset(
    {"take_up", "read_uids", "_uid", "open_books", "set_up_accounts", "_set_up", "divide", "prepare"}
)
# The supervisor's and the loop's own frames say nothing about the step.
SILENT: Final = frozenset({"run", "_keep", "_outcome", "<listcomp>", "in_turn_or_together"})
COMPARING: Final = frozenset({"take_snapshot", "take_prices"})
# What is read each hour, whatever else the hour brings.
HOURLY: Final = frozenset({"_rules", "_bars", "_rates"})
# Starts and comparisons do the same for each account; those with positions stand for one another, and those without.
KIN: Final = {
    "MASTER": "MASTER",
    "CORE_HODL": "CORE_HODL or TACTICAL",
    "TACTICAL": "CORE_HODL or TACTICAL",
    "TREND": "TREND or FUNDING",
    "FUNDING": "TREND or FUNDING",
}
SET_LEVERAGE: Final = "/v5/position/set-leverage"
GATHERED: Final = "a task of its own"
# What the books are made of; positions and wallets are told, too, and nothing is booked from them.
TOPICS: Final = frozenset({"order", "execution"})

# Lines of the program that call the exchange, and are not struck here.
ELSEWHERE: Final[dict[tuple[str, str], str]] = {
    ("health.py", "server_time"): "asks whether the line is up, and an exchange of this process has none: test_health",
    ("daemon.py", "warm"): "opens connections, and there are none to an exchange of this process: test_sessions",
    ("preflight.py", "key_info"): "before a daemon of demo or live exists: test_preflight",
    ("preflight.py", "account_info"): "before a daemon of demo or live exists: test_preflight",
    ("preflight.py", "wallet"): "before a daemon of demo or live exists: test_preflight",
    ("summary.py", "wallet"): "looks when the daemon has ended: what it finds is only said",
    ("summary.py", "positions"): "looks when the daemon has ended: what it finds is only said",
}


class Place(NamedTuple):
    """Name a line of thought of the program: the file and function that call the exchange, and the verb they use."""

    file: str
    function: str
    verb: str


class Key(NamedTuple):
    """Tell one call from another: the procedure, what is called, for whom, and the step with the order's leg."""

    procedure: str
    path: str
    account: str
    step: str


@dataclass(frozen=True)
class Seen:
    """Hold one call or message of a life: how many like it (path, account) came before, and the venue's time."""

    key: Key
    path: str
    account: str
    skip: int
    at_ms: int
    place: Place | None
    is_stream: bool


@dataclass
class Spy:
    """Note the calls and messages of one life; only those of `procedure`, and of its start, until `sheathe`."""

    procedure: str
    is_first: bool = False
    seen: list[Seen] = field(default_factory=list)
    before: Counter[tuple[str, str]] = field(default_factory=Counter)
    world: World | None = None
    knife: Knife | None = None

    def watch(self, world: World, knife: Knife) -> None:
        """Look through the fault plan of a world: it is asked at every call."""
        hits = world.faults.hits
        self.world, self.knife = world, knife

        def noting(path: str, account: str = "", kinds: Any = None) -> Any:
            if kinds is not STREAM_FAULTS:
                self.note_call(path, account)
            return hits(path, account, kinds)

        world.faults.hits = noting  # type: ignore[method-assign]

    def note_call(self, path: str, account: str) -> None:
        """Note a call that is being made by the present stack."""
        frames = list(_frames())
        names, leg = _names(frames)
        step = ".".join(reversed(names[:4])) + leg
        procedure, shown = self.procedure, account
        if self.is_first or not START.isdisjoint(names):
            # At the very first start one account is as empty as the other.
            procedure, shown = ("first start", _one(account)) if self.is_first else ("start", KIN[account])
        elif not COMPARING.isdisjoint(names):
            shown = KIN[account]
        elif "lever_ahead" in names or (path == SET_LEVERAGE and not names):
            # What is gathered there runs in tasks of its own, with nobody of the daemon's on the stack.
            procedure, shown = "start over a wire", KIN[account]
        elif not HOURLY.isdisjoint(names):
            procedure = "every hour"
        self._note(Key(procedure, path, shown, step), path, account, _place(frames))

    def hear(self, topic: str, account: str, message: Json) -> None:
        """Note a private message."""
        if topic in TOPICS:
            self._note(Key(self.procedure, topic, account, told_of(message)), topic, account, None)

    def _note(self, key: Key, path: str, account: str, place: Place | None) -> None:
        assert self.world is not None
        assert self.knife is not None
        if self.knife.sheathed:
            return
        skip, at_ms = self.before[path, account], self.world.venue.state.now_ms
        self.before[path, account] += 1
        self.seen.append(Seen(key, path, account, skip, at_ms, place, path in TOPICS))


def told_of(message: Json) -> str:
    """Say what a private message is about: the legs of our orders, or what else happened."""
    about: set[str] = set()
    rows: list[dict[str, Any]] = message["data"]
    for row in rows:
        read = read_client_order_id(str(row.get("orderLinkId", "")))
        about.add(read.leg.value if read else str(row.get("execType") or row.get("stopOrderType") or "other"))
    return "+".join(sorted(about))


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _one(account: str) -> str:
    return account if account == "MASTER" else "engine"


def _names(frames: list[FrameType]) -> tuple[list[str], str]:
    """Name the functions of the daemon that make the present call, the innermost first, and the order's leg."""
    names: list[str] = []
    leg = ""
    for frame in frames:
        code = frame.f_code
        if code.co_name == "place" and "request" in frame.f_locals:
            leg = _leg(frame.f_locals["request"].client_order_id)
        if code.co_name == "find_order" and "client_order_id" in frame.f_locals:
            leg = _leg(frame.f_locals["client_order_id"])
        if _is_caller(code.co_filename) and code.co_name not in SILENT:
            names.append(code.co_name)
    return names, leg


def _leg(client_order_id: str) -> str:
    read = read_client_order_id(client_order_id)
    return f" {read.leg.value}" if read else ""


@cache
def _is_caller(filename: str) -> bool:
    return any(f"/eternal_engine/{part}" in filename for part in CALLERS)


def _place(frames: list[FrameType]) -> Place | None:
    """Find the innermost caller, and the verb of the client that it used."""
    verb = ""
    for frame in frames:
        name = frame.f_code.co_name
        if _is_caller(frame.f_code.co_filename):
            if not verb:
                continue
            function = name
            return Place(Path(frame.f_code.co_filename).name, _named(frame, function), verb)
        if "/exchange/bybit/" in frame.f_code.co_filename and name in VERBS:
            verb = name
    # Calls that are gathered run in tasks of their own, whose stacks do not tell who gathered them.
    return Place(GATHERED, "", verb) if verb else None


def _named(frame: FrameType, function: str) -> str:
    """Give the function's name; a comprehension counts as the function around it."""
    while function.startswith("<") and frame.f_back is not None:
        frame = frame.f_back
        function = frame.f_code.co_name
    return function


VERBS: Final = frozenset(
    name
    for kind in Client.__mro__
    for name, value in vars(kind).items()
    if not name.startswith("_") and callable(value) and name not in ("close", "now", "call")
)


def places_in_sources() -> set[Place]:
    """List every place of the program's text that calls the exchange, by reading it."""
    found: set[Place] = set()
    for part in CALLERS:
        top = SOURCES / part
        for path in [top] if top.is_file() else sorted(top.glob("*.py")):
            found |= set(_places(path))
    return found


def not_struck(called: Collection[Place]) -> list[Place]:
    """List the lines that call the exchange and are neither among those `called` nor named in `ELSEWHERE`."""
    written = {place for place in places_in_sources() if (place.file, place.verb) not in ELSEWHERE}
    return sorted(place for place in written - set(called) if Place(GATHERED, "", place.verb) not in called)


def _places(path: Path) -> Iterator[Place]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for outer in ast.walk(tree):
        if not isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(outer):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            # A task is cancelled, too, but without saying which order.
            is_task = node.func.attr == "cancel" and not node.args
            if node.func.attr in VERBS and not is_task:
                yield Place(path.name, outer.name, node.func.attr)
