# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The maintenance of a container registry: users, garbage collection, retention, quota, backup and restore.

One thing at a time: a lock keeps timers and people apart. What is broken off leaves the registry read-only, which
`check` ends when the canary image is whole. Exit status 0: all is well; 1: the last line says what is not.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import functools
import grp
import hashlib
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

CONFIG = Path("/etc/container-registry/maintenance.json")
LOCK = Path("/run/lock/container-registry.lock")
CANARY = "homelab/canary"
CANARY_TAG = "multi-platform"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ACCEPT = ", ".join((INDEX, MANIFEST, OCI_INDEX, OCI_MANIFEST))
READY_SECONDS = 120.0
CHUNK = 1024 * 1024
REQUIRED = {
    *("engine", "program", "config", "user", "unit", "api", "maintainer", "password_file", "storage", "mode_map"),
    *("proxy_socket", "quota", "min_free", "delete_untagged", "retention", "backup_path", "backup_keep"),
    *("certificate", "renew_before_days"),
}


class Trouble(Exception):
    """What went wrong, in a sentence for a person."""


# --- files


def write_whole(path, text, mode, group="root"):
    """Replace a file in one step, so that a reader or a crash finds the old one or the new one."""
    half = path.with_name(f".{path.name}.new")
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        os.fchown(file.fileno(), 0, grp.getgrnam(group).gr_gid)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)


def digest_of(path):
    """The SHA-256 of a file, in hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def named_digest(relative):
    """What a file of the storage has to hash to by its path, None for what is not addressed by its content.

    The layouts are those of distribution, blobs/sha256/ab/abcd.../data, and of OCI, blobs/sha256/abcd...
    """
    parts = relative.parts
    if len(parts) >= 4 and parts[-1] == "data" and parts[-4] == "sha256":
        return parts[-2]
    if len(parts) >= 3 and parts[-2] == "sha256" and re.fullmatch("[0-9a-f]{64}", parts[-1]):
        return parts[-1]
    return None


def copy_checked(source, relative, target):
    """Copy a file with its times. Raises Trouble when it is not what its path says it is."""
    shutil.copyfile(source / relative, target)
    shutil.copystat(source / relative, target)
    if named_digest(relative) and digest_of(target) != named_digest(relative):
        raise Trouble(f"{source / relative} is damaged: it does not hash to its name. Nothing was put in place")


def files_below(folder):
    """Relative paths of all files, but for uploads that are not done; repositories before the blobs they name."""
    found = [
        Path(place, name).relative_to(folder)
        for place, _folders, names in os.walk(folder)
        for name in names
        if "_uploads" not in Path(place).parts and ".uploads" not in Path(place).parts
    ]
    return sorted(found, key=lambda path: (named_digest(path) is not None, path))


def stamp():
    """The time, as backups are called."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def used_bytes(folder):
    """What a folder takes on its disk."""
    total = 0
    for place, _folders, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
            except FileNotFoundError:
                continue  # Deleted meanwhile.
    return total


# --- the registry


