"""What a document calls by name is there: every file and folder, and every name of the code."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# Told of the past as it was: what they name may be gone.
HISTORIES = {"CHANGELOG.md", "DEVLOG.md", "lessons-learned.md"}
DOCUMENTS = [page for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")) if page.name not in HISTORIES]
SOURCES = ("src", "tests", "scripts", "config", "deploy", "docs", "requirements")
# A document of one part names its files as seen from there.
SEEN_FROM = ("", "src/eternal_engine", "docs", "docs/decisions", "tests")
ENDINGS = "py|md|yaml|yml|toml|txt|sh|service|timer|json|html"
QUOTED = re.compile(r"`([^`\n]+)`")
FILE = re.compile(rf"[\w./-]+\.(?:{ENDINGS})|(?:{'|'.join(SOURCES)})/[\w./-]*")
NAME = re.compile(r"\b_?[a-z]\w*_\w*[^\W_]\b|\b[A-Z]+[a-z]\w*[A-Z]\w*\b")
# Written when the program runs, or by the user.
MADE_LATER = {"arming.json", "before.json", "market.json", "BTCUSDT.manifest.json"}


@lru_cache
def known_names() -> frozenset[str]:
    """Read every word of what can define a name."""
    files = [path for part in SOURCES[:5] for path in (ROOT / part).rglob("*") if path.is_file()]
    files += [ROOT / name for name in ("Makefile", "pyproject.toml", ".env", "Dockerfile", "docker-compose.yml")]
    kept = [path for path in files if path.suffix != ".pyc" and path != Path(__file__)]
    words = (re.findall(r"\w+", path.read_text(encoding="utf-8", errors="replace")) for path in kept)
    return frozenset(word for found in words for word in found) | {path.stem for path in kept}


@lru_cache
def file_names() -> frozenset[str]:
    return frozenset(path.name for part in SOURCES for path in (ROOT / part).rglob("*"))


def is_file(words: str) -> bool:
    if any((ROOT / base / words).exists() for base in SEEN_FROM):
        return True
    return Path(words).name in MADE_LATER or ("/" not in words and words in file_names())


def missing_files(text: str) -> list[str]:
    quoted = [words.partition("::")[0] for words in QUOTED.findall(text)]
    return [words for words in quoted if FILE.fullmatch(words) and not is_file(words)]


def missing_names(text: str) -> list[str]:
    named = {name for words in QUOTED.findall(text) for name in NAME.findall(words)}
    return sorted(named - known_names())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    assert missing_files(document.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_name_of_the_code_in_a_document_is_there(document: Path) -> None:
    assert missing_names(document.read_text(encoding="utf-8")) == []


def test_the_documents_name_many_files() -> None:
    quoted = [words for page in DOCUMENTS for words in QUOTED.findall(page.read_text(encoding="utf-8"))]
    assert len({words for words in quoted if FILE.fullmatch(words.partition("::")[0])}) > 60


def test_what_is_gone_is_found() -> None:
    text = "`engine/order_book_keeper.py`, `docs/gone.md`, `engine/sender.py`, `keep_no_stops`, `keep_stops`"
    assert missing_files(text) == ["engine/order_book_keeper.py", "docs/gone.md"]
    assert missing_names(text.replace("order_book_keeper", "x")) == ["keep_no_stops"]
