"""Windows over images that are spread over eight simulated devices.

Values and gradients are those of one device, whatever the sizes, and the program gathers nothing.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxcnn import functional as F
from jaxcnn import nn, reference, sharding
from jaxcnn.lowering import halo

pytestmark = pytest.mark.eight_devices

ROWS = PartitionSpec("data", "space")
split = functools.partial(sharding.split, batch="data", rows="space")
BIG, SMALL, ODD = (2, 4), (4, 2), (1, 8)

# name -> (mesh, shape of the inputs, of the kernel or None, function, options)
CASES = {
    "two rows on two devices": (SMALL, (4, 2, 5, 3), (3, 3, 3, 4), "conv", {}),
    "fewer rows than devices": (ODD, (2, 5, 4, 3), (3, 3, 3, 4), "conv", {}),
    "halo from farther than next door": (ODD, (2, 16, 3, 2), (7, 3, 2, 3), "conv", {}),
    "strides": (BIG, (4, 20, 6, 3), (7, 7, 3, 4), "conv", {"strides": 2, "padding": 3}),
    "VALID": (SMALL, (4, 14, 7, 3), (5, 5, 3, 4), "conv", {"padding": "VALID"}),
    "uneven, asymmetric padding": (
        BIG,
        (2, 13, 6, 3),
        (3, 2, 3, 4),
        "conv",
        {"strides": (2, 1), "padding": ((0, 3), (1, 0)), "flip_kernel": True},
    ),
    "cropped": (BIG, (2, 16, 6, 3), (3, 3, 3, 4), "conv", {"padding": ((-3, -1), (0, 1))}),
    "dilated kernel": (BIG, (2, 12, 9, 2), (3, 3, 2, 3), "conv", {"kernel_dilation": 3}),
    "circular": (BIG, (2, 9, 6, 2), (3, 3, 2, 3), "conv", {"padding": "CIRCULAR"}),
    "depthwise": (BIG, (2, 9, 6, 4), (3, 3, 1, 4), "conv", {"feature_group_count": 4}),
    "blocks of images": (BIG, (32, 33, 32, 2), (3, 3, 2, 3), "conv", {}),
    "XLA's own": (BIG, (4, 9, 6, 3), (3, 3, 3, 4), "conv", {"algorithm": "direct"}),
    "one axis": (BIG, (2, 21, 3), (4, 3, 2), "conv", {"strides": 3}),
    "three axes": (BIG, (2, 9, 4, 3, 2), (3, 2, 2, 2, 3), "conv", {}),
    "transposed": (BIG, (2, 5, 4, 3), (2, 2, 3, 4), "conv_transpose", {"strides": 2}),
    "transposed, other phases": (
        BIG,
        (2, 7, 4, 3),
        (4, 4, 3, 2),
        "conv_transpose",
        {"strides": 3, "padding": 1},
    ),
    "both dilated": (
        SMALL,
        (4, 7, 5, 2),
        (3, 3, 2, 3),
        "conv",
        {"input_dilation": 3, "kernel_dilation": 2, "strides": 2, "padding": (4, 3)},
    ),
    "max": (BIG, (2, 20, 7, 3), None, "max_pool", {"window_shape": (2, 2), "strides": 2}),
    "max, overlapping": (
        BIG,
        (2, 13, 7, 3),
        None,
        "max_pool",
        {"window_shape": (3, 3), "strides": 2, "padding": 1},
    ),
    "max, hanging over": (
        BIG,
        (2, 9, 7, 3),
        None,
        "max_pool",
        {"window_shape": (2, 3), "strides": 2, "ceil_mode": True},
    ),
    "max, long": (
        BIG,
        (2, 40, 3, 2),
        None,
        "max_pool",
        {"window_shape": (18, 1), "strides": 1, "padding": "SAME"},
    ),
    "min": (
        BIG,
        (2, 8, 7, 3),
        None,
        "min_pool",
        {"window_shape": (3, 3), "strides": 1, "padding": "SAME"},
    ),
    "average": (
        BIG,
        (2, 13, 7, 3),
        None,
        "avg_pool",
        {"window_shape": (3, 3), "strides": 1, "padding": 1, "count_include_pad": False},
    ),
    "average, apart": (
        BIG,
        (2, 10, 7, 3),
        None,
        "avg_pool",
        {"window_shape": (2, 2), "strides": 2, "ceil_mode": True},
    ),
}


def make_mesh(shape):
    return sharding.make_mesh("data={},space={}".format(*shape))


def errors_on(mesh, function, arrays, cotangent, expected):
    """How far values and gradients are off at most, and the program that finds it on a mesh."""

    def errors(arrays, cotangent, expected):
        """The largest ones alone come out, so that nothing needs to be gathered for the test."""
        laid = jax.lax.with_sharding_constraint(arrays[0], NamedSharding(mesh, ROWS))
        outputs, pull = jax.vjp(function, laid, *arrays[1:])
        found = outputs, pull(cotangent)
        return jax.tree.map(lambda want, got: abs(want - got).max(), expected, found)

    with split(mesh):
        placed = jax.device_put((arrays, cotangent, expected), NamedSharding(mesh, PartitionSpec()))
        compiled = jax.jit(errors).lower(*placed).compile()
    return jax.tree.leaves(compiled(*placed)), compiled.as_text()


def exchanged(program):
    """The kinds of messages in a compiled program."""
    return set(re.findall(r" (all-\w+|collective-\w+|reduce-scatter)(?:-start)?\(", program))


@pytest.mark.parametrize("case", CASES)
def test_same_as_by_hand(case, rng):
    mesh, inputs, kernel, name, options = CASES[case]
    arrays = tuple(rng.normal(size=shape) for shape in (inputs, kernel) if shape)
    by_hand = {k: v for k, v in options.items() if k != "algorithm"}
    outputs = getattr(reference, name)(*arrays, **by_hand)
    cotangent = rng.normal(size=outputs.shape)
    gradients = getattr(reference, f"{name}_vjp")(cotangent, *arrays, **by_hand)[: len(arrays)]
    function = functools.partial(getattr(F, name), **options)
    errors, program = errors_on(make_mesh(mesh), function, arrays, cotangent, (outputs, gradients))
    for error in errors:
        assert error < 1e-11
    around = {"all-gather"} if case == "circular" else set()  # which is laid with all rows
    assert exchanged(program) <= {"all-reduce", "collective-permute"} | around


def test_flatten(rng):
    inputs, cotangent = rng.normal(size=(2, 5, 3, 2)), rng.normal(size=(2, 30))
    expected = inputs.reshape(2, 30), (cotangent.reshape(inputs.shape),)
    errors, program = errors_on(make_mesh(BIG), nn.Flatten(), (inputs,), cotangent, expected)
    assert max(errors) == 0
    assert exchanged(program) <= {"all-reduce", "collective-permute"}


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
    with split(make_mesh(BIG)):
        found = jax.jit(run)(inputs, kernel)
    for want, got in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)


def test_images_that_do_not_divide(rng):
    inputs = jnp.asarray(rng.normal(size=(3, 9, 6, 2)))
    kernel = jnp.asarray(rng.normal(size=(3, 3, 2, 2)))

    def run(inputs, kernel):
        return F.conv(inputs, kernel), F.conv(inputs[:0], kernel), F.conv(inputs[0], kernel)

    expected = jax.jit(F.conv)(inputs, kernel)
    with split(make_mesh(BIG)):
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
    with split(make_mesh(BIG)):
        found = jax.jit(run)(inputs)
    for want, got in zip(expected, found, strict=True):
        np.testing.assert_array_equal(got, want)


# name -> (mesh, shape of the inputs, function, options): windows that begin before the first row
IN_THE_PADDING = {
    "short": (BIG, (2, 11, 5, 2), "max_pool", {"window_shape": (3, 2), "padding": 1}),
    "padded wide": (
        BIG,
        (2, 9, 4, 2),
        "max_pool",
        {"window_shape": (5, 3), "padding": ((4, 3), 1)},
    ),
    "fewer rows than devices": (
        ODD,
        (2, 5, 4, 2),
        "min_pool",
        {"window_shape": (3, 3), "strides": 2, "padding": ((2, 1), (1, 2))},
    ),
    "taps apart": (
        SMALL,
        (4, 9, 4, 2),
        "max_pool",
        {"window_shape": (3, 2), "padding": ((4, 3), 1), "window_dilation": (2, 1)},
    ),
    "along one axis": (BIG, (2, 12, 2), "min_pool", {"window_shape": (4,), "padding": 3}),
    "long": (BIG, (2, 24, 2, 1), "max_pool", {"window_shape": (17, 1), "padding": ((9, 8), 0)}),
    "as a tree": (
        BIG,
        (2, 11, 5, 2),
        "max_pool",
        {"window_shape": (3, 2), "padding": ((2, 0), (1, 0)), "algorithm": "tree"},
    ),
    "XLA's own": (
        BIG,
        (2, 11, 5, 2),
        "min_pool",
        {"window_shape": (3, 2), "padding": ((2, 0), (1, 0)), "algorithm": "window"},
    ),
}


@pytest.mark.parametrize("case", IN_THE_PADDING)
def test_the_gradient_never_goes_into_the_padding(case, rng):
    """Most pixels are the worst there is, some are NaN: most windows hold the former alone."""
    mesh, shape, pool, options = IN_THE_PADDING[case]
    worst = np.inf if pool == "min_pool" else -np.inf
    kinds = rng.random(shape)
    inputs = np.where(kinds < 0.8, worst, np.where(kinds < 0.85, np.nan, rng.normal(size=shape)))
    by_hand = {k: v for k, v in options.items() if k != "algorithm"}
    outputs = getattr(reference, pool)(inputs, **by_hand)
    cotangent = rng.normal(size=outputs.shape)
    (expected,) = getattr(reference, f"{pool}_vjp")(cotangent, inputs, **by_hand)

    @jax.jit
    def run(inputs, cotangent):
        laid = jax.lax.with_sharding_constraint(inputs, ROWS)
        outputs, pull = jax.vjp(functools.partial(getattr(F, pool), **options), laid)
        return outputs, *pull(cotangent)

    with split(make_mesh(mesh)):
        found = run(inputs, cotangent)
    np.testing.assert_array_equal(found[0], outputs)
    np.testing.assert_allclose(found[1], expected, atol=1e-12)


def test_the_worst_of_a_dtype_without_infinity_is_a_pixel_too(rng):
    worst = float(jnp.finfo(jnp.float8_e4m3fn).min)
    inputs = jnp.asarray(np.where(rng.random((2, 9, 6, 1)) < 0.8, worst, 2.0), jnp.float8_e4m3fn)

    def run(inputs):
        outputs, pull = jax.vjp(lambda x: F.max_pool(x, (3, 3), 1, "SAME"), inputs)
        return outputs.astype(jnp.float32), pull(jnp.ones_like(outputs))[0].astype(jnp.float32)

    expected = jax.jit(run)(inputs)
    with split(make_mesh(BIG)):
        found = jax.jit(run)(inputs)
    for want, got in zip(expected, found, strict=True):
        np.testing.assert_array_equal(got, want)
    assert found[1].sum() == inputs.size  # nothing is lost


def test_one_device_computes_by_itself():
    inputs = jnp.ones((2, 3, 4, 1))
    assert halo.parts(2, 3) is None
    with split(make_mesh((1, 1))):
        assert halo.parts(2, 3) is None
        assert halo.whole_rows(inputs) is inputs
