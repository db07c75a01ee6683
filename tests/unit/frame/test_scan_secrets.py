"""K7: the secrets scan finds what it should, in the tree and in the history, and repeats no secret."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "scan_secrets.py"
# Put together here, so that this file itself holds nothing that looks like a secret.
TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9" * 2


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    commit(tmp_path, "clean.py", "answer = 42\n")
    return tmp_path


def git(repository: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    subprocess.run(["git", *identity, *arguments], cwd=repository, check=True, capture_output=True)


def commit(repository: Path, name: str, text: str) -> None:
    (repository / name).write_text(text, encoding="utf-8")
    git(repository, "add", name)
    git(repository, "commit", "-q", "-m", f"write {name}")


def scan(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


def test_k7_a_clean_repository_passes(repository: Path) -> None:
    assert scan(repository).returncode == 0


def test_k7_a_secret_in_the_tree_is_named_by_line_and_not_repeated(repository: Path) -> None:
    commit(repository, "leak.py", f"\ntoken = '{TOKEN}'\n")
    done = scan(repository)
    assert done.returncode == 1
    assert "leak.py:2: GitHub Token" in done.stdout
    assert TOKEN not in done.stdout + done.stderr


def test_k7_a_secret_that_was_removed_is_still_found_in_the_history(repository: Path) -> None:
    commit(repository, "leak.py", f"token = '{TOKEN}'\n")
    commit(repository, "leak.py", "token = ''\n")
    done = scan(repository)
    assert done.returncode == 1
    assert ", leak.py: GitHub Token" in done.stdout


def test_k7_a_marked_line_and_an_accepted_finding_pass(repository: Path) -> None:
    commit(repository, "marked.py", f"token = '{TOKEN}'  # pragma: allowlist secret\n")
    assert scan(repository).returncode == 0
    commit(repository, "leak.py", f"other = '{TOKEN[:-1]}0'\n")
    assert scan(repository).returncode == 1
    assert scan(repository, "--accept").returncode == 0
    assert scan(repository).returncode == 0
