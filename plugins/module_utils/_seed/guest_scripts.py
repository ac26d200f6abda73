# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts that guests are given through their agents: to look, to run a command, to write a file.

They are POSIX shell, given to C(/bin/sh) as input: the agent writes arguments into the guest's journal, and dies of
characters beyond Latin-1 in them. What varies is in base64, so they are ASCII, and nothing in them needs quoting.
C(printf) is a builtin, so what it is given shows in no list of processes. Each is one function, since the shell reads
its script from where its commands would read too.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping

from .._model.guest_file import FILE, NONE, Command, Seen

LONGEST = 65536
"""Characters that the agent takes as input of a command."""

CHUNK = 45000
"""Bytes of a file in one script."""

DIED = 125
"""How a script ends that could not begin what it was to do."""

_NEEDS = """\
command -v base64 >/dev/null 2>&1 || { echo 'there is no base64' >&2; exit 125; }
"""

_LOOK = """\
look() {
    p=$(printf %s "$1" | base64 -d; printf x)
    p=${p%x}
    printf 'path=%s\\n' "$1"
    if [ -L "$p" ]; then
        printf 'kind=link\\ntarget=%s\\n' "$(readlink -- "$p" | base64 | tr -d '\\n')"
    elif [ -f "$p" ]; then
        echo kind=file
        if [ "$2" = yes ]; then printf 'sum=%s\\n' "$(sha256sum <"$p" | cut -d ' ' -f 1)"; fi
    elif [ -d "$p" ]; then
        echo kind=folder
    elif [ -e "$p" ]; then
        echo kind=other
    else
        echo kind=none
    fi
    if [ -e "$p" ] && [ ! -L "$p" ]; then
        stat -c 'mode=%a
uid=%u
gid=%g
owner=%U
group=%G
size=%s' -- "$p"
    fi
    if [ -d "$(dirname -- "$p")" ]; then echo folder=yes; fi
}
"""

_LOOK_HEAD = f"# homelab-look: this script changes nothing.\n{_NEEDS}{_LOOK}"

_RUN = """\
main() {
    umask 077
    d=${TMPDIR:-/run}
    if [ ! -d "$d" ] || [ ! -w "$d" ]; then d=/tmp; fi
    find "$d" -maxdepth 1 -name 'homelab-exec-*' -mmin +1440 -exec rm -rf {} + 2>/dev/null
    w=$d/homelab-exec-$id
    mkdir "$w" || exit 125
    : >"$w/begun"
    printf %s "$stdin" | base64 -d >"$w/in" || exit 125
    printf %s "$text" | base64 -d >"$w/cmd" || exit 125
    : "${HOME:=/root}"
    export HOME
    if [ -n "$folder" ] && [ ! -d "$folder" ]; then
        echo "chdir: there is no folder $folder" >&2
        rm -rf "$w"
        exit 125
    fi
    began=$(date +%s)
    ( run "$w/cmd" ) <"$w/in" >"$w/out" 2>"$w/err"
    rc=$?
    late=0
    if [ $(($(date +%s) - began)) -ge "$homelab_limit" ]; then
        case $rc in 124 | 137 | 143) late=1 ;; esac
    fi
    rm -f "$w/in" "$w/cmd"
    out=$(($(wc -c <"$w/out")))
    err=$(($(wc -c <"$w/err")))
    printf 'homelab-exec %s %s %s %s %s\\n' "$id" "$rc" "$late" "$out" "$err" >"$w/ended.new"
    mv "$w/ended.new" "$w/ended"
    cat "$w/ended"
    head -c "$most" "$w/out"
    head -c "$most" "$w/err" >&2
    # The answer may be lost on its way; what it says can be read here for a while.
    ( sleep 60; rm -rf "$w" ) </dev/null >/dev/null 2>&1 &
    exit 0
}
limited() {
    if timeout -k 10 5 true 2>/dev/null; then exec timeout -k 10 "$homelab_limit" "$@"; fi
    if timeout 5 true 2>/dev/null; then exec timeout "$homelab_limit" "$@"; fi
    exec "$@"
}
"""

