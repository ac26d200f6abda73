# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner's own steps, run for real with stand-ins for the programs of each system, and the style of all scripts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.homelab.proxmox.plugins.module_utils._model.customize import Customize, PackageFile, Script
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.runner import runner_files, steps_of
from ansible_collections.homelab.proxmox.plugins.module_utils._seed.seal import seal_script, verify_script

REAL = ["sh", "cat", "mkdir", "cp"]
APT = (
    "apt-get --quiet --assume-yes -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confdef "
    "-o Dpkg::Options::=--force-confold "
)


@dataclass
class System:
    """A folder of programs that is the whole PATH; stand-ins write down how they were called."""

    folder: Path

    def __post_init__(self) -> None:
        (self.folder / "bin").mkdir()
        for name in REAL:
            (self.folder / "bin" / name).symlink_to(shutil.which(name) or name)
        self.put("sleep")

    def put(self, name: str, body: str = "") -> None:
        program = self.folder / "bin" / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.folder}/calls"\n{body}\n')
        program.chmod(0o755)

    def run(self, text: str) -> int:
        (self.folder / "step").write_text(text.replace("/dev/virtio-ports/", f"{self.folder}/ports/"))
        env = {"PATH": str(self.folder / "bin"), "folder": str(self.folder)}
        result = subprocess.run(
            ["/bin/sh", str(self.folder / "step")], env=env, capture_output=True, text=True, check=False, timeout=60
        )
        self.output = result.stdout + result.stderr
        return result.returncode

    @property
    def calls(self) -> list[str]:
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


def step(name: str, customize: Customize) -> str:
    return next(one for one in steps_of(customize, ()) if one.name == name).text.decode()


PACKAGES = step("packages", Customize(packages=("nginx", "lib~x=1:2")))
UPGRADE = step("package_upgrade", Customize(package_upgrade=True))


@pytest.mark.parametrize(
    ("program", "calls"),
    [
        ("apt-get", [APT + "update", APT + "install nginx lib~x=1:2"]),
        ("dnf", ["dnf --assumeyes install nginx lib~x=1:2"]),
        ("yum", ["yum --assumeyes install nginx lib~x=1:2"]),
        ("tdnf", ["tdnf --assumeyes install nginx lib~x=1:2"]),
        ("apk", ["apk update", "apk add nginx lib~x=1:2"]),
        (
            "zypper",
            [
                "zypper --non-interactive --gpg-auto-import-keys refresh",
                "zypper --non-interactive install --auto-agree-with-licenses nginx lib~x=1:2",
            ],
        ),
        (
            "pacman",
            ["pacman --sync --refresh --noconfirm", "pacman --sync --needed --noconfirm nginx lib~x=1:2"],
        ),
    ],
)
def test_packages_of_each_family(system, program, calls):
    system.put(program)
    assert system.run(PACKAGES) == 0
    assert system.calls == calls


@pytest.mark.parametrize(
    ("program", "call"),
    [
        ("apt-get", APT + "dist-upgrade"),
        ("dnf", "dnf --assumeyes upgrade"),
        ("yum", "yum --assumeyes update"),
        ("tdnf", "tdnf --assumeyes update"),
        ("apk", "apk upgrade"),
        ("zypper", "zypper --non-interactive update --auto-agree-with-licenses"),
        ("pacman", "pacman --sync --sysupgrade --noconfirm"),
    ],
)
def test_upgrade_of_each_family(system, program, call):
    system.put(program)
    assert system.run(UPGRADE) == 0
    assert system.calls[-1] == call


def test_a_package_that_does_not_exist_fails_the_step(system):
    system.put("apt-get", 'case "$*" in *install*) echo "E: Unable to locate package nginx" >&2; exit 100 ;; esac')
    assert system.run(PACKAGES) == 100
    assert "Unable to locate" in system.output


def test_an_index_that_cannot_be_fetched_is_asked_for_again(system):
    system.put("apt-get", 'case "$*" in *update*) exit 100 ;; esac')
    assert system.run(PACKAGES) == 100
    assert [call.split()[0] for call in system.calls] == ["apt-get", "sleep"] * 3 + ["apt-get"]


