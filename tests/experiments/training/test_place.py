"""Arrays of one process as parts of arrays of all; two processes are in `test_parallel.py`."""

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType

from experiments.commands.command import UserError
from experiments.training.mesh import make_mesh
from experiments.training.place import check_shape, constrain, place_batch, replicate


def test_parts_must_be_equal():
    mesh = AbstractMesh((2, 4), ("data", "space"), (AxisType.Auto,) * 2)
    check_shape(mesh, (6, 8, 3, 1))
    with pytest.raises(UserError, match="splits the 5 images in a batch into 2 parts.*multiple"):
        check_shape(mesh, (5,))
    with pytest.raises(UserError, match="splits the 30 rows of an image into 4 parts.*multiple"):
        check_shape(mesh, (2, 30, 3, 1))


def test_one_device_places_as_it_is(rng):
    mesh = make_mesh("data=1")
    images, labels = rng.normal(size=(2, 3, 4, 1)), np.array([0, 1])
    placed = place_batch(mesh, (images, labels))
    np.testing.assert_array_equal(placed[0], images)
    kept = jax.jit(lambda batch: constrain(mesh, batch))(replicate(mesh, placed))
    np.testing.assert_array_equal(kept[1], labels)
