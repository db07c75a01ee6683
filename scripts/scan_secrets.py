"""Look for secrets in every file git knows and in every line ever added to the history.

Exit 1 names each finding by file and line, or by commit. `--accept` writes the present findings to
.secrets.baseline as looked at and harmless; a line may also carry `pragma: allowlist secret`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from detect_secrets.core.scan import scan_line
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings

BASELINE = Path(".secrets.baseline")
# Lock files are nothing but hashes, and the baseline holds the hashes of what was accepted.
SKIPPED = re.compile(r"^(requirements/.*\.txt|\.secrets\.baseline)$")
# No entropy plugins: on numbers, hashes and fixtures of market data they find nothing but noise.
PLUGINS = [
    {"name": name}
    for name in (
        "ArtifactoryDetector",
        "AWSKeyDetector",
        "AzureStorageKeyDetector",
        "BasicAuthDetector",
        "DiscordBotTokenDetector",
        "GitHubTokenDetector",
        "GitLabTokenDetector",
        "JwtTokenDetector",
        "KeywordDetector",
        "PrivateKeyDetector",
        "PypiTokenDetector",
        "SlackDetector",
        "StripeDetector",
        "TelegramBotTokenDetector",
        "TwilioKeyDetector",
    )
]
FILTERS = [
    {"path": "detect_secrets.filters.allowlist.is_line_allowlisted"},
    {"path": "detect_secrets.filters.heuristic.is_indirect_reference"},
    {"path": "detect_secrets.filters.heuristic.is_not_alphanumeric_string"},
    {"path": "detect_secrets.filters.heuristic.is_prefixed_with_dollar_sign"},
    {"path": "detect_secrets.filters.heuristic.is_templated_secret"},
]


def main() -> int:
    """Scan, print the findings, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accept", action="store_true", help="write the present findings to the baseline")
    accept = parser.parse_args().accept
    with transient_settings({"plugins_used": PLUGINS, "filters_used": FILTERS}):
        everything = [*_scan_tree(), *_scan_history()]
    if accept:
        _accept(everything)
        return 0
    accepted = _accepted()
    findings = [text for text, digest in everything if digest not in accepted]
    for finding in findings:
        print(finding)
    if findings:
        print("mend: remove it and revoke the key; if it is no secret, `make secrets-baseline`", file=sys.stderr)
    return 1 if findings else 0


def _git(*arguments: str) -> str:
    # A fixed program, and no shell.
    return subprocess.run(  # nosec B603 B607
        ["git", *arguments],
        check=True,
        capture_output=True,
        text=True,
        errors="replace",
    ).stdout


def _scan_tree() -> Iterator[tuple[str, str]]:
    for name in _git("ls-files", "-z").split("\0"):
        if name and not SKIPPED.match(name) and Path(name).is_file():
            collection = SecretsCollection()
            collection.scan_file(name)
            for _, secret in collection:
                yield f"{name}:{secret.line_number}: {secret.type}", secret.secret_hash


def _scan_history() -> Iterator[tuple[str, str]]:
    commit, name, seen = "", "", set[str]()
    for line in _git("log", "--all", "-p", "--unified=0", "--no-color", "--format=commit %H").splitlines():
        if line.startswith("commit "):
            commit = line.split()[1][:12]
        elif line.startswith("+++ b/"):
            name = line.removeprefix("+++ b/")
        elif line.startswith("+") and not SKIPPED.match(name) and line not in seen:
            seen.add(line)
            for secret in scan_line(line[1:]):
                yield f"commit {commit}, {name}: {secret.type}", secret.secret_hash


def _accepted() -> set[str]:
    if not BASELINE.exists():
        return set()
    return {entry["hashed_secret"] for entry in json.loads(BASELINE.read_text())["accepted"]}


def _accept(findings: list[tuple[str, str]]) -> None:
    # One entry a value: the same line in the tree and in the history is one finding.
    places = {digest: text for text, digest in sorted(findings, reverse=True)}
    entries = [{"found": text, "hashed_secret": digest} for digest, text in places.items()]
    BASELINE.write_text(json.dumps({"accepted": entries}, indent=2) + "\n")
    print(f"{len(entries)} findings accepted in {BASELINE}")


if __name__ == "__main__":
    sys.exit(main())
