"""depthwise_conv and separable_conv: against the reference, `conv`, Flax and PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import functional, reference
from jaxcnn.testing import check_gradients, check_transforms
from tests.helpers import generator, normal, value_and_gradients

# name: spatial sizes, in, multiplier, kernel size, options
CASES = {
    "1d causal": ((9,), 3, 2, (3,), dict(padding="CAUSAL", kernel_dilation=2)),
    "1d strided, flipped": ((10,), 3, 2, (4,), dict(strides=3, flip_kernel=True)),
    "2d": ((6, 5), 3, 1, (3, 2), dict()),
    "2d copies": ((6, 5), 3, 4, (3, 2), dict(padding="VALID")),
    "2d one channel": ((6, 5), 1, 4, (3, 2), dict(padding="VALID")),
    "2d strided": ((7, 6), 4, 2, (3, 2), dict(strides=(2, 3), padding="SAME_LOWER")),
    "2d full": ((4, 5), 3, 2, (3, 2), dict(padding="FULL", kernel_dilation=(1, 2))),
    "2d crop": ((7, 8), 2, 3, (3, 2), dict(padding=((-1, 2), (-2, -1)), strides=(2, 1))),
    "2d circular": ((6, 5), 2, 3, (3, 2), dict(padding="CIRCULAR", strides=(2, 1))),
    "2d reflect": ((6, 7), 3, 1, (2, 3), dict(padding="REFLECT", kernel_dilation=2)),
    "2d replicate": ((5, 6), 2, 1, (3, 2), dict(padding_mode="replicate", padding=((2, 0), 3))),
    "2d stride beyond kernel": ((9, 8), 2, 1, (2, 1), dict(strides=(4, 3), padding="VALID")),
    "2d all": (
        (5, 6),
        3,
        2,
        (2, 3),
        dict(
            flip_kernel=True,
            strides=(2, 3),
            kernel_dilation=(2, 1),
            input_dilation=(2, 3),
            padding=((-1, 2), (0, 3)),
        ),
    ),
    "3d": ((4, 5, 3), 2, 2, (2, 3, 1), dict(strides=(1, 2, 1), padding=(0, 1, 2))),
    "4d": ((3, 3, 2, 3), 2, 1, (1, 2, 1, 2), dict(kernel_dilation=(1, 2, 1, 1), padding=1)),
    "2d large": ((24, 20), 20, 1, (3, 3), dict(strides=(1, 2))),
    "2d large, wide": ((13, 31), 24, 1, (3, 5), dict()),
}  # fmt: skip


def arrays(case: str, batch: tuple[int, ...] = (2,), dtype=np.float64):
    sizes, in_features, multiplier, kernel_size, options = CASES[case]
    rng = generator(case)
    shapes = (*batch, *sizes, in_features), (*kernel_size, in_features, multiplier)
    return normal(rng, (*shapes, (in_features * multiplier,)), dtype), options, rng


@pytest.mark.parametrize(
    "case, algorithm",
    [(case, "auto") for case in CASES]
    + [(case, "direct") for case in ("1d causal", "2d copies", "2d all")]
    + [(case, "fft") for case in ("1d causal", "2d copies", "2d all", "2d crop", "3d")],
)
def test_agrees_with_the_reference_in_value_and_gradient(case, algorithm):
    args, options, rng = arrays(case)
    expected = reference.depthwise_conv(*args, **options)
    cotangent = rng.standard_normal(expected.shape)
    chosen = options | {"algorithm": algorithm}
    outputs, gradients = value_and_gradients(functional.depthwise_conv, cotangent, args, chosen)
    np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-11)
    hand = reference.depthwise_conv_vjp(cotangent, *args, **options)
    for ours, right in zip(gradients, hand, strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", ["2d copies", "2d all"])
@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16, np.float16, np.complex128])
def test_other_dtypes(case, dtype):
    args, options, rng = arrays(case, dtype=dtype)
    expected = reference.depthwise_conv(*args, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(functional.depthwise_conv, cotangent, args, options)
    assert outputs.dtype == dtype
    # a sum of up to 60 products of O(1), accumulated in float32 at least
    tolerance = 1e-10 if dtype is np.complex128 else 8 * float(jnp.finfo(dtype).eps)
    hand = reference.depthwise_conv_vjp(cotangent, *args, **options)
    for ours, right in zip((outputs, *gradients), (expected, *hand), strict=True):
        got = np.asarray(ours).astype(np.result_type(right, dtype))
        np.testing.assert_allclose(got, right, rtol=0, atol=tolerance * np.abs(right).max())


def test_derivatives_in_every_mode_and_to_second_order():
    (inputs, kernel, _), options, _ = arrays("1d strided, flipped")
    fn = functools.partial(functional.depthwise_conv, **options)
    vjp = functools.partial(reference.depthwise_conv_vjp, **options)
    check_gradients(
        fn, (inputs, kernel), vjp=lambda c, x, k: vjp(c, x, k)[:2], order=2, linear=True,
        name="depthwise_conv",
    )  # fmt: skip


def test_transformations():
    (inputs, kernel, bias), options, _ = arrays("1d strided, flipped")
    check_transforms(
        functools.partial(functional.depthwise_conv, **options),
        (inputs, kernel, bias),
        name="depthwise_conv",
    )


@pytest.mark.parametrize("batch", [(), (2, 3), (0,), (2, 0)])
def test_any_number_of_batch_axes(batch):
    args, options, rng = arrays("1d causal", batch)
    expected = reference.depthwise_conv(*args, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(functional.depthwise_conv, cotangent, args, options)
    np.testing.assert_allclose(outputs, expected, atol=1e-12)
    hand = reference.depthwise_conv_vjp(cotangent, *args, **options)
    for ours, right in zip(gradients, hand, strict=True):
        np.testing.assert_allclose(ours, right, atol=1e-11)


def test_is_conv_with_a_group_for_each_channel():
    (inputs, kernel, bias), options, _ = arrays("2d strided")
    for algorithm in ("auto", "shift", "direct"):
        grouped = functional.conv(
            inputs, kernel.reshape((3, 2, 1, 8)), bias,
            feature_group_count=4, algorithm=algorithm, **options,
        )  # fmt: skip
        ours = functional.depthwise_conv(inputs, kernel, bias, algorithm=algorithm, **options)
        np.testing.assert_array_equal(ours, grouped)


def test_is_what_flax_computes(rng):
    layer = nnx.Conv(
        4, 8, (3, 2), strides=(2, 1), feature_group_count=4, rngs=nnx.Rngs(0),
        kernel_init=nnx.initializers.zeros_init(),
    )  # fmt: skip
    inputs, kernel, bias = (
        rng.standard_normal(shape).astype(np.float32)
        for shape in ((2, 7, 6, 4), (3, 2, 4, 2), (8,))
    )
    layer.kernel[...], layer.bias[...] = jax.device_put((kernel.reshape((3, 2, 1, 8)), bias))
    ours = functional.depthwise_conv(inputs, kernel, bias, strides=(2, 1))
    np.testing.assert_allclose(ours, nnx.jit(layer)(inputs), rtol=1e-5, atol=1e-5)


def test_is_what_torch_computes(rng):
    torch = pytest.importorskip("torch")
    inputs, kernel = rng.standard_normal((2, 7, 8, 3)), rng.standard_normal((3, 2, 3, 2))
    weight = kernel.transpose(2, 3, 0, 1).reshape(6, 1, 3, 2)
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy()), torch.from_numpy(weight.copy()),
        stride=(2, 1), padding=(2, 1), dilation=(1, 2), groups=3,
    )  # fmt: skip
    ours = functional.depthwise_conv(
        inputs, kernel, strides=(2, 1), padding=(2, 1), kernel_dilation=(1, 2)
    )
    np.testing.assert_allclose(ours, expected.numpy().transpose(0, 2, 3, 1), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("algorithm", ["shift", "direct"])
def test_8_bit_integers_accumulate_in_the_preferred_type(dtype, algorithm, rng):
    inputs = rng.integers(0, 127, (2, 5, 6, 4)).astype(dtype)
    kernel = rng.integers(0, 127, (3, 3, 4, 2)).astype(dtype)
    options = dict(preferred_element_type=jnp.int32)
    outputs = functional.depthwise_conv(inputs, kernel, algorithm=algorithm, **options)
    assert outputs.dtype == jnp.int32
    np.testing.assert_array_equal(outputs, reference.depthwise_conv(inputs, kernel))
    mix = rng.integers(0, 100, (1, 1, 8, 5)).astype(dtype)
    outputs = functional.separable_conv(inputs, kernel, mix, algorithm=algorithm, **options)
    assert outputs.dtype == jnp.int32
    np.testing.assert_array_equal(outputs, reference.separable_conv(inputs, kernel, mix))


def test_4096_bfloat16_ones_sum_to_4096():
    inputs, kernel = np.ones((64, 64, 2), jnp.bfloat16), np.ones((64, 64, 2, 1), jnp.bfloat16)
    for algorithm in ("auto", "direct"):
        outputs = functional.depthwise_conv(inputs, kernel, padding="VALID", algorithm=algorithm)
        assert outputs.dtype == jnp.bfloat16 and outputs.tolist() == [[[4096, 4096]]]


def test_nan_stays_in_its_channel_and_windows():
    inputs = np.ones((7, 6, 3))
    inputs[2, 3, 1] = np.nan
    outputs = functional.depthwise_conv(inputs, np.ones((3, 3, 3, 2)))
    expected = np.zeros((7, 6, 6), bool)
    expected[1:4, 2:5, 2:4] = True
    np.testing.assert_array_equal(np.isnan(outputs), expected)


@pytest.mark.parametrize("case", ["1d causal", "2d strided", "2d circular", "3d"])
def test_separable_agrees_with_the_reference(case):
    (inputs, kernel, _), options, rng = arrays(case)
    between = kernel.shape[-2] * kernel.shape[-1]
    mix = rng.standard_normal((1,) * (kernel.ndim - 2) + (between, 5))
    args = inputs, kernel, mix, rng.standard_normal(5)
    expected = reference.separable_conv(*args, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(functional.separable_conv, cotangent, args, options)
    np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12)
    hand = reference.separable_conv_vjp(cotangent, *args, **options)
    for ours, right in zip(gradients, hand, strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-10, atol=1e-11)


def test_separable_is_conv_with_the_product_of_both_kernels(rng):
    inputs, kernel = rng.standard_normal((2, 7, 6, 3)), rng.standard_normal((3, 2, 3, 2))
    mix = rng.standard_normal((1, 1, 6, 4))
    dense = np.einsum("abcq,cqo->abco", kernel, mix.reshape(3, 2, 4))
    ours = functional.separable_conv(inputs, kernel, mix, strides=2)
    np.testing.assert_allclose(ours, reference.conv(inputs, dense, strides=2), atol=1e-12)


X, K = np.ones((4, 9, 8, 6), np.float32), np.ones((3, 3, 6, 2), np.float32)
M = np.ones((1, 1, 12, 5), np.float32)
BAD = {
    "list": (TypeError, r"NAME: `inputs` must be an array, got list", ([[1.0]], K), {}),
    "rank 0": (ValueError, r"NAME: `KERNEL` must be \(\*kernel_size, in_f", (X, K[0, 0]), {}),
    "few axes": (ValueError, r"NAME: `inputs` must be .* inputs \(8, 6\)", (X[0, 0], K), {}),
    "channels": (ValueError, r"NAME: `KERNEL` must have the 6 channels", (X, K[:, :, :5]), {}),
    "no tap": (ValueError, r"NAME: `KERNEL` must have no empty axis; rec", (X, K[:0]), {}),
    "no pixel": (ValueError, r"NAME: `inputs` must have no empty spatial", (X[:, :0], K), {}),
    "too large": (ValueError, r"NAME: `KERNEL` .* spans 3 pixels", (X[:, :2], K), dict(padding=0)),
    "strides": (ValueError, r"NAME: `strides` \(=0\)", (X, K), dict(strides=0)),
    "padding": (TypeError, r"NAME: `padding` \(=None\)", (X, K), dict(padding=None)),
    "flip": (TypeError, r"NAME: `flip_kernel` \(=1\)", (X, K), dict(flip_kernel=1)),
    "precision": (ValueError, r"NAME: `precision`", (X, K), dict(precision="most")),
    "8 bit": (ValueError, r"NAME: `preferred", (X.astype(np.int8), K.astype(np.int8)), {}),
    "algorithm": (ValueError, r"NAME: `algorithm` \(='magic'\)", (X, K), dict(algorithm="magic")),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(case):
    kind, message, args, options = BAD[case]
    depthwise = message.replace("NAME", "depthwise_conv").replace("KERNEL", "kernel")
    with pytest.raises(kind, match=depthwise):
        functional.depthwise_conv(*args, **options)
    if isinstance(args[0], np.ndarray):
        with pytest.raises(kind, match=depthwise):
            jax.jit(lambda *a: functional.depthwise_conv(*a, **options))(*args)
    separable = message.replace("NAME", "separable_conv").replace("KERNEL", "depthwise_kernel")
    with pytest.raises(kind, match=separable):
        functional.separable_conv(*args, M.astype(args[-1].dtype), **options)


def test_bad_bias_and_pointwise_kernel_are_refused():
    with pytest.raises(ValueError, match=r"depthwise_conv: `bias` must be \(12,\)"):
        functional.depthwise_conv(X, K, np.ones(6, np.float32))
    with pytest.raises(ValueError, match=r"separable_conv: `bias` must be \(5,\)"):
        functional.separable_conv(X, K, M, np.ones(6, np.float32))
    for wrong in (M[0], M[:, :, :6], M[..., :0], np.ones((2, 1, 12, 5), np.float32)):
        with pytest.raises(ValueError, match=r"`pointwise_kernel` must be \(1, 1, in.* 12, out"):
            functional.separable_conv(X, K, wrong)


def test_many_taps_go_by_boxes_of_them_and_equal_the_fourier_transform(rng):
    inputs, kernel = rng.standard_normal((20, 23, 3)), rng.standard_normal((15, 11, 3, 1))
    ours, by_name, transformed = (
        functional.depthwise_conv(inputs, kernel, algorithm=name)
        for name in ("auto", "taps", "fft")
    )
    np.testing.assert_array_equal(ours, by_name)
    np.testing.assert_allclose(ours, transformed, atol=1e-11)
    np.testing.assert_allclose(ours, reference.depthwise_conv(inputs, kernel), atol=1e-11)


@pytest.mark.parametrize(
    "inputs, kernel, reason",
    [
        (np.ones((4, 4, 3)), np.ones((2, 2, 3, 4)), "needs a group for each input channel"),
        (np.ones((4, 4, 1), complex), np.ones((2, 2, 1, 1), complex), "needs real floating inputs"),
        (np.ones((2, 2, 2, 2, 1)), np.ones((1, 1, 1, 1, 1, 1)), "transforms at most 3 spatial"),
    ],
)
def test_the_fourier_transform_says_what_it_cannot_take(inputs, kernel, reason):
    with pytest.raises(ValueError, match=rf"conv: `algorithm` \(='fft'\) {reason}"):
        functional.conv(inputs, kernel, algorithm="fft")


@pytest.mark.parametrize("sizes, taps", [((200,), (100,)), ((23, 26), (9, 13))])
@pytest.mark.parametrize("value", [1e8, np.inf, np.nan])
def test_many_taps_give_windows_their_own_sums_whatever_others_hold(sizes, taps, value):
    """Pixels of one: every window that does not see the one other sums to its number of taps."""
    pixels, kernel = np.ones((*sizes, 2), np.float32), np.ones((*taps, 2, 1), np.float32)
    pixels[(0,) * len(sizes)] = value  # seen by the first window alone, under its first tap

    @jax.jit
    def run(pixels, kernel):
        convolve = functools.partial(functional.depthwise_conv, padding="VALID")
        outputs, pullback = jax.vjp(convolve, pixels, kernel)
        return outputs, pullback(jnp.ones_like(outputs).at[(0,) * outputs.ndim].set(value))

    with jax.enable_x64(False):
        outputs, (moved, gradient) = run(pixels, kernel)
    count, places = np.prod(taps), outputs[..., 0].size
    np.testing.assert_array_equal(outputs.reshape(-1, 2)[1:], count)
    np.testing.assert_array_equal(gradient.reshape(-1, 2)[1:, 1], places)
    assert np.isnan(moved).any() == np.isnan(value)
    np.testing.assert_array_equal(moved.reshape(-1, 2)[-1], 1)


def test_shift_refuses_what_is_not_depthwise():
    with pytest.raises(ValueError, match=r"conv: `algorithm` \(='shift'\) needs a group for each"):
        functional.conv(X, K, algorithm="shift")
