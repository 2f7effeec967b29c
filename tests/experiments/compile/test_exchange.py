"""What devices exchange, and what a step waits for, by the assumptions of the file."""

import dataclasses

import pytest

from experiments.compile.exchange import Links, exchanged, waits
from experiments.compiled_for.description import Description
from experiments.compiled_for.kernels import Kernel, Program

DEVICE = Description(
    name="d", title="D", platform="cuda", memory=1, bandwidth=1e9, peak={"f32": 1e12},
    interconnect=1e9, network=1e8, devices_a_node=4,
)  # fmt: skip
FUSION = Kernel("f", "fusion", 1, 3_000_000, 1_000_000)  # 4 ms and its launch
SUM = Kernel("s", "all-reduce", 1, 0, 0, exchanged=8_000_000)
PERMUTE = dataclasses.replace(SUM, kind="collective-permute")


@pytest.mark.parametrize(
    ("kernel", "mesh", "seconds"),
    [
        (SUM, {"data": 1, "space": 1}, 0.0),
        (SUM, {"data": 4, "space": 1}, 10e-6 + 2 * 3 / 4 * 8e-3),
        (SUM, {"data": 4, "space": 2}, 30e-6 + 2 * 7 / 8 * 8e-3 / 0.4),  # four adapters a node
        (PERMUTE, {"data": 4, "space": 1}, 0.0),
        (PERMUTE, {"data": 4, "space": 2}, 10e-6 + 8e-3),
        (PERMUTE, {"data": 1, "space": 8}, 30e-6 + 8e-2),
        (dataclasses.replace(SUM, kind="all-gather"), {"data": 4, "space": 1}, 10e-6 + 6e-3),
    ],
)
def test_an_exchange_takes_what_its_links_say(kernel, mesh, seconds):
    assert Links(DEVICE, mesh).seconds(kernel) == pytest.approx(seconds)


def test_what_runs_beside_kernels_is_waited_for_no_longer_than_they_leave():
    links = Links(DEVICE, {"data": 4, "space": 1})
    hidden = dataclasses.replace(SUM, hidden=2, times=3)
    found = waits(Program((hidden, FUSION, FUSION, FUSION)), links)
    assert found == pytest.approx([3 * (12.01e-3 - 2 * 4.002e-3), *[4.002e-3] * 3])
    assert waits(Program((dataclasses.replace(SUM, hidden=0),)), links) == pytest.approx([12.01e-3])
    (told,) = exchanged(Program((hidden, FUSION, FUSION)), links)
    assert (told.times, told.bytes, told.beside) == (3, 24_000_000, 3)
    assert (told.seconds, told.waited) == pytest.approx((3 * 12.01e-3, found[0]))
