"""The primitives as a user of JAX alone would write them: what this library is held against."""

import math

import jax
import jax.numpy as jnp
from jax import lax

_LETTERS = "ABHW"  # of the spatial axes, the last of them first


def _numbers(rank: int) -> tuple[str, str, str]:
    spatial = _LETTERS[-rank:]
    return f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"


def _pairs(padding) -> list[tuple[int, int]]:
    return [(amount, amount) for amount in padding]


def conv(inputs, kernel, *, strides, padding, kernel_dilation, feature_group_count):
    """Convolution."""
    return lax.conv_general_dilated(
        inputs,
        kernel,
        strides,
        _pairs(padding),
        rhs_dilation=kernel_dilation,
        dimension_numbers=_numbers(kernel.ndim - 2),
        feature_group_count=feature_group_count,
    )


def conv_transpose(inputs, kernel, *, strides, padding, output_padding, feature_group_count):
    """Transposed convolution, by a dilated input as in `lax.conv_transpose`, which has no groups.

    Padding is that of the convolution transposed.
    """
    sizes = kernel.shape[:-2]
    return lax.conv_general_dilated(
        inputs,
        kernel,
        (1,) * len(sizes),
        [
            (k - 1 - p, k - 1 - p + q)
            for k, p, q in zip(sizes, padding, output_padding, strict=True)
        ],
        lhs_dilation=strides,
        dimension_numbers=_numbers(len(sizes)),
        feature_group_count=feature_group_count,
    )


def _reduce(inputs, init, reducer, window_shape, strides, padding, window_dilation):
    return lax.reduce_window(
        inputs,
        init,
        reducer,
        (1, *window_shape, 1),
        (1, *strides, 1),
        [(0, 0), *_pairs(padding), (0, 0)],
        window_dilation=(1, *window_dilation, 1),
    )


def max_pool(inputs, *, window_shape, strides, padding, window_dilation):
    """Max pool."""
    return _reduce(inputs, -jnp.inf, lax.max, window_shape, strides, padding, window_dilation)


def min_pool(inputs, *, window_shape, strides, padding, window_dilation):
    """Min pool."""
    return _reduce(inputs, jnp.inf, lax.min, window_shape, strides, padding, window_dilation)


def sum_pool(inputs, *, window_shape, strides, padding, window_dilation):
    """Sum pool."""
    return _reduce(inputs, 0.0, lax.add, window_shape, strides, padding, window_dilation)


def avg_pool(inputs, *, count_include_pad=True, **options):
    """Average pool."""
    total = sum_pool(inputs, **options)
    if count_include_pad:
        return total / math.prod(options["window_shape"])
    return total / sum_pool(jnp.ones((1, *inputs.shape[1:-1], 1), inputs.dtype), **options)


def lp_pool(inputs, *, norm_order, **options):
    """Norm of each window."""
    return sum_pool(jnp.abs(inputs) ** norm_order, **options) ** (1 / norm_order)


def logsumexp_pool(inputs, **options):
    """Logarithm of the summed exponentials of each window."""
    largest = lax.stop_gradient(jnp.max(inputs))
    return jnp.log(sum_pool(jnp.exp(inputs - largest), **options)) + largest


