"""Adaptive pools: values and gradients against the reference and PyTorch; corners; bad input."""

import re

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference
from jaxcnn.testing import check_gradients, check_transforms
from tests.helpers import program, value_and_gradients, values_and_gradients

# name: inputs, output shape
CASES = {
    "1d, 7 into 3": ((2, 7, 3), (3,)),
    "1d, a target above the input": ((2, 3, 3), (7,)),
    "2d, dividing": ((2, 6, 10, 3), (3, 5)),
    "2d, not dividing": ((2, 7, 10, 3), (3, 4)),
    "2d, common divisor": ((1, 6, 15, 2), (4, 10)),
    "2d, one kept, one above": ((2, 5, 3, 2), (None, 4)),
    "2d, to one": ((2, 3, 5, 2), (1, 1)),
    "2d, nothing to do": ((2, 3, 5, 2), (None, 5)),
    "3d": ((2, 4, 5, 2, 2), (3, 2, 3)),
    "4d": ((1, 3, 2, 4, 3, 2), (2, 2, 3, None)),
    "no batch": ((5, 4, 2), (2, 3)),
    "two batch axes": ((2, 3, 5, 4, 2), (2, 2)),
    "many windows to a period": ((1, 41, 3, 2), (35, 2)),
    "many windows, a target above": ((1, 3, 7, 2), (40, 50)),
    "large": ((4, 26, 20, 12), (6, 3)),
}
POOLS = ("adaptive_avg_pool", "adaptive_max_pool", "adaptive_max_pool_with_indices")
FUNCTIONS = [getattr(functional, name) for name in POOLS]


def values(shape, dtype=np.float64) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def value_and_gradient(name, cotangent, inputs, output_shape):
    """Outputs, positions or None, and the gradient."""
    outputs, gradient = value_and_gradients(
        getattr(functional, name), cotangent, inputs, dict(output_shape=output_shape)
    )
    return *jax.device_get(split(outputs)), np.asarray(gradient)


def split(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs, None)


@pytest.mark.parametrize("case", CASES)
def test_agree_with_the_reference_in_value_and_gradient(case):
    shape, output_shape = CASES[case]
    inputs = values(shape)
    out = reference.adaptive_avg_pool(inputs, output_shape).shape
    cotangent = np.random.default_rng(1).standard_normal(out)
    results = values_and_gradients(FUNCTIONS, cotangent, inputs, dict(output_shape=output_shape))
    for name, (found, gradient) in zip(POOLS, results, strict=True):
        outputs, positions = split(found)
        expected, indices = split(getattr(reference, name)(inputs, output_shape))
        np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12, err_msg=name)
        (hand,) = getattr(reference, f"{name}_vjp")(cotangent, inputs, output_shape)
        np.testing.assert_allclose(gradient, hand, rtol=1e-10, atol=1e-11, err_msg=name)
        assert (positions is None) == (indices is None)
        if indices is not None:
            assert positions.dtype == jnp.int32
            np.testing.assert_array_equal(positions, indices)


@pytest.mark.parametrize("name", POOLS[:2])
@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (7, 5), (9, 23)])
def test_is_what_torch_computes(name, shape):
    torch = pytest.importorskip("torch")
    pool = getattr(torch.nn.functional, name.replace("pool", "pool2d"))
    inputs = values((2, 7, 10, 3))
    tensor = torch.from_numpy(inputs.transpose(0, 3, 1, 2)).requires_grad_()
    theirs = pool(tensor, shape)
    cotangent = np.random.default_rng(2).standard_normal((2, *shape, 3))
    theirs.backward(torch.from_numpy(cotangent.transpose(0, 3, 1, 2)))
    outputs, _, gradient = value_and_gradient(name, cotangent, inputs, shape)
    np.testing.assert_allclose(outputs, theirs.detach().numpy().transpose(0, 2, 3, 1), atol=1e-12)
    np.testing.assert_allclose(gradient, tensor.grad.numpy().transpose(0, 2, 3, 1), atol=1e-12)


@pytest.mark.parametrize("sizes, shape", [((7, 10), (3, 4)), ((5,), (8,)), ((4, 5, 6), (3, 5, 2))])
def test_indices_are_torch_s(sizes, shape):
    torch = pytest.importorskip("torch")
    pool = getattr(torch.nn.functional, f"adaptive_max_pool{len(sizes)}d")
    inputs = values((2, *sizes, 3))
    theirs = pool(torch.from_numpy(np.moveaxis(inputs, -1, 1)), shape, return_indices=True)
    ours = value_and_gradient(POOLS[2], np.zeros((2, *shape, 3)), inputs, shape)
    for right, got in zip(theirs, ours, strict=False):
        np.testing.assert_array_equal(got, np.moveaxis(right.numpy(), 1, -1))


