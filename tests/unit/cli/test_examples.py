"""The help of each verb ends with examples, and every example is a command line that its verb accepts."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer._click.exceptions import UsageError
from typer.testing import CliRunner

from eternal_engine.cli import GROUPS, _load, app
from eternal_engine.cli.examples import EXAMPLES


def verbs() -> Iterator[tuple[str, Any]]:
    for name, group in GROUPS.items():
        command = _load(group)
        below = getattr(command, "commands", {})
        yield from ((f"{name} {verb}", found) for verb, found in below.items()) if below else [(name, command)]


VERBS = dict(verbs())


def test_every_verb_has_examples_and_no_example_lacks_its_verb() -> None:
    assert set(EXAMPLES) == set(VERBS)


@pytest.mark.parametrize(("path", "line"), [(path, line) for path, lines in EXAMPLES.items() for line in lines])
def test_every_example_is_accepted_by_its_verb(path: str, line: str) -> None:
    words = shlex.split(line.split(" > ", maxsplit=1)[0])
    called = path.split()
    assert words[: 1 + len(called)] == ["eternal", *called]
    VERBS[path].make_context(path, words[1 + len(called) :])


@pytest.mark.parametrize("path", EXAMPLES)
def test_the_help_of_a_verb_ends_with_its_examples_as_they_were_written(path: str) -> None:
    shown = CliRunner().invoke(app, [*path.split(), "--help"], prog_name="eternal", terminal_width=80)
    assert shown.exit_code == 0
    assert "Example" in shown.stdout
    tail = shown.stdout.rstrip().splitlines()[-len(EXAMPLES[path]) :]
    assert [row.strip() for row in tail] == list(EXAMPLES[path])
    assert "\u256d" not in shown.stdout  # one style of help: no boxes


def test_a_misspelt_option_in_an_example_would_be_found() -> None:
    with pytest.raises(UsageError, match="--capp"):
        VERBS["arm"].make_context("arm", ["--capp", "5"])
