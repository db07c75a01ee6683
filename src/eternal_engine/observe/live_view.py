"""The terminal view of a running daemon: what it is worth, what it holds, what it did and why, what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule as Ruler
from rich.table import Table
from rich.text import Text

from eternal_engine import clock
from eternal_engine.ledger.equity import Prices, mark_book
from eternal_engine.model.event import Event
from eternal_engine.model.ids import Account, Engine, Symbol
from eternal_engine.model.money import ZERO
from eternal_engine.observe.fields import ERROR, WARNING
from eternal_engine.observe.picture import (
    ENGINES,
    NOT_MARKED,
    Line,
    Picture,
    Plan,
    Worth,
    grown,
    paid_in_usdt,
    plan_of,
)
from eternal_engine.observe.words import level, number, percent, title

WIDE: Final = 100
NOTHING: Final = "–"
_SYNTHETIC: Final = "SYNTHETIC DATA"
# Rows of everything but positions, recent lines and problems, and the one in which the cursor stays.
_FIXED_ROWS: Final = 17
_TONES: Final = {WARNING: "yellow", ERROR: "bold red"}
_BREAKER_STYLE: Final = {0: "green", 1: "yellow", 2: "bold yellow", 3: "bold red", 4: "bold white on red"}


@dataclass(frozen=True, slots=True)
class Banner:
    """Hold what does not change while it runs: `market` in words, `speed` market seconds per second (0: unbounded)."""

    mode: str
    market: str
    is_synthetic: bool = False
    speed: float = 1.0
    config_hash: str = ""
    log_file: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """Hold all that one drawing shows."""

    banner: Banner
    picture: Picture
    prices: Prices = field(default_factory=Prices)
    missed_events: int = 0
    running_s: float = 0.0


def render(scene: Scene, width: int = 80, height: int = 40) -> RenderableType:
    """Draw a scene for a terminal of `width` columns and `height` rows; pure."""
    scene = replace(scene, picture=_marked(scene.picture, scene.prices))
    plan = plan_of(scene.picture)
    positions, holds = _positions(scene, plan), _holds(plan)
    free = max(height - _FIXED_ROWS - len(holds), 4)
    problems = scene.picture.problems[-max(free // 4, 1) :]
    # Half for the positions, or all that the few lines after a start leave; the head of the table takes one.
    told = max(_rows(problems, width), 1)  # "none" takes a row, too
    unused = free - told - max(len(scene.picture.recent), 1)
    room = max(free // 2, 2, unused) - 1
    shown = positions if len(positions) <= room else positions[: room - 1]
    taken = told + 1 + min(len(positions), room)
    lines = max(free - taken, 1)
    return Group(
        *_head(scene),
        Ruler(style="dim"),
        _engines(scene.picture, plan, wide=width >= WIDE),
        _breaker(scene.picture, plan),
        _cut(Text.assemble(("CORE_HODL  ", "bold"), plan.core)),
        *holds,
        Ruler("positions", style="dim", align="left"),
        _position_table(shown, len(positions) - len(shown), wide=width >= WIDE),
        Ruler("what it did", style="dim", align="left"),
        *_lines(scene.picture.recent[-lines:], "nothing yet"),
        Ruler("problems", style="dim", align="left"),
        *_lines(problems, "none", whole=True),
        *_foot(scene),
    )


class LiveView:
    """Keep a picture of what happens and draw it on a terminal, once a second when something changed.

    `prices` gives the newest ones and is asked when drawing. Give it to the bus as an observer, and run `show` as a
    task for as long as the view shall stand.
    """

    name = "live view"

    def __init__(
        self,
        banner: Banner,
        *,
        picture: Picture | None = None,
        prices: Callable[[], Prices] = Prices,
        missed_events: Callable[[], int] = int,
        console: Console | None = None,
        every_s: float = 1.0,
    ) -> None:
        self.picture = picture or Picture()
        self._banner = banner
        self._prices = prices
        self._missed_events = missed_events
        self._console = console or Console()
        self._every_s = every_s
        self._since = clock.monotonic()

    async def see(self, events: Sequence[Event]) -> None:
        """Take what happened into the picture."""
        self.picture = grown(self.picture, events)

    async def show(self) -> None:
        """Draw until cancelled; the last drawing stays on the screen."""
        drawn: Picture | None = None
        with Live(console=self._console, auto_refresh=False, vertical_overflow="crop") as live:
            try:
                while True:
                    if drawn is not self.picture:
                        drawn = self.picture
                        live.update(self._drawing(), refresh=True)
                    await asyncio.sleep(self._every_s)
            finally:
                live.update(self._drawing(), refresh=True)

    def _drawing(self) -> RenderableType:
        width, height = self._console.size
        scene = Scene(
            banner=self._banner,
            picture=self.picture,
            prices=self._prices(),
            missed_events=self._missed_events(),
            running_s=clock.monotonic() - self._since,
        )
        return render(scene, width, height)


def _marked(picture: Picture, prices: Prices) -> Picture:
    """Mark at the newest prices what no hour has marked yet: after a restart the next mark may be an hour away."""
    fresh = {}
    for engine in ENGINES:
        book, worth = picture.books.of(engine.account), picture.worth(engine.account)
        equity = mark_book(book, prices)
        if worth.equity_usdt is None and worth.why_unknown == NOT_MARKED and equity.usable_usdt is not None:
            fresh[engine.account] = replace(worth, equity_usdt=equity.usable_usdt, paid_in_usdt=paid_in_usdt(book))
    return replace(picture, worths={**picture.worths, **fresh}) if fresh else picture


def _head(scene: Scene) -> list[RenderableType]:
    banner, picture = scene.banner, scene.picture
    mode_style = {"live": "bold white on red", "demo": "bold black on yellow"}.get(banner.mode, "bold black on cyan")
    first = Text.assemble(("The Eternal Engine ", "bold"), (f" {banner.mode.upper()} ", mode_style), "  ")
    if banner.is_synthetic:
        first.append(f" {_SYNTHETIC} ", "bold black on yellow")
        first.append("  ")
    first.append(banner.market.removeprefix(_SYNTHETIC).lstrip(" ,") if banner.is_synthetic else banner.market)
    at = picture.at.strftime("%a %Y-%m-%d %H:%M:%S UTC") if picture.at else "no market time yet"
    parts = [at, _speed_text(banner.speed), f"running {_duration(scene.running_s)}"]
    if banner.config_hash:
        parts.append(f"config {banner.config_hash[:8]}")
    return [_cut(first), _cut(Text(" · ".join(filter(None, parts)), "dim"))]


def _speed_text(speed: float) -> str:
    if speed == 1:
        return "real time"
    return f"{speed:,.0f} times real time" if speed else "as fast as it goes"


def _duration(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days} d {hour:02}:{minute:02}:{second:02}" if days else f"{hour:02}:{minute:02}:{second:02}"


def _engines(picture: Picture, plan: Plan, *, wide: bool) -> Table:
    table = _table(("", "left"), ("equity USDT", "right"), ("in all", "right"), ("today", "right"))
    if wide:
        table.add_column("paid in", justify="right")
    table.add_column("", justify="left", no_wrap=True, overflow="ellipsis")
    for engine in ENGINES:
        worth = picture.worth(engine.account)
        table.add_row(*_worth_row(title(engine), worth, wide=wide), _state_of(engine, worth, picture, plan))
    table.add_row(*_worth_row("portfolio", picture.total, wide=wide), "", style="bold")
    return table


def _worth_row(name: str, worth: Worth, *, wide: bool) -> list[RenderableType]:
    pnl, today = worth.pnl_usdt, worth.today_usdt
    share = f" {pnl / worth.paid_in_usdt:+.1%}" if pnl is not None and worth.paid_in_usdt > ZERO else ""
    equity = NOTHING if worth.equity_usdt is None else f"{worth.equity_usdt:,.2f}"
    row: list[RenderableType] = [Text(name), Text(equity), _signed(pnl, share), _signed(today)]
    return [*row, Text(f"{worth.paid_in_usdt:,.2f}")] if wide else row


def _signed(amount: Decimal | None, more: str = "") -> Text:
    if amount is None:
        return Text(NOTHING)
    return Text(f"{amount:+,.2f}{more}", "green" if amount > ZERO else "red" if amount < ZERO else "")


def _state_of(engine: Engine, worth: Worth, picture: Picture, plan: Plan) -> Text:
    if engine.account in picture.disconnected:
        return Text("OFFLINE", "bold red")
    if engine in plan.halted:
        return Text("HALTED, see eternal status", "bold yellow")
    if worth.equity_usdt is None:
        return Text(worth.why_unknown, "yellow")
    return Text("trading", "dim")


def _breaker(picture: Picture, plan: Plan) -> Text:
    event = picture.breaker
    # The saved state is the truth; before the first one is seen there is the event.
    now = plan.level if picture.memory or event is None else event.level
    text = Text.assemble(("breaker    ", "bold"), (level(now), _BREAKER_STYLE.get(now, "bold red")))
    if plan.high_usdt is not None:
        text.append(f", high {plan.high_usdt:,.0f} USDT")
    if now and event is not None:
        fallen = percent(1 - event.equity_usdt / event.high_usdt) if event.high_usdt else NOTHING
        text.append(f", at {fallen} under it since {event.at:%Y-%m-%d %H:%M}")
        text.append("; eternal approve" if now > 1 else "", "bold")
    return _cut(text)


def _holds(plan: Plan) -> list[Text]:
    found = []
    if plan.blocked:
        found.append(_cut(Text(f"waiting    {plan.blocked}", "yellow")))
    if plan.paused:
        found.append(_cut(Text(f"review     entries wait in {', '.join(plan.paused)} (ORD-7)", "yellow")))
    return found


@dataclass(frozen=True, slots=True)
class _Position:
    name: str
    what: str
    qty: Decimal
    entry: Decimal
    value: Decimal | None
    pnl: Decimal | None
    stop: Decimal | None


def _positions(scene: Scene, plan: Plan) -> list[_Position]:
    found = []
    for book in sorted(scene.picture.books.all(), key=lambda book: list(Account).index(book.account)):
        name = title(book.account) + (" (unassigned)" if book.unassigned else "")
        for symbol, held in sorted(book.spot.items()):
            price = scene.prices.spot.get(symbol)
            value = None if price is None else held.value_usdt(price)
            if value is not None and price is not None and held.is_dust(price):
                continue
            pnl = None if value is None else value - held.cost_usdt
            found.append(_Position(name, f"{symbol} spot", held.qty, held.average_price, value, pnl, None))
        for symbol, open_ in sorted(book.perp.items()):
            mark = scene.prices.mark.get(symbol)
            stop = _stop(plan.stops, symbol) if book.account is Account.TREND else None
            found.append(
                _Position(
                    name,
                    f"{symbol} {open_.side.value}",
                    abs(open_.qty),
                    open_.average_price,
                    None if mark is None else open_.notional_usdt(mark),
                    None if mark is None else open_.unrealised_usdt(mark),
                    stop,
                )
            )
    # The biggest first: what does not fit on the screen matters least.
    return sorted(found, key=lambda row: -(row.value if row.value is not None else row.qty * row.entry))


def _stop(stops: Mapping[str, Decimal], symbol: Symbol) -> Decimal | None:
    return stops.get(symbol)


def _position_table(rows: Sequence[_Position], hidden: int, *, wide: bool) -> RenderableType:
    if not rows:
        return Text("none", "dim")
    table = _table(("", "left"), ("", "left"), ("coins", "right"), ("value", "right"), ("profit", "right"))
    if wide:
        table.add_column("entry", justify="right")
    table.add_column("stop", justify="right")
    for row in rows:
        value = NOTHING if row.value is None else f"{row.value:,.0f}"
        cells: list[RenderableType] = [row.name, row.what, _short(row.qty), value, _signed(row.pnl)]
        entry = [_short(row.entry)] if wide else []
        table.add_row(*cells, *entry, "" if row.stop is None else _short(row.stop))
    if not hidden:
        return table
    return Group(table, Text(f"and {hidden} smaller: eternal positions", "dim"))


def _short(value: Decimal) -> str:
    places = 2 if value >= 1000 else 4 if value >= 1 else 8
    return number(round(value, places))


def _lines(lines: Sequence[Line], none: str, *, whole: bool = False) -> list[RenderableType]:
    if not lines:
        return [Text(none, "dim")]
    drawn = [
        Text.assemble((f"{line.at:%m-%d %H:%M} ", "dim"), (line.text, _TONES.get(line.tone, ""))) for line in lines
    ]
    return list(drawn) if whole else [_cut(text) for text in drawn]


def _rows(lines: Sequence[Line], width: int) -> int:
    return sum(-(-(len(line.text) + len("03-04 13:00 ")) // width) for line in lines)


def _foot(scene: Scene) -> list[RenderableType]:
    counts = scene.picture.counts
    parts = [f"today: orders {counts.orders}, fills {counts.fills}"]
    if scene.missed_events:
        parts.append(f"{scene.missed_events} events not shown")
    parts.append("Ctrl-C stops orderly; positions and stops stay")
    if scene.banner.log_file:
        parts.append(f"log {scene.banner.log_file}")
    return [Ruler(style="dim"), _cut(Text(" · ".join(parts), "dim"))]


def _table(*columns: tuple[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name, justify in columns:
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True, overflow="ellipsis")
    return table


def _cut(text: Text) -> Text:
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text
