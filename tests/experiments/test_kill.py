"""A run that is killed at random moments, ten times, ends with the bits of one that never was.

The processes are real, and so is the signal; only what a start costs is saved: they are forked from
one that has imported everything, and share a cache of compiled programs.
"""

import json
import subprocess
import sys

import numpy as np

KILLS = 10
SCRIPT = f"""
import os, random, signal, sys, time, warnings
from pathlib import Path
warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)

import jax
import numpy as np
import grain
import orbax.checkpoint
from flax import nnx
from experiments.training.augment import Augmentation
from experiments.data import Dataset, Split
from experiments.data.split import Layout
from experiments.training.runs import Run
from experiments.training.programs import Programs
from experiments.training.recipe import Recipe
from experiments.training.loop import Monitoring, fit
from experiments.training import epochs, pictures

parent = Path(sys.argv[1])
pictures.draw = lambda *arguments: None
Dataset.streamed = True
jax.config.update("jax_compilation_cache_dir", str(parent / "cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
advance, monitoring = epochs.Streamed.advance, Monitoring()


def slowly(self, state, done, key):
    print("begins", flush=True)
    time.sleep(0.05)
    return advance(self, state, done, key)


def make_model(rngs):
    flatten = lambda images: images.reshape(len(images), -1)
    return nnx.Sequential(nnx.Dropout(0.1, rngs=rngs), flatten, nnx.Linear(30, 3, rngs=rngs))


def split(count, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 6, 5, 1)).astype(np.uint8)
    examples = [{{"image": image, "label": image[0, 0, 0] % 3}} for image in images]
    return Split(examples, Layout("tiny", parent, "image", "label", (6, 5, 1), False))


def train(name):
    classes = ("a", "b", "c")
    data = Dataset("tiny", "classification", classes, (6, 5, 1), split(43, 1), split(10, 2))
    recipe = Recipe(epochs=6, batch_size=8, ema=0.9, augmentation=Augmentation(shift=1))
    programs = Programs(make_model, data, recipe)
    programs.compile()
    resume = (parent / name / "config.json").exists()
    run = Run(parent / name) if resume else Run.create(parent / name, {{}})
    state, _ = fit(programs, run, seed=3, resume=resume, monitoring=monitoring)
    np.savez(parent / f"{{name}}.npz", *jax.tree.leaves(state))


def start(name, log):
    process = os.fork()
    if not process:
        code = 1
        try:
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
            train(name)
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    return process


def saved(name):
    folder = parent / name / "checkpoints"
    return max((int(path.name) for path in folder.glob("*") if path.name.isdigit()), default=0)


_, status = os.waitpid(start("whole", parent / "whole.log"), 0)
epochs.Streamed.advance, monitoring = slowly, Monitoring(save_seconds=0.05)
draw, lasts = random.Random(int(sys.argv[2])), []
for number in range({KILLS}):
    log = parent / f"killed-{{number}}.log"
    before = saved("killed")
    process = start("killed", log)
    waits = (  # for the start, for the first step, for a new checkpoint
        lambda: True,
        lambda: log.exists() and "begins" in log.read_text(),
        lambda: saved("killed") > before,
    )
    for _ in range(3000):
        if waits[(number + 1) % 3]():
            break
        time.sleep(0.01)
    time.sleep(draw.uniform(0.0, 0.15))
    os.kill(process, signal.SIGKILL)
    _, killed = os.waitpid(process, 0)
    if killed != signal.SIGKILL:
        sys.exit(f"attempt {{number}} ended by itself")
    lasts.append(saved("killed"))
epochs.Streamed.advance, monitoring = advance, Monitoring()
_, ended = os.waitpid(start("killed", parent / f"killed-{KILLS}.log"), 0)
(parent / "lasts.json").write_text(str(lasts))
sys.exit(status or ended)
"""
STEPS = 5  # an epoch


def place(line):
    """The number of steps in "goes on after step 2 of 5 of epoch 4 of 6"."""
    words = line.split()
    if words[3] == "step":
        return int(words[4]) + STEPS * (int(words[9]) - 1)
    return STEPS * int(words[4])


def test_killed_ten_times(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), "20240917"],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lasts = json.loads((tmp_path / "lasts.json").read_text())
    assert len(lasts) == KILLS and lasts == sorted(lasts) and lasts[-1] > 0
    assert any(last % STEPS for last in lasts)  # some were in the middle of an epoch
    for number, last in enumerate(lasts, start=1):
        log = (tmp_path / f"killed-{number}.log").read_text()
        went_on = [place(line) for line in log.splitlines() if line.startswith("goes on after")]
        assert went_on in ([last], [])  # [] where there was nothing yet, or it was killed before
    whole, killed = (
        (tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "killed")
    )
    for one, other in zip(whole.splitlines(), killed.splitlines(), strict=True):
        one, other = json.loads(one), json.loads(other)
        for name in ("epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"):
            assert one[name] == other[name]
    with np.load(tmp_path / "whole.npz") as one, np.load(tmp_path / "killed.npz") as other:
        assert len(one.files) > 10
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])
