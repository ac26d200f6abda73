# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shell texts of the builder: the runner of the steps, and what its own steps share. POSIX sh, ASCII, no secrets.

They run under dash, bash and BusyBox alike. C(/run) may be mounted noexec, so that nothing there is executed by its
name, and is gone after a reboot, so that nothing of it has to be sealed.
"""

from __future__ import annotations

# What the steps need on the way: a monotonic clock (NTP sets the other one during the first boot), a time-out (that of
# older BusyBox knows no -k, and no BusyBox ends more than the program itself), and two channels. Lines on the serial
# one carry a checksum, since the kernel writes there too.
RUNNER_HEAD = r"""#!/bin/sh
# Runs the steps of a customisation in order, stops at the first that fails, and reports as it goes.
set -u
umask 022
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HOME=/root
LANG=${LANG:-C.UTF-8}
DEBIAN_FRONTEND=noninteractive
export PATH HOME LANG DEBIAN_FRONTEND
folder=$(cd "$(dirname "$0")" && pwd)
log=${HOMELAB_LOG:-/var/log/homelab-seed}
console=${HOMELAB_CONSOLE:-/dev/ttyS0}
index=0
group=0
export folder
cd /
mkdir -p "$log"
chmod 0700 "$log"

now() {
    read -r up rest </proc/uptime
    echo "${up%%.*}"
}

tell() {
    line="{\"v\":1,\"run\":\"$run\",$1}"
    printf '%s\n' "$line" >>"$folder/status.jsonl"
    if [ -w "$console" ]; then
        sum=$(printf '%s' "$line" | cksum)
        { printf '\r\nhomelab-seed %s %s\r\n' "${sum%% *}" "$line" >>"$console"; } 2>/dev/null || :
    fi
}

# In a session of its own, so that what a step leaves running can be ended with it.
launch() {
    limit=$1
    shift
    if timeout -k 10 5 true 2>/dev/null; then
        exec setsid timeout -k 10 "$limit" "$@"
    fi
    exec setsid timeout "$limit" "$@"
}

finish() {
    trap - HUP INT TERM
    if [ "$1" = failed ] && [ "$group" -gt 1 ]; then kill -s KILL -- "-$group" 2>/dev/null || :; fi
    tell "\"event\":\"finished\",\"result\":\"$1\",\"step\":$index"
    if [ "$1" = "done" ]; then exit 0; fi
    exit 1
}

step() {
    name=$1
    seconds=$2
    shift 2
    index=$((index + 1))
    tell "\"event\":\"begin\",\"step\":$index,\"name\":\"$name\""
    began=$(now)
    launch "$seconds" "$@" </dev/null >"$log/$index.log" 2>&1 &
    group=$!
    wait "$group"
    status=$?
    took=$(($(now) - began))
    late=false
    if [ "$status" -ne 0 ] && [ "$took" -ge "$seconds" ]; then late=true; fi
    output=$(tail -c 4096 "$log/$index.log" | base64 | tr -d '\n')
    result="\"status\":$status,\"timed_out\":$late,\"seconds\":$took,\"output\":\"$output\""
    tell "\"event\":\"end\",\"step\":$index,\"name\":\"$name\",$result"
    if [ "$status" -ne 0 ]; then finish failed; fi
}

trap 'finish failed' HUP INT TERM
: >"$folder/status.jsonl"
chmod 0600 "$folder/status.jsonl"
"""

# The families of package managers, by the program that is there. apt's lock is held for minutes by what boots beside.
PACKAGES = r"""#!/bin/sh
set -eu

again() {
    for pause in 5 15 30; do
        if "$@"; then return 0; fi
        echo "failed, again in $pause seconds: $*"
        sleep "$pause"
    done
    "$@"
}

has() { command -v "$1" >/dev/null 2>&1; }

apt() {
    apt-get --quiet --assume-yes -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confdef \
        -o Dpkg::Options::=--force-confold "$@"
}

manager() {
    for program in apt-get dnf yum zypper apk pacman tdnf; do
        if has "$program"; then
            echo "$program"
            return
        fi
    done
    echo "no known package manager: apt-get, dnf, yum, zypper, apk, pacman, tdnf" >&2
    return 127
}

