# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds what bootstrap.sh needs on a host without a network: C(bundle.py [--machine=M]... [--key=FILE] [--to=FOLDER]).

A bundle holds the collection, every locked package for every supported Python, the collections it depends on,
bootstrap.sh, and SHA256SUMS over all of it; with a key, an OpenSSH signature of that too. Packages are fetched once.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".venv" / "collections"))

from ansible_collections.homelab.proxmox.plugins.module_utils._release.source import (  # noqa: E402
    METADATA,
    Source,
    files,
    look,
)

LOCKS = ROOT / "meta" / "controller"
CACHE = ROOT / ".venv" / "cache" / "wheels"
NAMESPACE = "homelab-release"
GLIBC = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")


def main(argv: Sequence[str] | None = None) -> int:
    """Build it, and say where it is."""
    parser = argparse.ArgumentParser(prog="make bundle", description="Builds an offline bundle.")
    parser.add_argument("--machine", action="append", choices=("x86_64", "aarch64"), help="x86_64")
    parser.add_argument("--key", type=Path, help="an OpenSSH private key to sign with")
    parser.add_argument("--to", type=Path, default=ROOT / "build", help="the folder for the bundle")
    options = parser.parse_args(argv)
    machines = options.machine or ["x86_64"]
    options.to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bundle-", dir=options.to) as scratch:
        source = snapshot(look(ROOT), Path(scratch) / "source")
        folder = Path(scratch) / f"homelab-bundle-{source.name}"
        fill(folder, source, machines)
        seal(folder, options.key)
        target = options.to / f"{folder.name}-{'-'.join(machines)}.tar"
        archive(folder, target)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    print(f"{digest}  {target.relative_to(Path.cwd()) if target.is_relative_to(Path.cwd()) else target}")
    return 0


def snapshot(source: Source, folder: Path) -> Source:
    """A copy of what is shipped, which nobody edits meanwhile."""
    for name in [*files(source.folder), *(Path(name) for name in METADATA if (source.folder / name).is_file())]:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.folder / name, place)
    copied = look(folder)
    return look(folder, source.commit) if copied.digest == source.digest else copied


def fill(folder: Path, source: Source, machines: Sequence[str]) -> None:
    """Everything but the sums."""
    folder.mkdir()
    galaxy = [str(ROOT / ".venv/bin/ansible-galaxy"), "collection", "build", "--output-path", str(folder)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    subprocess.run([*galaxy, str(source.folder)], check=True, stdout=subprocess.DEVNULL, env=environment)
    shutil.copy(source.folder / "bootstrap.sh", folder)
    (folder / "wheels").mkdir()
    pythons = [lock.stem.removeprefix("python") for lock in sorted(LOCKS.glob("python*.txt"))]
    for python in pythons:
        for machine in machines:
            for wheel in wheels(python, machine):
                shutil.copy(wheel, folder / "wheels")
    dependencies(folder / "collections.zip")
    told = {
        "schema": 1,
        "version": source.version,
        "commit": source.commit,
        "digest": source.digest,
        "pythons": pythons,
        "machines": list(machines),
    }
    # bootstrap.sh reads it with sed, since a host may have nothing else yet.
    (folder / "bundle.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def wheels(python: str, machine: str) -> list[Path]:
    """The wheels of one lock file, fetched where they are missing."""
    place = CACHE / f"{python}-{machine}"
    platforms = [f"--platform={glibc}_{machine}" for glibc in GLIBC]
    lock = (LOCKS / f"python{python}.txt").read_text(encoding="utf-8")
    _keep(place, lock, "--python-version", python, "--implementation", "cp", *platforms)
    return sorted(place.glob("*.whl"))


def dependencies(target: Path) -> None:
    """The collections, without the rest of the package that carries them; always the same bytes."""
    lists = json.loads((LOCKS / "collections.json").read_text(encoding="utf-8"))
    place = CACHE / "collections"
    pinned = f"{lists['package']}=={lists['version']} --hash=sha256:{lists['sha256']}\n"
    _keep(place, pinned, "--ignore-requires-python")
    (wheel,) = place.glob("*.whl")
    parts = tuple(f"ansible_collections/{name.replace('.', '/')}/" for name in lists["collections"])
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as part:
        for name in sorted(name for name in whole.namelist() if name.startswith(parts)):
            part.writestr(zipfile.ZipInfo(name), whole.read(name), zipfile.ZIP_DEFLATED)


def _keep(place: Path, requirements: str, *arguments: str) -> None:
    """Have exactly these packages in a folder below the cache. Two callers at once: the second waits."""
    place.mkdir(parents=True, exist_ok=True)
    ready = place / "requirements.txt"
    with (place / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready.is_file() and ready.read_text(encoding="utf-8") == requirements:
            return
        for old in place.glob("*.whl"):
            old.unlink()
        draft = place / "draft.txt"
        draft.write_text(requirements, encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        pip += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement", str(draft)]
        subprocess.run([*pip, "--dest", str(place), *arguments], check=True)
        draft.replace(ready)


def seal(folder: Path, key: Path | None) -> None:
    """Write the sums of everything, and sign them."""
    lines = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines.append(f"{digest}  {file.relative_to(folder).as_posix()}\n")
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(lines), encoding="utf-8")
    if key is not None:
        command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(sums)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def archive(folder: Path, target: Path) -> None:
    """One file with one folder, the same bytes for the same content. Wheels are packed already."""
    half = target.with_suffix(".part")
    with tarfile.open(half, "w", format=tarfile.PAX_FORMAT) as tar:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = tarfile.TarInfo(f"{folder.name}/{file.relative_to(folder).as_posix()}")
            info.size = file.stat().st_size
            info.mode = 0o755 if file.name == "bootstrap.sh" else 0o644
            with file.open("rb") as stream:
                tar.addfile(info, stream)
    half.replace(target)


if __name__ == "__main__":
    sys.exit(main())
