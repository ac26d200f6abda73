# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One command makes a control node of a fresh host: online, from a bundle without a network, and after kills.

What the hosts are given is a copy of this checkout. Where this machine's pip has certificates of its own (PIP_CERT),
the hosts get them too.
"""

from __future__ import annotations

import io
import ipaddress
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest
import yaml

from scripts import bundle as bundles
from tests.support.hosts import Daemon, Machine, build, machine
from tests.support.pve import FakeCluster, Server, serve
from tests.support.pve.images import GIB, qcow2
from tests.support.vendor import Vendor, serve_vendor

ROOT = Path(__file__).resolve().parents[2]
BOOTSTRAP = "/root/homelab/bootstrap.sh"
LOG = "/var/log/homelab-bootstrap.log"
RELEASES = "/opt/homelab/releases"
CERTIFICATES = os.environ.get("PIP_CERT", "")
# Seconds, for what a killed run has to reach first.
PATIENCE = 900.0


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked, signed bundle, and beside it the archive and the file of allowed signers."""
    folder = tmp_path_factory.mktemp("bundle")
    for name in ("key", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        public = (folder / f"{name}.pub").read_text(encoding="utf-8")
        (folder / f"{name}.signers").write_text(f"release@example.com {public}", encoding="utf-8")
    assert bundles.main([f"--key={folder / 'key'}", f"--to={folder}"]) == 0
    (archive,) = folder.glob("*.tar")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (unpacked,) = folder.glob("homelab-bundle-*/")
    return unpacked


@pytest.fixture(scope="session")
def release(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked release: the artifact of the bundle."""
    folder = tmp_path_factory.mktemp("release") / "ansible_collections" / "homelab" / "proxmox"
    (artifact,) = bundle.glob("homelab-proxmox-*.tar.gz")
    with tarfile.open(artifact) as tar:
        tar.extractall(folder, filter="data")
    return folder


@contextmanager
def fresh(daemon: Daemon, image: str, release: Path, *, volumes: tuple[str, ...] = ()) -> Iterator[Machine]:
    """A host that nobody has touched but for an unpacked release in /root, and this machine's certificates."""
    daemon.provide(build([image]))
    with machine(daemon, image, f"bootstrap-{image}", volumes=volumes) as host:
        host.put(release, "/root/homelab")
        host.shell("chown -R root:root /root/homelab")
        if CERTIFICATES:
            host.put(Path(CERTIFICATES), "/etc/ssl/certs/ca-certificates.crt")
            host.write("/etc/pip.conf", "[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n")
        yield host


def kill_when(host: Machine, condition: str) -> None:
    """Start the bootstrap, and kill all of its processes at once as soon as a shell says so."""
    begin = f"echo $$ >/run/bootstrap.pid; exec {BOOTSTRAP} --yes"
    command = host.command("setsid", "--wait", "sh", "-c", begin)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as started:
        end = time.monotonic() + PATIENCE
        while host.call("sh", "-c", condition).returncode != 0:
            assert started.poll() is None, f"it ended before {condition}: {host.call('tail', '-n', '40', LOG).stdout}"
            assert time.monotonic() < end, condition
            time.sleep(0.2)
        host.shell("kill -KILL -$(cat /run/bootstrap.pid)")
        assert started.wait(PATIENCE) != 0


def assert_in_order(host: Machine) -> None:
    """What a finished control node is like."""
    (name,) = host.ask("ls", RELEASES).split()
    assert host.ask("readlink", "/opt/homelab/current").strip() == f"releases/{name}"
    assert json.loads(host.ask("cat", f"{RELEASES}/{name}/release.json"))["name"] == name
    # Nothing of root's can be written by others, nothing of the account's can be read by them.
    assert host.shell(r"find /opt/homelab /usr/local/bin/homelab ! -type l \( -perm /022 -o ! -user root \)") == ""
    assert host.shell("find /etc/homelab /var/lib/homelab /var/log/homelab -maxdepth 1 -perm /007") == ""
    modes = host.ask("stat", "-c", "%a %U", "/var/lib/homelab", "/etc/homelab", "/etc/homelab/connections")
    assert modes.splitlines() == ["1770 root", "750 homelab", "700 homelab"]
    assert host.shell("find /var/tmp -name 'homelab-*'") == ""
    # The Python of the system is as it was.
    assert host.shell("find /usr/local/lib /usr/lib/python3/dist-packages -name 'ansible*'") == ""
    assert host.call("logrotate", "--debug", "/etc/logrotate.d/homelab").stdout.count("error") == 0
    assert "Build templates" in host.ask("homelab", "list")


def test_fresh_debian_13_by_one_command_to_templates(daemon: Daemon, release: Path) -> None:
    """pip asks its own index here. The host has what a node of Proxmox VE without a subscription has."""
    address = str(next(ipaddress.ip_network(daemon.network).hosts()))
    with fresh(daemon, "debian13", release) as host, serve_vendor(address) as vendor:
        host.shell("mkdir /etc/pve")
        host.write("/etc/apt/sources.list.d/enterprise.list", f"deb {vendor.url}/enterprise trixie main\n")
        before = host.look()
        dry = host.call(BOOTSTRAP, "--dry-run")
        assert dry.returncode == 0
        assert "Debian GNU/Linux 13 (trixie) with Proxmox VE, " in dry.stdout
        assert "install with apt-get: python3-venv" in dry.stdout
        assert "Nothing was changed" in dry.stdout
        unasked = host.call(BOOTSTRAP)
        assert unasked.returncode == 2
        assert "there is no terminal to ask on\nNext: run it again with --yes" in unasked.stdout
        assert host.look() == before

        done = host.call(BOOTSTRAP, "--yes")
        assert done.returncode == 0, done.stdout
        assert_in_order(host)
        # The command has given up root, and says what to do instead.
        refused = host.call("homelab", "run", "controller")
        advised = re.search(r"Run (\S+) --yes as root", refused.stdout)
        assert advised, refused.stdout
        assert_again_changes_nothing(host, advised[1])
        assert "apt-get update failed" in host.ask("cat", LOG)
        assert "enterprise/dists/trixie/InRelease" in vendor.asked
        build_templates(host, address, vendor)


def assert_again_changes_nothing(host: Machine, bootstrap: str) -> None:
    before = host.look(LOG)
    again = host.call(bootstrap, "--yes")
    assert again.returncode == 0, again.stdout
    assert "nothing to make" in again.stdout
    assert "Changed: 0." in again.stdout
    dry = host.call(bootstrap, "--dry-run")
    assert "The playbook would make 0 changes." in dry.stdout, dry.stdout
    assert host.look(LOG) == before


def build_templates(host: Machine, address: str, vendor: Vendor) -> None:
    """From the menu and from the command, on the API of the demo, which the host reaches over the tests' bridge."""
    cluster = FakeCluster(nodes=["pve1", "pve2"])
    with serve(cluster, host=address) as server:
        # Sums over plain HTTP are believed on loopback only, so the image is pinned.
        digest = vendor.publish("debian/debian-13.qcow2", qcow2(3 * GIB))
        url = f"{vendor.url}/debian/debian-13.qcow2"
        configure(host, server, {"line": "debian-13", "url": url, "checksum": f"sha256:{digest}"})
        screen = menu_builds(host)
        assert "Build templates: ok" in screen, screen
        names = [vm.config["name"] for vm in cluster.vms.values()]
        assert len([name for name in names if "debian-13" in name]) == 2, screen
        assert server.token_secret not in screen
        server.reset_log()
        again = host.call("homelab", "run", "templates", "--yes", "--json")
        assert again.returncode == 0, again.stdout
        assert server.writes() == []
    assert host.shell("find /var/lib/homelab /var/log/homelab -mindepth 2 ! -user homelab") == ""
    assert host.call("grep", "-rlF", server.token_secret, "/var/lib/homelab", "/var/log").stdout == ""


def configure(host: Machine, server: Server, line: dict[str, str]) -> None:
    """What a person would write: an inventory, and a connection with a secret."""
    connection = {"host": server.host, "port": server.port, "ca_path": "/etc/homelab/pve.pem"}
    connection |= {"token_id": server.token_id, "token_secret": server.token_secret}
    variables = {
        "proxmox_connection_file": "/etc/homelab/connections/home.yml",
        "templates_nodes": ["pve1", "pve2"],
        "templates_defaults": {"storage": "local-lvm"},
        "templates_lines": [line],
    }
    host.write("/etc/homelab/pve.pem", Path(server.ca_path).read_text(encoding="utf-8"), "0640")
    host.write("/etc/homelab/connections/home.yml", yaml.safe_dump(connection), "0600")
    inventory = {"proxmox_clusters": {"hosts": {"home": variables}}}
    host.write("/etc/homelab/inventory/hosts.yml", yaml.safe_dump(inventory), "0640")
    host.shell("chown -R homelab:homelab /etc/homelab")


def menu_builds(host: Machine) -> str:
    """Build templates in the plain menu, by keyboard; everything that was on the screen."""
    argv = host.command("homelab", "menu", "--front", "plain", terminal=True)
    transcript = io.StringIO()
    menu = pexpect.spawn(argv[0], argv[1:], encoding="utf-8", timeout=PATIENCE, dimensions=(40, 100))
    menu.logfile_read = transcript
    try:
        for page, label in (("What do you want", "Templates"), ("=== Templates", "Build templates"), ("===", "Run it")):
            menu.expect(page)
            menu.expect(rf"(\d+)\) \S+  {label}")
            number = menu.match[1]
            menu.expect("empty for back: ")
            menu.sendline(number)
        menu.expect("=== Build templates[?]")
        menu.expect("Yes or no: ")
        menu.sendline("y")
        menu.expect("=== Build templates: .* after")
        while menu.expect(["Enter for more, q for back: ", "Enter to go on: "]) == 0:
            menu.sendline("")
        menu.sendline("")
        for _page in ("action", "group", "first"):
            menu.expect("empty for back: ")
            menu.sendline("")
        menu.expect(pexpect.EOF)
    finally:
        menu.close()
    assert menu.exitstatus == 0, transcript.getvalue()
    return transcript.getvalue()


def test_fresh_debian_12_killed_twice_gets_to_templates(
    daemon: Daemon, collections: list[Path], release: Path, tmp_path: Path
) -> None:
    """pip is told of a mirror by its own configuration here: what was fetched for the bundle."""
    address = str(next(ipaddress.ip_network(daemon.network).hosts()))
    mirror = (f"{bundles.CACHE}:/srv/wheels:ro",)
    with fresh(daemon, "debian12", release, volumes=mirror) as host, serve_vendor(address) as vendor:
        links = "/srv/wheels/3.11-x86_64 /srv/wheels/collections"
        host.write("/etc/pip.conf", f"[global]\nno-index = true\nfind-links = {links}\n")
        kill_when(host, f"ls {RELEASES}/*/venv/lib/python3.*/site-packages/ansible")
        assert host.call("sh", "-c", f"ls {RELEASES}/*/release.json").returncode != 0
        assert "homelab-bootstrap." in host.ask("ls", "/var/tmp")
        kill_when(host, "test -e /etc/homelab/modules")
        assert host.call("test", "-e", "/usr/local/bin/homelab").returncode == 1

        done = host.call(BOOTSTRAP, "--yes")
        assert done.returncode == 0, done.stdout
        assert "nothing to make" in done.stdout
        # Workers of the killed Ansible would stay for good.
        assert host.call("sh", "-c", "grep -lzs '^HOMELAB_BOOTSTRAP=' /proc/[0-9]*/environ").stdout == ""
        assert_in_order(host)
        build_templates(host, address, vendor)

        removed_by_itself(host)
        kept_from_here(host, release, collections, tmp_path)


def removed_by_itself(host: Machine) -> None:
    """The role takes out the release that it runs from; configuration and data stay."""
    host.write("/etc/homelab/system.yml", "{}\n", "0600")
    # As the role hardening leaves it.
    host.shell("mkdir -m 0700 /var/lib/homelab/hardening")
    play = "/opt/homelab/current/venv/bin/ansible-playbook homelab.proxmox.controller -e ansible_become=false"
    collections = "ANSIBLE_COLLECTIONS_PATH=$(readlink -e /opt/homelab/current)/collections"
    host.shell(f"export {collections} ANSIBLE_HOME=/root/ansible; {play} -e controller_state=absent")
    # The releases go when the Ansible in them has ended.
    host.shell("timeout 60 sh -c 'while test -e /opt/homelab; do sleep 0.2; done'")
    for gone in ("/usr/local/bin/homelab", "/etc/logrotate.d/homelab"):
        assert host.call("test", "-e", gone).returncode == 1, gone
    assert host.ask("stat", "-c", "%U %a", "/etc/homelab").strip() == "homelab 750"
    assert host.ask("cat", "/etc/homelab/system.yml") == "{}\n"


def kept_from_here(host: Machine, release: Path, collections: list[Path], folder: Path) -> None:
    """The role alone, from another control node: check, do, check, take out with all data."""

    def play(*words: str) -> int:
        """How many changes the playbook makes."""
        variables = {"ansible_connection": "community.docker.docker", "ansible_become": False}
        inventory = folder / "inventory.yml"
        inventory.write_text(yaml.safe_dump({"control": {"hosts": {host.name: variables}}}), encoding="utf-8")
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "DOCKER_"))
        }
        environment |= {
            "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(map(str, [release.parents[2], collections[-1]])),
            "ANSIBLE_CONFIG": str(ROOT / "tests" / "ansible.cfg"),
            "ANSIBLE_HOME": str(folder / "ansible"),
            # One command for a task instead of five.
            "ANSIBLE_PIPELINING": "true",
            "DOCKER_HOST": host.daemon.socket,
        }
        argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory)]
        argv += ["homelab.proxmox.controller", "-e", "homelab_target=control", *words]
        done = subprocess.run(argv, env=environment, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        found = re.search(r"changed=(\d+)", done.stdout)
        assert found, done.stdout
        return int(found[1])

    before = host.look()
    assert play("--check", "--diff", "-e", '{"controller_admins": ["ada"]}') > 0
    assert host.look() == before
    host.shell("useradd ada")
    assert play("-e", '{"controller_admins": ["ada"]}') > 0
    assert_in_order(host)
    assert "Build templates" in host.ask("setpriv", "--reuid", "ada", "--clear-groups", "homelab", "list")
    assert host.call("setpriv", "--reuid", "nobody", "--clear-groups", "homelab", "list").returncode != 0
    before = host.look()
    assert play("--check", "--diff", "-e", '{"controller_admins": ["ada"]}') == 0
    assert host.look() == before

    assert play("-e", '{"controller_state": "absent", "controller_keep_data": false}') > 0
    left = host.shell("find / -xdev -name '*homelab*' ! -path '/root/*' ! -path '/proc/*'").split()
    assert left == ["/var/lib/homelab"]
    assert host.ask("ls", "-A", "/var/lib/homelab").split() == ["hardening"]
    assert host.call("id", "homelab").returncode == 1
    assert play("-e", '{"controller_state": "absent", "controller_keep_data": false}') == 0
    # A folder is there, and the account that will own it is not.
    before = host.look()
    assert play("--check") > 0
    assert host.look() == before


def test_bundle_on_a_host_without_a_network(daemon: Daemon, bundle: Path) -> None:
    keys = bundle.parent
    daemon.provide(build(["debian13"]))
    with machine(daemon, "debian13", "bootstrap-offline", network="none") as host:
        host.put(bundle, "/root/homelab")
        host.put(keys / "key.signers", "/root/signers")
        host.put(keys / "stranger.signers", "/root/strangers")
        before = host.look("/root")
        refusals(host)
        assert host.look("/root") == before

        done = host.call(BOOTSTRAP, "--yes", "--signers", "/root/signers")
        assert done.returncode == 0, done.stdout
        assert "apt-get" not in done.stdout
        assert host.call("sh", "-c", "ls /var/lib/apt/lists/*Packages*").returncode != 0
        assert_in_order(host)


def refusals(host: Machine) -> None:
    """Everything that is not the bundle as it was made, each with a copy that is spoiled in one place."""
    for spoil, words in (
        ("for one in wheels/pip-*.whl; do echo x >>$one; done", "wheels/pip-"),
        ("echo x >>bootstrap.sh", "bootstrap.sh: FAILED"),
        ("rm collections.zip", "collections.zip"),
        ("touch wheels/stranger.whl", "files that its SHA256SUMS does not name"),
        ("ln -s /etc/passwd wheels/link.whl", "files that its SHA256SUMS does not name"),
        ("echo x >>bundle.json; sha256sum $(sed 's/.*  //' SHA256SUMS) >sums; mv sums SHA256SUMS", "signature"),
        ("rm SHA256SUMS.sig", "is not signed"),
    ):
        host.shell(f"rm -rf /root/spoiled; cp -a /root/homelab /root/spoiled; cd /root/spoiled; {spoil}")
        # Its own script may have been changed too, so a good one has to find it.
        refused = host.call(BOOTSTRAP, "--yes", "--from", "/root/spoiled", "--signers", "/root/signers")
        assert refused.returncode == 3, (spoil, refused.stdout)
        assert words in refused.stdout, (spoil, refused.stdout)
        assert "Next: " in refused.stdout
    strange = host.call(BOOTSTRAP, "--yes", "--signers", "/root/strangers")
    assert (strange.returncode, "not signed by anybody" in strange.stdout) == (3, True), strange.stdout
    # A release needs a network; and everything that stands in the way is said at once.
    host.shell("mkdir -p /root/release; tar -xzf /root/homelab/homelab-proxmox-*.tar.gz -C /root/release")
    host.write("/tmp/other", "ID=fedora\nVERSION_ID=42\nPRETTY_NAME='Fedora 42'\n")
    host.shell("mount --bind /tmp/other /usr/lib/os-release; mount -t tmpfs -o size=10m none /opt")
    lonely = host.call("/root/release/bootstrap.sh", "--yes", "--python", "/bin/true")
    host.shell("umount /opt /usr/lib/os-release")
    assert lonely.returncode == 3
    for words in (
        "Fedora 42 is not known to work. Take a host with Debian 12 or 13",
        "--python /bin/true does not run. Name the path",
        "/opt has 10 MiB free, and 600 are needed",
        "there is no way to a network",
    ):
        assert words in lonely.stdout, lonely.stdout
    host.shell("rm -rf /root/spoiled /root/release")
