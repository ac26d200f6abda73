# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the rings of tests and prints what each one did: C(rings.py [RING...]), all of them by default.

Two run at a time, from one queue: some wait much, and leave a core to the others.

Each ring writes its output to build/logs and its results to build/junit. With COVERAGE=1 the rings that run Python
together write build/coverage.xml: measuring takes two thirds more CPU time. The last line is the sum over all JUnit
files. A ring that ran no test at all has failed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
BIN = ROOT / ".venv" / "bin"
COLLECTIONS = ROOT / ".venv" / "collections"
UTILS = "ansible_collections.homelab.proxmox.plugins.module_utils"
STRICT_LAYERS = (
    "_model",
    "_pve",
    "_images",
    "_seed",
    "_read",
    "_plan",
    "_apply",
    "_config",
    "_release",
    "_actions",
    "_cli",
)

# Everything together: more than two idle cores need is told; what takes longer than the limit hangs somewhere.
EXPECTED = 40 * 60
TOTAL_LIMIT = 70 * 60
TAIL_LINES = 60
# More failures than that are no accident of a busy machine.
MAX_AGAIN = 5


@dataclass(frozen=True, slots=True)
class Tool:
    """One command that passes or fails as a whole. C(cwd) is relative to the checkout."""

    name: str
    argv: tuple[str, ...]
    cwd: str = "."


@dataclass(frozen=True, slots=True)
class Ring:
    """Either pytest over some folders, or tools. C(budget) in seconds is what it may take on two idle cores.

    C(may_skip): its tests may all be skipped on a person's machine that lacks programs; in CI they may not. C(nice) is
    the niceness of its processes: the longest ring goes first, so that it is not left to run alone at the end.
    """

    name: str
    budget: int
    pytest: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    may_skip: bool = False
    nice: int = 5


@dataclass(slots=True)
class Score:
    """What a ring did. C(failed) counts errors too; C(trouble) is why it failed although no test did."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    trouble: str = ""
    alone: int = 0
    """How many failed beside others and passed alone; the log has both."""

    @property
    def ok(self) -> bool:
        return not self.failed and not self.trouble


def _mypy(name: str, cache: str, *arguments: str) -> Tool:
    # From above ansible_collections, so that absolute and relative imports name the same modules.
    config = str(ROOT / "pyproject.toml")
    folder = str(BUILD / "mypy" / cache)
    return Tool(name, ("mypy", "--config-file", config, "--cache-dir", folder, *arguments), str(COLLECTIONS))


def _packages(*names: str) -> tuple[str, ...]:
    return tuple(part for name in names for part in ("-p", name))


LINT = (
    Tool("ruff check", ("ruff", "check", ".")),
    Tool("ruff format", ("ruff", "format", "--check", "--diff", ".")),
    _mypy("mypy strict", "strict", "--strict", *_packages(*(f"{UTILS}.{layer}" for layer in STRICT_LAYERS))),
    _mypy("mypy", "all", *_packages("ansible_collections.homelab.proxmox.plugins")),
    _mypy("mypy scripts", "scripts", str(ROOT / "scripts")),
    Tool("yamllint", ("yamllint", "--strict", ".")),
    Tool("shellcheck", ("sh", "-c", "git ls-files -z -co --exclude-standard '*.sh' .ci/run | xargs -0 shellcheck")),
    Tool("ansible-lint", ("ansible-lint", "--profile", "production", "--offline", "--nocolor")),
    Tool(
        "antsibull-docs",
        ("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "self", "."),
    ),
    Tool("antsibull-changelog", ("antsibull-changelog", "lint")),
)

# What is no pure layer: the doors, and the fake API itself.
SLOWER = ("plugins", "support")

# One more worker than cores: some always wait for a playbook, a process or a time-out.
WORKERS = ("-n", str((os.cpu_count() or 1) + 1))

# In the order in which they begin: what goes on one step after the other first, and last what can use every core, so
# that none is left idle at the end.
RINGS = (
    Ring("hosts", 480, pytest=("tests/hosts",), may_skip=True, nice=0),
    Ring("pure", 60, pytest=("tests/unit", *(f"--ignore=tests/unit/{name}" for name in SLOWER), *WORKERS)),
    Ring("boot", 480, pytest=("tests/boot",), may_skip=True),
    Ring("sanity", 120, tools=(Tool("ansible-test sanity", (str(BIN / "python"), "scripts/sanity.py")),)),
    Ring("lint", 60, tools=LINT),
    Ring(
        "doors",
        180,
        pytest=(*(f"tests/unit/{n}" for n in SLOWER), "tests/doors", "tests/contract", "tests/playbooks", *WORKERS),
    ),
)
AT_ONCE = 2


RUNNING: set[subprocess.Popen[bytes]] = set()
"""What has to end with this program."""
SPEAKING = threading.Lock()


def environment() -> dict[str, str]:
    """The person's environment without what would lead a test to their cluster, their settings or their Docker."""
    strangers = ("PROXMOX_", "HOMELAB_", "ANSIBLE_", "DOCKER_", "PYTEST_", "PYTHON")
    named = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "VIRTUAL_ENV", "GNUPGHOME"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(strangers) and name not in named}
    return kept | {
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_HOME": str(BUILD / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "no_proxy": "127.0.0.1,localhost,::1",
        "NO_PROXY": "127.0.0.1,localhost,::1",
    }


