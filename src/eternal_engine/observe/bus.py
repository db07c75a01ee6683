"""The way from the engine to those who watch it: bounded queues that never block, and observers that may fail."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from eternal_engine.model.event import Event

CAPACITY: Final = 10_000
BATCH: Final = 500
_LOG = structlog.get_logger("eternal.observe")


class Observer(Protocol):
    """See what happened, in order. Raising is allowed; blocking the event loop is not."""

    @property
    def name(self) -> str:
        """Name the observer in the log."""

    async def see(self, events: Sequence[Event]) -> None:
        """Take one batch of events."""


@dataclass(slots=True)
class Lane:
    """Hold one observer's queue and what went wrong with it."""

    observer: Observer
    capacity: int
    waiting: deque[Event] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: int = 0
    failures: int = 0

    def offer(self, event: Event) -> None:
        """Put an event at the end; a full queue loses its oldest one."""
        if len(self.waiting) >= self.capacity:
            self.waiting.popleft()
            self.dropped += 1
        self.waiting.append(event)
        self.arrived.set()


class Bus:
    """Carry events from the engine to every observer, each through a queue of its own.

    `offer` may be called before `run`: what is offered waits. After a first event `rest_s` pass before observers see
    it: what follows from it, an order above all, goes first. Use `run` as one task of the daemon, and `close` at
    its end, so that the last events are seen.
    """

    def __init__(self, observers: Sequence[Observer], *, capacity: int = CAPACITY, rest_s: float = 0.0) -> None:
        self._rest_s = rest_s
        self._ending = asyncio.Event()
        self._lanes = tuple(Lane(observer, capacity) for observer in observers)
        self._closing = False

    def offer(self, *events: Event) -> None:
        """Hand events to every observer; never waits, never raises."""
        for lane in self._lanes:
            for event in events:
                lane.offer(event)

    @property
    def dropped(self) -> int:
        """Count the events that an observer missed because its queue was full."""
        return sum(lane.dropped for lane in self._lanes)

    @property
    def failures(self) -> int:
        """Count the batches that an observer failed on."""
        return sum(lane.failures for lane in self._lanes)

    async def run(self) -> None:
        """Serve all observers until `close`."""
        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes:
                tasks.create_task(self._serve(lane), name=f"observer {lane.observer.name}")

    async def close(self, running: asyncio.Task[None], *, within_s: float = 3.0) -> None:
        """Let the observers see what still waits, then end the task that runs `run`, at the latest after a time."""
        self._closing = True
        self._ending.set()
        for lane in self._lanes:
            lane.arrived.set()
        done, _ = await asyncio.wait({running}, timeout=within_s)
        if not done:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            unseen = sum(len(lane.waiting) for lane in self._lanes)
            _LOG.warning("observers_ended_late", unseen_events=unseen, waited_s=within_s)

    async def _serve(self, lane: Lane) -> None:
        told = 0
        while not (self._closing and not lane.waiting):
            if not lane.waiting:
                lane.arrived.clear()
                await lane.arrived.wait()
                if self._rest_s and not self._closing:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._ending.wait(), self._rest_s)
                continue
            batch = [lane.waiting.popleft() for _ in range(min(BATCH, len(lane.waiting)))]
            await self._show(lane, batch)
            if lane.dropped > told:
                _LOG.warning("observer_missed_events", observer=lane.observer.name, dropped=lane.dropped - told)
                told = lane.dropped
            if lane.waiting:
                await asyncio.sleep(0)

    async def _show(self, lane: Lane, batch: Sequence[Event]) -> None:
        try:
            await lane.observer.see(batch)
        except Exception as problem:  # noqa: BLE001 - the supervisor of observers: any failure costs a log line only
            lane.failures += 1
            # A broken observer must not fill the disk with its failures: the 1st, 2nd, 4th, 8th ... are written.
            if lane.failures & (lane.failures - 1) == 0:
                _LOG.warning(
                    "observer_failed",
                    observer=lane.observer.name,
                    failures=lane.failures,
                    problem=f"{type(problem).__name__}: {problem}",
                    events=len(batch),
                )