_WRITE_BEGIN = """\
main() {
    umask 077
    find "$dir" -maxdepth 1 -name "$stale" -mmin +60 -exec rm -f {} + 2>/dev/null
    set -C
    : >"$tmp" || exit 1
    set +C
    if [ -n "$data" ]; then printf %s "$data" | base64 -d >>"$tmp" || exit 1; fi
"""

_WRITE_MORE = """\
main() {
    printf %s "$data" | base64 -d >>"$tmp" || exit 1
"""

_WRITE_END = """\
    got=$(sha256sum <"$tmp" | cut -d ' ' -f 1)
    if [ "$got" != "$sum" ]; then echo "what arrived has another checksum: $got" >&2; rm -f "$tmp"; exit 1; fi
    if [ -d "$dest" ] || [ -L "$dest" ]; then echo 'something else is there by now' >&2; rm -f "$tmp"; exit 1; fi
    if ! chown -- "$owner" "$tmp" || ! chmod -- "$mode" "$tmp" || ! mv -f -- "$tmp" "$dest"; then
        rm -f "$tmp"
        exit 1
    fi
    if command -v restorecon >/dev/null 2>&1; then restorecon -- "$dest" || :; fi
    look "$here" yes
"""

_SET = """\
main() {
    if [ -L "$dest" ] || [ ! -f "$dest" ]; then echo 'something else is there by now' >&2; exit 1; fi
    chown -- "$owner" "$dest" && chmod -- "$mode" "$dest" || exit 1
    look "$here" yes
"""

_REMOVE = """\
main() {
    if [ -d "$dest" ] && [ ! -L "$dest" ]; then echo 'a folder is there by now' >&2; exit 1; fi
    rm -f -- "$dest" || exit 1
    look "$here" no
"""


def _packed(value: str | bytes) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode("ascii")


def _let(name: str, value: str) -> str:
    """Set a variable to any text; the x keeps line ends at its end."""
    return f"{name}=$(printf %s '{_packed(value)}' | base64 -d; printf x)\n{name}=${{{name}%x}}\n"


# --------------------------------------------------------------------- looking


def look_script(paths: Iterable[str], *, sums: bool = False) -> str:
    """Look at some paths; C(sums): and at what is in the files."""
    wanted = "".join(f"look '{_packed(path)}' {'yes' if sums else 'no'}\n" for path in paths)
    return f"{_LOOK_HEAD}{wanted}"


def is_look(script: str) -> bool:
    """Whether a script is one of those that change nothing, whatever it looks at."""
    rest = script.removeprefix(_LOOK_HEAD)
    return rest != script and re.fullmatch(r"(?:look '[A-Za-z0-9+/=]*' (?:yes|no)\n)+", rest) is not None


def parse_look(out: str) -> dict[str, Seen]:
    """What was seen, by path. Raises ValueError where that is not what a look says."""
    found: dict[str, dict[str, str]] = {}
    at: dict[str, str] = {}
    for line in out.splitlines():
        key, equals, value = line.partition("=")
        if key == "path" and equals:
            at = found[base64.b64decode(value).decode()] = {}
        elif equals:
            at[key] = value
    return {path: _seen(path, said) for path, said in found.items()}


def _seen(path: str, said: Mapping[str, str]) -> Seen:
    kind = said.get("kind", "")
    if not kind or (kind == FILE and "mode" not in said):
        raise ValueError(f"{path}: the guest does not say what is there; it needs stat and sha256sum")
    return Seen(
        path=path,
        kind=kind,
        mode=int(said.get("mode", "0"), 8),
        uid=said.get("uid", ""),
        gid=said.get("gid", ""),
        owner=said.get("owner", ""),
        group=said.get("group", ""),
        size=int(said.get("size", "0")) if kind != NONE else 0,
        sum=said.get("sum", ""),
        target=base64.b64decode(said.get("target", "")).decode("utf-8", "replace").rstrip("\n"),
        folder=said.get("folder") == "yes",
    )


