"""resize_conv: against the reference, jax.image and PyTorch; corners; dtypes; bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional, reference
from tests.helpers import convolution_arrays, value_and_gradients

# name: spatial sizes, in, out, kernel size, options
CASES = {
    "1d": ((5,), 3, 4, (3,), dict()),
    "1d linear": ((5,), 3, 4, (3,), dict(method="linear", scale=3, padding="CAUSAL")),
    "1d linear of one": ((1,), 3, 4, (3,), dict(method="linear", scale=4)),
    "2d": ((4, 5), 2, 3, (3, 2), dict(scale=(2, 3), padding_mode="reflect")),
    "2d linear": ((4, 5), 4, 6, (3, 2), dict(method="linear", feature_group_count=2, scale=(1, 2))),
    "2d shape": ((4, 5), 2, 3, (3, 2), dict(resized_shape=(7, 10), kernel_dilation=2)),
    "2d linear shape": (
        (4, 5), 2, 3, (3, 2),
        dict(resized_shape=(11, 7), method="linear", padding="VALID", flip_kernel=True),
    ),
    "3d": ((3, 2, 4), 2, 3, (2, 3, 1), dict(scale=(1, 2, 2), padding=1)),
    "4d": ((2, 1, 2, 3), 2, 3, (1, 2, 2, 1), dict(scale=(2, 1, 2, 1), method="linear")),
    "2d large": ((12, 11), 16, 12, (3, 3), dict(method="linear")),
}  # fmt: skip


def both(case, **made):
    args, options, rng = convolution_arrays(case, CASES[case], **made)
    expected = reference.resize_conv(*args, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(functional.resize_conv, cotangent, args, options)
    return (outputs, *gradients), (
        expected,
        *reference.resize_conv_vjp(cotangent, *args, **options),
    )


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference_in_value_and_gradient(case):
    for ours, right in zip(*both(case), strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("case", ["1d linear", "2d linear shape"])
@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16, np.complex128])
def test_other_dtypes(case, dtype):
    # a sum of up to 12 products of O(1), each rounded to the dtype's precision
    tolerance = 30 * float(jnp.finfo(dtype).eps)
    for ours, right in zip(*both(case, dtype=dtype), strict=True):
        assert ours.dtype == dtype
        got = np.asarray(ours).astype(np.result_type(right, dtype))
        np.testing.assert_allclose(got, right, rtol=0, atol=tolerance * np.abs(right).max())


@pytest.mark.parametrize("batch", [(), (2, 3), (0,)])
def test_any_number_of_batch_axes(batch):
    for ours, right in zip(*both("1d linear", batch=batch), strict=True):
        np.testing.assert_allclose(ours, right, atol=1e-11)


@pytest.mark.parametrize(
    "method, sizes", [("nearest", (8, 15)), ("linear", (8, 9)), ("linear", (4, 20))]
)
def test_resizes_as_jax_does(method, sizes, rng):
    one_tap = np.eye(3)[None, None]

    @jax.jit
    def run(inputs):
        ours = functional.resize_conv(inputs, one_tap, resized_shape=sizes, method=method)
        return ours, jax.image.resize(inputs, (2, *sizes, 3), method)

    outputs, expected = run(rng.standard_normal((2, 4, 5, 3)))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)  # jax weighs in float32


@pytest.mark.parametrize("method, name", [("nearest", "nearest-exact"), ("linear", "bilinear")])
def test_is_what_torch_computes(method, name, rng):
    torch = pytest.importorskip("torch")
    inputs, kernel = rng.standard_normal((2, 4, 5, 3)), rng.standard_normal((3, 2, 3, 4))
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(inputs.transpose(0, 3, 1, 2)), size=(8, 13), mode=name
    )
    weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1))
    expected = torch.nn.functional.conv2d(resized, weight, padding=1).numpy()
    outputs = functional.resize_conv(
        inputs, kernel, resized_shape=(8, 13), method=method, padding=1
    )
    np.testing.assert_allclose(outputs, expected.transpose(0, 2, 3, 1), atol=1e-12)


def test_nearest_keeps_integers_and_not_a_number_in_its_place(rng):
    inputs = rng.integers(-99, 99, (2, 4, 5, 3)).astype(np.int8)
    kernel = rng.integers(-99, 99, (3, 3, 3, 2)).astype(np.int8)
    options = dict(preferred_element_type=jnp.int32)
    outputs = functional.resize_conv(inputs, kernel, **options)
    np.testing.assert_array_equal(outputs, reference.resize_conv(inputs, kernel))
    pixels = np.array([1.0, np.nan, 2.0, 3.0, 4.0])[:, None]
    one_tap = np.ones((1, 1, 1))
    for options, count in ((dict(), 2), (dict(method="linear", scale=3), 3 + 2)):
        assert np.isnan(functional.resize_conv(pixels, one_tap, **options)).sum() == count


def test_vmap_over_inputs_and_kernels():
    (inputs, kernel, _), options, _ = convolution_arrays("2d linear", CASES["2d linear"])
    fn = jax.jit(jax.vmap(functools.partial(functional.resize_conv, **options)))
    many = np.stack([inputs, 2 * inputs]), np.stack([kernel, kernel**2])
    for i, got in enumerate(np.asarray(fn(*many))):
        expected = reference.resize_conv(many[0][i], many[1][i], **options)
        np.testing.assert_allclose(got, expected, atol=1e-11)


def test_bilinear_second_order(rng):
    inputs, kernel = rng.standard_normal((2, 4, 2)), rng.standard_normal((3, 2, 3))
    tangents = rng.standard_normal(inputs.shape), rng.standard_normal(kernel.shape)
    options = dict(method="linear")

    def loss(x, k):
        return (functional.resize_conv(x, k, **options) ** 2).sum() / 2

    hessian = jax.jit(lambda *along: jax.jvp(jax.grad(loss, (0, 1)), (inputs, kernel), along)[1])
    ours = hessian(*tangents)
    forward, pull = reference.resize_conv, reference.resize_conv_vjp
    y = forward(inputs, kernel, **options)
    dy = forward(tangents[0], kernel, **options) + forward(inputs, tangents[1], **options)
    by_y, by_dy = pull(y, *tangents, **options), pull(dy, inputs, kernel, **options)
    for got, a, b in zip(ours, by_y, by_dy, strict=False):
        np.testing.assert_allclose(got, a + b, atol=1e-10)


X, K = np.ones((4, 5, 6, 3), np.float32), np.ones((3, 3, 3, 4), np.float32)
BAD = {
    "list": (TypeError, r"resize_conv: `inputs` must be an array", ([[1.0]], K), {}),
    "rank 0": (ValueError, r"`kernel` must be \(\*kernel_size", (X, K[0, 0]), {}),
    "few axes": (ValueError, r"`inputs` must be .* inputs \(6, 3\)", (X[0, 0], K), {}),
    "no pixel": (ValueError, r"`inputs` must have no empty spatial axis", (X[:, :0], K), {}),
    "channels": (ValueError, r"resize_conv: `kernel` must have .* = 3", (X, K[:, :, :2]), {}),
    "scale": (ValueError, r"`scale` \(=1.5\) must be a whole number", (X, K), dict(scale=1.5)),
    "scale 0": (ValueError, r"`scale` \(=0\) must be at least 1", (X, K), dict(scale=(2, 0))),
    "shape": (
        ValueError, r"`resized_shape` \(=\(5, 4\)\) must be no smaller .* 4 for 6 along spatial",
        (X, K), dict(resized_shape=(5, 4)),
    ),
    "shape count": (ValueError, r"`resized_shape` .* got 1", (X, K), dict(resized_shape=(9,))),
    "method": (ValueError, r"`method` \(='cubic'\) must be one of", (X, K), dict(method="cubic")),
    "method type": (TypeError, r"`method` \(=1\) must be a string", (X, K), dict(method=1)),
    "integers": (
        TypeError, r"`inputs` must be floats for `method` \(='linear'\), got int32",
        (X.astype("i4"), K.astype("i4")), dict(method="linear"),
    ),
    "padding": (ValueError, r"resize_conv: `padding` \(='SOME'\)", (X, K), dict(padding="SOME")),
    "bias": (ValueError, r"resize_conv: `bias` must be \(4,\)", (X, K, np.ones(3)), {}),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(case):
    kind, message, args, options = BAD[case]
    with pytest.raises(kind, match=message):
        functional.resize_conv(*args, **options)
