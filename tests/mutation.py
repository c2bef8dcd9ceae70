"""How many small faults the tests notice: `python -m tests.mutation` (an hour or more; not a part of the suite).

A mutant is the package with one change of a module. The tests that call the function with the change are run on it,
those of its own folder first, and they must fail. All happens in a copy of the project, in processes that are forked
from one that has imported torch. The results are kept in a JSON file, with which a second call goes on.
"""

import argparse
import ast
import contextlib
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from helpers.mutants import find_changes, mutate, show  # noqa: E402

FOLDERS = ["training", "evaluation", "text", "checkpoints"]
TESTED = [*FOLDERS, "runs", "test_recorded.py"]
COPIED = ["lstmlm", "tests", "conf", "data", "docs", "benchmarks", "train.py", "pyproject.toml", "README.md"]
WAIT = 3600  # seconds at most for one call of pytest
PASSED, NO_TESTS, NO_PYTEST = 0, 5, 70  # exit codes of pytest, and one of ours

Calls = dict[str, dict[str, Any]]  # of each test that passes: CPU-seconds, and the functions that it calls


class Kernels:
    """A plugin of pytest that puts the compiled kernels of earlier runs into the tests' cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Any:
        result = yield
        if fixturedef.argname == "a_cache_of_their_own" and self.folder.is_dir():
            shutil.copytree(self.folder, Path(os.environ["LSTMLM_CACHE"]) / "kernels")
        return result


def measure_cpu_seconds() -> float:
    """Of this process and of those that it waited for: other programs on the machine do not change it."""
    return sum(os.times()[:4])


class Recorder:
    """A plugin of pytest that notes which functions of the package each test calls: `file:first line`."""

    def __init__(self, package: str) -> None:
        self.package, self.calls = package, {}

    def pytest_runtest_protocol(self, item: Any) -> None:
        self.functions: set[str] = set()
        self.began = measure_cpu_seconds()
        sys.settrace(self.trace)

    def trace(self, frame: Any, event: str, argument: Any) -> None:
        code = frame.f_code
        if code.co_filename.startswith(self.package):
            self.functions.add(f"{code.co_filename.removeprefix(self.package)}:{code.co_firstlineno}")

    def pytest_runtest_logreport(self, report: Any) -> None:
        found = self.calls.setdefault(report.nodeid, {"seconds": 0.0, "passed": True, "functions": []})
        found["passed"] &= report.passed
        if report.when == "teardown":
            sys.settrace(None)
            found |= {"functions": sorted(self.functions), "seconds": measure_cpu_seconds() - self.began}


class Chosen:
    """A plugin of pytest that runs some tests, in the order given, until one fails."""

    def __init__(self, names: list[str]) -> None:
        self.places, self.failed = {name: place for place, name in enumerate(names)}, ""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self.places), key=lambda i: self.places[i.nodeid])

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed = report.nodeid


def import_first() -> None:
    """What the tests import and no mutant changes: once, before the forks."""
    import hydra  # noqa: F401
    import hypothesis  # noqa: F401
    import numpy  # noqa: F401
    import safetensors.torch  # noqa: F401
    import tensorboard.backend.event_processing.event_accumulator  # noqa: F401
    import torch
    import torch.utils.tensorboard

    torch.set_num_threads(1)
    weight = torch.zeros(2, 2, requires_grad=True)
    weight.sum().backward()
    torch.optim.AdamW([weight]).step()  # which imports more


def run_pytest(copy: Path, words: list[str], plugin: Any, answer: Path, cpu_seconds: int) -> int | None:
    """The exit code of pytest in a forked process in the copy, None after so many CPU-seconds or WAIT seconds.

    What `plugin` has learnt is in the file `answer`.
    """
    child = os.fork()
    if child == 0:
        code = NO_PYTEST
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
            os.chdir(copy)
            with open(os.devnull, "r+b") as nothing, open(copy / "pytest.log", "wb") as log:
                for target, stream in ((nothing, 0), (log, 1), (log, 2)):
                    os.dup2(target.fileno(), stream)
            sys.path[:] = [str(copy), str(copy / "tests"), *(p for p in sys.path if not p.startswith(str(ROOT)))]
            for name in [name for name in sys.modules if name.partition(".")[0] in ("helpers", "lstmlm", "tests")]:
                del sys.modules[name]
            words = [
                "-q",
                "-W",
                "ignore::pytest.PytestAssertRewriteWarning",
                "-p",
                "no:cacheprovider",
                f"--basetemp={copy / 'tmp'}",
                "--tb=line",
                *words,
            ]
            code = int(pytest.main(words, plugins=[plugin, Kernels(copy / "kernels")]))
            answer.write_text(json.dumps({key: vars(plugin).get(key) for key in ("calls", "failed")}))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    end = time.monotonic() + WAIT
    status = None
    while status is None and time.monotonic() < end:
        done, found = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(found) if done else None
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what a test left running, too
    if status is None:
        os.waitpid(child, 0)
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return None
    if status == NO_PYTEST:
        raise SystemExit(f"pytest did not run: {(copy / 'pytest.log').read_text()}")
    return status


def record_calls(copy: Path, answer: Path, known: dict[str, Any], save: Callable[[], None]) -> None:
    """Which functions each test calls, into `known`: by file, with its hash. Tests that fail are left out."""
    files = [copy / "tests" / name for name in TESTED]
    for file in sorted(found for path in files for found in ([path] if path.suffix else path.glob("test_*.py"))):
        name, digest = str(file.relative_to(copy)), hashlib.sha256(file.read_bytes()).hexdigest()
        if known.get(name, {}).get("hash") != digest:
            answer.write_text("{}")
            code = run_pytest(copy, [name], Recorder(f"{copy}/"), answer, 1800)
            found = json.loads(answer.read_text()).get("calls") or {}
            passed = {test: facts for test, facts in found.items() if facts["passed"]}
            known[name] = {"hash": digest, "tests": passed}
            for built in copy.glob("tmp/cache*/kernels"):
                shutil.copytree(built, copy / "kernels", dirs_exist_ok=True)
            print(f"{name}: {len(passed)} of {len(found)} tests pass, exit code {code}", flush=True)
            save()


def sample_mutants(folders: list[str], count: int, seed: int) -> list[dict[str, Any]]:
    """`count` mutants of the modules of these folders, drawn without replacement."""
    found = []
    for folder in folders:
        for path in sorted((ROOT / "lstmlm" / folder).glob("*.py")):
            file = str(path.relative_to(ROOT))
            changes = find_changes(ast.parse(path.read_text(encoding="utf-8")))
            found += [
                {"file": file, "index": index, "kind": change.kind, "line": change.line, "function": change.function}
                for index, change in enumerate(changes)
            ]
    return random.Random(seed).sample(found, min(count, len(found)))


def order_tests(mutant: dict[str, Any], calls: Calls, limit: float) -> list[str]:
    """The tests that call the function of a mutant, or outside of functions its module: of its own file first.

    The quick ones come first, up to `limit` CPU-seconds in all.
    """
    module = f"{mutant['file']}:"
    at = f"{module}{mutant['function']}"

    def concerns(test: dict[str, Any]) -> bool:
        return at in test["functions"] if mutant["function"] else any(f.startswith(module) for f in test["functions"])

    folder, name = Path(mutant["file"]).parent.name, Path(mutant["file"]).name
    own = [f"tests/{folder}/test_{name}::", f"tests/{folder}/"]
    chosen = [test for test, facts in calls.items() if concerns(facts)] or [t for t in calls if t.startswith(own[1])]
    chosen.sort(key=lambda test: (not test.startswith(own[0]), not test.startswith(own[1]), calls[test]["seconds"]))
    kept, seconds = [], 0.0
    for test in chosen:
        if seconds + calls[test]["seconds"] <= limit or not kept:
            kept.append(test)
            seconds += calls[test]["seconds"]
    return kept


def judge(mutant: dict[str, Any], copy: Path, calls: Calls, limit: float, answer: Path) -> dict[str, Any]:
    """The outcome of a mutant: killed, by which test; survived; or timeout, which counts as killed."""
    path = copy / mutant["file"]
    source = (ROOT / mutant["file"]).read_text(encoding="utf-8")
    tests = order_tests(mutant, calls, limit)
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    begun = time.monotonic()
    answer.write_text("{}")
    try:
        path.write_text(mutate(source, mutant["index"]), encoding="utf-8")
        cpu_seconds = 30 + 5 * int(sum(calls[test]["seconds"] for test in tests))
        code = run_pytest(copy, ["-x", *files], Chosen(tests), answer, cpu_seconds)
    finally:
        path.write_text(source, encoding="utf-8")
        shutil.rmtree(copy / "tmp", ignore_errors=True)
    outcome = "timeout" if code is None else "survived" if code in (PASSED, NO_TESTS) else "killed"
    killer = json.loads(answer.read_text()).get("failed") or f"exit code {code}" if outcome == "killed" else ""
    facts = {"outcome": outcome, "by": killer, "tests": len(tests), "seconds": round(time.monotonic() - begun, 1)}
    return {**mutant, "change": show(source, mutant["index"]), **facts}


def summarize(results: list[dict[str, Any]]) -> str:
    counts = Counter(result["outcome"] for result in results)
    killed = counts["killed"] + counts["timeout"]
    return f"{killed} of {len(results)} mutants killed ({counts['timeout']} by timeout), {counts['survived']} survived"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("mutants.json"), help="results; a second call goes on")
    options.add_argument("--folders", nargs="+", default=FOLDERS, help="of lstmlm/ (default: %(default)s)")
    options.add_argument("--count", type=int, default=320, help="mutants that are drawn (default: %(default)s)")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument(
        "--limit", type=float, default=60, help="CPU-seconds of tests for a mutant (default: %(default)g)"
    )
    options.add_argument("--again", action="store_true", help="run those that survived once more")
    args = options.parse_args()
    known = json.loads(args.out.read_text()) if args.out.is_file() else {"calls": {}, "mutants": []}

    def save() -> None:
        args.out.write_text(json.dumps(known))

    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    import_first()
    with tempfile.TemporaryDirectory(prefix="mutants_") as folder:
        copy, answer = Path(folder) / "main", Path(folder) / "answer.json"
        copy.mkdir()
        for name in COPIED:
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, copy / name)
        compiled = ["-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "lstmlm"]
        subprocess.run([sys.executable, *compiled], cwd=copy, check=True)
        record_calls(copy, answer, known["calls"], save)
        calls = {test: facts for file in known["calls"].values() for test, facts in file["tests"].items()}
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.dont_write_bytecode = True
        done = {(r["file"], r["index"]): r for r in known["mutants"] if not args.again or r["outcome"] != "survived"}
        for mutant in sample_mutants(args.folders, args.count, args.seed):
            key = mutant["file"], mutant["index"]
            if key not in done:
                done[key] = judge(mutant, copy, calls, args.limit, answer)
                known["mutants"] = list(done.values())
                save()
                print(f"{done[key]['outcome']} {mutant['file']}:{mutant['line']} {done[key]['change']}", flush=True)
    print(summarize(known["mutants"]))


if __name__ == "__main__":
    main()
