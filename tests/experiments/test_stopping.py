"""Ctrl-C and SIGTERM at forty random moments: one line, an exit code, and nothing half done.

Some commands are started by `python -m` and stopped while they import. The others are forked from
a process that has imported everything, which saves what a start costs; they begin as `python -m`
does, on a few digits and with a small network, and share a cache of compiled programs.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

IMPORTING, FORKED = 16, 24
NAMES = ["lenet", "train", "checkerboard", "gradients", "benchmark", "compile", "device", "fuzz"]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
SCRIPT = f"""
import importlib, json, os, random, re, runpy, signal, sys, time, traceback, warnings
from pathlib import Path
warnings.filterwarnings("ignore", "os.fork|.*found in sys.modules", RuntimeWarning)

import jax
from flax import nnx
import grain, matplotlib.figure, orbax.checkpoint, tensorflow_datasets, tyro
import experiments
from experiments import checkerboard, lenet, train
from experiments.data.split import Split
from experiments.training import zoo

parent, seed = Path(sys.argv[1]), int(sys.argv[2])
jax.config.update("jax_compilation_cache_dir", str(parent / "programs"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
make = Split.__init__


def make_few(self, *arguments):
    make(self, *arguments)
    self._rows = self._rows[:200]


class Small(nnx.Module):
    def __init__(self, *, rngs):
        self.linear = nnx.Linear(784, 10, rngs=rngs)

    def __call__(self, images):
        return self.linear(images.reshape(*images.shape[:-3], 784))


Split.__init__ = make_few
zoo.CLASSIFIERS["lenet5"] = Small, {{}}


def child(name, *arguments, log):
    process = os.fork()
    if not process:
        for number, kind in ((1, "out"), (2, "err")):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(parent / f"{{log}}.{{kind}}", flags), number)
        code = 1
        try:
            sys.argv, sys.orig_argv = ["-m"], ["python", "-m", f"experiments.{{name}}", *arguments]
            importlib.reload(experiments)
            sys.argv = [name, *arguments]
            runpy.run_module(f"experiments.{{name}}", run_name="__main__")
        except SystemExit as left:
            code = left.code or 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return process


def code_of(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def commands(number):
    data, run = ("--data-dir", str(parent / "data")), ("--run", str(parent / f"run-{{number}}"))
    fresh = ("--data-dir", str(parent / f"fresh-{{number}}"))
    few = ("--epochs", "3", "--batch-size", "50")
    return [
        ("lenet", *few, *data, *run),
        ("lenet", *few, *fresh, *run),
        ("train", "find", *few[2:], "--steps", "10", *data, *run),
        ("checkerboard", "--steps", "10", "--draws", "1", *data, *run),
    ]


begun = time.monotonic()
if code := code_of(child(*commands("whole")[0], log="whole")):
    sys.exit((parent / "whole.err").read_text() + f"code {{code}}")
took = time.monotonic() - begun
draw, told = random.Random(seed), []
for number in range({FORKED}):
    kind = (0, 0, 1, 2, 0, 3)[number % 6]
    moment, signal_ = draw.uniform(0, took), draw.choice([signal.SIGINT, signal.SIGTERM])
    process = child(*commands(number)[kind], log=number)
    while not int(re.search(r"SigCgt:\\s*(\\w+)", Path(f"/proc/{{process}}/status").read_text())[1],
                  16) >> 14 & 1:
        time.sleep(0.001)
    time.sleep(moment)
    os.kill(process, signal_)
    told.append([kind, int(signal_), code_of(process)])
saved = [n for n, (kind, _, _) in enumerate(told)
         if kind < 2 and (parent / f"run-{{n}}" / "config.json").exists()]
for number in draw.sample(saved, 2):
    command = ("lenet", "--resume", str(parent / f"run-{{number}}"), "--data-dir")
    folder = parent / ("data" if told[number][0] == 0 else f"fresh-{{number}}")
    told.append([-1, 0, code_of(child(*command, str(folder), log=f"resumed-{{number}}"))])
(parent / "told.json").write_text(json.dumps(told))
"""


def caught(process):
    """Whether the process has its own handler for SIGTERM by now, or has ended."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"SigCgt:\s*(\w+)", status)
    return found is None or process.poll() is not None or int(found[1], 16) >> 14 & 1


def test_while_they_import(tmp_path):
    draw, seconds = random.Random(5), 0.0
    for number in range(IMPORTING):
        name = NAMES[number % len(NAMES)]
        package = "tests" if name == "fuzz" else "experiments"
        command = [sys.executable, "-W", "error", "-m", f"{package}.{name}", "--help"]
        begun = time.monotonic()
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        ) as process:  # fmt: skip
            while not caught(process):
                time.sleep(0.001)
            if number:
                time.sleep(draw.uniform(0, seconds))
                process.send_signal(how := draw.choice([*CODES]))
            output, errors = process.communicate(timeout=240)
            seconds = seconds or 0.9 * (time.monotonic() - begun)  # the first is not stopped
        if process.returncode == 0:
            assert (output.startswith("usage: "), errors) == (True, "")
        else:
            assert (process.returncode, output) == (CODES[how], "")
            assert errors in ("stopped while importing\n", "stopped\n")
    assert not list(tmp_path.iterdir())


def test_wherever_they_are(tmp_path, data_dir):
    (tmp_path / "data").symlink_to(data_dir)
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), "20240917"],
        capture_output=True, text=True, timeout=900,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads((tmp_path / "told.json").read_text())
    stopped = [*enumerate(told[:FORKED])]
    for number, (kind, how, code) in stopped:
        errors = (tmp_path / f"{number}.err").read_text()
        if "stopped after" in errors:  # a run, which is saved
            assert kind < 2 and code == {signal.SIGINT: 130, signal.SIGTERM: 0}[how]
            assert re.fullmatch(
                r"stopped after epoch [123] of 3; go on with: python -m experiments.lenet --resume "
                rf"\S*/run-{number}\n", errors,
            )  # fmt: skip
        elif code == 0:  # it was done
            assert errors == ""
        else:
            assert code == CODES[how], (errors, how)
            assert re.fullmatch(r"stopped( while [^\n]+)?\n", errors)
    codes = [code for _, (_, _, code) in stopped]
    assert sum(code in (130, 143) for code in codes) > FORKED / 2
    assert [code for *_, code in told[FORKED:]] == [0, 0]  # resumed, to the end
    assert not [*tmp_path.rglob("*.tmp"), *tmp_path.rglob("incomplete.*")]
    left = [path.name for path in (tmp_path / "tmp").iterdir()]
    assert not [name for name in left if "matplotlib" not in name]
