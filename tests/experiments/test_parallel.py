"""Training on many devices: eight simulated ones, and two processes with four each."""

import collections
import math
import os
import pathlib
import re
import socket
import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType, PartitionSpec

from experiments import parallel
from experiments.command import UserError
from experiments.parallel import place

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


def test_specs():
    count = jax.device_count()
    assert dict(parallel.make_mesh().shape) == {"data": count, "space": 1}
    assert dict(parallel.make_mesh("space=1").shape) == {"data": 1, "space": 1}
    many = [SimpleNamespace(process_index=rank) for rank in (0, 0, 1, 1)]
    with pytest.raises(UserError, match=r"--mesh \(=data=64\) takes 64 devices, but there are"):
        parallel.make_mesh("data=64")
    with pytest.raises(UserError, match="takes 2 devices, but there are 4 in 2 processes"):
        parallel.make_mesh("data=2", devices=many)
    for spec in ("rows=2", "data", "data=0", "data=x", "data=1,data=1", "data=1,"):
        with pytest.raises(UserError, match="must name data and space at most once"):
            parallel.make_mesh(spec)


def test_parts():
    mesh = AbstractMesh((2, 4), ("data", "space"), (AxisType.Auto,) * 2)
    assert parallel.batch_sharding(mesh, 4).spec == PartitionSpec("data", "space")
    assert parallel.batch_sharding(mesh, 2).spec == PartitionSpec("data")
    assert parallel.replicated(mesh).is_fully_replicated
    place.check_shape(mesh, (6, 8, 3, 1))
    with pytest.raises(UserError, match="splits the 5 images in a batch into 2 parts.*multiple"):
        place.check_shape(mesh, (5,))
    with pytest.raises(UserError, match="splits the 30 rows of an image into 4 parts.*multiple"):
        place.check_shape(mesh, (2, 30, 3, 1))


@pytest.mark.parametrize(
    ("owners", "rank", "share"),
    [
        ([[0], [0], [1], [1]], 1, (1, 2)),
        ([[0, 0], [1, 1]], 0, (0, 2)),
        ([[0, 0, 1, 1]], 1, (0, 1)),
        ([[0, 1], [2, 3]], 3, (1, 2)),
    ],
)
def test_shares_of_a_batch(monkeypatch, owners, rank, share):
    monkeypatch.setattr(jax, "process_index", lambda: rank)
    assert parallel.batch_share(fake_mesh(owners)) == share


def test_uneven_shares_are_refused(monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    with pytest.raises(UserError, match="gives process 1 no whole share of a batch"):
        parallel.batch_share(fake_mesh([[0, 0, 0], [0, 1, 1], [1, 1, 2]]))


def fake_mesh(owners):
    devices = [[SimpleNamespace(process_index=owner) for owner in row] for row in owners]
    shape = {"data": len(owners), "space": len(owners[0])}
    return SimpleNamespace(devices=np.array(devices), shape=shape)


def test_one_device_places_as_it_is(rng):
    mesh = parallel.make_mesh("data=1")
    images, labels = rng.normal(size=(2, 3, 4, 1)), np.array([0, 1])
    placed = parallel.place_batch(mesh, (images, labels))
    np.testing.assert_array_equal(placed[0], images)
    kept = jax.jit(lambda batch: parallel.constrain(mesh, batch))(parallel.replicate(mesh, placed))
    np.testing.assert_array_equal(kept[1], labels)


def test_one_process_alone(monkeypatch):
    for name in ("SLURM_STEP_NODELIST", "OMPI_MCA_orte_hnp_uri", "JAX_COORDINATOR_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    parallel.start_processes()
    assert parallel.is_first()
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[1-2]")
    with pytest.raises(UserError, match="cannot be joined: .*must be called before"):
        parallel.start_processes()
