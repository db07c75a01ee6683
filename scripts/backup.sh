#!/bin/sh
# Back the database up beside the running daemon: one verified file a call, and only the newest ones are kept.
#   scripts/backup.sh [--mode MODE | --state-dir DIR] [--to DIR] [--keep N] [--dry-run]
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
mode=paper state_dir='' to=backups keep=14 dry_run=''

fail() { printf 'error: %s\nmend:  %s\n' "$1" "$2" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) dry_run=yes; shift; continue ;;
        --mode | --state-dir | --to | --keep) [ $# -gt 1 ] || fail "$1 needs a value" "see the head of $0" ;;
        *) fail "unknown option $1" "see the head of $0" ;;
    esac
    case $1 in
        --mode) mode=$2 ;;
        --state-dir) state_dir=$2 ;;
        --to) to=$2 ;;
        --keep) keep=$2 ;;
    esac
    shift 2
done
case $keep in '' | *[!0-9]* | 0) fail "--keep $keep is no number above 0" "write --keep 14" ;; esac
umask 077

name=eternal-$mode
file=$to/$name-$(date -u +%Y%m%dT%H%M%SZ).db
if [ -n "$state_dir" ]; then set -- --state-dir "$state_dir"; else set -- --mode "$mode"; fi
if [ -n "$dry_run" ]; then
    printf 'would run: eternal backup %s %s\nwould keep the newest %s of %s/%s-*.db\n' "$file" "$*" "$keep" "$to" "$name"
    exit 0
fi
mkdir -p "$to"
"$here/.venv/bin/eternal" backup "$file" "$@"
# Only after a good one is old ones' time over. The names sort by time, and hold no blanks.
find "$to" -maxdepth 1 -type f -name "$name-[0-9]*.db" | sort -r | tail -n "+$((keep + 1))" | while IFS= read -r old; do
    rm -- "$old"
    printf '%s removed: only %s are kept\n' "$old" "$keep"
done
