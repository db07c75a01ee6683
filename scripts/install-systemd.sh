#!/bin/sh
# Install or update The Eternal Engine as a systemd service: dedicated user, own directories, hardened unit.
#   sudo scripts/install-systemd.sh [--mode paper|demo|live] [--dry-run] [--no-start] [--root DIR]
# Run it again to update: the service stops meanwhile (protective stops rest at the exchange); keys, mode, configuration
# and state stay as they are.
set -eu
cd "$(dirname "$0")/.."
source_dir=$PWD
mode='' dry_run='' start=yes root='' changed=''
name=eternal-engine

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\nmend:  %s\n' "$1" "$2" >&2; exit 2; }
# Do a step, or say it: every change of this machine goes through here.
step() {
    if [ -n "$dry_run" ]; then say "would run: $*"; else "$@"; fi
}

while [ $# -gt 0 ]; do
    case $1 in
        -h | --help)
            sed -n '2,5s/^# \{0,1\}//p' "scripts/${0##*/}"
            exit 0
            ;;
        --dry-run) dry_run=yes ;;
        --no-start) start='' ;;
        --mode | --root)
            [ $# -gt 1 ] || fail "$1 needs a value" "$0 --help lists them"
            if [ "$1" = --mode ]; then mode=$2; else root=${2%/} start=''; fi
            shift
            ;;
        *) fail "unknown option $1" "$0 --help lists them" ;;
    esac
    shift
done
case ${mode:-paper} in paper | demo | live) ;; *) fail "there is no mode $mode" "choose paper, demo or live" ;; esac

app=$root/opt/$name etc=$root/etc/$name state=$root/var/lib/$name units=$root/etc/systemd/system
python=${PYTHON:-python3}

check_machine() {
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        fail "Python 3.11 or later is needed" "apt install python3 python3-venv, or PYTHON=/usr/bin/python3.12 $0"
    [ -n "$dry_run$root" ] && return
    [ "$(id -u)" = 0 ] || fail "only root can install a service" "sudo $0"
    command -v systemctl >/dev/null || fail "this machine has no systemd" "use docker-compose.yml, or make run-paper"
}

make_user() {
    [ -n "$root" ] && return
    id "$name" >/dev/null 2>&1 ||
        step useradd --system --home-dir "$state" --shell /usr/sbin/nologin --user-group "$name"
}

# A running daemon must not load half of the old program and half of the new one.
stop_service() {
    [ -n "$start" ] && [ -z "$dry_run" ] || return 0
    systemctl is-active --quiet "$name.service" || return 0
    say "stopping the service for the update"
    systemctl stop "$name.service"
}

copy_program() {
    [ "$source_dir" = "$app" ] && return
    step mkdir -p "$app"
    for part in src deploy docs scripts requirements; do
        # Through a name of its own, so that a file that was deleted is gone after an update, too.
        step rm -rf "$app/$part.new"
        step cp -R "$source_dir/$part" "$app/$part.new"
        step rm -rf "$app/$part"
        step mv "$app/$part.new" "$app/$part"
    done
    for part in pyproject.toml MANIFEST.in README.md ARCHITECTURE.md CHANGELOG.md; do
        step cp "$source_dir/$part" "$app/$part"
    done
}

# The locked runtime requirements, with hashes; nothing that only development needs.
install_program() {
    [ -x "$app/.venv/bin/python" ] || step "$python" -m venv "$app/.venv"
    pip="$app/.venv/bin/python -m pip --disable-pip-version-check"
    # shellcheck disable=SC2086 # pip is a command with its arguments
    step $pip install -q --require-hashes -r "$app/requirements/runtime.txt"
    # The build backend is locked, too; runtime.txt does not hold it.
    if [ -n "$dry_run" ]; then
        say "would run: pip install --require-hashes setuptools, as locked in requirements/dev.txt"
    else
        build=$(mktemp)
        awk '/^setuptools==/ { found = 1 } found { print } found && !/\\$/ { exit }' "$app/requirements/dev.txt" >"$build"
        # shellcheck disable=SC2086
        $pip install -q --require-hashes -r "$build"
        rm -f "$build"
    fi
    # What an earlier version left in build/ would be installed again.
    step rm -rf "$app/build"
    # shellcheck disable=SC2086
    step $pip install -q --no-deps --no-build-isolation --force-reinstall "$app"
    step rm -rf "$app/build"
    # The service may not write beside the program: what Python would cache at the first start is made now.
    step "$app/.venv/bin/python" -m compileall -q -j 0 "$app/.venv/lib"
    [ -n "$root" ] || step chown -R root:root "$app"
    step chmod -R go-w "$app"
}

# owner and mode only: what the operator wrote stays.
keep_or_make() {
    file=$1 text=$2
    [ -e "$file" ] || {
        if [ -n "$dry_run" ]; then say "would write: $file"; else printf '%s\n' "$text" >"$file"; fi
    }
}

write_settings() {
    step mkdir -p "$etc/config" "$state" "$root/var/log/$name"
    for file in "$source_dir"/config/*.yaml "$source_dir"/config/schema.json; do
        [ -e "$etc/config/${file##*/}" ] || step cp "$file" "$etc/config/"
    done
    keep_or_make "$etc/mode.env" "MODE=${mode:-paper}"
    [ -z "$mode" ] || grep -qx "MODE=$mode" "$etc/mode.env" 2>/dev/null || {
        changed=yes
        if [ -n "$dry_run" ]; then say "would write: MODE=$mode into $etc/mode.env"; else say "MODE=$mode" >"$etc/mode.env"; fi
    }
    keep_or_make "$etc/eternal.env" "# API keys and alert addresses, one NAME=value a line: docs/configuration.md names them.
# systemctl restart $name   after a change. systemd hands this file to the service alone."
    [ -n "$root" ] || {
        step chown -R "root:$name" "$etc"
        step chown "$name:$name" "$state" "$root/var/log/$name"
    }
    step chmod 0750 "$etc" "$etc/config"
    # The operator's command runs as the service's user and may need the keys (arm, check).
    step chmod 0640 "$etc/eternal.env" "$etc/mode.env"
    step chmod 0700 "$state" "$root/var/log/$name"
}

install_units() {
    step mkdir -p "$units" "$root/usr/local/bin"
    for unit in "$source_dir"/deploy/*.service "$source_dir"/deploy/*.timer; do
        cmp -s "$unit" "$units/${unit##*/}" || { step cp "$unit" "$units/"; changed=yes; }
    done
    cmp -s "$source_dir/deploy/eternal-engine" "$root/usr/local/bin/$name" ||
        step install -m 0755 "$source_dir/deploy/eternal-engine" "$root/usr/local/bin/$name"
}

start_service() {
    [ -n "$start" ] || return 0
    step systemctl daemon-reload
    step systemctl enable --quiet "$name.service" "$name-backup.timer"
    step systemctl start "$name-backup.timer"
    if [ "$(cat "$etc/mode.env" 2>/dev/null)" = MODE=live ] && [ ! -e "$state/state/live/arming.json" ]; then
        say "live trading starts only when armed: sudo $name arm, then sudo systemctl restart $name"
        return
    fi
    step systemctl restart "$name.service"
}

check_machine
make_user
stop_service
copy_program
install_program
write_settings
install_units
start_service
[ -z "$changed" ] || say "changed: units or mode"
say "look at it:    sudo $name status"
say "its log:       sudo journalctl -u $name, and /var/log/$name/eternal_engine.log"
say "keys, alerts:  $etc/eternal.env      settings: $etc/config/"
