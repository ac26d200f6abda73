#!/bin/sh
# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes a control node of this host; --help says how. docs/guides/controller.md tells more.
set -eu
umask 022
# Neither a shim of pyenv nor a person's own tools.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C.UTF-8
export PATH LC_ALL

root=/opt/homelab
log=/var/log/homelab-bootstrap.log
# KiB, for a virtual environment, the collections and what pip and apt need meanwhile.
room=614400

usage() {
    cat <<'END'
usage: bootstrap.sh [--yes] [--dry-run] [--from PATH] [--signers FILE] [--python PATH]

Makes a control node of a host with Debian 12 or 13, Ubuntu 24.04 or Proxmox VE 8 or 9: a release in /opt/homelab with
locked packages, the service account homelab, and the command homelab. Run again, it changes nothing, or goes on from
where it was interrupted. The Python of the system is left alone.

  --yes           do not ask. Needed where there is no terminal
  --dry-run       say what would be done, and change nothing
  --from PATH     a checkout, an unpacked release or bundle, or a .tar or .tar.gz of one: where this script lies
  --signers FILE  a bundle has to be signed by one of these keys (the format of ssh-keygen's allowed_signers)
  --python PATH   the Python, 3.11 to 3.13: /usr/bin/python3

Exit status: 0 done, 1 a step failed, 2 wrong usage or no consent, 3 this host or this bundle will not do, 4 interrupted.
END
}

say() { printf '%s\n' "$*"; }

# die STATUS MESSAGE NEXT
die() {
    printf '\nbootstrap.sh: %s\nNext: %s\n' "$2" "$3" >&2
    exit "$1"
}

problems=
problem() { problems="$problems
  - $1"; }

work=
cleanup() { if [ -n "$work" ]; then rm -rf "$work"; fi; }
interrupted() {
    printf '\nInterrupted. What was made so far stays; run bootstrap.sh again, it goes on from there.\n' >&2
    exit 4
}
trap cleanup EXIT
trap interrupted INT TERM HUP

# --- what was asked for

yes=0
dry=0
from=
signers=
python=/usr/bin/python3
while [ $# -gt 0 ]; do
    case $1 in
    --yes) yes=1 ;;
    --dry-run) dry=1 ;;
    --from | --signers | --python)
        [ $# -gt 1 ] || die 2 "$1 needs a value" "bootstrap.sh --help"
        case $1 in
        --from) from=$2 ;;
        --signers) signers=$2 ;;
        --python) python=$2 ;;
        esac
        shift
        ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) die 2 "unknown argument: $1" "bootstrap.sh --help" ;;
    esac
    shift
done
here=$(cd "$(dirname "$0")" && pwd -P)
[ -n "$from" ] || from=$here
[ -e "$from" ] || die 2 "--from $from is not there" "name a folder, a .tar or a .tar.gz"
[ -z "$signers" ] || [ -f "$signers" ] || die 2 "--signers $signers is no file" "name a file of allowed signers"

# --- where it comes from

if [ "$(id -u)" = 0 ]; then place=/var/tmp; else place=${TMPDIR:-/tmp}; fi
work=$(mktemp -d "$place/homelab-bootstrap.XXXXXX")

unpack() {
    mkdir -p "$2"
    tar --extract --no-same-owner --no-same-permissions --file "$1" --directory "$2" ||
        die 3 "$1 is no archive that tar can read" "fetch it again, and compare its SHA-256"
}

