"""Modelled time, from figures that are easy to divide."""

import dataclasses

import pytest

from experiments.compiled_for import description, model
from experiments.compiled_for.kernels import Kernel, Program

DEVICE = description.Description(
    "tenth", "a tenth", "cuda", 10**9, 1e9, {"tf32": 1e12, "bf16": 2e12, "f32": 1e11}, 1e10,
    interconnect=1e9, network=1e8, devices_a_node=4,
)  # fmt: skip
FUSION = Kernel("f", "fusion", 1, 3_000, 1_000)
SUM = Kernel("s", "all-reduce", 1, 1_000, 1_000, exchanged=1_000)


@pytest.mark.parametrize(
    ("changes", "seconds", "bound"),
    [
        ({}, 4e-6, "bytes"),
        (dict(loads=100_000), 10e-6, "loads"),
        (dict(flops=16 * 10**6, dtype="bf16"), 10e-6, "flops"),
        (dict(flops=8 * 10**6, dtype="f16"), 100e-6, "flops"),
        (dict(read=0, written=10), 1e-8, "launch"),
    ],
)
def test_the_largest_counts(changes, seconds, bound):
    found = model.time(dataclasses.replace(FUSION, **changes), DEVICE)
    assert found.total == pytest.approx(model.LAUNCH + seconds) and found.bound == bound


def test_exchanges():
    assert model.time(SUM, DEVICE).exchange == 0
    assert model.time(SUM, DEVICE, 4).exchange == pytest.approx(2e-6)
    assert model.time(SUM, DEVICE, 8).exchange == pytest.approx(20e-6)
    hidden = dataclasses.replace(SUM, hidden=2)
    twice = dataclasses.replace(FUSION, times=2)
    program = Program((twice, hidden, SUM))
    assert model.seconds(program, DEVICE, 4) == pytest.approx(2 * 6e-6 + 4e-6)


def test_a_tpu_takes_its_cycles_or_its_bytes():
    device = dataclasses.replace(DEVICE, platform="tpu", clock=1e9)
    kernels = dataclasses.replace(FUSION, cycles=15_000, times=2), FUSION
    assert model.seconds(Program(kernels), device) == pytest.approx(2 * 15e-6 + 4e-6)
    windows = dataclasses.replace(FUSION, kind="reduce-window", loads=80_000)
    assert model.seconds(Program((*kernels, windows)), device) == pytest.approx(34e-6 + 8e-6)
    product = dataclasses.replace(kernels[0], flops=40 * 10**6, dtype="bf16", times=1)
    assert model.seconds(Program((product,)), device) == pytest.approx(20e-6)
    beside = dataclasses.replace(FUSION, kind="copy", aside=True)  # free, until the memory is busy
    assert model.seconds(Program((*kernels, beside)), device) == pytest.approx(34e-6)
    large = dataclasses.replace(beside, read=100_000)
    assert model.seconds(Program((*kernels, large)), device) == pytest.approx(113e-6)
