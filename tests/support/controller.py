# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller in a folder: the command C(homelab) as a process, with everything of its own below one root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

from .pve import Server

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".venv" / "collections"
MODULE = "ansible_collections.homelab.proxmox.plugins.module_utils._cli"
NOBODY = 65534
PATIENCE = 120
"""Seconds for a command."""


class Controller:
    """C(homelab) with a root of its own. C(plain): as nobody, with a home that nobody may write to."""

    def __init__(self, folder: Path, *, plain: bool = False) -> None:
        self.top = folder
        self.root = folder / "root"
        self.home = folder / "home"
        self.etc = self.root / "etc" / "homelab"
        self.state = self.root / "var" / "lib" / "homelab"
        self.logs = self.root / "var" / "log" / "homelab"
        self.environ: dict[str, str] = {}
        self.user = NOBODY if plain and os.getuid() == 0 else None
        # The interpreter of .venv may lie where only root looks; nobody may read it all the same, and write nothing.
        as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        as_nobody += [f"--{kind}=-all,+dac_read_search" for kind in ("bounding-set", "inh-caps", "ambient-caps")]
        self.prefix = as_nobody if self.user is not None else []
        self.home.mkdir()
        for path in (self.etc, self.state, self.logs):
            path.mkdir(parents=True)
        self.home.chmod(0o555)
        self.own()

    def own(self) -> None:
        """Have everything below the root belong to who runs it."""
        if self.user is not None:
            for path in (self.root, *self.root.rglob("*")):
                os.chown(path, self.user, self.user)

    def inventory(self, groups: t.Mapping[str, t.Any]) -> None:
        """The inventory beside the configuration."""
        folder = self.etc / "inventory"
        folder.mkdir(exist_ok=True)
        (folder / "hosts.json").write_text(json.dumps(groups), encoding="utf-8")
        self.own()

    def cluster(self, server: Server, groups: t.Mapping[str, t.Any] | None = None, **variables: t.Any) -> None:
        """One cluster, C(home), and no guest; C(groups) are others."""
        # The certificate is where only its maker may read.
        authority = self.etc / "ca.pem"
        authority.write_bytes(Path(server.ca_path).read_bytes())
        connection = {
            "proxmox_api_host": server.host,
            "proxmox_api_port": server.port,
            "proxmox_api_token_id": server.token_id,
            "proxmox_api_token_secret": server.token_secret,
            "proxmox_ca_path": str(authority),
        }
        hosts = {"home": {**connection, **variables}}
        self.inventory({"proxmox_clusters": {"hosts": hosts}, "guests": {"hosts": {}}, **(groups or {})})

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(COLLECTIONS), "HOME": str(self.home), **self.environ}

    def command(self, *arguments: str) -> list[str]:
        return [*self.prefix, sys.executable, "-m", MODULE, "--root", str(self.root), *arguments]

    def run(self, *arguments: str, given: str = "", status: int = 0) -> subprocess.CompletedProcess[str]:
        """The command to its end, without a terminal; C(status) is how it has to end."""
        done = subprocess.run(
            self.command(*arguments),
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            env=self.environment(),
            cwd=self.state,
        )
        assert done.returncode == status, f"status {done.returncode}\n{done.stdout}\n{done.stderr}\n{self._last()}"
        return done

    def _last(self) -> str:
        """What Ansible said in the last run."""
        outputs = sorted(self.state.glob("runs/*/artifacts/run/stdout"))
        return outputs[-1].read_text(encoding="utf-8", errors="replace") if outputs else ""

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command, not waited for."""
        return subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
            cwd=self.state,
        )

    def runs(self) -> list[dict[str, t.Any]]:
        """What is known of every run, the newest first."""
        found: list[dict[str, t.Any]] = json.loads(self.run("logs", "--json").stdout)
        return found

    def lines(self, run: str) -> list[dict[str, t.Any]]:
        """The log of a run."""
        return [json.loads(line) for line in (self.logs / f"{run}.jsonl").read_text(encoding="utf-8").splitlines()]

    def everything(self) -> t.Iterator[tuple[Path, bytes]]:
        """Every file that was written."""
        for path in self.root.rglob("*"):
            if path.is_file():
                yield path, path.read_bytes()
