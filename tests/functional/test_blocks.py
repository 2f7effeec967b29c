"""space_to_depth and depth_to_space: both orders, against the reference, inverses and PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference
from tests.functional.moves import check_transformations

# name: coarse sizes, block_shape, channels
CASES = {
    "1d": ((5,), (3,), 2),
    "2d": ((3, 2), (2, 3), 3),
    "2d kept": ((3, 2), (1, 1), 3),
    "3d": ((2, 3, 1), (2, 1, 3), 2),
    "4d": ((2, 1, 2, 1), (1, 2, 2, 3), 2),
    "2d large": ((24, 18), (2, 4), 5),
}


@functools.partial(jax.jit, static_argnums=(2, 3))
def there_and_back(inputs, cotangent, block, order):
    depth, pullback = jax.vjp(lambda x: functional.space_to_depth(x, block, order=order), inputs)
    space, pushback = jax.vjp(lambda x: functional.depth_to_space(x, block, order=order), depth)
    return depth, pullback(cotangent)[0], space, pushback(inputs)[0]


@pytest.mark.parametrize("order", ["CRD", "DCR"])
@pytest.mark.parametrize("case", CASES)
def test_agree_with_the_reference_and_are_inverses(case, order, rng):
    coarse, block, channels = CASES[case]
    fine = [n * r for n, r in zip(coarse, block, strict=True)]
    inputs = rng.standard_normal((2, *fine, channels))
    expected = reference.space_to_depth(inputs, block, order=order)
    cotangent = rng.standard_normal(expected.shape)
    depth, gradient, space, space_gradient = there_and_back(inputs, cotangent, block, order)
    np.testing.assert_array_equal(depth, expected)
    (hand,) = reference.space_to_depth_vjp(cotangent, inputs, block, order=order)
    np.testing.assert_array_equal(gradient, hand)
    np.testing.assert_array_equal(space, inputs)
    np.testing.assert_array_equal(reference.depth_to_space(expected, block, order=order), inputs)
    (hand,) = reference.depth_to_space_vjp(inputs, expected, block, order=order)
    np.testing.assert_array_equal(space_gradient, hand)


def test_crd_is_torch_s_pixel_shuffle(rng):
    torch = pytest.importorskip("torch")
    inputs = rng.standard_normal((2, 6, 9, 4))
    unshuffled = torch.pixel_unshuffle(torch.from_numpy(inputs.transpose(0, 3, 1, 2)), 3)
    depth = functional.space_to_depth(inputs, (3, 3))
    np.testing.assert_array_equal(depth, unshuffled.numpy().transpose(0, 2, 3, 1))
    features = rng.standard_normal((2, 3, 5, 18))
    shuffled = torch.pixel_shuffle(torch.from_numpy(features.transpose(0, 3, 1, 2)), 3)
    space = functional.depth_to_space(features, (3, 3))
    np.testing.assert_array_equal(space, shuffled.numpy().transpose(0, 2, 3, 1))


def test_dcr_is_the_example_in_tensorflow_s_documentation():
    # a 2 x 2 image of three channels becomes one pixel of twelve, in the order they are written
    inputs = np.arange(1, 13).reshape(1, 2, 2, 3)
    depth = functional.space_to_depth(inputs, (2, 2), order="DCR")
    np.testing.assert_array_equal(depth, np.arange(1, 13).reshape(1, 1, 1, 12))
    image = np.array([[1, 2, 5, 6], [3, 4, 7, 8], [9, 10, 13, 14], [11, 12, 15, 16]])
    depth = functional.space_to_depth(image.reshape(1, 4, 4, 1), (2, 2), order="DCR")
    np.testing.assert_array_equal(depth, np.arange(1, 17).reshape(1, 2, 2, 4))
    space = functional.depth_to_space(depth, (2, 2), order="DCR")
    np.testing.assert_array_equal(space, image.reshape(1, 4, 4, 1))


@pytest.mark.parametrize(
    "dtype", [np.float32, jnp.bfloat16, np.float16, np.complex64, np.int8, np.uint16, np.bool_]
)
def test_every_dtype_and_what_is_no_number(dtype, rng):
    values = rng.integers(0, 2, (2, 4, 6, 3)).astype(np.float32)
    if jnp.issubdtype(dtype, jnp.inexact):
        values[0, 1, 2, 1], values[1, 0, 0, 0] = np.nan, -np.inf
    inputs = values.astype(dtype)
    depth = functional.space_to_depth(inputs, (2, 3))
    assert depth.dtype == dtype
    back = np.asarray(functional.depth_to_space(depth, (2, 3)))
    assert back.tobytes() == inputs.tobytes()  # NumPy takes no bfloat16 NaN for equal


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,), (2, 0)])
@pytest.mark.parametrize("order", ["CRD", "DCR"])
def test_any_number_of_batch_axes(batch, order, rng):
    inputs = rng.standard_normal((*batch, 4, 6, 2))
    depth = functional.space_to_depth(inputs, (2, 3), order=order)
    np.testing.assert_array_equal(depth, reference.space_to_depth(inputs, (2, 3), order=order))
    space = functional.depth_to_space(depth, (2, 3), order=order)
    np.testing.assert_array_equal(space, inputs)


def test_transformations(rng):
    inputs, tangent = rng.standard_normal((2, 4, 6, 2)), rng.standard_normal((2, 4, 6, 2))

    def deep(x):
        return functional.space_to_depth(x, (2, 3))

    check_transformations(deep, inputs, tangent)


X = np.ones((2, 4, 6, 12), np.float32)
BAD = {
    "list": (TypeError, r": `inputs` must be an array, got list", [[1.0]], (2,), {}),
    "int": (TypeError, r": `block_shape` \(=2\) must be a tuple .* write \(2, 2\)", X, 2, {}),
    "empty": (ValueError, r": `block_shape` \(=\(\)\) must name at least one", X, (), {}),
    "zero": (ValueError, r": `block_shape` \(=0\) must be at least 1", X, (2, 0), {}),
    "half": (ValueError, r": `block_shape` \(=1.5\) must be a whole number", X, (1.5, 1), {}),
    "few axes": (ValueError, r": `inputs` must be .* since the block_shape", X[0, 0], (2, 2), {}),
    "order": (ValueError, r": `order` \(='RGB'\) must be one of CRD", X, (2, 2), dict(order="RGB")),
    "no order": (TypeError, r": `order` \(=None\) must be a string", X, (2, 2), dict(order=None)),
    "no channel": (ValueError, r": `inputs` must have at least one ch", X[..., :0], (2, 2), {}),
}


@pytest.mark.parametrize("function", ["space_to_depth", "depth_to_space"])
@pytest.mark.parametrize("case", BAD)
def test_both_refuse(case, function):
    error, message, inputs, block, options = BAD[case]
    with pytest.raises(error, match=function + message):
        getattr(functional, function)(inputs, block, **options)


def test_sizes_must_divide():
    message = (
        r"space_to_depth: `block_shape` \(=\(2, 4\)\) must divide the spatial sizes \(4, 6\), .* "
        r"received inputs \(2, 4, 6, 12\), where 4 does not divide 6 along spatial axis 1"
    )
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda x: functional.space_to_depth(x, (2, 4)), X)
    with pytest.raises(ValueError, match=r"space_to_depth: .* none of them 0"):
        functional.space_to_depth(X[:, :0], (2, 2))
    message = r"depth_to_space: `block_shape` \(=\(2, 4\)\) .* \(2, 4, 6, 12\), where 8 pixels a bl"
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda x: functional.depth_to_space(x, (2, 4)), X)
    with pytest.raises(ValueError, match=r"depth_to_space: .* no spatial axis may be empty"):
        functional.depth_to_space(X[:, :0], (2, 2))
