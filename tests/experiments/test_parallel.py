"""Training on many devices: eight simulated ones, and two processes with four each."""

import collections
import math
import os
import pathlib
import re
import socket
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = pathlib.Path(__file__).with_name("train_on_mesh.py")
NETWORKS = ("lenet", "resnet", "unet")
ALONE, BY_IMAGES, BY_ROWS, ROWS_ALONE = "data=1", "data=8", "data=4,space=2", "data=1,space=8"
ON_EIGHT = [(name, spec) for name in NETWORKS for spec in (BY_IMAGES, BY_ROWS)]
ON_EIGHT.append(("unet", ROWS_ALONE))
TRAINER = [("trainer", ALONE), ("trainer", BY_ROWS)]
ACROSS = [("resnet", BY_ROWS), ("unet", ROWS_ALONE)]


def start(folder, devices, jobs, **environment):
    """The program, started with simulated devices."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(folder), *map(":".join, jobs)],
        env={**os.environ, "PYTHONPATH": ".", "XLA_FLAGS": flags, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*processes):
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output[-5000:]


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """What one process makes of all meshes."""
    folder = tmp_path_factory.mktemp("one")
    finish(start(folder, 8, [*((name, ALONE) for name in NETWORKS), *ON_EIGHT, *TRAINER]))
    return folder


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """What two processes make together, started as Slurm would start them."""
    folder = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    slurm = {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2"}
    finish(
        *(
            start(
                folder,
                4,
                ACROSS,
                **slurm,
                SLURM_PROCID=str(rank),
                SLURM_LOCALID=str(rank),
                JAX_COORDINATOR_PORT=port,
            )
            for rank in range(2)
        )
    )
    return folder


def results(folder, network, spec):
    return dict(np.load(folder / f"{network}-{spec}.npz"))


def same(found, expected):
    for name in expected.keys() - {"memory"}:
        # 1e-16 grows in three steps of a network with batch normalisation
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-10, err_msg=name)


@pytest.mark.parametrize(("network", "spec"), ON_EIGHT)
def test_eight_devices_train_as_one(one_process, network, spec):
    expected = results(one_process, network, ALONE)
    assert expected["losses"][0] != expected["losses"][-1]
    same(results(one_process, network, spec), expected)


@pytest.mark.parametrize(("network", "spec"), ACROSS)
def test_two_processes_train_as_one_device(one_process, two_processes, network, spec):
    same(results(two_processes, network, spec), results(one_process, network, ALONE))


def test_trainer_on_eight_devices_trains_as_on_one(one_process):
    expected, found = (results(one_process, *job) for job in TRAINER)
    for name in expected.keys() - {"memory"}:
        # float32, whose sums over images and rows are taken in another order
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert set(exchanges(one_process, *TRAINER[1])) == {"all-reduce", "collective-permute"}


def test_an_image_split_among_eight_takes_a_fraction_of_the_memory(one_process):
    alone, split = (results(one_process, "unet", spec)["memory"] for spec in (ALONE, ROWS_ALONE))
    assert split < 0.3 * alone  # 3 rows of 24, with a halo of 2 each time


def exchanges(folder, network, spec):
    """What the devices of a compiled program send each other: kind -> lines of the program."""
    text = (folder / f"{network}-{spec}.txt").read_text()
    kinds = r" (all-[a-z]+|collective-[a-z]+|reduce-scatter|send|recv)(?:-start)?\("
    found = collections.defaultdict(list)
    for line in text.splitlines():
        if match := re.search(kinds, line):
            found[match[1]].append(line[: match.start()] + line[match.end() :])
    return found


@pytest.mark.parametrize("network", NETWORKS)
def test_data_parallel_only_adds_up(one_process, network):
    assert set(exchanges(one_process, network, BY_IMAGES)) == {"all-reduce"}


@pytest.mark.parametrize(("network", "spec"), [(n, s) for n, s in ON_EIGHT if "space" in s])
def test_space_parallel_asks_neighbours_and_adds_up(one_process, network, spec):
    found = exchanges(one_process, network, spec)
    assert set(found) == {"all-reduce", "collective-permute"}
    for line in found["collective-permute"]:
        pairs = re.search(r"source_target_pairs=\{(.*?)\}\}", line)[1]
        for pair in re.findall(r"(\d+),(\d+)", pairs):
            source, target = map(int, pair)
            if spec == BY_ROWS:  # devices 2i and 2i + 1 hold the same images
                assert source // 2 == target // 2
            # 12 rows lie two by two on six of eight devices: their halo comes from farther away
            assert abs(source - target) <= (1 if spec == BY_ROWS else 3)


@pytest.mark.parametrize(("network", "spec"), ON_EIGHT)
def test_what_is_added_up_is_small(one_process, network, spec):
    """Sums are gradients, statistics by channel, and what the dense layers take.

    Those that are no gradient are named here: in ResNet the average over all pixels, two images of
    8 channels on each device; in LeNet the last maps, 5 rows of 5x16 on two devices, which are
    laid end to end. The gradients' shapes are those of the parameters, transposed or not.
    """
    arrays = results(one_process, network, spec)
    allowed = {tuple(sorted(array.shape)) for array in arrays.values()}
    allowed |= {("resnet", BY_ROWS): {(2, 8)}, ("lenet", BY_ROWS): {(5, 6, 8, 16)}}.get(
        (network, spec), set()
    )
    channels = {array.shape[0] for array in arrays.values() if array.ndim == 1}
    for line in exchanges(one_process, network, spec)["all-reduce"]:
        for dimensions in re.findall(r"f64\[([\d,]*)\]", line.split("=")[1]):
            shape = tuple(sorted(int(size) for size in dimensions.split(",") if size))
            assert shape in allowed or math.prod(shape) in channels, line[:300]