if [ -f "$from" ]; then
    unpack "$from" "$work/from"
    from=$work/from
    # An archive of a bundle holds one folder.
    if ! [ -f "$from/MANIFEST.json" ]; then
        for inner in "$from"/*/; do from=${inner%/}; done
    fi
fi
from=$(cd "$from" && pwd -P)

verify_bundle() (
    cd "$from"
    if [ -n "$signers" ]; then
        command -v ssh-keygen >/dev/null ||
            die 3 "--signers needs ssh-keygen, which is not there" "install the package openssh-client"
        [ -f SHA256SUMS.sig ] || die 3 "the bundle in $from is not signed" "take one that is, or leave --signers out"
        who=$(ssh-keygen -Y find-principals -s SHA256SUMS.sig -f "$signers" 2>/dev/null) ||
            die 3 "the bundle in $from is not signed by anybody in $signers" "do not use it; fetch it again"
        ssh-keygen -Y verify -f "$signers" -I "$(printf '%s\n' "$who" | head -n 1)" -n homelab-release \
            -s SHA256SUMS.sig <SHA256SUMS >/dev/null 2>&1 ||
            die 3 "the signature of the bundle in $from does not fit" "do not use it; fetch it again"
    fi
    sha256sum --strict --quiet --check SHA256SUMS ||
        die 3 "the bundle in $from is damaged or was changed; see the files above" "do not use it; fetch it again"
    listed=$(sed 's/^[0-9a-f]*  //' SHA256SUMS | sort)
    found=$(find . -type f ! -name SHA256SUMS ! -name SHA256SUMS.sig | sed 's|^\./||' | sort)
    strange=$(find . ! -type f ! -type d)
    [ "$listed" = "$found" ] && [ -z "$strange" ] ||
        die 3 "the bundle in $from has files that its SHA256SUMS does not name" "do not use it; fetch it again"
)

bundle=
commit=
if [ -f "$from/SHA256SUMS" ] && [ -f "$from/bundle.json" ]; then
    bundle=$from
    verify_bundle
    commit=$(sed -n 's/.*"commit": "\([0-9a-f]*\)".*/\1/p' "$bundle/bundle.json")
    unpack "$(echo "$bundle"/homelab-proxmox-*.tar.gz)" "$work/source"
    source=$work/source
elif [ -f "$from/MANIFEST.json" ] || [ -f "$from/galaxy.yml" ]; then
    source=$from
    [ -z "$signers" ] || die 2 "--signers is for bundles, and $from is none" "leave it out"
else
    die 2 "$from is neither a checkout nor a release nor a bundle of homelab.proxmox" "name one with --from"
fi
case $from in *[\"\\]*) die 2 "--from $from has a quote or a backslash in its name" "use another folder" ;; esac

# --- this host

[ "$(id -u)" = 0 ] || problem "this runs as $(id -un). Only root can make accounts and write to /opt: use sudo."

# shellcheck source=/dev/null
system=$(. /etc/os-release && echo "${ID:-} ${VERSION_ID:-0}") || system="unknown 0"
# shellcheck source=/dev/null
title=$(. /etc/os-release && echo "${PRETTY_NAME:-}") || title="an unknown system"
if [ -d /etc/pve ] || command -v pveversion >/dev/null; then title="$title with Proxmox VE"; fi
case $system in
"debian 12" | "debian 13" | "ubuntu 24.04") ;;
*) problem "$title is not known to work. Take a host with Debian 12 or 13, Ubuntu 24.04 or Proxmox VE 8 or 9." ;;
esac
machine=$(uname -m)
case $machine in
x86_64 | aarch64) ;;
*) problem "the packages are locked for x86_64 and aarch64, and this host is $machine." ;;
esac

packages=
version=$("$python" -IBc 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || version=
case $version in
3.11 | 3.12 | 3.13) ;;
'')
    if [ "$python" = /usr/bin/python3 ] && [ -z "$bundle" ]; then
        packages="python3 python3-venv"
    elif [ "$python" = /usr/bin/python3 ]; then
        problem "there is no Python, and a bundle brings none. Install the package python3 from a medium of the system."
    else
        problem "--python $python does not run. Name the path of a Python 3.11, 3.12 or 3.13."
    fi
    ;;
*) problem "$python is Python $version. Name the path of a Python 3.11, 3.12 or 3.13 with --python." ;;
esac

look() (
    cd "$source/plugins/module_utils"
    "$python" -Bm _release look --root "$root" --source "$source" ${commit:+--commit "$commit"}
)
field() { printf '%s' "$looked" | sed -n "s/.*\"$1\": \"\([^\"]*\)\".*/\1/p"; }

state=absent
name=
if [ -n "$version" ]; then
    looked=$(look) || die 3 "$source cannot be read as a release; see above" "fetch it again"
    state=$(field state)
    name=$(field name)
fi

