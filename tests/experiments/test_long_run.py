"""2,000 steps hold memory flat and compile nothing anew: epochs on the device, and a stream."""

import dataclasses
import gc
import logging
import resource
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.data import Dataset
from experiments.training import pictures
from experiments.training.checkpoints import Checkpoints
from experiments.training.loop import fit
from experiments.training.runs import Run

pytestmark = pytest.mark.usefixtures("plain_jax")

EPOCHS, STEPS = 5, 400  # an epoch
GROWTH = 16 * 2**20  # bytes of resident memory between the steps 400 and 2,000: 10 kB a step


def held():
    """Live arrays, their bytes, and the resident memory."""
    gc.collect()
    arrays = jax.live_arrays()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(arrays), sum(array.nbytes for array in arrays), pages * resource.getpagesize()


@pytest.mark.parametrize("streamed", [False, True], ids=["epochs", "steps"])
def test_memory_is_flat_and_nothing_is_compiled_again(
    streamed, compiled, tiny_data, tiny_recipe, make_tiny_model, make_split, tmp_path,
    monkeypatch, caplog,
):  # fmt: skip
    """Through `fit`, with its tests, metrics and checkpoints."""
    traced, seen = [], []
    save, add = Checkpoints.save, Run.add_metrics

    class Traced(make_tiny_model):
        def __call__(self, inputs):
            traced.append(inputs.shape)
            return super().__call__(inputs)

    def save_and_wait(self, *arguments):  # what is being written is held until it is
        save(self, *arguments)
        self.wait()

    def add_and_look(self, epoch, **values):
        add(self, epoch, **values)
        compilations = sum(r.getMessage().startswith("Compiling") for r in caplog.records)
        if epoch in (1, EPOCHS):
            seen.append((*held(), compilations, len(traced)))

    monkeypatch.setattr(pictures, "draw", lambda *arguments: None)
    monkeypatch.setattr(Dataset, "streamed", streamed)
    monkeypatch.setattr(Checkpoints, "save", save_and_wait)
    monkeypatch.setattr(Run, "add_metrics", add_and_look)
    images, labels = (np.concatenate([a] * 20) for a in tiny_data.train.arrays())
    data = dataclasses.replace(tiny_data, train=make_split(images, labels))
    recipe = dataclasses.replace(tiny_recipe, epochs=EPOCHS, batch_size=2)
    programs = compiled(Traced, data, recipe)
    assert programs.batches.steps == STEPS and traced
    before = len(traced)
    with jax.log_compiles(), caplog.at_level(logging.WARNING, logger="jax"):
        state, _ = fit(programs, Run.create(tmp_path / "run", {}), seed=0)
    assert int(state.step) == 2000
    (arrays, nbytes, resident, compilations, traces), last = seen
    print(f"arrays {arrays}, {nbytes:,} bytes, then {last[:2]}; resident +{last[2] - resident:,}")
    assert last[:2] == (arrays, nbytes)
    assert last[2] - resident < GROWTH  # 9.5 MB by epochs, 6 of them the first checkpoint's
    assert last[3] == compilations and last[4] == traces == before