def test_golden_values():
    average = functional.adaptive_avg_pool(np.arange(7.0)[:, None], (3,))
    assert average.ravel().tolist() == [1, 3, 5]
    largest = functional.adaptive_max_pool(np.array([[0.0], [1.0]]), (5,))
    assert largest.ravel().tolist() == [0, 0, 1, 1, 1]


def test_ties_go_to_the_first_in_row_major_order():
    plane = np.array([[1.0, 3, 3, 2], [3, 0, 3, 3]])[..., None]
    ones = np.ones((1, 2, 1))
    outputs, indices, gradient = value_and_gradient(POOLS[2], ones, plane, (1, 2))
    assert outputs.ravel().tolist() == [3, 3] and indices.ravel().tolist() == [1, 2]
    assert gradient[..., 0].tolist() == [[0, 1, 1, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("shape", [(4,), (9,), (37,)])
def test_nan_stays_in_its_windows_and_takes_their_gradient(shape):
    line = np.array([1.0, 2, 3, np.nan, 5, np.nan])[:, None]
    ones = np.ones((*shape, 1))
    results = values_and_gradients(FUNCTIONS, ones, line, dict(output_shape=shape))
    for name, (found, gradient) in zip(POOLS, results, strict=True):
        outputs, expected = split(found)[0], split(getattr(reference, name)(line, shape))[0]
        np.testing.assert_allclose(outputs, expected, err_msg=name)
        (hand,) = getattr(reference, f"{name}_vjp")(ones, line, shape)
        np.testing.assert_allclose(gradient, hand, err_msg=name)


def test_a_nan_in_the_cotangent_stays_with_its_window():
    cotangent = np.ones((35, 1))
    cotangent[17] = np.nan
    _, _, gradient = value_and_gradient(POOLS[0], cotangent, np.ones((41, 1)), (35,))
    assert np.isnan(gradient).sum() == 3


@pytest.mark.parametrize("shape", [(2,), (3,), (40,)])
def test_a_window_of_minus_infinity_sends_its_gradient_to_a_pixel(shape):
    line = np.full((7, 1), -np.inf)
    outputs, _, gradient = value_and_gradient(POOLS[1], np.ones((*shape, 1)), line, shape)
    assert (outputs == -np.inf).all() and gradient.sum() == shape[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, jnp.bfloat16])
@pytest.mark.parametrize("name", POOLS[:2])
def test_other_floats(name, dtype):
    inputs = values((2, 7, 10, 3)).astype(dtype)
    cotangent = values((2, 3, 4, 3)).astype(dtype)
    outputs, _, gradient = value_and_gradient(name, cotangent, inputs, (3, 4))
    assert outputs.dtype == gradient.dtype == dtype
    wide = inputs.astype(np.float64)
    (hand,) = getattr(reference, f"{name}_vjp")(cotangent.astype(np.float64), wide, (3, 4))
    expected = getattr(reference, name)(wide, (3, 4))
    # one rounding of a float32 sum to the dtype, which itself rounds a few times
    atol = 4 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(outputs.astype(np.float64), expected, rtol=atol, atol=atol)
    np.testing.assert_allclose(gradient.astype(np.float64), hand, rtol=atol, atol=atol)


def test_16_bit_averages_are_summed_in_float32():
    hundreds = np.full((4096, 1), 100, np.float16)
    assert functional.adaptive_avg_pool(hundreds, (1,)).item() == 100
    ones = np.ones((4096, 1), jnp.bfloat16)
    _, _, gradient = value_and_gradient(POOLS[1], ones, ones[:1], (4096,))
    assert gradient.item() == 4096


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32])
def test_integers(dtype, rng):
    info = np.iinfo(dtype)
    inputs = rng.integers(info.min, info.max, (2, 5, 41, 2), endpoint=True).astype(dtype)
    for shape in ((2, 3), (None, 35)):
        outputs, indices, average = jax.jit(
            lambda x, shape=shape: (
                *functional.adaptive_max_pool_with_indices(x, shape),
                functional.adaptive_avg_pool(x, shape),
            )
        )(inputs)
        expected = reference.adaptive_max_pool_with_indices(inputs, shape)
        assert outputs.dtype == dtype
        np.testing.assert_array_equal(outputs, expected[0])
        np.testing.assert_array_equal(indices, expected[1])
        assert average.dtype == jax.eval_shape(jnp.mean, inputs).dtype
        np.testing.assert_allclose(
            average, reference.adaptive_avg_pool(inputs, shape), rtol=1e-5, atol=1e-5 * info.max
        )