refresh_index() {
    case $(manager) in
    apt-get) again apt update ;;
    zypper) again zypper --non-interactive --gpg-auto-import-keys refresh ;;
    apk) again apk update ;;
    pacman) again pacman --sync --refresh --noconfirm ;;
    dnf | yum | tdnf) ;;
    *) return 127 ;;
    esac
}

upgrade_packages() {
    case $(manager) in
    apt-get) apt dist-upgrade ;;
    dnf) again dnf --assumeyes upgrade ;;
    yum) again yum --assumeyes update ;;
    zypper) zypper --non-interactive update --auto-agree-with-licenses ;;
    apk) apk upgrade ;;
    pacman) pacman --sync --sysupgrade --noconfirm ;;
    tdnf) again tdnf --assumeyes update ;;
    *) return 127 ;;
    esac
}

install_packages() {
    case $(manager) in
    apt-get) apt install "$@" ;;
    dnf) again dnf --assumeyes install "$@" ;;
    yum) again yum --assumeyes install "$@" ;;
    zypper) zypper --non-interactive install --auto-agree-with-licenses "$@" ;;
    apk) apk add "$@" ;;
    pacman) pacman --sync --needed --noconfirm "$@" ;;
    tdnf) again tdnf --assumeyes install "$@" ;;
    *) return 127 ;;
    esac
}
"""

# The Red Hat family ships an agent that refuses guest-exec and guest-file-*. The override lies in /run: it is for this
# boot only, and the template keeps the vendor's choice.
AGENT = r"""
there() { has qemu-ga; }

runs() { pidof qemu-ga >/dev/null 2>&1 || pgrep -x qemu-ga >/dev/null 2>&1; }

from_seed() {
    device=$(blkid -L cidata 2>/dev/null || findfs LABEL=cidata)
    mkdir -p "$folder/iso"
    mount -t iso9660 -o ro "$device" "$folder/iso"
    set -- "$folder"/iso/agent/*
    status=0
    if has dpkg; then
        dpkg --force-confold --install "$@" || status=$?
    elif has rpm; then
        rpm --upgrade --replacepkgs "$@" || status=$?
    elif has apk; then
        apk add --allow-untrusted "$@" || status=$?
    elif has pacman; then
        pacman --upgrade --noconfirm "$@" || status=$?
    else
        echo "no known package tool: dpkg, rpm, apk, pacman" >&2
        status=127
    fi
    umount "$folder/iso"
    return "$status"
}

from_packages() {
    refresh_index
    install_packages qemu-guest-agent
}

unrestrict() {
    if [ ! -e /etc/sysconfig/qemu-ga ] || [ ! -d /run/systemd/system ]; then return 0; fi
    program=$(command -v qemu-ga)
    mkdir -p /run/systemd/system/qemu-guest-agent.service.d
    {
        echo "[Service]"
        echo "EnvironmentFile="
        echo "ExecStart="
        echo "ExecStart=$program --method=virtio-serial --path=$port"
    } >/run/systemd/system/qemu-guest-agent.service.d/homelab-seed.conf
    systemctl daemon-reload
    systemctl restart qemu-guest-agent.service
}

start() {
    if has systemctl; then
        # A unit without an [Install] section is started by udev and cannot be enabled.
        systemctl enable qemu-guest-agent.service || :
    elif has rc-update; then
        rc-update add qemu-guest-agent default
    fi
    if [ ! -e "$port" ]; then
        echo "the VM has no agent port: the agent is installed, not started"
        return 0
    fi
    runs || systemctl start qemu-guest-agent.service || rc-service qemu-guest-agent start || :
    if has udevadm && ! runs; then udevadm trigger --subsystem-match=virtio-ports || :; fi
    for pause in 1 1 2 2 4 4 8 8; do
        if runs; then return 0; fi
        sleep "$pause"
    done
    echo "the guest agent was installed and does not run" >&2
    return 1
}

port=/dev/virtio-ports/org.qemu.guest_agent.0
folder=${folder:-/run/homelab}
"""