# --------------------------------------------------------------------- running


def run_script(command: Command, job: str) -> str:
    """Run a command, and answer with a line of how it ended and what it wrote. C(job) names this run."""
    exports = "".join(f"{_let(name, value)}export {name}\n" for name, value in command.environment.items())
    words = "".join(f'{_let("homelab_word", word)}set -- "$@" "$homelab_word"\n' for word in command.argv)
    act = 'limited "$@"' if command.argv else 'limited /bin/sh "$homelab_script"'
    run = (
        "run() {\nhomelab_script=$1\nset --\numask 022\n"
        + ('cd -- "$folder" || exit 125\n' if command.folder else "")
        + f"{words}{exports}{act}\n}}\n"
    )
    return (
        f"{_NEEDS}id='{job}'\nhomelab_limit={command.limit}\nmost={command.most}\n"
        f"stdin='{_packed(command.stdin)}'\ntext='{_packed(command.text)}'\n{_let('folder', command.folder)}"
        f"{run}{_RUN}main\n"
    )


def parse_ended(line: str, job: str) -> tuple[int, bool, int, int] | None:
    """Exit status, whether it was ended for its time, bytes of both outputs; None for another line."""
    found = re.fullmatch(r"homelab-exec (\S+) (\d+) ([01]) (\d+) (\d+)", line)
    if found is None or found.group(1) != job:
        return None
    return int(found.group(2)), found.group(3) == "1", int(found.group(4)), int(found.group(5))


def job_folders(job: str) -> tuple[str, ...]:
    """Where a run keeps what it answers for a minute."""
    return (f"/run/homelab-exec-{job}", f"/tmp/homelab-exec-{job}")


# --------------------------------------------------------------------- files


def write_scripts(seen: Seen, data: bytes, digest: str, *, owner: str, mode: int, token: str) -> tuple[str, ...]:
    """Write a file beside its place, piece by piece, and move it there as a whole. The last one looks at it."""
    folder, _slash, name = seen.path.rpartition("/")
    tmp = f"{folder}/.{name[:100]}.homelab-{token}"
    pieces = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)] or [b""]
    scripts = []
    for number, piece in enumerate(pieces):
        text = _NEEDS + _let("tmp", tmp) + f"data='{_packed(piece)}'\n"
        last = number == len(pieces) - 1
        if last:
            text += _end(seen, owner=owner, mode=mode) + f"sum={digest}\n{_LOOK}"
        if number == 0:
            stale = re.sub(r"[][*?\\]", "?", f".{name[:100]}.homelab-") + "*"
            text += _let("dir", folder or "/") + _let("stale", stale) + _WRITE_BEGIN
        else:
            text += _WRITE_MORE
        scripts.append(text + (_WRITE_END if last else "") + "}\nmain\n")
    return tuple(scripts)


def discard_script(seen: Seen, token: str) -> str:
    """Remove what an interrupted write left."""
    folder, _slash, name = seen.path.rpartition("/")
    return f'{_NEEDS}{_let("tmp", f"{folder}/.{name[:100]}.homelab-{token}")}rm -f -- "$tmp"\n'


def set_script(seen: Seen, *, owner: str, mode: int) -> str:
    """Give a file its owner and mode."""
    return f"{_NEEDS}{_end(seen, owner=owner, mode=mode)}{_LOOK}{_SET}}}\nmain\n"


def remove_script(seen: Seen) -> str:
    """Remove a file or a link."""
    return f"{_NEEDS}{_let('dest', seen.path)}here='{_packed(seen.path)}'\n{_LOOK}{_REMOVE}}}\nmain\n"


def _end(seen: Seen, *, owner: str, mode: int) -> str:
    return f"{_let('dest', seen.path)}{_let('owner', owner)}mode={mode:04o}\nhere='{_packed(seen.path)}'\n"
