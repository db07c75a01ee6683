#!/bin/sh
# Make .venv from the locked requirements. Every make target calls this first; make skips it while the locks are unchanged.
set -eu
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV || true
export PIP_DISABLE_PIP_VERSION_CHECK=1
# Else a Ctrl-C ends one installer only, and the next way is tried.
trap 'exit 130' INT TERM

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $1"; say "mend:  $2"; exit 2; }
is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.14; do
        if command -v "$candidate" >/dev/null 2>&1 && is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or later is needed, ${PYTHON:-python3} is $("${PYTHON:-python3}" --version 2>&1 || echo missing)" \
        "install it (Debian: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3.11 ..."
}

make_venv() {
    "$1" -m venv .venv >/dev/null 2>&1 && return
    rm -rf .venv # Debian's python3 without python3-venv leaves a half-made one
    "$1" -m virtualenv -q .venv 2>/dev/null && return
    "$1" -m venv --without-pip .venv 2>/dev/null && "$1" -m pip --version >/dev/null 2>&1 && {
        "$1" -m pip --python .venv/bin/python install -q --require-hashes -r requirements/pip.txt && return
    }
    rm -rf .venv
    fail "cannot make a virtual environment with $1" "Debian and Ubuntu: apt install python3-venv"
}

sync_with_uv() {
    .venv/bin/uv pip sync -q --python .venv/bin/python --require-hashes \
        requirements/dev.txt requirements/bootstrap.txt || return 1
    .venv/bin/uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e .
}

# The certificates of the system first, a company's own among them; then uv's, where the system has none. What uv says is
# kept back: pip may do it all the same.
install_with_uv() {
    .venv/bin/python -m pip install -q --require-hashes -r requirements/bootstrap.txt 2>/dev/null || return 1
    for of_system in true false; do
        UV_SYSTEM_CERTS="$of_system" sync_with_uv 2>.venv/.uv.log && return
    done
    return 1
}

install_with_pip() {
    say "uv is not to be had here: installing with pip, which takes about a minute"
    .venv/bin/python -m pip install -q --require-hashes -r requirements/dev.txt || return 1
    .venv/bin/python -m pip install -q --no-deps --no-build-isolation -e .
}

if [ ! -x .venv/bin/python ] || ! is_new_enough .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    say "making .venv with $("$python" --version 2>&1)"
    rm -rf .venv
    make_venv "$python"
fi
say "installing the locked requirements"
install_with_uv || install_with_pip || {
    cat .venv/.uv.log >&2 2>/dev/null || true
    fail "the requirements could not be installed" "check that the package index answers: .venv/bin/python -m pip download -d /dev/null pip"
}
# Compiled at install, whatever PYTHONDONTWRITEBYTECODE says later (pandas: 0.5 s to import, uncompiled 3.3 s). What our
# commands never import is left out: it would take a minute instead of ten seconds.
unused='/(tests?|testing|SelfTest|scipy|playwright|textual|libcst|mypyc?|setuptools|_distutils_hack|pip|pygments/lexers)/'
unused="$unused|/(apprise/plugins|virtualenv|ccxt/(async_support|pro|prediction|protobuf|static_dependencies))/"
.venv/bin/python -m compileall -q -j 0 -x "$unused" .venv/lib src >/dev/null || say "some files could not be compiled; they still run"
touch .venv/.stamp
