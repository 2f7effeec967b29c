"""How devices are laid out, and which part of an array each of them holds."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType, PartitionSpec

from experiments.commands.command import UserError
from experiments.training.mesh import batch_sharding, batch_share, make_mesh, replicated


def test_specs():
    count = jax.device_count()
    assert dict(make_mesh().shape) == {"data": count, "space": 1}
    assert dict(make_mesh("space=1").shape) == {"data": 1, "space": 1}
    many = [SimpleNamespace(process_index=rank) for rank in (0, 0, 1, 1)]
    with pytest.raises(UserError, match=r"--mesh \(=data=64\) takes 64 devices, but there are"):
        make_mesh("data=64")
    with pytest.raises(UserError, match="takes 2 devices, but there are 4 in 2 processes"):
        make_mesh("data=2", devices=many)
    for spec in ("rows=2", "data", "data=0", "data=x", "data=1,data=1", "data=1,"):
        with pytest.raises(UserError, match="must name data and space at most once"):
            make_mesh(spec)


def test_parts():
    mesh = AbstractMesh((2, 4), ("data", "space"), (AxisType.Auto,) * 2)
    assert batch_sharding(mesh, 4).spec == PartitionSpec("data", "space")
    assert batch_sharding(mesh, 2).spec == PartitionSpec("data")
    assert replicated(mesh).is_fully_replicated


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
    assert batch_share(fake_mesh(owners)) == share


def test_uneven_shares_are_refused(monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    with pytest.raises(UserError, match="gives process 1 no whole share of a batch"):
        batch_share(fake_mesh([[0, 0, 0], [0, 1, 1], [1, 1, 2]]))


def fake_mesh(owners):
    devices = [[SimpleNamespace(process_index=owner) for owner in row] for row in owners]
    shape = {"data": len(owners), "space": len(owners[0])}
    return SimpleNamespace(devices=np.array(devices), shape=shape)
