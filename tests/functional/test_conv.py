"""conv: values and gradients against the reference, Flax and PyTorch; dtypes; transformations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import functional, reference
from tests.helpers import convolution_arrays, value_and_gradients

# name: spatial sizes, in, out, kernel size, options
CASES = {
    "1d": ((9,), 3, 4, (3,), dict(padding="VALID")),
    "1d causal, dilated": ((9,), 2, 3, (3,), dict(padding="CAUSAL", kernel_dilation=2)),
    "1d strided, flipped": ((10,), 2, 3, (4,), dict(strides=3, flip_kernel=True)),
    "2d same": ((6, 5), 2, 3, (3, 2), dict()),
    "2d same, strided": ((7, 6), 2, 3, (3, 4), dict(strides=(2, 3))),
    "2d same lower": ((7, 6), 2, 3, (2, 4), dict(padding="SAME_LOWER", strides=(1, 2))),
    "2d full": ((4, 5), 2, 3, (3, 2), dict(padding="FULL", kernel_dilation=(1, 2))),
    "2d int padding": ((6, 5), 2, 3, (3, 3), dict(padding=2, strides=2)),
    "2d pairs": ((6, 5), 2, 3, (3, 2), dict(padding=((0, 2), (3, 1)), kernel_dilation=2)),
    "2d crop": ((7, 8), 2, 3, (3, 2), dict(padding=((-1, 2), (-2, -1)), strides=(2, 1))),
    "2d circular": ((6, 5), 2, 3, (3, 4), dict(padding="CIRCULAR", strides=(2, 1))),
    "2d reflect, dilated": ((6, 7), 2, 3, (2, 3), dict(padding="REFLECT", kernel_dilation=2)),
    "2d replicate": (
        (5, 6),
        2,
        3,
        (3, 3),
        dict(padding_mode="replicate", padding=((2, 0), (1, 3))),
    ),
    "2d reflect one row": ((1, 6), 2, 3, (3, 3), dict(padding="REFLECT")),
    "2d reflect full": ((5, 6), 2, 3, (3, 3), dict(padding_mode="reflect", padding="FULL")),
    "2d circular beyond": ((3, 4), 2, 3, (2, 2), dict(padding_mode="circular", padding=(5, 4))),
    "2d reflect, input dilated": (
        (4, 5),
        2,
        3,
        (3, 2),
        dict(padding_mode="reflect", padding=1, input_dilation=(2, 3), strides=2),
    ),
    "2d input dilated": ((4, 5), 2, 3, (3, 2), dict(input_dilation=(2, 3), strides=(1, 2))),
    "2d input dilated, cropped": (
        (4, 5),
        2,
        3,
        (3, 2),
        dict(input_dilation=3, padding=((-2, 1), (0, -4)), kernel_dilation=(1, 2)),
    ),
    "2d grouped": ((6, 5), 6, 9, (3, 2), dict(feature_group_count=3, strides=(2, 1))),
    "2d grouped, all": (
        (5, 6),
        4,
        6,
        (2, 3),
        dict(
            feature_group_count=2,
            flip_kernel=True,
            strides=(2, 3),
            kernel_dilation=(2, 1),
            input_dilation=(2, 3),
            padding=((1, 2), (0, 3)),
        ),
    ),
    "2d depthwise": ((6, 5), 4, 8, (3, 2), dict(feature_group_count=4, padding="VALID")),
    "2d 1x1": ((6, 5), 3, 4, (1, 1), dict(strides=2)),
    "2d kernel as large": ((4, 3), 2, 3, (4, 3), dict(padding="VALID")),
    "2d stride beyond kernel": ((9, 8), 2, 3, (2, 1), dict(strides=(4, 3), padding="VALID")),
    "3d": ((4, 5, 3), 2, 3, (2, 3, 2), dict(strides=(1, 2, 1), padding=(0, 1, 2))),
    "3d grouped reflect": (
        (4, 3, 3),
        4,
        2,
        (2, 2, 3),
        dict(padding_mode="reflect", padding=1, feature_group_count=2),
    ),
    "4d": ((3, 3, 2, 3), 2, 3, (2, 2, 1, 2), dict(kernel_dilation=(1, 2, 1, 1), padding=1)),
    "2d large": ((24, 20), 12, 16, (3, 3), dict(strides=(1, 2))),
}


def arrays(case: str, **options):
    return convolution_arrays(case, CASES[case], **options)


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference_in_value_and_gradient(case):
    args, options, rng = arrays(case)
    expected = reference.conv(*args, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(functional.conv, cotangent, args, options)
    np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12)
    for ours, hand in zip(gradients, reference.conv_vjp(cotangent, *args, **options), strict=True):
        np.testing.assert_allclose(ours, hand, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize(
    "case, dtype",
    [
        *(("1d", dtype) for dtype in (np.float32, jnp.bfloat16, np.float16, np.complex128)),
        *(("2d grouped, all", dtype) for dtype in (np.float16, np.complex128)),
        *(("2d reflect full", dtype) for dtype in (np.float32, jnp.bfloat16)),
        *(("4d", dtype) for dtype in (jnp.bfloat16, np.complex128)),
    ],
)
def test_other_dtypes(case, dtype):
    args, options, rng = arrays(case, dtype=dtype)
    expected = reference.conv(*args, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(functional.conv, cotangent, args, options)
    assert outputs.dtype == dtype
    # a sum of up to 24 products of O(1), each rounded to the dtype's precision
    tolerance = 1e-10 if dtype is np.complex128 else 30 * float(jnp.finfo(dtype).eps)
    hand = reference.conv_vjp(cotangent, *args, **options)
    for ours, right in zip((outputs, *gradients), (expected, *hand), strict=True):
        got = np.asarray(ours).astype(np.result_type(right, dtype))
        np.testing.assert_allclose(got, right, rtol=0, atol=tolerance * np.abs(right).max())


@pytest.mark.parametrize("batch", [(), (2, 3), (0,), (2, 0)])
def test_any_number_of_batch_axes(batch):
    args, options, rng = arrays("2d grouped", batch=batch)
    expected = reference.conv(*args, **options)
    cotangent = rng.standard_normal(expected.shape)
    outputs, gradients = value_and_gradients(functional.conv, cotangent, args, options)
    np.testing.assert_allclose(outputs, expected, atol=1e-12)
    for ours, hand in zip(gradients, reference.conv_vjp(cotangent, *args, **options), strict=True):
        np.testing.assert_allclose(ours, hand, atol=1e-11)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, jnp.int4])
def test_8_bit_integers_accumulate_in_the_preferred_type(dtype, rng):
    largest = int(jnp.iinfo(dtype).max)
    inputs = rng.integers(0, largest, (2, 5, 6, 8)).astype(dtype)
    kernel = rng.integers(0, largest, (3, 3, 8, 4)).astype(dtype)
    outputs = functional.conv(inputs, kernel, preferred_element_type=jnp.int32)
    assert outputs.dtype == jnp.int32
    np.testing.assert_array_equal(outputs, reference.conv(inputs, kernel))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_the_gradient_of_a_bias_of_16_bits_is_summed_in_float32(dtype):
    inputs, kernel, bias = (np.ones(shape, dtype) for shape in ((4096, 1), (1, 1, 1), (1,)))
    images = inputs[:, None]

    @jax.jit
    def gradients(bias):
        _, pull = jax.vjp(lambda b: functional.conv(inputs, kernel, b), bias)
        _, pull_local = jax.vjp(
            lambda b: functional.conv_local(images, kernel[None], b), bias[None]
        )
        return pull(inputs)[0], pull_local(images)[0]

    assert [gradient.item() for gradient in gradients(bias)] == [4096, 4096]


@pytest.mark.parametrize("strides", [1, 3])
def test_an_empty_batch_has_gradients(strides):
    inputs, kernel = np.zeros((0, 5, 1)), np.ones((3, 1, 1))
    outputs, pull = jax.vjp(lambda *a: functional.conv(*a, strides=strides), inputs, kernel)
    d_inputs, d_kernel = pull(outputs)
    assert d_inputs.shape == inputs.shape
    np.testing.assert_array_equal(d_kernel, np.zeros(kernel.shape))


def test_a_nan_stays_in_its_group_where_asked_for(rng):
    inputs, kernel = rng.standard_normal((5, 6)), rng.standard_normal((3, 3, 4))
    inputs[2, 0] = np.nan
    options = dict(padding="VALID", feature_group_count=2)
    outputs = functional.conv(inputs, kernel, algorithm="direct", **options)
    np.testing.assert_allclose(outputs, reference.conv(inputs, kernel, **options), 1e-12)
    assert np.isfinite(np.asarray(outputs)[:, 2:]).all()


def test_the_preferred_type_keeps_what_16_bits_would_lose(rng):
    inputs = np.ones((1, 64, 64, 1), jnp.bfloat16)
    kernel = np.ones((64, 64, 1, 1), jnp.bfloat16)
    options = dict(padding="VALID", preferred_element_type=jnp.float32)
    assert functional.conv(inputs, kernel, **options).item() == 4096
    total = jax.grad(lambda k: functional.conv(inputs, k, **options).sum())
    assert jax.eval_shape(total, kernel).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    "case",
    ["2d same, strided", "2d circular", "2d reflect one row", "2d grouped", "1d causal, dilated"],
)
def test_is_what_flax_computes(case):
    (inputs, kernel, bias), options, _ = arrays(case, dtype=np.float32)
    layer = nnx.Conv(
        inputs.shape[-1], kernel.shape[-1], kernel.shape[:-2], rngs=nnx.Rngs(0), **options,
        kernel_init=nnx.initializers.zeros_init(),
    )  # fmt: skip
    layer.kernel[...], layer.bias[...] = jax.device_put((kernel, bias))
    ours, theirs = nnx.jit(
        lambda layer, x: (
            functional.conv(x, kernel, bias, **options),
            layer(x),
        )
    )(layer, inputs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_is_what_torch_computes(mode):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    inputs, kernel = rng.standard_normal((2, 7, 8, 4)), rng.standard_normal((3, 2, 2, 6))
    layer = torch.nn.Conv2d(
        4, 6, (3, 2), stride=(2, 1), padding=(2, 1), dilation=(1, 2), groups=2,
        padding_mode=mode, bias=False, dtype=torch.float64,
    )  # fmt: skip
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1)))
        expected = layer(torch.from_numpy(inputs.transpose(0, 3, 1, 2))).numpy()
    outputs = functional.conv(
        inputs, kernel, strides=(2, 1), padding=(2, 1), kernel_dilation=(1, 2),
        feature_group_count=2, padding_mode=mode,
    )  # fmt: skip
    np.testing.assert_allclose(outputs, expected.transpose(0, 2, 3, 1), atol=1e-12)


def test_input_gradient_is_a_full_convolution_of_the_dilated_cotangent(rng):
    stride, size, kernel_size = 3, 11, 4
    inputs, kernel = rng.standard_normal((2, size, 3)), rng.standard_normal((kernel_size, 3, 5))
    outputs, pullback = jax.vjp(
        lambda x: functional.conv(x, kernel, strides=stride, padding="VALID"), inputs
    )
    cotangent = rng.standard_normal(outputs.shape)
    unread = (size - kernel_size) % stride
    by_conv = functional.conv(
        cotangent,
        kernel.transpose(0, 2, 1),
        flip_kernel=True,
        input_dilation=stride,
        padding=((kernel_size - 1, kernel_size - 1 + unread),),
    )
    np.testing.assert_allclose(pullback(cotangent)[0], by_conv, atol=1e-12)


def test_kernel_gradient_exchanges_stride_and_kernel_dilation(rng):
    stride, dilation = 2, 3
    inputs, kernel = rng.standard_normal((4, 12, 3)), rng.standard_normal((3, 3, 5))
    outputs, pullback = jax.vjp(
        lambda k: functional.conv(
            inputs, k, strides=stride, kernel_dilation=dilation, padding="VALID"
        ),
        kernel,
    )
    cotangent = rng.standard_normal(outputs.shape)
    by_conv = functional.conv(  # channels act as the batch, the batch as channels
        inputs.transpose(2, 1, 0),
        cotangent.transpose(1, 0, 2),
        strides=dilation,
        kernel_dilation=stride,
        padding="VALID",
    )
    by_conv = np.asarray(by_conv).transpose(1, 0, 2)[: kernel.shape[0]]
    np.testing.assert_allclose(pullback(cotangent)[0], by_conv, atol=1e-12)


@pytest.mark.parametrize("case", ["2d grouped, all", "1d strided, flipped", "2d replicate"])
def test_vmap_over_inputs_kernels_and_both(case):
    (inputs, kernel, _), options, rng = arrays(case)
    fn = functools.partial(functional.conv, **options)
    many_inputs = np.stack([inputs, 2 * inputs, inputs[::-1]])
    many_kernels = np.stack([kernel, -kernel, kernel**2])
    for axes in ((0, None), (None, 0), (0, 0)):
        got = jax.device_get(
            jax.vmap(fn, axes)(
                many_inputs if axes[0] == 0 else inputs, many_kernels if axes[1] == 0 else kernel
            )
        )
        for i in range(3):
            expected = reference.conv(
                many_inputs[i] if axes[0] == 0 else inputs,
                many_kernels[i] if axes[1] == 0 else kernel,
                **options,
            )
            np.testing.assert_allclose(got[i], expected, atol=1e-11)


def test_bilinear_second_order(rng):
    inputs, kernel = rng.standard_normal((2, 6, 5, 2)), rng.standard_normal((3, 2, 2, 3))
    dx, dk = rng.standard_normal(inputs.shape), rng.standard_normal(kernel.shape)

    def loss(x, k):
        return (functional.conv(x, k, strides=2) ** 2).sum() / 2

    gradient = jax.jit(jax.grad(loss, (0, 1)))
    _, (hx, hk) = jax.jvp(gradient, (inputs, kernel), (dx, dk))
    y = reference.conv(inputs, kernel, strides=2)
    dy = reference.conv(dx, kernel, strides=2) + reference.conv(inputs, dk, strides=2)
    by_y = reference.conv_vjp(y, dx, dk, strides=2)
    by_dy = reference.conv_vjp(dy, inputs, kernel, strides=2)
    np.testing.assert_allclose(hx, by_y[0] + by_dy[0], atol=1e-10)
    np.testing.assert_allclose(hk, by_y[1] + by_dy[1], atol=1e-10)


def test_shapes_of_arrays_too_large_to_allocate():
    inputs = jax.ShapeDtypeStruct((2**31, 64, 64, 3), jnp.float32)
    kernel = jax.ShapeDtypeStruct((3, 3, 3, 8), jnp.float32)
    assert jax.eval_shape(functional.conv, inputs, kernel).shape == (2**31, 64, 64, 8)


X, K = np.ones((4, 9, 8, 6), np.float32), np.ones((3, 3, 6, 4), np.float32)
BAD = {
    "list": (TypeError, r"conv: `inputs` must be an array, got list", ([[1.0]], K), {}),
    "text": (TypeError, r"conv: `kernel` must hold numbers", (X, np.array("a")), {}),
    "rank 0": (ValueError, r"conv: `kernel` must be \(\*kernel_size", (X, np.ones((6, 4))), {}),
    "few axes": (ValueError, r"conv: `inputs` must be .* inputs \(8, 6\)", (X[0, 0], K), {}),
    "channels": (ValueError, r"must have .* = 6 input channels, got 5", (X, K[:, :, :5]), {}),
    "no channel": (ValueError, r"at least one channel", (X[..., :0], K[:, :, :0]), {}),
    "no tap": (ValueError, r"conv: `kernel` must have no empty axis", (X, K[:0]), {}),
    "no pixel": (ValueError, r"conv: `inputs` must have no empty spatial axis", (X[:, :0], K), {}),
    "groups": (
        ValueError,
        r"conv: `feature_group_count` \(=4\) must divide `in_features` \(=6\); received inputs",
        (X, K),
        dict(feature_group_count=4),
    ),
    "groups out": (
        ValueError,
        r"`feature_group_count` \(=3\) must divide `out_features` \(=4\)",
        (X, K[:, :, :2]),
        dict(feature_group_count=3),
    ),
    "groups 0": (ValueError, r"`feature_group_count` \(=0\)", (X, K), dict(feature_group_count=0)),
    "kernel too large": (
        ValueError,
        r"conv: `kernel` \(=\(3, 3\)\) spans 9 pixels along spatial axis 1, more than the 8",
        (X, K),
        dict(padding="VALID", kernel_dilation=4),
    ),
    "bias": (ValueError, r"conv: `bias` must be \(4,\)", (X, K, np.ones(3)), {}),
    "stride 0": (ValueError, r"conv: `strides` \(=0\) must be at least 1", (X, K), dict(strides=0)),
    "stride 1.5": (ValueError, r"`strides` \(=1.5\) must be a whole", (X, K), dict(strides=1.5)),
    "stride str": (TypeError, r"`strides` \(='2'\) must be an int", (X, K), dict(strides="2")),
    "stride bool": (TypeError, r"`strides` \(=True\) must be an int", (X, K), dict(strides=True)),
    "strides": (ValueError, r"`strides` .* each of the 2 spatial", (X, K), dict(strides=(1, 1, 1))),
    "dilation": (
        ValueError,
        r"`kernel_dilation` \(=-1\) must be at least 1",
        (X, K),
        dict(kernel_dilation=-1),
    ),
    "input dilation": (
        ValueError,
        r"`input_dilation` \(=0\)",
        (X, K),
        dict(input_dilation=(1, 0)),
    ),
    "padding name": (ValueError, r"`padding` \(='SAMEISH'\)", (X, K), dict(padding="SAMEISH")),
    "padding none": (TypeError, r"`padding` \(=None\) must be an int", (X, K), dict(padding=None)),
    "padding count": (ValueError, r"`padding` .* got 3", (X, K), dict(padding=(1, 1, 1))),
    "padding triple": (ValueError, r"pairs, got \(1, 2, 3\)", (X, K), dict(padding=((1, 2, 3), 1))),
    "causal": (ValueError, r"'CAUSAL'\) needs exactly one", (X, K), dict(padding="CAUSAL")),
    "crop reflect": (
        ValueError,
        r"must not be negative here",
        (X, K),
        dict(padding=-1, padding_mode="reflect"),
    ),
    "mode": (ValueError, r"`padding_mode` \(='wrap'\)", (X, K), dict(padding_mode="wrap")),
    "mode type": (TypeError, r"`padding_mode` \(=3\)", (X, K), dict(padding_mode=3)),
    "two fills": (
        ValueError,
        r"must agree with `padding` \(='CIRCULAR'\)",
        (X, K),
        dict(padding="CIRCULAR", padding_mode="reflect"),
    ),
    "flip": (TypeError, r"`flip_kernel` \(=1\) must be True or False", (X, K), dict(flip_kernel=1)),
    "precision": (ValueError, r"`precision` \(='most'\)", (X, K), dict(precision="most")),
    "precision type": (TypeError, r"`precision` \(=3\)", (X, K), dict(precision=3)),
    "8 bit": (
        ValueError,
        r"`preferred_element_type` \(=None\) must be given for int8",
        (X.astype(np.int8), K.astype(np.int8)),
        {},
    ),
    "narrow": (
        TypeError,
        r"`preferred_element_type` \(=float16\) must hold every float32",
        (X, K),
        dict(preferred_element_type=np.float16),
    ),
    "bool": (TypeError, r"must hold numbers, got bool", (X > 0, K > 0), {}),
    "algorithm": (ValueError, r"`algorithm` \(='magic'\)", (X, K), dict(algorithm="magic")),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_under_jit_too(case):
    kind, message, args, options = BAD[case]
    with pytest.raises(kind, match=message):
        functional.conv(*args, **options)
    if all(isinstance(a, np.ndarray) and a.dtype.kind != "U" for a in args):
        with pytest.raises(kind, match=message):
            jax.jit(lambda *a: functional.conv(*a, **options))(*args)


def test_an_option_that_is_traced_is_named():
    with pytest.raises(TypeError, match=r"conv: `strides` .* mark it static under jit"):
        jax.jit(lambda s: functional.conv(X, K, strides=s))(2)