def run(
    argv: Sequence[str], log: Path, *, env: Mapping[str, str], cwd: Path, limit: float, nice: int = 0
) -> int | None:
    """Run one command, appending its output to C(log). Returns its status, or None after C(limit) seconds."""
    argv = ["nice", "-n", str(nice), *argv] if nice else argv
    with log.open("ab") as stream:
        stream.write(f"$ {shlex.join(argv)}\n".encode())
        stream.flush()
        process = subprocess.Popen(
            argv, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
        )
        RUNNING.add(process)
        try:
            return process.wait(timeout=max(limit, 1))
        except subprocess.TimeoutExpired:
            return None
        finally:
            RUNNING.discard(process)
            _end_group(process)


def say(text: str) -> None:
    """Print whole lines, whichever rings speak at the same time."""
    with SPEAKING:
        print(text, flush=True)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a command and whatever it left running in its session; nothing else."""
    for number, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue


def measures() -> bool:
    """Whether the person asked for coverage."""
    return os.environ.get("COVERAGE") == "1"


def run_pytest(ring: Ring, log: Path, env: Mapping[str, str], limit: float) -> Score:
    """One pytest run; folders that do not exist (yet) are left out."""
    arguments = [part for part in ring.pytest if not part.startswith("tests/") or (ROOT / part).is_dir()]
    junit = BUILD / "junit" / f"{ring.name}.xml"
    argv = [str(BIN / "python"), "-m", "pytest", "-q", *arguments, f"--junitxml={junit}"]
    argv += ["-o", f"junit_suite_name={ring.name}", "--durations=5"]
    argv += ["--cov=plugins", "--cov-report="] if measures() else []
    argv += ["-o", f"cache_dir={BUILD / 'pytest' / ring.name}"]
    argv += shlex.split(os.environ.get("ARGS", ""))
    data = BUILD / "coverage" / f".coverage.{ring.name}"
    begin = time.monotonic()
    status = run(argv, log, env={**env, "COVERAGE_FILE": str(data)}, cwd=ROOT, limit=limit, nice=ring.nice)
    score = Score()
    if junit.exists():
        add_junit(score, junit)
    if status is None:
        score.trouble = "took too long"
    elif status and not score.failed:
        score.trouble = f"pytest ended with status {status}"
    elif 0 < score.failed <= MAX_AGAIN:
        run_alone(ring, score, log, env, limit - (time.monotonic() - begin))
    return score


def run_alone(ring: Ring, score: Score, log: Path, env: Mapping[str, str], limit: float) -> None:
    """Run what failed once more by itself: a machine that is busy with other rings is no finding, but it is told."""
    argv = [str(BIN / "python"), "-m", "pytest", "-q", "--last-failed", "--last-failed-no-failures=none"]
    argv += ["-o", f"cache_dir={BUILD / 'pytest' / ring.name}", f"--junitxml={BUILD / 'junit' / ring.name}-alone.xml"]
    argv += [part for part in ring.pytest if part.startswith(("tests/", "--ignore"))]
    say(f"\n--- {ring.name}: {score.failed} failed, and run once more by themselves:\n{tail(log)}\n")
    if run(argv, log, env=env, cwd=ROOT, limit=limit) == 0:
        score.alone, score.passed, score.failed = score.failed, score.passed + score.failed, 0


def run_tools(ring: Ring, log: Path, env: Mapping[str, str], limit: float) -> Score:
    """Every tool of the ring, also after one has failed, each as one test in the ring's JUnit file."""
    suite = ElementTree.Element("testsuite", name=ring.name)
    end = time.monotonic() + limit
    for tool in ring.tools:
        begin = time.monotonic()
        part = log.with_name(f"{ring.name}-{tool.name.replace(' ', '-')}.log")
        part.unlink(missing_ok=True)
        status = run(tool.argv, part, env=env, cwd=ROOT / tool.cwd, limit=end - begin, nice=ring.nice)
        seconds = time.monotonic() - begin
        case = ElementTree.SubElement(suite, "testcase", classname=ring.name, name=tool.name, time=f"{seconds:.1f}")
        if status != 0:
            message = "took too long" if status is None else f"status {status}"
            ElementTree.SubElement(case, "failure", message=message).text = _printable(tail(part))
            say(f"\n--- {tool.name}: {message}; the end of {part.relative_to(ROOT)}:\n{tail(part)}\n")
    junit = BUILD / "junit" / f"{ring.name}.xml"
    ElementTree.ElementTree(suite).write(junit, encoding="utf-8", xml_declaration=True)
    score = Score()
    add_junit(score, junit)
    return score


