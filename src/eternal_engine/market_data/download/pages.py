"""Keep the pages of an unfinished download on disk, so that an interrupted one goes on where it stopped.

One file a series in STORE/.partial/, JSON lines, put on the disk after each page: a head that says what is being
fetched, then pages that join without a hole. The cursor is the end of the last whole page. Nothing here is ever
read as market data.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eternal_engine.files import sync_directory
from eternal_engine.market_data.datasets import Dataset
from eternal_engine.market_data.store import PARTIAL_FOLDER

Row = list[float]


@dataclass(frozen=True)
class Head:
    """Say what the pages belong to; other pages than these are not continued."""

    exchange: str
    dataset: str
    symbol: str
    from_ms: int
    version: int = 1


class Pages:
    """Append fetched pages to the partial file of one series and read them back."""

    def __init__(self, store: Path, dataset: Dataset, head: Head) -> None:
        """Open the partial file: continue it if it has the same head, else begin anew."""
        self.path = store / PARTIAL_FOLDER / dataset.folder / f"{head.symbol}.{head.exchange}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.from_ms = head.from_ms
        self.rows: list[Row] = []
        self.cursor_ms = head.from_ms
        kept = self._read(head)
        if kept == 0:
            self.path.write_bytes(_line(asdict(head)))
        else:
            # A line cut short by a kill is removed, so that the next page starts on a line of its own.
            os.truncate(self.path, kept)
        sync_directory(self.path.parent)

    def add(self, until_ms: int, rows: list[Row]) -> None:
        """Append the rows of [cursor_ms, until_ms) durably and move the cursor."""
        page = {"from": self.cursor_ms, "until": until_ms, "rows": rows}
        with self.path.open("ab") as file:
            file.write(_line(page))
            file.flush()
            os.fsync(file.fileno())
        self.rows.extend(rows)
        self.cursor_ms = until_ms

    def remove(self) -> None:
        """Delete the partial file: its rows are in the store, or they are no good."""
        self.path.unlink(missing_ok=True)

    def _read(self, head: Head) -> int:
        """Take in all whole pages that join; return how many bytes of the file they are, 0 if none fits."""
        if not self.path.is_file():
            return 0
        kept = 0
        for line in self.path.read_bytes().splitlines(keepends=True):
            content = _parsed(line)
            if content is None or (kept == 0 and content != asdict(head)):
                break
            if kept and not self._take(content):
                break
            kept += len(line)
        return kept

    def _take(self, page: dict[str, Any]) -> bool:
        if page.get("from") != self.cursor_ms or not isinstance(page.get("rows"), list):
            return False
        self.rows.extend(page["rows"])
        self.cursor_ms = int(page["until"])
        return True


def _line(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, separators=(",", ":")) + "\n").encode()


def _parsed(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
