"""Functions as one program: which they are, what keeps calls apart, and what is refused."""

import inspect
import traceback

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import functional as F
from jaxcnn.functional._program import program

# They take keys, look at what NumPy holds, or call a function of the user's.
OTHERS = {
    "fractional_max_pool",
    "fractional_max_pool_with_indices",
    "max_unpool",
    "pool",
    "stochastic_pool",
}
INPUTS = np.random.default_rng(3).normal(size=(2, 9, 7, 4))
KERNEL = np.random.default_rng(4).normal(size=(3, 2, 4, 5))


def test_all_are_programs_but_a_few():
    functions = {name: getattr(F, name) for name in F.__all__}
    assert {n for n, f in functions.items() if inspect.unwrap(f) is f} == OTHERS


@pytest.mark.parametrize(
    "function",
    [
        lambda x, k: F.conv(x, k, np.ones(5), padding="REFLECT", strides=2),
        lambda x, k: F.conv_transpose(x, k, np.ones(5), strides=2, padding=[(1, 0), (0, 0)]),
        lambda x, k: F.conv(x, k, precision=jax.lax.Precision.HIGHEST),
        lambda x, k: F.avg_pool(x, (3, 3), 2, 1, False, ceil_mode=True),
        lambda x, k: F.spatial_pyramid_pool(x, [(1, 1), (2, 2)]),
        lambda x, k: F.conv_general_dilated(
            x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ),
    ],
)
def test_a_call_is_one_operation(function):
    equations = jax.make_jaxpr(function)(INPUTS, KERNEL).eqns
    assert [equation.primitive.name for equation in equations] == ["jit"]


def test_layers_that_are_alike_are_traced_once():
    traced = []

    @program("inputs")
    def scaled(inputs, *, by):
        traced.append((inputs.shape, by))
        return inputs * by

    def network(x):
        for _ in range(5):
            x = scaled(x, by=2)
        return x

    np.testing.assert_array_equal(jax.jit(network)(np.arange(3)), 32 * np.arange(3))
    assert traced == [((3,), 2)]


def test_options_differ_where_their_types_do():
    F.conv(INPUTS, KERNEL, strides=1)
    with pytest.raises(TypeError, match=r"`strides` \(=True\) must be an int, got bool"):
        F.conv(INPUTS, KERNEL, strides=True)
    F.conv(INPUTS, KERNEL, strides=(1, 1), flip_kernel=True)
    with pytest.raises(TypeError, match=r"`flip_kernel` \(=1\) must be True or False"):
        F.conv(INPUTS, KERNEL, strides=(1, 1), flip_kernel=1)  # pyright: ignore
    F.max_pool(INPUTS, (2, 2), 2)
    with pytest.raises(ValueError, match=r"`strides` \(=2.0\) must be a whole number"):
        F.max_pool(INPUTS, (2, 2), 2.0)  # pyright: ignore


def test_options_in_lists_and_of_numpy():
    expected = F.conv(INPUTS, KERNEL, strides=(2, 1), padding=((1, 0), (0, 1)))
    for strides, padding in (
        ([2, 1], [[1, 0], [0, 1]]),
        (np.array([2, 1]), [(1, 0), (0, 1)]),
        ((np.int64(2), 1), ((1, 0), (0, 1))),
    ):
        found = F.conv(INPUTS, KERNEL, strides=strides, padding=padding)  # pyright: ignore
        np.testing.assert_array_equal(found, expected)


def test_parameters_of_layers_count_as_they_are_now():
    kernel = nnx.Param(jnp.asarray(KERNEL))
    before = F.conv(INPUTS, kernel)  # pyright: ignore
    kernel[...] = 2 * kernel[...]
    np.testing.assert_allclose(F.conv(INPUTS, kernel), 2 * before)  # pyright: ignore


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.conv(INPUTS), "missing 1 required positional argument: 'kernel'"),
        (lambda: F.conv(INPUTS, KERNEL, None, 2), "takes from 2 to 3 positional arguments"),
        (lambda: F.conv(INPUTS, KERNEL, inputs=INPUTS), "multiple values for argument 'inputs'"),
        (lambda: F.conv(INPUTS, KERNEL, stride=2), "unexpected keyword argument 'stride'"),
        (lambda: F.conv(INPUTS.tolist(), KERNEL), "`inputs` must be an array, got list"),
        (lambda: F.partial_conv(INPUTS, KERNEL, 1.0), "`mask` must be an array, got float"),
        (lambda: F.conv(INPUTS.astype(object), KERNEL), "must hold numbers, got dtype object"),
        (lambda: F.conv(INPUTS, KERNEL, strides=True), r"`strides` \(=True\) must be an int"),
    ],
)
def test_a_refusal_shows_no_frame_of_jax(call, message):
    with pytest.raises(TypeError, match=message) as refusal:
        call()
    assert refusal.value.__context__ is None
    frames = traceback.extract_tb(refusal.value.__traceback__)
    assert not any(frame.filename.startswith(jax.__path__[0]) for frame in frames)


def test_names_texts_and_types_stay():
    assert F.conv.__name__ == "conv" and F.conv.__module__ == "jaxcnn.functional.conv"
    assert list(inspect.signature(F.conv).parameters)[:3] == ["inputs", "kernel", "bias"]
    assert "jit(conv)" in jax.jit(F.conv).lower(INPUTS, KERNEL).as_text(debug_info=True)
