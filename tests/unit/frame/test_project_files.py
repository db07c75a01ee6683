"""The files around the code: locks without addresses, make targets, what CI runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE))


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_no_address_and_hashes_every_pin(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?:|index-url|find-links|file:", text)
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
    unhashed = [entry.splitlines()[0] for entry in entries if "==" in entry and "--hash=sha256:" not in entry]
    assert pins(path)
    assert unhashed == []


def test_what_runs_is_what_was_tested() -> None:
    runtime, dev = (pins(ROOT / "requirements" / name) for name in ("runtime.txt", "dev.txt"))
    assert {name: dev.get(name) for name in runtime} == runtime


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "exec make check" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "    make check " in (ROOT / "README.md").read_text(encoding="utf-8")


def test_make_help_lists_every_target_and_every_target_bootstraps() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    documented = re.findall(r"^([a-z0-9-]+):(.*?)## \S", text, flags=re.MULTILINE)
    hidden = {"format-check"}
    phony = re.search(r"\.PHONY: ((?:.*\\\n)*.*)", text)
    assert phony is not None
    assert {name for name, _ in documented} == set(phony[1].replace("\\\n", " ").split()) - hidden
    for name, needs in documented:
        if name not in {"help", "check", "clean"}:
            assert "$(STAMP)" in needs, name


def test_make_help_needs_nothing_but_make() -> None:
    done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "make backtest-5y" in done.stdout


@pytest.mark.parametrize("version", ["3.9.2", "3.10.12"])
def test_an_old_python_is_named_with_the_mend(tmp_path: Path, version: str) -> None:
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "bootstrap.sh"
    script.write_bytes((ROOT / "scripts" / "bootstrap.sh").read_bytes())
    fake = tmp_path / "python3"
    fake.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" && exit 0\nexit 1\n')
    fake.chmod(0o755)
    for name in ("dirname", "mkdir"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    done = subprocess.run(
        ["/bin/sh", str(script)], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"Python {version}" in done.stderr
    assert "make PYTHON=" in done.stderr
    assert not (tmp_path / ".venv").exists()


FRIGHTENING = "invalid peer certificate: UnknownIssuer"


def bootstrapped(folder: Path, *, uv: str, pip: str) -> subprocess.CompletedProcess[str]:
    """Run the bootstrap over programs that do as they are told: shell lines for uv, and for pip with our locks."""
    (folder / "scripts").mkdir()
    (folder / "scripts" / "bootstrap.sh").write_bytes((ROOT / "scripts" / "bootstrap.sh").read_bytes())
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "uv").write_text(f"#!/bin/sh\n{uv}\n")
    (programs / "python").write_text(f'#!/bin/sh\ncase "$*" in *requirements/dev.txt*) {pip};; esac\nexit 0\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    command = ["/bin/sh", str(folder / "scripts" / "bootstrap.sh")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_where_pip_gets_through_nobody_is_frightened_by_uv(tmp_path: Path) -> None:
    done = bootstrapped(tmp_path, uv=f"echo '{FRIGHTENING}' >&2; exit 1", pip="exit 0")
    assert done.returncode == 0
    assert FRIGHTENING not in done.stderr
    assert "installing with pip" in done.stderr


def test_where_nothing_gets_through_both_say_why(tmp_path: Path) -> None:
    done = bootstrapped(tmp_path, uv=f"echo '{FRIGHTENING}' >&2; exit 1", pip="echo 'no index' >&2; exit 1")
    assert done.returncode == 2
    assert FRIGHTENING in done.stderr
    assert "no index" in done.stderr
    assert "mend:" in done.stderr


@pytest.mark.parametrize("works_with", ["true", "false"])
def test_uv_is_tried_with_the_systems_certificates_and_with_its_own(tmp_path: Path, works_with: str) -> None:
    done = bootstrapped(tmp_path, uv=f'[ "$UV_SYSTEM_CERTS" = {works_with} ]', pip="exit 1")
    assert done.returncode == 0
    assert "pip" not in done.stderr


def test_nothing_that_is_generated_is_committed() -> None:
    done = subprocess.run(
        ["git", "ls-files", "-ci", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("this is no git checkout")
    assert done.stdout.split() == []


def test_every_link_between_documents_leads_somewhere() -> None:
    link = re.compile(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)")
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    links = [(page, target) for page in pages for target in link.findall(page.read_text(encoding="utf-8"))]
    assert len(links) > 10
    assert [(page.name, target) for page, target in links if not (page.parent / target).exists()] == []
