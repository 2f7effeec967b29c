"""What users run: no compiler flag, no setting, 32 bits, and memory where something else lay.

`conftest.py` makes flags and settings for all other tests, under which XLA's programs are others.
"""

import dataclasses
import functools
import os
import platform
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import functional, nn, reference
from jaxcnn.lowering import choose
from jaxcnn.testing import primitives
from tests.fuzz.checking import Checker
from tests.fuzz.poison import allocator, memory, risky, rows
from tests.fuzz.poison.repeated import Repeated

pytestmark = pytest.mark.as_users_run

allocator.prepare()  # before JAX starts its threads
CALLS = 2 * len(memory.POISONS)  # with each poison in freed memory, and in memory given out
# Every algorithm runs in the plainest primitive that has it: all others hand it the same problem.
BY_ALGORITHM = {
    "conv": choose.CONV_ALGORITHMS,
    "max_pool": choose.MAX_POOL_ALGORITHMS,
    "sum_pool": choose.SUM_POOL_ALGORITHMS,
}
WAYS = [
    pytest.param(name, algorithm, id=f"{name}-{algorithm}")
    for name in primitives()
    for algorithm in dict.fromkeys(["auto", *BY_ALGORITHM.get(name, ())])
]


def test_nothing_is_set():
    assert not os.environ.get("XLA_FLAGS") and not jax.config.jax_enable_x64
    assert jax.config.jax_numpy_dtype_promotion == "standard"
    assert jax.config.jax_numpy_rank_promotion == "allow"
    assert set(primitives()) == set(functional.__all__) - {"plan"}


@functools.cache
def row(name, algorithm):
    """Of the cases that an algorithm takes, the one likeliest to read outside of its arrays."""
    for case in sorted(primitives()[name].cases.values(), key=rows.risk, reverse=True):
        if algorithm == "auto":
            return case
        way = dataclasses.replace(case, fn=functools.partial(case.fn, algorithm=algorithm))
        try:
            jax.eval_shape(way.fn, *rows.drawn(way))
        except ValueError:  # the algorithm does not take such windows or channels
            continue
        return way
    raise LookupError(f"no case of {name} is taken by {algorithm}")


@pytest.mark.parametrize("name, algorithm", WAYS)
def test_every_primitive_and_algorithm_in_poisoned_memory(name, algorithm):
    """Value and gradients are the reference's, with the same bits in each of 10 calls."""
    case = row(name, algorithm)
    outputs = jax.tree.leaves(jax.eval_shape(case.fn, *rows.drawn(case)))[0]
    assert outputs.dtype == rows.drawn(case)[0].dtype  # float32, or complex64
    rows.agree(case, calls=CALLS, second_order=False)


@pytest.mark.parametrize("call", risky.KNOWN, ids=lambda call: call.primitive)
def test_calls_that_once_read_outside_of_their_inputs(call):
    assert Checker(functools.partial(Repeated, calls=CALLS)).agree(call)


# The smallest program that shows why no negative amount of padding is left to XLA's convolution: on
# a CPU jaxlib 0.10 reads a row beyond the inputs where zeros should be, 0.12 does not.
@pytest.mark.parametrize("around, outside", [("zeros", False), ("ones", "0.10"), ("NaN", "0.10")])
def test_a_plain_convolution_that_crops_reads_outside_of_its_inputs(around, outside):
    inputs, kernel = (np.ones(shape, np.float32) for shape in ((1, 4, 1, 4), (2, 1, 4, 1)))
    padding = ((-1, 1), (0, 0))
    outputs = jax.lax.conv_general_dilated(
        memory.surrounded(inputs, around), kernel, (1, 1), padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip
    right = np.array_equal(outputs, reference.conv(inputs, kernel, padding=padding))
    assert right != (outside and version("jaxlib").startswith(f"{outside}."))


# What XLA's own convolution gives for the images below: 26, or with a row of the next image 68.
OF_LAX = {"0.10.2": 68.0, "0.12.0.1": 26.0}


def test_a_convolution_that_crops_reads_no_row_of_the_next_image():
    """Row 2 of the first image and a row of padding: 5 + 6 + 7 + 8.

    XLA's own reads the first row of the second image in place of the padding, 9 + 10 + 11 + 12
    more, on every call: what lies between images does not change.
    """
    inputs = jnp.arange(1, 17, dtype=jnp.float32).reshape(2, 2, 2, 2)
    kernel, padding = jnp.ones((2, 2, 2, 2), jnp.float32), ((-1, 1), (0, 0))

    def first(function):
        def run(inputs, kernel):
            return function(
                inputs, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
            )

        return jax.jit(run)(inputs, kernel)[0].ravel().tolist()

    assert first(functional.conv_general_dilated) == [26.0, 26.0]
    if platform.machine() == "x86_64" and jax.__version__ in OF_LAX:
        assert first(jax.lax.conv_general_dilated) == [OF_LAX[jax.__version__]] * 2


def test_a_nan_of_one_channel_stays_out_of_the_others_gradients():
    """A phase of this layer saw the row of zeros below the images times 0.

    Channels lie behind one another there, so that the first row of the next channel was read in
    its place, on every call.
    """
    rng = np.random.default_rng(4)
    options = dict(strides=2, padding=[(0, 2), (1, 0)], transpose_kernel=True, use_bias=False)
    layer = nn.ConvTranspose(3, 5, (3, 3), rngs=nnx.Rngs(0), **options)
    inputs = rng.standard_normal((2, 3, 9, 12, 3)).astype(np.float32)
    inputs[..., 0, :, 1] = np.nan
    kernel = np.asarray(layer.kernel[...])
    # Flax's amounts are those of the dilated inputs: 2 less them are the convolution's.
    own = dict(strides=2, padding=((2, 0), (1, 2)), transpose_kernel=True)
    cotangent = rng.standard_normal(reference.conv_transpose(inputs, kernel, **own).shape)
    expected = reference.conv_transpose_vjp(cotangent, inputs, kernel, **own)[1]

    @nnx.jit
    def gradient(layer, inputs, cotangent):
        return nnx.grad(lambda layer: jnp.vdot(layer(inputs), cotangent))(layer)

    found = gradient(layer, inputs, cotangent.astype(np.float32)).kernel[...]
    np.testing.assert_allclose(found[..., ::2], expected[..., ::2], rtol=0, atol=1e-3)
