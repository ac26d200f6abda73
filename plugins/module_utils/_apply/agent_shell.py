# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shell in a guest by way of its agent: commands of any length with input and output as bytes, and files.

The agent logs arguments, takes ASCII only, tells the outcome of a command once, and takes the children of its unit with
it when a package upgrade restarts it. So everything goes through files in a folder that only root can enter, and the
command runs in a scope of its own where systemd can make one.
"""

from __future__ import annotations

import secrets
import shlex
from dataclasses import dataclass

from .._pve.client import Client
from .._pve.errors import ApiError, Kind
from .guest import MAX_WRITE, Guest, GuestFailed

_PIECE = 8
"""MiB that are read at once; the agent gives 16 MiB of a file at most."""
_LOOK_EVERY = 0.2
_LOOK_AT_MOST = 5.0
_LOST = "Invalid parameter 'pid'"
"""What a restarted agent says of commands that it began before."""

# In memory, so that nothing of it is left on the disk of a guest that is switched off in the middle.
_ROOM = """for base in /run /var/tmp; do
    if [ -d "$base" ] && mkdir -m 0700 "$base/{name}"; then echo "$base/{name}"; exit 0; fi
done
exit 1
"""

# What is sent is one file, and what comes back is one: each call of the agent costs a busy node a second.
_START = """cd /
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
export PATH HOME
cat >{at}.start <<'END'
cat {at}.part.* >{at}.sent && rm -f {at}.part.*
head -c {length} {at}.sent >{at}.command && tail -c +{rest} {at}.sent >{at}.input && rm -f {at}.sent
cd /root 2>/dev/null
sh {at}.command <{at}.input >{at}.out 2>{at}.err
echo $? $(wc -c <{at}.out) >{at}.ended
cat {at}.ended {at}.out {at}.err >{at}.told.part
mv {at}.told.part {at}.told
END
if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null 2>&1; then
    exec systemd-run --quiet --collect --scope sh {at}.start </dev/null >/dev/null 2>&1
fi
exec sh {at}.start </dev/null >/dev/null 2>&1
"""


@dataclass(frozen=True, slots=True)
class Output:
    """How a command ended."""

    status: int
    out: bytes
    err: bytes

    def check(self, what: str) -> None:
        """Raises GuestFailed with what it said, unless it went well."""
        if self.status != 0:
            said = (self.err or self.out).decode("utf-8", "replace").strip()
            raise GuestFailed(f"{what}: {said or f'it ended with status {self.status}'}")


class AgentShell:
    """Runs commands as root in one VM. C(close) removes what was laid down for them."""

    def __init__(self, client: Client, node: str, vmid: int) -> None:
        self._client = client
        self._vmid = vmid
        self._guest = Guest(client, node, vmid)
        self._folder = ""
        self._number = 0

    def run(self, command: str, given: bytes = b"") -> Output:
        """Run a command of the shell. Raises GuestFailed when its end cannot be told, and ProxmoxError."""
        self._number += 1
        at = f"{self._room()}/{self._number}"
        text = f"{command}\n".encode()
        self._lay(text + given, f"{at}.part")
        ended = self._carry_out(_START.format(at=at, length=len(text), rest=len(text) + 1))
        line, _newline, said = self._told(f"{at}.told", ended).partition(b"\n")
        status, length = (int(number) for number in line.split())
        if len(said) < length:
            raise GuestFailed(f"VM {self._vmid}: a command said {length} bytes, of which the agent gives 16 MiB")
        return Output(status, said[:length], said[length:])

    def put(self, data: bytes, path: str) -> None:
        """Write a file, for its owner only. Raises GuestFailed."""
        self.run(f"umask 077 && cat >{shlex.quote(path)}", data).check(f"writing {path} in VM {self._vmid}")

    def get(self, path: str) -> bytes:
        """The bytes of a file. Raises GuestFailed."""
        piece, whole = f"{self._room()}/piece", bytearray()
        while True:
            command = f"dd if={shlex.quote(path)} of={piece} bs=1M count={_PIECE} skip={len(whole) // 2**20}"
            self.run(command).check(f"reading {path} in VM {self._vmid}")
            part = self._guest.read(piece) or b""
            whole += part
            if len(part) < _PIECE * 2**20:
                return bytes(whole)

    def close(self) -> None:
        """Remove the folder. Where the guest was switched off or restarted meanwhile it is gone already."""
        folder, self._folder = self._folder, ""
        if not folder:
            return
        try:
            self._guest.script(f"rm -rf {folder}\n", "a shell's end")
        except ApiError as error:
            # An agent that is only slow is waited for; one that stays away has gone with its guest.
            if error.kind not in (Kind.NOT_RUNNING, Kind.AGENT):
                raise

    def _room(self) -> str:
        if not self._folder:
            ended = self._guest.script(_ROOM.format(name=f"homelab-{secrets.token_hex(8)}"), "a shell's folder")
            if ended.status != 0 or not ended.out.startswith("/"):
                raise GuestFailed(f"VM {self._vmid}: no folder can be made in it: {ended.text or 'nothing was said'}")
            self._folder = ended.out.strip()
        return self._folder

    def _lay(self, data: bytes, path: str) -> None:
        """Write a file of any length, in parts that are put together before they are used."""
        for number, start in enumerate(range(0, max(1, len(data)), MAX_WRITE)):
            self._guest.write(f"{path}.{number:06d}", data[start : start + MAX_WRITE])

    def _carry_out(self, script: str) -> bool:
        """Whether the script has ended, as far as the agent knows."""
        try:
            self._guest.script(script, "a command")
        except ApiError as error:
            if _LOST not in error.message:
                raise
            return False
        return True

    def _told(self, path: str, ended: bool) -> bytes:
        """What a command came to, out of a file: a restarted agent has forgotten its commands."""
        delay = _LOOK_EVERY
        while True:
            said = self._guest.read(path)
            if said:
                return said
            if ended:
                raise GuestFailed(f"VM {self._vmid}: a command was ended from outside")
            self._client.deadline.pause(delay, f"a command in VM {self._vmid}")
            delay = min(delay * 1.5, _LOOK_AT_MOST)