def run_sanity(ring: Ring, log: Path, env: Mapping[str, str], limit: float) -> Score:
    """ansible-test writes one JUnit file for each of its tests; they are counted instead of the one command."""
    output = BUILD / "sanity" / "ansible_collections" / "homelab" / "proxmox" / "tests" / "output" / "junit"
    shutil.rmtree(output, ignore_errors=True)
    score = run_tools(ring, log, env, limit)
    files = sorted(output.glob("*.xml"))
    if not files:
        score.trouble = "ansible-test reported no test"
        return score
    command_failed = not score.ok
    (BUILD / "junit" / f"{ring.name}.xml").unlink()
    score = Score()
    for file in files:
        shutil.copy2(file, BUILD / "junit" / f"{ring.name}-{file.name}")
        add_junit(score, file)
    if command_failed and not score.failed:
        score.trouble = "ansible-test failed without naming a test"
    return score


def add_junit(score: Score, file: Path) -> None:
    """Add the test cases of one JUnit file to a score."""
    for case in ElementTree.parse(file).iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            score.failed += 1
        elif "skipped" in kinds:
            score.skipped += 1
        else:
            score.passed += 1


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The end of a log, or of its errors: ansible-test prints them between pages of what pip did."""
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in text if line.startswith(("ERROR: ", "FATAL: "))]
    return "\n".join((errors or text)[-lines:])


def _printable(text: str) -> str:
    return "".join(sign for sign in text if sign.isprintable() or sign in "\n\t")


def run_ring(ring: Ring, limit: float) -> Score:
    """Run one ring and say so while it runs."""
    log = BUILD / "logs" / f"{ring.name}.log"
    log.unlink(missing_ok=True)
    for file in (BUILD / "junit").glob(f"{ring.name}*.xml"):
        file.unlink()
    say(f"ring {ring.name} ...")
    begin = time.monotonic()
    runner = run_pytest if ring.pytest else run_sanity if ring.name == "sanity" else run_tools
    score = runner(ring, log, environment(), limit)
    score.seconds = time.monotonic() - begin
    excused = ring.may_skip and score.skipped and os.environ.get("CI") != "true"
    if score.ok and not score.passed and not excused:
        score.trouble = "no test ran"
    say(f"ring {ring.name} {'ok' if score.ok else 'FAILED'} ({score.seconds:.0f} s)")
    if not score.ok and log.exists():
        say(f"\n--- the end of {log.relative_to(ROOT)}:\n{tail(log)}\n")
    return score


def write_coverage(rings: Sequence[Ring]) -> str:
    """Join the rings' coverage into build/coverage.xml. Returns the total as text, empty when there is none."""
    data = [BUILD / "coverage" / f".coverage.{ring.name}" for ring in rings if ring.pytest]
    data = [file for file in data if file.exists()]
    if not data:
        return ""
    coverage = [str(BIN / "python"), "-m", "coverage"]
    env = {**environment(), "COVERAGE_FILE": str(BUILD / "coverage" / ".coverage")}
    log = BUILD / "logs" / "coverage.log"
    log.unlink(missing_ok=True)
    for arguments in (["combine", "--keep", *map(str, data)], ["xml", "-i", "-o", str(BUILD / "coverage.xml")]):
        if run([*coverage, *arguments], log, env=env, cwd=ROOT, limit=120) != 0:
            return ""
    total = float(ElementTree.parse(BUILD / "coverage.xml").getroot().get("line-rate", "0"))
    return f"{total:.0%} of the lines of plugins/"


