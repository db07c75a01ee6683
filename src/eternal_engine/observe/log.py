"""The log: JSON lines in a rotated file always, human lines on a terminal that shows nothing else; never a secret."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterable, MutableMapping, Sequence
from contextlib import suppress
from datetime import UTC
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final, TextIO

import structlog

from eternal_engine import clock
from eternal_engine.model.event import Event
from eternal_engine.observe.fields import event_fields, event_name, severity
from eternal_engine.observe.redaction import Redactor, without_secret_fields
from eternal_engine.observe.words import say

FILE_NAME: Final = "eternal_engine.log"
MAX_BYTES: Final = 20_000_000
FILES: Final = 10
# Libraries at this level or above; below it they write what they send, headers and all.
LIBRARY_LEVEL: Final = logging.WARNING
# A line costs a third of a millisecond, and an order may be waiting.
_LINES_AT_ONCE: Final = 4
_HEAD: Final = ("at", "level", "event", "text")
_COLOURS: Final = {"warning": "\x1b[33m", "error": "\x1b[1;31m", "critical": "\x1b[1;31m"}
_PLAIN: Final = "\x1b[0m"

Fields = MutableMapping[str, Any]


class Log:
    """Hold the handlers of a configured log; `close` gives the file back."""

    def __init__(self, path: Path, handlers: Sequence[logging.Handler]) -> None:
        self.path = path
        self._handlers = tuple(handlers)

    def close(self) -> None:
        """Write what is buffered and take the handlers off."""
        for handler in self._handlers:
            logging.getLogger().removeHandler(handler)
            with suppress(OSError):  # a full disk has been told already
                handler.close()


def configure(
    log_dir: Path,
    *,
    level: str = "info",
    secrets: Iterable[str] = (),
    console: bool = False,
    stream: TextIO | None = None,
    max_bytes: int = MAX_BYTES,
    files: int = FILES,
) -> Log:
    """Send every log line of this process, libraries included, into `log_dir`, and to a stream if `console`.

    `secrets` are masked wherever they occur. The file is rotated at `max_bytes`; `files` older ones are kept. Call it
    once a process, before the first line; `structlog.get_logger()` works everywhere from then on.
    """
    log_dir.mkdir(parents=True, exist_ok=True)
    redactor = Redactor(secrets)
    path = log_dir / FILE_NAME
    handlers: list[logging.Handler] = [_RotatedFile(path, max_bytes, files)]
    handlers[0].setFormatter(_Formatter(redactor, _as_json))
    if console:
        screen = stream or sys.stderr
        handlers.append(_Quiet(screen))
        handlers[1].setFormatter(_Formatter(redactor, _as_coloured_line if _shows_colour(screen) else _as_line))
    own = getattr(logging, level.upper())
    root = logging.getLogger()
    root.setLevel(min(own, LIBRARY_LEVEL))
    for handler in handlers:
        handler.addFilter(_is_wanted)
        root.addHandler(handler)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _wrapped],
        wrapper_class=structlog.make_filtering_bound_logger(own),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    return Log(path, handlers)


class EventLog:
    """Write one line per journal event."""

    name = "log"

    def __init__(self, level: str = "info") -> None:
        self._logger = structlog.get_logger("eternal.journal")
        self._least = getattr(logging, level.upper())

    async def see(self, events: Sequence[Event]) -> None:
        """Write a batch, giving way to the engine between handfuls of lines."""
        for number, event in enumerate(events):
            if number % _LINES_AT_ONCE == 0:
                await asyncio.sleep(0)
            written = severity(event)
            # A simulated year has 90,000 hourly lines: what is not written must not be worded either.
            if getattr(logging, written.upper()) >= self._least:
                getattr(self._logger, written)(event_name(type(event)), text=say(event), **event_fields(event))


def _wrapped(_: Any, method: str, fields: Fields) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Hand structlog's fields to the standard library, where files, rotation and foreign lines are taken care of."""
    exc_info = fields.pop("exc_info", method == "exception")
    return (fields.pop("event"),), {"exc_info": exc_info, "extra": {"eternal_fields": dict(fields)}}


def _is_wanted(record: logging.LogRecord) -> bool:
    return record.levelno >= LIBRARY_LEVEL or record.name.startswith("eternal")


class _Formatter(logging.Formatter):
    """Format our lines and those of libraries alike; the secrets go out last, when everything is text."""

    def __init__(self, redactor: Redactor, render: Any) -> None:
        super().__init__()
        self._redactor = redactor
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "at": clock.now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "eternal_fields", {}),
        }
        if not record.name.startswith("eternal"):
            fields["library"] = record.name
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        line: str = self._render(without_secret_fields(fields))
        return self._redactor.text(line)


def _as_json(fields: Fields) -> str:
    return json.dumps(fields, ensure_ascii=False, default=str)


def _as_line(fields: Fields) -> str:
    rest = {} if "text" in fields else {name: value for name, value in fields.items() if name not in _HEAD}
    traceback = rest.pop("traceback", "")
    said = fields.get("text") or fields["event"]
    more = " ".join(f"{name}={value}" for name, value in rest.items())
    line = f"{fields['at'][11:19]} {fields['level']:<7} {said}{' ' if more else ''}{more}"
    return f"{line}\n{traceback}" if traceback else line


def _as_coloured_line(fields: Fields) -> str:
    colour = _COLOURS.get(fields["level"], "")
    return f"{colour}{_as_line(fields)}{_PLAIN if colour else ''}"


def _shows_colour(screen: TextIO) -> bool:
    """Tell whether a stream is a terminal whose owner has not asked for none (no-color.org)."""
    return screen.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class _Quiet(logging.StreamHandler[TextIO]):
    """Write to a stream; when that fails, say so without the line, which is not redacted there."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - the signature is the library's
        """Tell stderr, once."""
        _tell_once(f"the log could not be written: {sys.exc_info()[1]}")


class _RotatedFile(RotatingFileHandler):
    """Write to a file that only its owner reads; a full disk costs lines, never an order."""

    def __init__(self, path: Path, max_bytes: int, files: int) -> None:
        super().__init__(path, maxBytes=max_bytes, backupCount=files, encoding="utf-8")

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802, ARG002 - the signature is the library's
        """Rotate before the line that follows a full file: the base class would format every line twice to know."""
        if self.stream is None:
            self.stream = self._open()
        return self.maxBytes > 0 and self.stream.seekable() and self.stream.tell() >= self.maxBytes

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=_owner_only)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - the signature is the library's
        """Tell stderr, once."""
        _tell_once(f"the log {self.baseFilename} could not be written: {sys.exc_info()[1]}")


_told: set[str] = set()


def _tell_once(text: str) -> None:
    if text not in _told and len(_told) < 100:
        _told.add(text)
        sys.stderr.write(text + "\n")


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
