"""Batches repeated on the device: which arrays have them, and the same results as without."""

import dataclasses
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.benchmark import ceiling, registry
from experiments.benchmark.copies import copies
from experiments.benchmark.measure import Settings, measure
from experiments.benchmark.programs import BOTH
from experiments.benchmark.selection import load_rows
from experiments.benchmark.timing import Plan
from experiments.benchmark.torch_peer import TorchPeer

QUICK = Plan(discard=0, repeats=1, row_seconds=0.0)


@pytest.fixture(scope="module")
def rows():
    load_rows("primitives")
    return registry.ROWS


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("max 2x2 strides 2, LeNet-5", (True,)),
        ("conv 3x3 strides 2, 48 to 96", (True, False)),
        ("transposed 3-D 2x2x2 strides 2", (True, False)),  # its kernel is as long as its batch
        ("unpool 2x2", (True, True)),
        ("deform 3x3, 64 to 64", (True, False, True)),
    ],
)
def test_which_arrays_have_the_batch(rows, name, arrays):
    row = rows[name]
    shapes = [
        jax.eval_shape(lambda a=a: a) for a in (d(np.random.default_rng(0)) for d in row.draws)
    ]
    found = copies(row, shapes, 20.0)
    assert found.count > 1 and found.arrays == arrays
    whole = jax.eval_shape(row.ours, *shapes), jax.eval_shape(row.ours, *found.lengthened(shapes))
    assert whole[1].shape == (found.count * whole[0].shape[0], *whole[0].shape[1:])
    assert copies(row, shapes, 0.0).count == 1
    assert copies(dataclasses.replace(row, suite="models"), shapes, 20.0).count == 1


def test_pytorch_repeats_them_too(rows, tmp_path):
    pytest.importorskip("torch")
    row = dataclasses.replace(
        rows["transposed 4x4 strides 2, 4 groups of 16"],
        draws=(registry.normal(2, 5, 4, 64), registry.normal(4, 4, 16, 64)),
    )
    best = ceiling.Ceiling(1e9, 1e9, 1.0)
    peer = TorchPeer(Path(sys.executable), "cpu", tmp_path)
    try:
        settings = Settings(
            peers=("lax", "torch"), plan=QUICK, torch=peer, modes=(BOTH,), megabytes=0.15
        )
        (found,) = measure(row, settings, best)
    finally:
        peer.close()
    assert found.mode == BOTH
    for name in ("lax", "torch"):
        assert found.figures[name].seconds > 0 and found.figures[name].difference < 1e-4