def run_all(rings: Sequence[Ring]) -> dict[str, Score]:
    """Run all rings, as many at once as there may be. An interruption ends all that run."""
    end = time.monotonic() + TOTAL_LIMIT

    def work(ring: Ring) -> Score:
        return run_ring(ring, end - time.monotonic())

    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun = {ring.name: pool.submit(work, ring) for ring in rings}
        try:
            return {name: one.result() for name, one in begun.items()}
        except KeyboardInterrupt:
            for waiting in begun.values():
                waiting.cancel()
            for process in tuple(RUNNING):
                _end_group(process)
            os._exit(130)


def table(rings: Sequence[Ring], scores: Mapping[str, Score], seconds: float) -> Iterator[str]:
    """The lines of the table, one for each ring and one for all: C(seconds) by the clock on the wall."""
    form = "{:<8} {:<7} {:>7} {:>7} {:>8} {:>8} {:>7}  {}"
    yield form.format("ring", "result", "passed", "failed", "skipped", "seconds", "budget", "").rstrip()
    for ring in rings:
        score = scores[ring.name]
        slow = "over its budget" if score.seconds > ring.budget else ""
        numbers = (score.passed, score.failed, score.skipped, f"{score.seconds:.1f}", ring.budget)
        alone = f"{score.alone} passed by themselves only" if score.alone else ""
        note = "; ".join(filter(None, (score.trouble, alone, slow)))
        yield form.format(ring.name, "ok" if score.ok else "FAILED", *numbers, note).rstrip()
    slow = f"longer than {EXPECTED / 60:.0f} minutes: find out why" if seconds > EXPECTED else ""
    yield form.format("all", "", "", "", "", f"{seconds:.1f}", sum(ring.budget for ring in rings), slow).rstrip()


def main(names: Sequence[str]) -> int:
    """Run the named rings. Returns 1 when one of them failed or ran nothing."""
    unknown = set(names) - {ring.name for ring in RINGS}
    if unknown:
        print(f"No ring {', '.join(sorted(unknown))}; there are: {', '.join(ring.name for ring in RINGS)}")
        return 2
    rings = [ring for ring in RINGS if not names or ring.name in names]
    # Who ends this program means the rings too; they have sessions of their own.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for folder in ("logs", "junit", "coverage"):
        (BUILD / folder).mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    scores = run_all(rings)
    seconds = time.monotonic() - begin
    covered = write_coverage(rings) if measures() else ""
    print()
    print("\n".join(table(rings, scores, seconds)))
    print(f"\nlogs: build/logs   JUnit: build/junit   coverage: {covered or 'not measured'}")
    # A ring may fail without a failing test; the sum must not look as if all were well.
    failed = sum(score.failed or bool(score.trouble) for score in scores.values())
    say(f"{sum(score.passed for score in scores.values())} passed, {failed} failed")
    return 0 if all(score.ok for score in scores.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
