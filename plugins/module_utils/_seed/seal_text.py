# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shell texts that seal a guest and verify it: what makes one guest different from another must not be in a template.

POSIX sh, ASCII, below the 65536 signs that the agent takes as a script's input. Each line works without the programs of
other systems, so that one text is for all of them.
"""

from __future__ import annotations

# cloud-init's own --machine-id deletes the file (22.4 does): without it systemd mounts / read-only at the next boot,
# has no id and starts no network, while cloud-init says "done". So it is emptied here.
SEAL = r"""#!/bin/sh
# Takes from a guest what its clones must not share. Runs as root, last, before the guest is shut down.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
cd /

has() { command -v "$1" >/dev/null 2>&1; }

# The account of the build, with its processes, its home and its sudo rule; the rules of others stay.
if [ -n "$build_user" ]; then
    if grep -q "^$build_user:" /etc/passwd; then
        if has pkill; then pkill -KILL -u "$build_user" || :; fi
        if has userdel; then
            userdel --force --remove "$build_user" || :
        else
            deluser --remove-home "$build_user" || :
        fi
        rm -rf "/home/${build_user:?}" "/var/mail/${build_user:?}" "/var/spool/mail/${build_user:?}"
    fi
    for file in /etc/sudoers.d/*; do
        if [ -f "$file" ] && grep -q "^${build_user}[[:space:]]" "$file"; then
            sed -e "/^${build_user}[[:space:]]/d" -e "/^# User rules for $build_user\$/d" "$file" >"$file.sealed"
            cat "$file.sealed" >"$file"
            rm -f "$file.sealed"
            if ! grep -q '^[^#]*[^#[:space:]]' "$file"; then rm -f "$file"; fi
        fi
    done
fi

# cloud-init: its state, its logs, and the network configuration that it wrote for the builder's card.
if has cloud-init; then cloud-init clean --logs || :; fi
rm -rf /var/lib/cloud/instance /var/lib/cloud/instances /var/lib/cloud/data /var/lib/cloud/sem
rm -f /var/log/cloud-init.log /var/log/cloud-init-output.log
rm -f /etc/netplan/50-cloud-init.yaml
rm -f /etc/network/interfaces.d/50-cloud-init /etc/network/interfaces.d/50-cloud-init.cfg
rm -f /etc/NetworkManager/system-connections/cloud-init-*.nmconnection /etc/systemd/network/10-cloud-init-*.network
for file in /etc/sysconfig/network-scripts/ifcfg-* /etc/sysconfig/network/ifcfg-*; do
    if [ -f "$file" ] && grep -qi 'created by cloud-init' "$file"; then rm -f "$file"; fi
done
rm -f /etc/udev/rules.d/70-persistent-net.rules /etc/udev/rules.d/75-persistent-net-generator.rules
rm -f /etc/udev/rules.d/85-persistent-net-cloud-init.rules

# Leases and what DHCP clients call this machine.
rm -f /var/lib/dhcp/*.lease* /var/lib/dhclient/*.lease* /var/lib/dhcpcd/*.lease* /var/lib/dhcpcd/duid /etc/dhcpcd.duid
rm -f /var/lib/NetworkManager/*.lease /var/lib/NetworkManager/secret_key /var/lib/NetworkManager/timestamps
rm -f /var/lib/NetworkManager/seen-bssids /var/lib/wicked/lease-* /var/lib/wicked/duid.xml /var/lib/udhcpd/*.leases

# Identity: SSH host keys, seeds, systemd's credential key. Stopped, systemd-random-seed does not save at the shutdown.
rm -f /etc/ssh/ssh_host_*key /etc/ssh/ssh_host_*key.pub
if has systemctl && [ -d /run/systemd/system ]; then systemctl stop systemd-random-seed.service || :; fi
rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /var/lib/misc/random-seed /var/lib/seedrng/seed.*
rm -f /boot/loader/random-seed /boot/efi/loader/random-seed /efi/loader/random-seed /etc/random-seed

# Package caches.
if has apt-get; then apt-get clean || :; fi
if has dnf; then dnf clean all >/dev/null 2>&1 || :; fi
if has zypper; then zypper --non-interactive clean --all >/dev/null 2>&1 || :; fi
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /var/cache/apt/*.bin /var/cache/dnf/* /var/cache/libdnf5/*
rm -rf /var/cache/yum/* /var/cache/zypp/* /var/cache/apk/* /var/cache/pacman/pkg/*

# Histories and temporary files.
for home in /root /home/*; do
    for name in .bash_history .ash_history .sh_history .zsh_history .python_history .lesshst .viminfo .wget-hsts; do
        rm -f "$home/$name"
    done
done
find /tmp /var/tmp -xdev -mindepth 1 -depth -delete 2>/dev/null || :

# Logs. The journal moves to /run first: what is logged from here on, the agent's calls for one, is not kept.
if has journalctl; then journalctl --relinquish-var >/dev/null 2>&1 || :; fi
rm -rf /var/log/journal/* /var/log/homelab-seed /var/log/installer
find /var/log -xdev -type f \
    \( -name '*.gz' -o -name '*.xz' -o -name '*.old' -o -name '*.[0-9]' -o -name '*-20??????' \) \
    -exec rm -f {} + 2>/dev/null || :
find /var/log -xdev -type f -exec sh -c 'for file do : >"$file"; done' sh {} + 2>/dev/null || :

# The machine-id last, since much of the above asks for it. Emptied: a missing one costs the clones their network.
if [ -e /etc/machine-id ]; then
    : >/etc/machine-id
    if [ -d /var/lib/dbus ]; then ln -sfn /etc/machine-id /var/lib/dbus/machine-id; fi
else
    rm -f /var/lib/dbus/machine-id
fi
rm -rf /run/homelab
sync
if has fstrim; then fstrim -a >/dev/null 2>&1 || :; fi
exit 0
"""

VERIFY = r"""#!/bin/sh
# Prints one JSON object on whether a guest was sealed. Reads only.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
cd /
checks=
left=
ok=true

# check NAME PATH...: fine when none of the paths exists.
check() {
    name=$1
    shift
    found=
    for path in "$@"; do
        if [ -e "$path" ] || [ -L "$path" ]; then found="$found$path
"; fi
    done
    record "$name" "$found"
}

record() {
    if [ -z "$2" ]; then verdict=true; else verdict=false ok=false; fi
    checks="$checks${checks:+,}\"$1\":$verdict"
    left="$left$2
"
}

sizes() { find "$@" -xdev -type f -size +0 2>/dev/null; }

if [ ! -e /etc/machine-id ]; then
    if [ -d /run/systemd/system ] || [ -d /usr/lib/systemd/system ] || [ -d /lib/systemd/system ]; then
        record machine_id "/etc/machine-id is missing"
    else
        record machine_id ""
    fi
elif [ -s /etc/machine-id ]; then
    record machine_id "/etc/machine-id is not empty"
else
    record machine_id ""
fi
if [ -L /var/lib/dbus/machine-id ] || [ ! -s /var/lib/dbus/machine-id ]; then
    record dbus_machine_id ""
else
    record dbus_machine_id "/var/lib/dbus/machine-id"
fi
check ssh_host_keys /etc/ssh/ssh_host_*key /etc/ssh/ssh_host_*key.pub
check cloud_init_state /var/lib/cloud/instance /var/lib/cloud/instances /var/lib/cloud/data /var/lib/cloud/sem
check cloud_init_network /etc/netplan/50-cloud-init.yaml /etc/network/interfaces.d/50-cloud-init \
    /etc/network/interfaces.d/50-cloud-init.cfg /etc/NetworkManager/system-connections/cloud-init-*.nmconnection \
    /etc/systemd/network/10-cloud-init-*.network /etc/udev/rules.d/70-persistent-net.rules
check leases /var/lib/dhcp/*.lease* /var/lib/dhclient/*.lease* /var/lib/dhcpcd/*.lease* /var/lib/dhcpcd/duid \
    /var/lib/NetworkManager/*.lease /var/lib/NetworkManager/secret_key /var/lib/wicked/lease-*
check seeds /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /var/lib/misc/random-seed \
    /boot/loader/random-seed /boot/efi/loader/random-seed /efi/loader/random-seed
check caches /var/cache/apt/archives/*.deb /var/cache/apk/*.apk /var/cache/pacman/pkg/*
check histories /root/.bash_history /root/.ash_history /home/*/.bash_history /home/*/.ash_history
check build_logs /var/log/homelab-seed /var/log/cloud-init.log /var/log/cloud-init-output.log
record journal "$(sizes /var/log/journal | head -n 5)"
if [ -n "$build_user" ]; then
    account=$(grep "^$build_user:" /etc/passwd /etc/shadow /etc/group 2>/dev/null | cut -d: -f1)
    rules=$(grep -l "^${build_user}[[:space:]]" /etc/sudoers /etc/sudoers.d/* 2>/dev/null)
    home=
    if [ -e "/home/$build_user" ]; then home="/home/$build_user"; fi
    record build_user "$account${rules:+
}$rules${home:+
}$home"
fi
if ! list=$(printf '%s\n' "$left" | head -c 4096 | base64 | tr -d '\n'); then list=; fi
printf '{"v":1,"ok":%s,"checks":{%s},"left":"%s"}\n' "$ok" "$checks" "$list"
"""