@pytest.mark.parametrize("text", [PACKAGES, UPGRADE])
def test_an_unknown_system_fails_the_step(system, text):
    assert system.run(text) == 127
    assert "no known package manager" in system.output


# --- the agent

SEED = (PackageFile(name="a.deb", content=b""), PackageFile(name="b.deb", content=b""))
INSTALLED = 'case "$*" in *install*) cp "$0" "${0%/*}/qemu-ga" ;; esac'


def port(system: System) -> None:
    (system.folder / "ports").mkdir()
    (system.folder / "ports" / "org.qemu.guest_agent.0").touch()


def test_an_agent_that_is_there_is_left_alone(system):
    for name in ("apt-get", "qemu-ga", "systemctl", "pidof"):
        system.put(name)
    port(system)
    assert system.run(step("agent", Customize())) == 0
    assert system.calls == ["systemctl enable qemu-guest-agent.service", "pidof qemu-ga", "pidof qemu-ga"]


def test_an_agent_is_installed_from_packages_and_started(system):
    system.put("apt-get", INSTALLED)
    system.put("pidof", f'test -e "{system.folder}/started"')
    system.put("systemctl", f'case "$1" in start) : >"{system.folder}/started" ;; enable) exit 1 ;; esac')
    port(system)
    assert system.run(step("agent", Customize())) == 0
    assert system.calls[:2] == [APT + "update", APT + "install qemu-guest-agent"]
    assert "systemctl start qemu-guest-agent.service" in system.calls


def test_an_agent_that_does_not_start_fails_the_step(system):
    for name in ("apt-get", "systemctl"):
        system.put(name)
    system.put("pidof", "exit 1")
    system.put("pgrep", "exit 1")
    port(system)
    assert system.run(step("agent", Customize(agent="install"))) == 1
    assert "does not run" in system.output


def test_a_vm_without_an_agent_port_has_the_agent_installed_only(system):
    system.put("apk", INSTALLED.replace("install", "add"))
    system.put("rc-update")
    assert system.run(step("agent", Customize())) == 0
    assert system.calls == ["apk update", "apk add qemu-guest-agent", "rc-update add qemu-guest-agent default"]
    assert "no agent port" in system.output


@pytest.mark.parametrize(
    ("tool", "call"),
    [
        ("dpkg", "dpkg --force-confold --install"),
        ("rpm", "rpm --upgrade --replacepkgs"),
        ("apk", "apk add --allow-untrusted"),
        ("pacman", "pacman --upgrade --noconfirm"),
    ],
)
@pytest.mark.parametrize("status", [0, 3])
def test_an_agent_on_the_seed_needs_no_network(system, tool, call, status):
    iso = system.folder / "iso"
    system.put("blkid", "echo /dev/sr7")
    system.put("mount", f'mkdir -p "{iso}/agent"; : >"{iso}/agent/a.deb"; : >"{iso}/agent/b.deb"')
    system.put("umount")
    system.put(tool, f"exit {status}")
    assert system.run(step("agent", Customize(agent_packages=SEED))) == status
    assert system.calls == [
        "blkid -L cidata",
        f"mount -t iso9660 -o ro /dev/sr7 {iso}",
        f"{call} {iso}/agent/a.deb {iso}/agent/b.deb",
        f"umount {iso}",
    ]


# --- the style of all of them


def test_shellcheck_has_nothing_to_say(tmp_path):
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    if not shellcheck:
        pytest.skip("needs shellcheck")
    customize = Customize(
        packages=("nginx",),
        package_upgrade=True,
        agent_packages=SEED,
        scripts=(Script(name="one", content=b"#!/bin/sh\ntrue\n"),),
    )
    texts = runner_files("run", steps_of(customize, ["echo a", ["touch", "b"]]), str(tmp_path))
    texts = {**texts, f"{tmp_path}/seal": seal_script("build").encode(), f"{tmp_path}/verify": verify_script().encode()}
    for path, data in texts.items():
        Path(path).write_bytes(data)
    told = subprocess.run([shellcheck, *texts], capture_output=True, text=True, check=False, timeout=120)
    assert told.returncode == 0, told.stdout