if [ "$state" != ready ]; then
    if [ -z "$bundle" ] && [ -n "$version" ] && ! "$python" -IBc 'import ensurepip' 2>/dev/null; then
        packages="python3-venv"
    fi
    for folder in /opt /var; do
        free=$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')
        [ "$free" -ge "$room" ] || problem "$folder has $((free / 1024)) MiB free, and $((room / 1024)) are needed."
    done
    if [ -z "$bundle" ] && [ -z "${https_proxy:-}${HTTPS_PROXY:-}" ] &&
        ! awk '$2 == "00000000" && $8 == "00000000" { found = 1 } END { exit !found }' /proc/net/route &&
        ! awk '$1 ~ /^0+$/ && $2 == "00" && $10 != "lo" { found = 1 } END { exit !found }' /proc/net/ipv6_route; then
        problem "there is no way to a network, and nothing can be fetched. Use a bundle (make bundle) or set https_proxy."
    fi
    if [ -n "$bundle" ] && [ -n "$version" ] && ! grep -q "\"$version\"" "$bundle/bundle.json"; then
        problem "the bundle has no packages for Python $version. Make one that has."
    fi
    if [ -n "$bundle" ] && ! grep -q "\"$machine\"" "$bundle/bundle.json"; then
        problem "the bundle has no packages for $machine. Make one that has: make bundle ARGS=--machine=$machine."
    fi
fi
if [ -e "$root/current" ] && ! [ -L "$root/current" ]; then
    problem "$root/current is no symbolic link, so it is not of this project. Move it away."
fi
[ -z "$problems" ] || die 3 "this cannot go well:$problems" "mend that, and run it again. Nothing was changed"

# --- what will be done

say "homelab.proxmox ${name:-from $from}"
say "  from   ${bundle:+the bundle in }$from"
say "  host   $title, $machine${version:+, Python $version}"
if [ -n "$bundle" ] && [ -z "$signers" ]; then
    say "  note   the checksums fit; who made the bundle was not asked (--signers)"
fi
say "What is done:"
[ -z "$packages" ] || say "  * install with apt-get: $packages"
case $state in
ready) say "  * nothing to make: $root/releases/$name is there" ;;
absent) say "  * make $root/releases/${name:-VERSION-COMMIT}: a virtual environment with locked packages" ;;
*) say "  * make $root/releases/$name again: it is $state" ;;
esac
say "  * keep, with the playbook homelab.proxmox.controller: the account homelab, $root/current, /etc/homelab,"
say "    /var/lib/homelab, /var/log/homelab, /usr/local/bin/homelab, /etc/logrotate.d/homelab"
[ -n "$bundle" ] || say "    and the Debian packages gpgv, logrotate, openssh-client, whiptail"
say "  * write a log to $log"

# play [ARGUMENT...]
play() {
    for variable in $(env | sed -n 's/^\(ANSIBLE_[A-Z0-9_]*\)=.*/\1/p'); do unset "$variable"; done
    # Whatever this host has in /etc/ansible is not meant.
    echo '[defaults]' >"$work/ansible.cfg"
    # The workers of an Ansible that is killed hang about for good: they get no hold on the lock, and a mark.
    env HOMELAB_BOOTSTRAP="dry=$dry" ANSIBLE_CONFIG="$work/ansible.cfg" \
        ANSIBLE_HOME="$work/ansible" ANSIBLE_REMOTE_TEMP="$work/ansible/remote" \
        ANSIBLE_COLLECTIONS_PATH="$root/releases/$name/collections" PYTHONDONTWRITEBYTECODE=1 \
        ANSIBLE_NOCOLOR=1 ANSIBLE_LOCALHOST_WARNING=0 ANSIBLE_INVENTORY_UNPARSED_WARNING=0 \
        ANSIBLE_VARS_ENABLED=host_group_vars,homelab.proxmox.config \
        "$root/releases/$name/venv/bin/ansible-playbook" homelab.proxmox.controller --extra-vars \
        "{\"ansible_become\": false, \"controller_bundle\": \"$bundle\", \"controller_python\": \"$python\"}" "$@" 9>&-
}

changes() { sed -n 's/^localhost .* changed=\([0-9]*\) .*/\1/p' "$1" | tail -n 1; }

