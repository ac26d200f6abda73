# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seal and verify scripts, run for real in a root folder of their own, as far as chroot(2) is allowed here."""

from __future__ import annotations

import base64
import functools
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.errors import SeedError
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.seal import (
    MAX_INPUT,
    Verdict,
    parse_verdict,
    seal_script,
    verify_script,
)

# What the scripts use of a real system. What is missing here would be missed there.
PROGRAMS = ["sh", "find", "grep", "sed", "cat", "rm", "ln", "head", "tr", "cut", "base64", "sync", "userdel"]

needs_chroot = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("userdel"), reason="chroot needs root")


@functools.cache
def libraries(program: str) -> tuple[str, ...]:
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return tuple(word for line in told.splitlines() for word in line.split() if word.startswith("/"))


@dataclass
class Root:
    """A folder that becomes C(/) of a script."""

    path: Path

    def at(self, name: str) -> Path:
        return self.path / name.lstrip("/")

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            self.at(name).parent.mkdir(parents=True, exist_ok=True)
            self.at(name).write_text(text)

    def install(self, program: str) -> None:
        source = shutil.which(program)
        assert source, program
        target = self.at(f"/usr/bin/{program}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(os.path.realpath(source), target)
        for library in libraries(os.path.realpath(source)):
            place = self.at(library)
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(os.path.realpath(library), place)

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """As the agent does: /bin/sh in /, the script as its input."""
        return subprocess.run(
            ["chroot", str(self.path), "/usr/bin/sh"],
            input=script,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def verdict(self, user: str | None = "build") -> Verdict:
        result = self.run(verify_script(user))
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("\n") == 1
        return parse_verdict(result.stdout)

    def everything(self) -> dict[str, tuple[int, str]]:
        """Mode and content or target of whatever is there, programs left out."""
        found = {}
        for path in sorted(self.path.rglob("*")):
            name = "/" + str(path.relative_to(self.path))
            if not name.startswith(("/usr/bin", "/lib", "/usr/lib", "/dev")):
                mode = path.lstat().st_mode
                text = os.readlink(path) if path.is_symlink() else path.read_text("latin-1") if path.is_file() else ""
                found[name] = (stat.S_IMODE(mode), text)
        return found


# What a build leaves behind, of all the systems at once.
LEFT = [
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/ssh/ssh_host_ed25519_key.pub",
    "/var/lib/cloud/data/result.json",
    "/var/lib/cloud/instances/homelab-1/user-data.txt",
    "/var/log/cloud-init-output.log",
    "/var/log/homelab-seed/1.log",
    "/etc/netplan/50-cloud-init.yaml",
    "/etc/network/interfaces.d/50-cloud-init",
    "/etc/NetworkManager/system-connections/cloud-init-eth0.nmconnection",
    "/etc/systemd/network/10-cloud-init-eth0.network",
    "/etc/udev/rules.d/70-persistent-net.rules",
    "/var/lib/dhcp/dhclient.eth0.leases",
    "/var/lib/NetworkManager/internal-1-eth0.lease",
    "/var/lib/NetworkManager/secret_key",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/boot/efi/loader/random-seed",
    "/var/cache/apt/archives/nginx.deb",
    "/var/lib/apt/lists/mirror.example_InRelease",
    "/var/cache/dnf/x/repomd.xml",
    "/root/.bash_history",
    "/home/ops/.bash_history",
    "/tmp/x/y",
    "/var/tmp/.hidden",
    "/var/log/syslog.1",
    "/var/log/dpkg.log.2.gz",
    "/var/log/messages-20261101",
    "/var/log/journal/ab00ed84/system.journal",
    "/home/build/.ssh/authorized_keys",
    "/var/mail/build",
    "/run/homelab/status.jsonl",
]
KEPT = {
    "/etc/hostname": "image\n",
    "/etc/ssh/sshd_config": "Port 22\n",
    "/etc/sysconfig/network-scripts/ifcfg-lo": "DEVICE=lo\n",
    "/etc/netplan/10-own.yaml": "network: {}\n",
    "/home/ops/.ssh/authorized_keys": "ssh-ed25519 AAAA ops\n",
    "/home/ops/notes.gz": "x",
    "/var/lib/cloud/seed/nocloud/meta-data": "{}\n",
    "/etc/sudoers.d/90-cloud-init-users": "# Created by cloud-init\n\n# User rules for ops\nops ALL=(ALL) ALL\n",
    "/etc/sudoers.d/README": "# build is a word here\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A guest after its build."""
    made = Root(tmp_path / "root")
    for program in PROGRAMS:
        made.install(program)
    made.write(dict.fromkeys(LEFT, "left\n") | KEPT)
    made.write(
        {
            "/etc/machine-id": "ab00ed84c0de4d1a9fd2b3e1a7a7c0de\n",
            "/var/lib/dbus/machine-id": "ab00ed84c0de4d1a9fd2b3e1a7a7c0de\n",
            "/etc/passwd": "root:x:0:0::/root:/bin/sh\nbuild:x:1000:1000::/home/build:/bin/sh\n"
            "ops:x:1001:1001::/home/ops:/bin/sh\n",
            "/etc/shadow": "root:*:1::::::\nbuild:!:1::::::\nops:!:1::::::\n",
            "/etc/group": "root:x:0:\nbuild:x:1000:\nops:x:1001:\nadm:x:4:build,ops\n",
            "/etc/login.defs": "USERGROUPS_ENAB yes\nMAIL_DIR /var/mail\n",
            "/etc/sudoers.d/90-cloud-init-users": KEPT["/etc/sudoers.d/90-cloud-init-users"]
            + "\n# User rules for build\nbuild ALL=(ALL) NOPASSWD:ALL\n",
            "/etc/sudoers.d/own": "build ALL=(ALL) NOPASSWD:ALL\n",
            "/etc/sysconfig/network-scripts/ifcfg-eth0": "# Created by cloud-init on instance boot\nDEVICE=eth0\n",
            "/var/log/wtmp": "binary",
            "/var/log/auth.log": "guest-exec called: secret\n",
            "/usr/lib/systemd/system/.keep": "",
            "/dev/null": "",
        }
    )
    made.at("/etc/sudoers.d/90-cloud-init-users").chmod(0o440)
    made.at("/var/lib/cloud/instance").symlink_to("instances/homelab-1")
    made.at("/dev/null").unlink()
    os.mknod(made.at("/dev/null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    return made


@needs_chroot
def test_a_sealed_guest_has_nothing_that_clones_must_not_share(root):
    before = root.verdict()
    assert not before.ok
    assert set(before.failed) == {
        "build_logs",
        "build_user",
        "caches",
        "cloud_init_network",
        "cloud_init_state",
        "dbus_machine_id",
        "histories",
        "journal",
        "leases",
        "machine_id",
        "seeds",
        "ssh_host_keys",
    }
    expected = {"/etc/ssh/ssh_host_rsa_key", "/etc/machine-id is not empty", "/etc/sudoers.d/own", "/home/build"}
    assert expected <= set(before.left.splitlines())
    result = root.run(seal_script("build"))
    assert result.returncode == 0, result.stderr
    assert root.verdict() == Verdict(ok=True, failed=(), left="")
    assert [name for name in LEFT if root.at(name).exists()] == []
    found = root.everything()
    assert found["/etc/machine-id"][1] == ""
    assert found["/var/lib/dbus/machine-id"][1] == "/etc/machine-id"
    assert {name: found[name][1].strip() for name in KEPT} == {name: text.strip() for name, text in KEPT.items()}
    assert found["/etc/sudoers.d/90-cloud-init-users"][0] == 0o440
    assert "/etc/sudoers.d/own" not in found
    assert "/etc/sysconfig/network-scripts/ifcfg-eth0" not in found
    assert "/home/build" not in found
    assert {"/tmp", "/var/tmp", "/var/log/journal"} <= found.keys()
    assert found["/var/log/wtmp"][1] == found["/var/log/auth.log"][1] == ""
    for name in ("/etc/passwd", "/etc/shadow", "/etc/group"):
        assert "build" not in found[name][1], name
        assert "ops" in found[name][1], name


@needs_chroot
def test_sealing_again_changes_nothing(root):
    root.run(seal_script("build"))
    once = root.everything()
    assert root.run(seal_script("build")).returncode == 0
    assert root.everything() == once


@needs_chroot
def test_verifying_changes_nothing(root):
    before = root.everything()
    root.verdict()
    assert root.everything() == before


@needs_chroot
def test_without_a_build_user_all_accounts_stay(root):
    root.run(seal_script())
    assert "build:x:1000" in root.at("/etc/passwd").read_text()
    assert "build ALL" in root.at("/etc/sudoers.d/own").read_text()
    assert root.verdict(None).ok
    assert root.verdict("build").failed == ("build_user",)


@needs_chroot
def test_each_thing_that_is_left_is_found(root):
    root.run(seal_script("build"))
    for name, check in {
        "/etc/ssh/ssh_host_ecdsa_key": "ssh_host_keys",
        "/var/lib/cloud/instances/x": "cloud_init_state",
        "/etc/netplan/50-cloud-init.yaml": "cloud_init_network",
        "/var/lib/dhcp/dhclient.leases": "leases",
        "/var/lib/systemd/random-seed": "seeds",
        "/root/.ash_history": "histories",
        "/var/log/journal/1/system.journal": "journal",
        "/etc/sudoers.d/x": "build_user",
    }.items():
        root.write({name: "build ALL=(ALL) ALL\n"})
        verdict = root.verdict()
        assert (verdict.ok, verdict.failed) == (False, (check,)), name
        assert name.rsplit("/", 1)[0] in verdict.left
        if check == "cloud_init_state":
            shutil.rmtree(root.at("/var/lib/cloud/instances"))
        else:
            root.at(name).unlink()
    root.at("/etc/machine-id").unlink()
    assert root.verdict().left == "/etc/machine-id is missing"


@needs_chroot
def test_the_systems_own_programs_are_asked_where_they_are(root):
    """Programs of other systems, each a script that writes down how it was called."""
    for name in ("cloud-init", "apt-get", "dnf", "zypper", "journalctl", "fstrim", "pkill"):
        program = root.at(f"/usr/bin/{name}")
        program.write_text(f'#!/usr/bin/sh\necho {name} "$@" >>/calls\n')
        program.chmod(0o755)
    assert root.run(seal_script("build")).returncode == 0
    assert root.at("/calls").read_text().splitlines() == [
        "pkill -KILL -u build",
        "cloud-init clean --logs",
        "apt-get clean",
        "dnf clean all",
        "zypper --non-interactive clean --all",
        "journalctl --relinquish-var",
        "fstrim -a",
    ]


@needs_chroot
def test_a_system_without_systemd_needs_no_machine_id(root):
    shutil.rmtree(root.at("/usr/lib/systemd"))
    root.at("/etc/machine-id").unlink()
    root.run(seal_script("build"))
    assert not root.at("/etc/machine-id").exists()
    assert not root.at("/var/lib/dbus/machine-id").exists()
    assert root.verdict().ok


@pytest.mark.parametrize("user", [None, "build", "a" * 31])
def test_the_agent_takes_the_scripts(user):
    for text in (seal_script(user), verify_script(user)):
        assert text.isascii()
        assert len(text) < MAX_INPUT
        assert "--machine-id" not in text


def test_the_scripts_are_the_same_every_time():
    assert seal_script("build") == seal_script("build")
    assert seal_script("build") != seal_script()


@pytest.mark.parametrize("user", ["root", "", "Build", "a b", "x;y", "a" * 32, "ü"])
def test_a_strange_build_user_is_refused(user):
    with pytest.raises(SeedError):
        seal_script(user)
    with pytest.raises(SeedError):
        verify_script(user)


def answer(**changes: object) -> str:
    left = base64.b64encode(b"/a\n\n").decode()
    return json.dumps({"v": 1, "ok": False, "checks": {"a": False, "b": True}, "left": left} | changes)


def test_reading_a_verdict():
    assert parse_verdict(answer()) == Verdict(ok=False, failed=("a",), left="/a")
    assert not parse_verdict(answer(ok=True)).ok, "a failed check outweighs the sum"


@pytest.mark.parametrize(
    "text", ["", "sh: not found", "[]", "{}", answer(checks={}), answer(ok=1), answer(left="?"), answer(checks=[])]
)
def test_what_is_no_verdict(text):
    with pytest.raises(SeedError):
        parse_verdict(text)