class Registry:
    """The engine's own port, which is on loopback and knows no read-only mode."""

    def __init__(self, config):
        self.api = config["api"]
        password = Path(config["password_file"]).read_text(encoding="ascii").strip()
        self.authorization = "Basic " + base64.b64encode(f"{config['maintainer']}:{password}".encode()).decode()

    def ask(self, method, path, body=None, content_type="application/octet-stream"):
        """Status, headers and body of an answer; an error status is an answer too."""
        headers = {"Authorization": self.authorization, "Accept": ACCEPT, "Content-Type": content_type}
        url = path if path.startswith("http") else self.api + path
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def want(self, method, path, status, body=None, content_type="application/octet-stream"):
        """Headers and body of an answer that has to have this status."""
        try:
            found, headers, content = self.ask(method, path, body, content_type)
        except OSError as error:
            raise Trouble(f"the engine does not answer at {self.api}: {error}") from error
        if found != status:
            text = content.decode("utf-8", "replace").strip()[:400]
            raise Trouble(f"{method} {path}: the engine answered {found} instead of {status}: {text}")
        return headers, content

    def wait(self, seconds=READY_SECONDS):
        """Until it answers."""
        end = time.monotonic() + seconds
        while True:
            try:
                status = self.ask("GET", "/v2/")[0]
            except OSError as error:
                status = error
            if status == 200:
                return
            if time.monotonic() > end:
                raise Trouble(f"the engine did not become ready within {seconds:.0f} s: {status}")
            time.sleep(0.1)

    def pages(self, path, key):
        """A listing of several pages."""
        while path:
            headers, body = self.want("GET", path, 200)
            yield from json.loads(body).get(key) or []
            link = re.match(r'<([^>]+)>; *rel="next"', headers.get("Link") or "")
            path = link[1] if link else None

    def repositories(self):
        return sorted(self.pages("/v2/_catalog?n=500", "repositories"))

    def tags(self, repository):
        status, _headers, _body = self.ask("GET", f"/v2/{repository}/tags/list")
        return sorted(self.pages(f"/v2/{repository}/tags/list", "tags")) if status == 200 else []

    def manifest(self, repository, reference):
        """Digest and content of a manifest. Raises Trouble when the content is not that of the digest."""
        headers, body = self.want("GET", f"/v2/{repository}/manifests/{reference}", 200)
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        named = headers.get("Docker-Content-Digest") or digest
        if named != digest or (reference.startswith("sha256:") and reference != digest):
            raise Trouble(f"{repository}: the manifest {reference} hashes to {digest}")
        return digest, json.loads(body)

    def check_image(self, repository, reference):
        """Read an image with all of its platforms and layers, and compare every digest. Returns how many blobs."""
        _digest, manifest = self.manifest(repository, reference)
        if "manifests" in manifest:
            return sum(self.check_image(repository, one["digest"]) for one in manifest["manifests"])
        blobs = [manifest["config"], *manifest["layers"]]
        for blob in blobs:
            _headers, body = self.want("GET", f"/v2/{repository}/blobs/{blob['digest']}", 200)
            if "sha256:" + hashlib.sha256(body).hexdigest() != blob["digest"]:
                raise Trouble(f"{repository}: the blob {blob['digest']} is damaged")
        return len(blobs)

    def put_blob(self, repository, content):
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if self.ask("HEAD", f"/v2/{repository}/blobs/{digest}")[0] != 200:
            headers, _body = self.want("POST", f"/v2/{repository}/blobs/uploads/", 202)
            place = headers["Location"]
            place += ("&" if "?" in place else "?") + "digest=" + digest
            self.want("PUT", place, 201, content)
        return {"digest": digest, "size": len(content)}

    def put_manifest(self, repository, reference, manifest):
        body = json.dumps(manifest, sort_keys=True).encode()
        self.want("PUT", f"/v2/{repository}/manifests/{reference}", 201, body, manifest["mediaType"])
        return {"digest": "sha256:" + hashlib.sha256(body).hexdigest(), "size": len(body)}

    def put_canary(self):
        """An image for two platforms, whose platforms have no tags of their own: what careless collections lose."""
        platforms = []
        for architecture in ("amd64", "arm64"):
            config = json.dumps({"architecture": architecture, "os": "linux", "canary": True}).encode()
            blob = "application/vnd.docker.image.rootfs.diff.tar.gzip"
            manifest = {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {
                    "mediaType": "application/vnd.docker.container.image.v1+json",
                    **self.put_blob(CANARY, config),
                },
                "layers": [{"mediaType": blob, **self.put_blob(CANARY, f"canary of {architecture}\n".encode())}],
            }
            digest = "sha256:" + hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
            entry = self.put_manifest(CANARY, digest, manifest)
            platforms.append(
                {"mediaType": MANIFEST, **entry, "platform": {"architecture": architecture, "os": "linux"}}
            )
        self.put_manifest(CANARY, CANARY_TAG, {"schemaVersion": 2, "mediaType": INDEX, "manifests": platforms})


# --- the mode


def mode(config):
    """C(writable), or C(readonly:) with the reason."""
    try:
        words = Path(config["mode_map"]).read_text(encoding="ascii").split(maxsplit=1)
    except FileNotFoundError:
        return "writable"
    return words[1].strip() if len(words) == 2 else "writable"


def set_mode(config, value):
    """Write the mode down, and tell the proxy that runs."""
    path = Path(config["mode_map"])
    write_whole(path, f"mode {value}\n", 0o644)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as proxy:
        try:
            proxy.connect(config["proxy_socket"])
        except (FileNotFoundError, ConnectionRefusedError):
            return  # It does not run, and reads the file when it starts.
        proxy.sendall(f"set map {path} mode {value}\n".encode())
        answer = proxy.recv(4096).decode("ascii", "replace").strip()
    if answer:
        raise Trouble(f"the proxy does not take the mode {value}: {answer}")