if [ "$dry" = 1 ]; then
    if [ "$state" = ready ]; then
        play --check --diff >"$work/check" 2>&1 </dev/null || {
            cat "$work/check" >&2
            die 1 "the playbook would fail; see above" "mend that"
        }
        sed -n '/^TASK/h; /^changed:/{x;p;x;}' "$work/check" | sed 's/^TASK \[\(.*\)\].*/  would change: \1/'
        say "The playbook would make $(changes "$work/check") changes."
    fi
    say "Nothing was changed (--dry-run)."
    exit 0
fi

if [ "$yes" = 0 ]; then
    [ -t 0 ] && [ -t 1 ] || die 2 "there is no terminal to ask on" "run it again with --yes"
    printf 'Go on? [y/N] '
    read -r answer || answer=
    case $answer in
    y | Y | yes) ;;
    *) die 2 "no consent, so nothing was changed" "run it again, and answer y" ;;
    esac
fi

# --- doing it

exec 9>/run/homelab-bootstrap.lock
if ! flock --nonblock 9; then
    # It may be what a killed run left: apt and pip end by themselves, but not at once.
    say "Another run is at work on this host; waiting for its end, up to two minutes ..."
    flock --timeout 120 9 || die 1 "another bootstrap is still at work on this host" "wait for it: tail -f $log"
fi
# What a killed run left.
grep -lzs '^HOMELAB_BOOTSTRAP=dry=0$' /proc/[0-9]*/environ | cut -d / -f 3 | while read -r process; do
    kill -KILL "$process" 2>/dev/null || :
done
find /var/tmp -maxdepth 1 -type d -user root -name 'homelab-bootstrap.*' ! -path "$work" -exec rm -rf {} +
if ! [ -e "$log" ]; then
    : >"$log"
    chmod 0640 "$log"
fi
say "=== $(date -u +%Y-%m-%dT%H:%M:%SZ) $from ${name:-}" >>"$log"

# step TEXT NEXT COMMAND...: the output goes to the log; the end of it is shown when the command fails.
step() {
    printf '%s ... ' "$1"
    begin=$(date +%s)
    next=$2
    text=$1
    shift 2
    say "--- $text" >>"$log"
    : >"$work/output"
    status=0
    "$@" >"$work/output" 2>&1 </dev/null || status=$?
    cat "$work/output" >>"$log"
    if [ "$status" != 0 ]; then
        say failed
        tail -n 25 "$work/output" >&2
        die 1 "$text failed with status $status. All of it is in $log" "$next. Then run bootstrap.sh again, it goes on"
    fi
    say "done ($(($(date +%s) - begin)) s)"
}

install_packages() {
    # A dpkg that was killed in the middle refuses everything until this was done.
    if [ -n "$(find /var/lib/dpkg/updates -type f 2>/dev/null)" ]; then dpkg --configure -a; fi
    # A repository that refuses (Proxmox VE's, without a subscription) is no reason to stop: the next command decides.
    apt-get -q update || say "apt-get update failed; going on with the lists there are"
    # shellcheck disable=SC2086 # a list of package names
    apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 install $packages
}

make_release() {
    cd "$source/plugins/module_utils"
    if [ -n "$bundle" ]; then
        set -- --wheels "$bundle/wheels" --collections "$bundle/collections.zip"
    else
        set --
    fi
    "$python" -Bm _release make --root "$root" --source "$source" --python "$python" ${commit:+--commit "$commit"} "$@"
}

if [ -n "$packages" ]; then
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    next="look at the lines above and at /etc/apt; a proxy is taken from http_proxy"
    step "Installing $packages" "$next" install_packages
    version=$("$python" -IBc 'import sys; print("%d.%d" % sys.version_info[:2])') ||
        die 1 "$python still does not run" "look at $log"
fi
if [ "$state" != ready ]; then
    next="look at the lines above; pip takes its index from /etc/pip.conf or PIP_INDEX_URL"
    step "Making the release (about a minute)" "$next" make_release
    looked=$(look)
    name=$(field name)
fi
step "Keeping the controller" "look at the lines above" play
cat <<END
Changed: $(changes "$work/output"). Log: $log

  homelab menu      everything there is to do
  homelab list      the same as a list
  homelab status    how things stand
END