def test_complex_averages(rng):
    inputs = rng.standard_normal((2, 7, 3)) + 1j * rng.standard_normal((2, 7, 3))
    cotangent = inputs[:, :3]
    outputs, _, gradient = value_and_gradient(POOLS[0], cotangent, inputs, (3,))
    np.testing.assert_allclose(outputs, reference.adaptive_avg_pool(inputs, (3,)), atol=1e-12)
    (hand,) = reference.adaptive_avg_pool_vjp(cotangent, inputs, (3,))
    np.testing.assert_allclose(gradient, hand, atol=1e-12)


@pytest.mark.parametrize("name", POOLS)
def test_empty_batches(name):
    inputs, cotangent = np.zeros((2, 0, 7, 5, 3)), np.zeros((2, 0, 3, 8, 3))
    outputs, _, gradient = value_and_gradient(name, cotangent, inputs, (3, 8))
    assert outputs.shape == cotangent.shape and gradient.shape == inputs.shape


@pytest.mark.parametrize("name", POOLS[:2])
def test_derivatives_of_every_kind(name):
    inputs, shape = values((2, 5, 4, 2)), (3, 6)
    hand = getattr(reference, f"{name}_vjp")
    check_gradients(
        lambda x: getattr(functional, name)(x, shape),
        (inputs,),
        vjp=lambda c, x: hand(c, x, shape),
        order=2,
        linear=name == "adaptive_avg_pool",
    )


def test_transformations():
    pool = functional.adaptive_max_pool_with_indices
    check_transforms(lambda x: pool(x, (3, 2))[0], (values((2, 5, 4, 2)),))


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (9, 15), (35, 50)])
def test_no_gradient_adds_at_indices_that_may_collide(name, shape):
    inputs, cotangent = np.zeros((2, 41, 10, 3)), np.zeros((2, *shape, 3))
    text = program(getattr(functional, name), cotangent, inputs, dict(output_shape=shape))
    assert "select_and_scatter" not in text
    scatters = re.findall(r'"stablehlo.scatter".*', text)
    assert len(scatters) == text.count('"stablehlo.scatter"')
    assert all("unique_indices = true" in scatter for scatter in scatters)
    assert bool(scatters) == (shape == (35, 50))


@hypothesis.settings(max_examples=8, deadline=None)
@hypothesis.given(st.integers(1, 9), st.integers(1, 12))
def test_any_sizes(size, count):
    inputs = values((size, 2))
    for name in POOLS[:2]:
        expected = getattr(reference, name)(inputs, (count,))
        np.testing.assert_allclose(getattr(functional, name)(inputs, (count,)), expected)


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize(
    "inputs, shape, error, message",
    [
        (np.zeros((2, 5, 4, 3)), 3, TypeError, "`output_shape` .=3. must be a tuple"),
        (np.zeros((2, 5, 4, 3)), (), ValueError, "must name at least one spatial axis"),
        (np.zeros((2, 5, 4, 3)), (0, 2), ValueError, "must be at least 1"),
        (np.zeros((2, 5, 4, 3)), (2.5, 2), ValueError, "must be a whole number"),
        (np.zeros((2, 5, 4, 3)), ("2", 2), TypeError, "must be an int, got str"),
        (np.zeros((4, 3)), (2, 2), ValueError, "with 2 spatial axes, .* received inputs .4, 3."),
        (np.zeros((2, 0, 4, 3)), (2, 2), ValueError, "no empty spatial axis"),
        (np.zeros((2, 5, 4, 0)), (2, 2), ValueError, "at least one channel"),
        (np.zeros((2, 5, 4, 3), bool), (2, 2), TypeError, "got bool; cast"),
        ([[1.0]], (1,), TypeError, "`inputs` must be an array, got list"),
    ],
)
def test_bad_input(name, inputs, shape, error, message):
    with pytest.raises(error, match=f"^{name}: .*{message}"):
        getattr(functional, name)(inputs, shape)


def test_complex_numbers_have_no_maximum():
    for name in POOLS[1:]:
        with pytest.raises(TypeError, match=f"{name}: `inputs` must hold real numbers"):
            getattr(functional, name)(np.zeros((4, 2), complex), (2,))