def adaptive_pool(inputs, *, output_shape, reduce):
    """Windows that share out the image, one after the other; `reduce` is "mean" or "max"."""
    for axis, count in enumerate(output_shape, 1):
        n = inputs.shape[axis]
        parts = [
            getattr(
                lax.slice_in_dim(inputs, i * n // count, -(-(i + 1) * n // count), axis=axis),
                reduce,
            )(axis)
            for i in range(count)
        ]
        inputs = jnp.stack(parts, axis)
    return inputs


def global_pool(inputs, *, reduce):
    """Mean or maximum of all pixels."""
    return getattr(inputs, reduce)(tuple(range(1, inputs.ndim - 1)))


def unfold(inputs, *, window_shape):
    """All windows, (n, *out, *window_shape, channels)."""
    rank, channels = len(window_shape), inputs.shape[-1]
    patches = lax.conv_general_dilated_patches(
        inputs, window_shape, (1,) * rank, "VALID", dimension_numbers=_numbers(rank)
    )
    patches = patches.reshape((*patches.shape[:-1], channels, *window_shape))
    return jnp.moveaxis(patches, -1 - rank, -1)


def grey_dilation(inputs, kernel):
    """Largest sum of pixel and structuring element, without padding."""
    *window_shape, _ = kernel.shape
    patches = unfold(inputs, window_shape=tuple(window_shape))
    return (patches + kernel[(None,) * (inputs.ndim - 1)]).max(tuple(range(3, patches.ndim - 1)))


def max_unpool(inputs, indices, *, output_shape):
    """Maxima put back at their places."""
    n, channels = inputs.shape[0], inputs.shape[-1]

    def plane(values, places):
        return jnp.zeros(math.prod(output_shape), values.dtype).at[places].set(values)

    flat = (a.reshape(n, -1, channels) for a in (inputs, indices))
    outputs = jax.vmap(jax.vmap(plane, -1, -1))(*flat)
    return outputs.reshape((n, *output_shape, channels))


def deform_conv(inputs, kernel, offsets):
    """Deformable convolution in two dimensions, strides 1, no padding, by four gathers a tap."""
    n, height, width, _ = inputs.shape
    kh, kw = kernel.shape[:2]
    rows, columns = offsets.shape[1:3]
    moves = offsets.reshape((n, rows, columns, kh, kw, 2))
    taps = jnp.stack(jnp.meshgrid(jnp.arange(kh), jnp.arange(kw), indexing="ij"), -1)
    places = jnp.stack(jnp.meshgrid(jnp.arange(rows), jnp.arange(columns), indexing="ij"), -1)
    points = moves + (places[:, :, None, None] + taps[None, None]).astype(moves.dtype)[None]
    low = jnp.floor(points)
    sampled = 0.0
    for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
        at = low + jnp.asarray(corner, low.dtype)[(None,) * 5]
        weight = jnp.prod(1 - jnp.abs(points - at), -1, keepdims=True)
        i, j = at[..., 0].astype(jnp.int32), at[..., 1].astype(jnp.int32)
        inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
        pixels = jax.vmap(lambda image, i, j: image[i, j])(
            inputs, jnp.clip(i, 0, height - 1), jnp.clip(j, 0, width - 1)
        )
        sampled += jnp.where(inside[..., None], weight * pixels, jnp.zeros((), inputs.dtype))
    return jnp.einsum("nijabc,abco->nijo", sampled, kernel)


def fold(patches, *, output_shape):
    """The sum of all windows in their places: the transpose of `unfold`."""
    *_, kh, kw, channels = patches.shape
    images = jax.ShapeDtypeStruct((patches.shape[0], *output_shape, channels), patches.dtype)
    back = jax.linear_transpose(lambda x: unfold(x, window_shape=(kh, kw)), images)
    return back(patches)[0]


def blur_pool(inputs):
    """Binomial filter of 3x3 taps with stride 2, zeros around: a depthwise convolution."""
    channels = inputs.shape[-1]
    along = jnp.asarray([0.25, 0.5, 0.25], inputs.dtype)
    kernel = jnp.broadcast_to((along[:, None] * along[None])[..., None, None], (3, 3, 1, channels))
    return conv(
        inputs,
        kernel,
        strides=(2, 2),
        padding=(1, 1),
        kernel_dilation=(1, 1),
        feature_group_count=channels,
    )


def resize_conv(inputs, kernel, *, resized_shape, method):
    """`jax.image.resize`, then a convolution."""
    shape = (inputs.shape[0], *resized_shape, inputs.shape[-1])
    return lax.conv_general_dilated(
        jax.image.resize(inputs, shape, method),
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=_numbers(2),
    )