def run(*argv):
    found = subprocess.run(argv, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise Trouble(
            f"{' '.join(argv)} ended with status {found.returncode}: {(found.stderr or found.stdout)[-2000:]}"
        )
    return found.stdout


def restart(config):
    run("systemctl", "restart", config["unit"])
    Registry(config).wait()


# --- commands


def users(arguments):
    """Keep the users that are given on standard input, as JSON; prints what changed, without passwords."""
    import bcrypt  # noqa: PLC0415 - only this command needs it

    path = Path(arguments.file)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    old = dict(line.split(":", 1) for line in lines if ":" in line)
    wanted = {user["name"]: user["password"] for user in json.load(sys.stdin)["users"]}
    name, _colon, file = arguments.maintainer.partition(":")
    # A long random password needs no slow hash, and is used for each request of a reader without a password.
    rounds = {name: 5}
    if Path(file).exists():
        wanted[name] = Path(file).read_text(encoding="ascii").strip()
    new, changes = {}, {"added": [], "removed": sorted(old.keys() - wanted.keys()), "updated": []}
    for user, password in sorted(wanted.items()):
        secret = password.encode()
        if user in old and bcrypt.checkpw(secret, old[user].encode()):
            new[user] = old[user]
            continue
        new[user] = bcrypt.hashpw(secret, bcrypt.gensalt(rounds.get(user, 10))).decode()
        changes["updated" if user in old else "added"].append(user)
    text = "".join(f"{user}:{value}\n" for user, value in new.items())
    changed = any(changes.values()) or not path.exists()
    if changed and arguments.write:
        write_whole(path, text, 0o640, arguments.group)
    print(json.dumps({"changed": changed, **changes}))


def check(config):
    """Room, certificate, and whether the registry was left read-only."""
    problems = []
    now = mode(config)
    if now.startswith("readonly:collection") or now.startswith("readonly:restore"):
        # The lock is ours, so whoever began this is gone.
        registry = Registry(config)
        registry.wait()
        registry.check_image(CANARY, CANARY_TAG)
        set_mode(config, "writable")
        print("the registry was left read-only by maintenance that was broken off; it is whole, and writable again")
    problems += room(config)
    problems += certificate(config)
    if problems:
        raise Trouble("; ".join(problems))


def room(config):
    """Close or open the registry for writing, by the room there is. Returns what is wrong."""
    storage = config["storage"]
    disk = os.statvfs(storage)
    free = disk.f_bavail * disk.f_frsize
    full = ""
    if free < config["min_free"]:
        full = f"only {free} bytes are free at {storage}, less than {config['min_free']}"
    elif config["quota"]:
        used = used_bytes(storage)
        # What was closed opens when there is some room, not at every byte.
        limit = config["quota"] if mode(config) == "writable" else config["quota"] * 95 // 100
        full = f"{used} bytes are used at {storage}, more than {limit}" if used > limit else ""
    if full and mode(config) == "writable":
        set_mode(config, "readonly:full")
    if not full and mode(config) == "readonly:full":
        set_mode(config, "writable")
        print("there is room again; the registry is writable")
    return [f"{full}: the registry is read-only until there is room"] if full else []


def certificate(config):
    """What is wrong with the certificate's dates."""
    seconds = str(config["renew_before_days"] * 86400)
    argv = ["openssl", "x509", "-noout", "-enddate", "-checkend", seconds, "-in", config["certificate"]]
    found = subprocess.run(argv, capture_output=True, text=True, check=False)
    if found.returncode == 0:
        return []
    end = next((line.partition("=")[2] for line in found.stdout.splitlines() if line.startswith("notAfter=")), "?")
    return [f"the certificate ends {end}: run the role container_registry to renew it ({found.stderr.strip()})"]


def collect(config):
    """Retention, then garbage collection with the registry read-only, then a look at the canary."""
    version = run(config["program"], "--version") if config["engine"] == "distribution" else ""
    if config["delete_untagged"] and re.search(r"(?<![\d.])v?2\.\d", version):
        raise Trouble(
            f"delete_untagged: version 2 of distribution ({version.strip()}) deletes the platforms of images for "
            "several of them. Set container_registry_gc_delete_untagged to false"
        )
    if mode(config) != "writable" and mode(config) != "readonly:full":
        raise Trouble(f"the registry is {mode(config)}; `check` has to find it whole first")
    before = mode(config)
    registry = Registry(config)
    registry.wait()
    if registry.ask("GET", f"/v2/{CANARY}/manifests/{CANARY_TAG}")[0] != 200:
        registry.put_canary()
    registry.check_image(CANARY, CANARY_TAG)
    used = used_bytes(config["storage"])
    if config["engine"] != "distribution":
        print("zot collects its garbage by itself; the canary is whole")
        return
    set_mode(config, "readonly:collection")
    # It ends the uploads that are under way; new ones are refused by the proxy.
    restart(config)
    dropped = retain(config, registry)
    options = ["--delete-untagged"] if config["delete_untagged"] else []
    run("runuser", "-u", config["user"], "--", config["program"], "garbage-collect", *options, config["config"])
    # What it remembers of blobs is out of date.
    restart(config)
    registry.check_image(CANARY, CANARY_TAG)
    set_mode(config, before)
    print(json.dumps({"freed": used - used_bytes(config["storage"]), "dropped_tags": dropped}))


def retain(config, registry):
    """Delete the tags that no rule keeps; returns how many. A manifest that a kept tag needs stays."""
    dropped = 0
    for repository in registry.repositories():
        rule = next((r for r in config["retention"] if re.fullmatch(r["repositories"], repository)), None)
        if rule is None or repository == CANARY:
            continue
        pushed = {tag: pushed_at(config, repository, tag) for tag in registry.tags(repository)}
        stay = kept_tags(pushed, rule, time.time())
        needed = {digest for tag in stay for digest in family(registry, repository, tag)}
        for tag in sorted(pushed.keys() - stay):
            doomed = [digest for digest in family(registry, repository, tag) if digest not in needed]
            for digest in doomed:
                status, _headers, body = registry.ask("DELETE", f"/v2/{repository}/manifests/{digest}")
                if status not in (202, 404):
                    raise Trouble(f"{repository}: {digest} could not be deleted: {status} {body[:200]!r}")
            dropped += bool(doomed)
    return dropped


def pushed_at(config, repository, tag):
    """When a tag was pushed last, in seconds."""
    folder = Path(config["storage"], "data/docker/registry/v2/repositories", repository, "_manifests/tags", tag)
    return (folder / "current/link").stat().st_mtime


def kept_tags(pushed, rule, now):
    """The tags that stay by a rule: some by name, the last ones, the young ones."""
    newest = sorted(pushed, key=lambda tag: (pushed[tag], tag), reverse=True)
    by_name = {tag for tag in pushed if re.fullmatch(rule.get("keep_tags") or "latest", tag)}
    young = {tag for tag, at in pushed.items() if now - at < (rule.get("keep_days") or 0) * 86400}
    return by_name | young | set(newest[: rule["keep"]])


def family(registry, repository, reference):
    """The digests of a manifest and of the platforms it names; nothing for one that is gone."""
    if registry.ask("HEAD", f"/v2/{repository}/manifests/{reference}")[0] == 404:
        return []
    digest, manifest = registry.manifest(repository, reference)
    return [digest, *(one["digest"] for one in manifest.get("manifests", ()))]


def back_up(config):
    """Copy what is there; what is addressed by its content, and was in the last backup, is linked to it."""
    if not config["backup_path"]:
        raise Trouble("container_registry_backup_path is not set")
    source, folder = Path(config["storage"], "data"), Path(config["backup_path"])
    name = stamp()
    half, last = folder / f".{name}.part", (backups(folder) or [None])[-1]
    for old in folder.glob(".*.part"):
        shutil.rmtree(old)
    copied = linked = 0
    for relative in files_below(source):
        target = half / "data" / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        former = last / "data" / relative if last else None
        if named_digest(relative) and former and former.exists():
            os.link(former, target)
            linked += 1
            continue
        copy_checked(source, relative, target)
        copied += 1
    about = {"tags": tags_below(half / "data"), "files": copied + linked}
    (half / "backup.json").write_text(json.dumps(about), encoding="utf-8")
    run("sync", "-f", str(half))
    half.rename(folder / name)
    for old in backups(folder)[: -config["backup_keep"]]:
        shutil.rmtree(old)
    print(json.dumps({"backup": name, "copied": copied, "linked": linked}))


def tags_below(folder):
    """The tags of a copied storage: repository to tag to digest."""
    found = {}
    for link in folder.glob("docker/registry/v2/repositories/**/_manifests/tags/*/current/link"):
        repository = link.parents[4].relative_to(folder / "docker/registry/v2/repositories")
        found.setdefault(str(repository), {})[link.parents[1].name] = link.read_text(encoding="ascii").strip()
    for index in folder.glob("**/index.json"):
        for manifest in json.loads(index.read_text(encoding="utf-8")).get("manifests") or []:
            if tag := (manifest.get("annotations") or {}).get("org.opencontainers.image.ref.name"):
                found.setdefault(str(index.parent.relative_to(folder)), {})[tag] = manifest["digest"]
    return found


def backups(folder):
    """The whole backups, the oldest first."""
    return sorted(path for path in folder.iterdir() if re.fullmatch(r"\d{8}T\d{6}Z", path.name))


def restore(config, name):
    """Put a backup in the place of what is there, and ask for every tag by its digest."""
    folder = Path(config["backup_path"])
    found = [path for path in backups(folder) if name in ("latest", path.name)]
    if not found:
        there = ", ".join(path.name for path in backups(folder)) or "none"
        raise Trouble(f"restore {name}: no such backup below {folder}; there are: {there}")
    backup = found[-1]
    wanted = json.loads((backup / "backup.json").read_text(encoding="utf-8"))["tags"]
    storage = Path(config["storage"])
    new, live = storage / ".restore", storage / "data"
    shutil.rmtree(new, ignore_errors=True)
    account = pwd.getpwnam(config["user"])
    for relative in files_below(backup / "data"):
        target = new / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_checked(backup / "data", relative, target)
    new.mkdir(exist_ok=True)
    for place, folders, names in os.walk(new):
        for one in (".", *folders, *names):
            os.chown(os.path.join(place, one), account.pw_uid, account.pw_gid)
    before = mode(config)
    set_mode(config, "readonly:restore")
    aside = storage / f"before-restore-{stamp()}"
    run("systemctl", "stop", config["unit"])
    live.rename(aside)
    new.rename(live)
    try:
        verify(config, wanted)
    except Trouble as trouble:
        run("systemctl", "stop", config["unit"])
        live.rename(new)
        aside.rename(live)
        restart(config)
        set_mode(config, before)
        raise Trouble(f"{trouble}. What was there before was put back") from trouble
    set_mode(config, "writable" if before.startswith("readonly:restore") else before)
    count = sum(len(tags) for tags in wanted.values())
    print(json.dumps({"restored": backup.name, "tags": count, "former": str(aside)}))


def verify(config, wanted):
    restart(config)
    registry = Registry(config)
    for repository, tags in wanted.items():
        for tag, digest in tags.items():
            if registry.manifest(repository, tag)[0] != digest:
                raise Trouble(f"{repository}:{tag} is not what was backed up, {digest}")
            registry.check_image(repository, digest)


def status(config):
    print(json.dumps({"mode": mode(config), "used": used_bytes(config["storage"])}))


def with_lock(action):
    """Wait for whoever is at work, then do it."""

    @functools.wraps(action)
    def locked(config, *arguments):
        with LOCK.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            action(config, *arguments)

    return locked


COMMANDS = {
    "check": with_lock(check),
    "gc": with_lock(collect),
    "backup": with_lock(back_up),
    "status": status,
    "ready": lambda config: Registry(config).wait(),
    "validate": lambda config: None,
}


def read_config(path):
    config = json.loads(path.read_text(encoding="utf-8"))
    if missing := REQUIRED - config.keys():
        raise Trouble(f"{path}: {', '.join(sorted(missing))} missing")
    for rule in config["retention"]:
        for key in ("repositories", "keep_tags"):
            try:
                re.compile(rule.get(key) or "")
            except re.error as error:
                raise Trouble(
                    f"container_registry_retention: {key}={rule[key]!r} is no regular expression: {error}"
                ) from error
    return config


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=CONFIG)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in COMMANDS:
        commands.add_parser(name)
    restoring = commands.add_parser("restore")
    restoring.add_argument("name", nargs="?", default="latest")
    keeping = commands.add_parser("users")
    keeping.add_argument("--file", required=True)
    keeping.add_argument("--group", default="root")
    keeping.add_argument("--maintainer", required=True)
    how = keeping.add_mutually_exclusive_group(required=True)
    how.add_argument("--check", action="store_true")
    how.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    try:
        if arguments.command == "users":
            users(arguments)
        elif arguments.command == "restore":
            with_lock(restore)(read_config(arguments.config), arguments.name)
        else:
            COMMANDS[arguments.command](read_config(arguments.config))
    except (Trouble, OSError) as trouble:
        print(trouble, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
