"""Windows over images on eight simulated devices; `test_halo.py` runs this with them.

Values and gradients are those of one device, whatever the sizes, and the program gathers nothing.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxcnn import functional as F
from jaxcnn import nn

ROWS = PartitionSpec("data", "space")
BIG, SMALL, ODD = (2, 4), (4, 2), (1, 8)

# name -> (mesh, shape of the inputs, of the kernel or None, function)
CASES = {
    "two rows on two devices": (SMALL, (4, 2, 5, 3), (3, 3, 3, 4), F.conv),
    "fewer rows than devices": (ODD, (2, 5, 4, 3), (3, 3, 3, 4), F.conv),
    "halo from farther than next door": (ODD, (2, 16, 3, 2), (7, 3, 2, 3), F.conv),
    "strides": (BIG, (4, 20, 6, 3), (7, 7, 3, 4), functools.partial(F.conv, strides=2, padding=3)),
    "VALID": (SMALL, (4, 14, 7, 3), (5, 5, 3, 4), functools.partial(F.conv, padding="VALID")),
    "uneven, asymmetric padding": (
        BIG,
        (2, 13, 6, 3),
        (3, 2, 3, 4),
        functools.partial(F.conv, strides=(2, 1), padding=((0, 3), (1, 0)), flip_kernel=True),
    ),
    "cropped": (
        BIG,
        (2, 16, 6, 3),
        (3, 3, 3, 4),
        functools.partial(F.conv, padding=((-3, -1), (0, 1))),
    ),
    "dilated kernel": (
        BIG,
        (2, 12, 9, 2),
        (3, 3, 2, 3),
        functools.partial(F.conv, kernel_dilation=3),
    ),
    "circular": (BIG, (2, 9, 6, 2), (3, 3, 2, 3), functools.partial(F.conv, padding="CIRCULAR")),
    "depthwise": (
        BIG,
        (2, 9, 6, 4),
        (3, 3, 1, 4),
        functools.partial(F.conv, feature_group_count=4),
    ),
    "blocks of images": (BIG, (32, 33, 32, 2), (3, 3, 2, 3), F.conv),
    "XLA's own": (BIG, (4, 9, 6, 3), (3, 3, 3, 4), functools.partial(F.conv, algorithm="direct")),
    "one axis": (BIG, (2, 21, 3), (4, 3, 2), functools.partial(F.conv, strides=3)),
    "three axes": (BIG, (2, 9, 4, 3, 2), (3, 2, 2, 2, 3), F.conv),
    "transposed": (BIG, (2, 5, 4, 3), (2, 2, 3, 4), functools.partial(F.conv_transpose, strides=2)),
    "transposed, other phases": (
        BIG,
        (2, 7, 4, 3),
        (4, 4, 3, 2),
        functools.partial(F.conv_transpose, strides=3, padding=1),
    ),
    "both dilated": (
        SMALL,
        (4, 7, 5, 2),
        (3, 3, 2, 3),
        functools.partial(F.conv, input_dilation=3, kernel_dilation=2, strides=2, padding=(4, 3)),
    ),
    "max": (BIG, (2, 20, 7, 3), None, lambda x: F.max_pool(x, (2, 2), 2)),
    "max, overlapping": (BIG, (2, 13, 7, 3), None, lambda x: F.max_pool(x, (3, 3), 2, 1)),
    "max, hanging over": (
        BIG,
        (2, 9, 7, 3),
        None,
        lambda x: F.max_pool(x, (2, 3), 2, ceil_mode=True),
    ),
    "max, long": (BIG, (2, 40, 3, 2), None, lambda x: F.max_pool(x, (18, 1), 1, "SAME")),
    "min": (BIG, (2, 8, 7, 3), None, lambda x: F.min_pool(x, (3, 3), 1, "SAME")),
    "average": (BIG, (2, 13, 7, 3), None, lambda x: F.avg_pool(x, (3, 3), 1, 1, False)),
    "average, apart": (
        BIG,
        (2, 10, 7, 3),
        None,
        lambda x: F.avg_pool(x, (2, 2), 2, ceil_mode=True),
    ),
    "flat": (BIG, (2, 5, 3, 2), None, nn.Flatten()),
}


@pytest.fixture(autouse=True)
def devices():
    assert jax.device_count() == 8


def make_mesh(shape):
    return jax.make_mesh(shape, ("data", "space"), (AxisType.Auto,) * 2)


def arguments(case, rng):
    _, inputs, kernel, function = CASES[case]
    arrays = tuple(jnp.asarray(rng.normal(size=shape)) for shape in (inputs, kernel) if shape)
    outputs = jax.eval_shape(function, *arrays)
    return function, arrays, jnp.asarray(rng.normal(size=outputs.shape))


def both(function):
    """Values and gradients."""

    def run(arrays, cotangent):
        outputs, pull = jax.vjp(function, *arrays)
        return outputs, pull(cotangent)

    return run


@pytest.mark.parametrize("case", CASES)
def test_same_as_on_one_device(case, rng):
    function, arrays, cotangent = arguments(case, rng)
    expected = jax.jit(both(function))(arrays, cotangent)
    mesh = make_mesh(CASES[case][0])

    def errors(arrays, cotangent, expected):
        """The largest ones alone come out, so that nothing needs to be gathered for the test."""
        laid = jax.lax.with_sharding_constraint(arrays[0], NamedSharding(mesh, ROWS))
        found = both(function)((laid, *arrays[1:]), cotangent)
        return jax.tree.map(lambda want, got: abs(want - got).max(), expected, found)

    with jax.set_mesh(mesh):
        placed = jax.device_put((arrays, cotangent, expected), NamedSharding(mesh, PartitionSpec()))
        compiled = jax.jit(errors).lower(*placed).compile()
    for error in jax.tree.leaves(compiled(*placed)):
        assert error < 1e-11
    kinds = r" (all-\w+|collective-\w+|reduce-scatter)(?:-start)?\("
    assert set(re.findall(kinds, compiled.as_text())) <= {"all-reduce", "collective-permute"}


def test_under_vmap_remat_and_forward_mode(rng):
    inputs = jnp.asarray(rng.normal(size=(3, 4, 10, 6, 2)))
    kernel = jnp.asarray(rng.normal(size=(3, 3, 2, 2)))

    def network(x, k):
        return F.max_pool(jax.nn.relu(F.conv(x, k)), (3, 3), 2, 1)

    def run(inputs, kernel):
        mapped = jax.vmap(jax.remat(network), (0, None))
        gradient = jax.grad(lambda k: (mapped(inputs, k) ** 2).sum())
        return gradient(kernel), jax.jvp(lambda k: mapped(inputs, k), (kernel,), (kernel,))

    expected = jax.jit(run)(inputs, kernel)
    with jax.set_mesh(make_mesh(BIG)):
        found = jax.jit(run)(inputs, kernel)
    for want, got in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)


def test_images_that_do_not_divide(rng):
    inputs = jnp.asarray(rng.normal(size=(3, 9, 6, 2)))
    kernel = jnp.asarray(rng.normal(size=(3, 3, 2, 2)))

    def run(inputs, kernel):
        return F.conv(inputs, kernel), F.conv(inputs[:0], kernel), F.conv(inputs[0], kernel)

    expected = jax.jit(F.conv)(inputs, kernel)
    with jax.set_mesh(make_mesh(BIG)):
        all_three, none, first = jax.jit(run)(inputs, kernel)
    np.testing.assert_allclose(all_three, expected, atol=1e-12)
    assert none.shape == (0, 9, 6, 2)
    np.testing.assert_allclose(first, expected[0], atol=1e-12)


def test_padding_never_wins_on_narrow_floats(rng):
    inputs = jnp.asarray(-1 - rng.random((2, 9, 6, 2)), jnp.bfloat16)

    def run(inputs):
        whole = (inputs * 8).astype(jnp.int32)
        return [F.max_pool(x, (3, 3), 1, "SAME") for x in (inputs, whole)]

    expected = jax.jit(run)(inputs)
    with jax.set_mesh(make_mesh(BIG)):
        found = jax.jit(run)(inputs)
    for want, got in zip(expected, found, strict=True):
        np.testing.assert_array_equal(got, want)
