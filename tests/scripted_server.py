"""A scripted HTTP server on loopback: each request gets the next answer of the script, and all are remembered."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

NOW_MS = 1_735_689_600_000


@dataclass
class Seen:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Said:
    """One answer: a status, a body, headers, a wait before it, or a connection that breaks."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    breaks: str = ""  # "reset" before any answer, "truncate" inside the body


def ok(result: Any = None, *, time_ms: int = NOW_MS, **headers: str) -> Said:
    """An answer with retCode 0."""
    body = {"retCode": 0, "retMsg": "OK", "result": result or {}, "retExtInfo": {}, "time": time_ms}
    return Said(json.dumps(body).encode(), headers={key.replace("_", "-"): value for key, value in headers.items()})


def refusal(code: Any, text: str = "no", *, headers: dict[str, str] | None = None) -> Said:
    """An answer with another retCode."""
    body = {"retCode": code, "retMsg": text, "result": {}, "retExtInfo": {}, "time": NOW_MS}
    return Said(json.dumps(body).encode(), headers=headers or {})


class ScriptedServer:
    """Answer from a script; `default` is said when the script is over."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.script: deque[Said] = deque()
        self.default: Callable[[Seen], Said] = lambda _: ok()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                return

            def do_GET(self) -> None:
                outer._answer(self, "")

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                outer._answer(self, raw)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler, raw: str) -> None:
        parts = urlsplit(handler.path)
        seen = Seen(
            handler.command,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            dict(handler.headers.items()),
            json.loads(raw) if raw else None,
        )
        self.seen.append(seen)
        said = self.script.popleft() if self.script else self.default(seen)
        time.sleep(said.wait_s)
        if said.breaks == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            handler.connection.close()
            return
        length = len(said.body) + (50 if said.breaks == "truncate" else 0)
        handler.send_response(said.status)
        for name, value in {"Content-Length": str(length), **said.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(said.body)
        if said.breaks == "truncate":
            handler.close_connection = True
