# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a release: a virtual environment with exactly the locked packages, the collection, and what it depends on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .errors import ReleaseError
from .home import SCHEMA, Home, Record
from .source import METADATA, Source, digest_of, files

COLLECTION = Path("ansible_collections/homelab/proxmox")
LOCKS = Path("meta/controller")
# What has to work before a release counts as one.
PROBE = (
    "import ansible, ansible_runner, jsonschema, proxmoxer, pycdlib, requests, requests_toolbelt, yaml, zstandard; "
    "import ansible_collections.homelab.proxmox.plugins.module_utils._release"
)
_ASK = "import sys, platform; print(*sys.version_info[:3], platform.machine())"


@dataclass(frozen=True, slots=True)
class Wanted:
    """C(wheels) is a folder with all packages, and C(collections) a zip file; without them pip asks its index."""

    source: Source
    python: str
    wheels: Path | None = None
    collections: Path | None = None


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What an interpreter says of itself."""

    version: tuple[int, int, int]
    machine: str

    @property
    def minor(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def interpreter(python: str) -> Interpreter:
    """Ask an interpreter. Raises ReleaseError."""
    try:
        said = subprocess.run([python, "-IBc", _ASK], capture_output=True, text=True, check=True, env=environment())
    except (OSError, subprocess.CalledProcessError) as exc:
        raise ReleaseError(f"python={python} does not run: {exc}; name the path of a Python 3.11 or newer") from exc
    major, minor, micro, machine = said.stdout.split()
    return Interpreter((int(major), int(minor), int(micro)), machine)


def environment() -> dict[str, str]:
    """This process's, without what would lead Python or Ansible astray. pip's settings stay: they name the index."""
    strange = ("PYTHON", "ANSIBLE_", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(strange)}


def state(home: Home, source: Source) -> str:
    """C(ready), C(absent), C(half) made, or C(broken): changed since, or with a Python that is gone."""
    release = home.release(source.name)
    if not release.is_dir():
        return "absent"
    record = Record.read(release)
    if record is None:
        return "half"
    folder = release / "collections" / COLLECTION
    if record.digest != source.digest or not folder.is_dir() or digest_of(folder) != record.digest:
        return "broken"
    probe = [str(release / "venv/bin/python"), "-IBc", PROBE]
    try:
        works = subprocess.run(probe, capture_output=True, check=False, env=environment()).returncode == 0
    except OSError:
        works = False
    return "ready" if works else "broken"


def lock_file(source: Source, python: Interpreter) -> Path:
    """The packages for an interpreter. Raises ReleaseError."""
    lock = source.folder / LOCKS / f"python{python.minor}.txt"
    if not lock.is_file():
        known = sorted(file.stem.removeprefix("python") for file in (source.folder / LOCKS).glob("python*.txt"))
        raise ReleaseError(
            f"python={python.minor} has no list of packages in {source.folder / LOCKS}; known are {', '.join(known)}"
        )
    return lock


def make(home: Home, wanted: Wanted) -> bool:
    """Have the release. Returns whether anything had to be done. Raises ReleaseError.

    A release is made where it stays, since a virtual environment holds its own path. What a killed run left is removed.
    """
    python = interpreter(wanted.python)
    lock = lock_file(wanted.source, python)
    os.umask(0o022)
    with home.lock():
        if state(home, wanted.source) == "ready":
            return False
        release = home.release(wanted.source.name)
        if release.exists():
            home.remove(wanted.source.name)
        release.mkdir()
        _install_collection(release / "collections", wanted.source)
        _install_packages(release / "venv", lock, wanted)
        _install_dependencies(release, wanted)
        _compile(release)
        Record(
            schema=SCHEMA,
            name=wanted.source.name,
            version=wanted.source.version,
            commit=wanted.source.commit,
            digest=wanted.source.digest,
            python=".".join(map(str, python.version)),
            made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        ).write(release)
        if state(home, wanted.source) != "ready":
            raise ReleaseError(f"{release} was made, but does not work: try {release}/venv/bin/python -c '{PROBE}'")
    return True


def _install_packages(venv: Path, lock: Path, wanted: Wanted) -> None:
    if wanted.wheels is None:
        _run([wanted.python, "-m", "venv", str(venv)], "is the package python3-venv installed?")
        pip = [str(venv / "bin/python"), "-m", "pip"]
        index: list[str] = []
    else:
        # Debian's python3 comes without pip; a wheel of pip can be run as it is.
        _run([wanted.python, "-m", "venv", "--without-pip", str(venv)], "is this a whole Python?")
        pip = [str(venv / "bin/python"), str(_wheel_of_pip(wanted.wheels) / "pip")]
        index = ["--no-index", "--find-links", str(wanted.wheels)]
    (site,) = venv.glob("lib/python3.*/site-packages")
    # With it no PYTHONPATH has to name the collections, which every process below would inherit.
    (site / "homelab.pth").write_text(f"{venv.parent / 'collections'}\n", encoding="utf-8")
    exact = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--requirement", str(lock)]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    _run([*pip, "install", *quiet, *index, *exact], "does pip reach its package index? A bundle needs none")
    _run([str(venv / "bin/python"), "-m", "pip", "check", "--disable-pip-version-check"], "is the lock file whole?")


def _wheel_of_pip(wheels: Path) -> Path:
    found = sorted(wheels.glob("pip-*.whl"))
    if not found:
        raise ReleaseError(f"wheels={wheels} holds no wheel of pip; take the folder wheels of a bundle")
    return found[-1]


def _install_collection(collections: Path, source: Source) -> None:
    target = collections / COLLECTION
    names = [*files(source.folder), *(Path(name) for name in METADATA if (source.folder / name).is_file())]
    for name in names:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.folder / name, place)
        place.chmod(0o755 if (source.folder / name).stat().st_mode & 0o100 else 0o644)
    if digest_of(target) != source.digest:
        raise ReleaseError(f"source={source.folder} changed while it was copied; start again when nobody works in it")


def _install_dependencies(release: Path, wanted: Wanted) -> None:
    """The other collections, out of the package that carries them."""
    lists = json.loads((wanted.source.folder / LOCKS / "collections.json").read_text(encoding="utf-8"))
    if not lists["collections"]:
        return
    with tempfile.TemporaryDirectory(prefix="homelab-") as scratch:
        archive = wanted.collections or _download(release, Path(scratch), lists)
        parts = tuple(f"ansible_collections/{name.replace('.', '/')}/" for name in lists["collections"])
        with zipfile.ZipFile(archive) as opened:
            chosen = [name for name in opened.namelist() if name.startswith(parts)]
            lacking = [part for part in parts if not any(name.startswith(part) for name in chosen)]
            if lacking:
                raise ReleaseError(f"{archive} lacks {', '.join(lacking)}")
            opened.extractall(release / "collections", chosen)


def _download(release: Path, scratch: Path, lists: dict[str, str]) -> Path:
    pinned = scratch / "pinned.txt"
    pinned.write_text(f"{lists['package']}=={lists['version']} --hash=sha256:{lists['sha256']}\n", encoding="utf-8")
    pip = [str(release / "venv/bin/python"), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    # Only collections are taken out of it, whatever Python the package itself wants.
    pip += ["--no-input", "--no-deps", "--ignore-requires-python", "--only-binary=:all:", "--require-hashes"]
    _run([*pip, "--dest", str(scratch), "--requirement", str(pinned)], "does pip reach its package index?")
    (wheel,) = scratch.glob("*.whl")
    return wheel


def _compile(release: Path) -> None:
    """The account that runs it may not write here."""
    python = str(release / "venv/bin/python")
    _run([python, "-m", "compileall", "-q", "-j", "0", str(release / "collections")], "is the disk full?")


def _run(argv: Sequence[str], advice: str) -> None:
    """Run a command with its output where errors go. Raises ReleaseError."""
    try:
        done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=environment())
    except OSError as exc:
        raise ReleaseError(f"{argv[0]} does not run: {exc}") from exc
    if done.returncode:
        raise ReleaseError(f"{' '.join(argv)} failed with status {done.returncode}; see above. Next: {advice}")
