# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenSSH's signatures of files (ssh-keygen -Y): made with a key that people have, verified without a keyring."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .errors import BadSignature, KeyUnreadable, MissingSignature, SignatureError, UnknownKey

BUNDLE, INDEX = "homelab-bundle", "homelab-bundle-index"
"""Namespaces: a signature that was made for something else does not hold here (ssh-keygen(1), -n)."""

_WHO = "bundle"
_TIMEOUT = 60.0
_KEY = re.compile(r"(?:ssh-(?:ed25519|rsa)|ecdsa-sha2-\S+|sk-\S+) [A-Za-z0-9+/=]+(?: .*)?")
_GOOD = re.compile(r'Good "[^"]*" signature (?:for \S+ )?with \S+ key (\S+)')


def sign(data: bytes, key: Path, namespace: str = BUNDLE) -> bytes:
    """A detached signature by a private key without a passphrase, or by an agent's where C(key) is the public one.

    Raises SignatureError with what ssh-keygen says.
    """
    code, out, told = _run(["-Y", "sign", "-f", str(key), "-n", namespace], data)
    if code != 0:
        raise KeyUnreadable(f"{key} cannot sign: {told or 'ssh-keygen says nothing'}")
    return out


def public_key(key: Path) -> str:
    """The public key of a private one, as one line. Raises SignatureError."""
    if key.suffix == ".pub":
        try:
            return key.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise KeyUnreadable(f"{key} cannot be read: {error}") from None
    code, out, told = _run(["-y", "-P", "", "-f", str(key)], b"")
    if code != 0:
        raise KeyUnreadable(f"{key} is no key that can be used without a passphrase: {told}")
    return out.decode("utf-8", "replace").strip()


def key_problem(text: str) -> str:
    """What is wrong with a public key that shall be trusted, empty for nothing."""
    if "PRIVATE KEY" in text:
        return "that is a private key. Give the public one"
    if "\n" in text.strip() or not _KEY.fullmatch(text.strip()):
        return "write it as one line of a .pub file, such as ssh-ed25519 AAAA…"
    return ""


def verify(data: bytes, signature: bytes, trusted: Sequence[str], *, what: str, namespace: str = BUNDLE) -> str:
    """The fingerprint of the trusted key that signed. Raises MissingSignature, BadSignature, UnknownKey."""
    if not signature:
        raise MissingSignature(f"{what} is not signed")
    with tempfile.TemporaryDirectory(prefix="homelab-ssh-") as room:
        allowed, file = Path(room) / "allowed", Path(room) / "signature"
        allowed.write_text(
            "".join(f'{_WHO} namespaces="{namespace}" {key.strip()}\n' for key in trusted), encoding="utf-8"
        )
        file.write_bytes(signature)
        common = ["-n", namespace, "-s", str(file)]
        code, out, _told = _run(["-Y", "verify", "-f", str(allowed), "-I", _WHO, *common], data)
        good = _GOOD.search(out.decode("utf-8", "replace"))
        if code == 0 and good:
            return good[1]
        whole, found, _told = _run(["-Y", "check-novalidate", *common], data)
    signer = _GOOD.search(found.decode("utf-8", "replace"))
    if whole == 0 and signer:
        raise UnknownKey(f"{what} was signed by the key {signer[1]}, which is not among the trusted ones")
    raise BadSignature(f"the signature of {what} is not that of this file: one of the two was changed")


def _run(arguments: list[str], data: bytes) -> tuple[int, bytes, str]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise SignatureError("the program ssh-keygen is needed for signatures; install openssh-client")
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            [program, *arguments],
            input=data,
            capture_output=True,
            env={"LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never", **_agent()},
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SignatureError(f"ssh-keygen did not finish within {_TIMEOUT:g} s") from error
    except OSError as error:
        raise SignatureError(f"ssh-keygen cannot be started: {error.strerror}") from error
    return done.returncode, done.stdout, " ".join(done.stderr.decode("utf-8", "replace").split())


def _agent() -> dict[str, str]:
    socket = os.environ.get("SSH_AUTH_SOCK")
    return {"SSH_AUTH_SOCK": socket} if socket else {}
