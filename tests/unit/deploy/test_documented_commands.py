"""Every command line that a document shows could be typed: its verb, its options and its make target are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from eternal_engine import cli

ROOT = Path(__file__).parents[3]
DOCUMENTS = [*(ROOT / name for name in ("README.md", "AGENTS.md", "ARCHITECTURE.md")), *(ROOT / "docs").glob("*.md")]
# Inside `...`, or a line of an indented block; what follows a # is a remark.
INLINE = re.compile(r"`((?:eternal|make) [^`]+)`")
BLOCK = re.compile(r"^ {4,}(?:sudo )?(?:\.venv/bin/)?((?:eternal|eternal-engine|make) .*)$", re.MULTILINE)


def lines_of(document: Path, program: str) -> list[str]:
    text = document.read_text(encoding="utf-8")
    found = [*INLINE.findall(text), *BLOCK.findall(text)]
    return [line.partition("#")[0].strip() for line in found if line.startswith(program)]


def words_of(line: str) -> list[str]:
    """Split what follows the program's name into words; the brackets, bars and dots of a synopsis are taken off."""
    words = [word.strip("[].,;:") for part in line.split()[1:] for word in part.split("|")]
    return [word for word in words if word]


def misfits(line: str) -> Iterator[str]:
    """Name what of a line the program does not know."""
    words = words_of(line)
    command: Any = typer.main.get_command(cli.app)
    meant = [command]
    if words and re.fullmatch(r"[a-z]+", words[0]):
        if words[0] not in cli.GROUPS:
            yield words[0]
            return
        command, words = cli._load(cli.GROUPS[words[0]]), words[1:]
        verbs = getattr(command, "commands", {})
        if verbs and words and re.fullmatch(r"[a-z-]+", words[0]) and words[0] not in verbs:
            yield words[0]
        meant += [command, *verbs.values()]
    known = {name for one in meant for param in one.params for name in (*param.opts, *param.secondary_opts)}
    known |= {"--help", "-h"}
    yield from (word for word in words if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_command_line_could_be_typed(document: Path) -> None:
    wrong = {line: odd for line in lines_of(document, "eternal") if (odd := list(misfits(line)))}
    assert wrong == {}


def test_the_documents_show_many_command_lines() -> None:
    assert len({line for document in DOCUMENTS for line in lines_of(document, "eternal")}) > 80


def test_every_make_target_in_a_document_is_there() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {words_of(line)[0] for document in DOCUMENTS for line in lines_of(document, "make ")}
    assert {name for name in named if re.fullmatch(r"[a-z0-9-]+", name)} <= targets
    assert "run-paper" in named


@pytest.mark.parametrize(
    "line",
    ["eternal statsu", "eternal status --wach", "eternal journal tial", "eternal dca trigger --symbol X", "eternal -z"],
)
def test_a_misspelt_line_is_found(line: str) -> None:
    assert list(misfits(line))
