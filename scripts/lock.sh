#!/bin/sh
# Lock the requirements for all systems and Pythons from 3.11 on: hashes, no index address, no header.
set -eu
cd "$(dirname "$0")/.."
compile() {
    .venv/bin/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url "$@"
}
compile pyproject.toml -o requirements/runtime.txt
compile pyproject.toml --extra dev -o requirements/dev.txt
compile --no-annotate requirements/bootstrap.in -o requirements/bootstrap.txt
compile --no-annotate requirements/pip.in -o requirements/pip.txt
