"""A case of every function of images, small, with values and gradients by hand."""

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxcnn import reference

P = PartitionSpec
IMAGES = {"inputs", "indices", "mask", "offsets", "patches", "samples"}
RNG = np.random.default_rng(17)


def normal(*shape):
    return RNG.normal(size=shape)


def case(shape, *, kernel=None, **given):
    """The arrays of a call by their names, and its options."""
    named = {"inputs": normal(*shape)} | ({"kernel": normal(*kernel)} if kernel else {}) | given
    arrays = {name: value for name, value in named.items() if isinstance(value, np.ndarray)}
    return arrays, {name: value for name, value in named.items() if name not in arrays}


def corners(*shape):
    """Ties, NaN and the identity of a maximum."""
    return RNG.choice([1.0, 2.0, 2.0, -np.inf, -np.inf, -np.inf, np.nan], size=shape)


SHAPE = (4, 5, 4, 2)
CASES = {
    "adaptive_avg_pool": case(SHAPE, output_shape=(3, 2)),
    "adaptive_max_pool": case(SHAPE, output_shape=(3, 2)),
    "adaptive_max_pool_with_indices": case(SHAPE, output_shape=(3, 2)),
    "avg_pool": case(SHAPE, window_shape=(2, 2), padding="SAME", count_include_pad=False),
    "blur_pool": case(SHAPE, window_shape=(3, 3), strides=2),
    "conv": case(SHAPE, kernel=(3, 3, 2, 3), bias=normal(3)),
    "conv_local": case((4, 3, 2, 2), kernel=(3, 2, 2, 2, 2, 3)),
    "conv_transpose": case(
        (4, 3, 3, 2), kernel=(3, 3, 2, 3), bias=normal(3), strides=2, padding="CIRCULAR"
    ),
    "deform_conv": case(
        SHAPE, kernel=(2, 2, 2, 3), offsets=normal(4, 4, 3, 8) / 2, mask=normal(4, 4, 3, 4)
    ),
    "depth_to_space": case((4, 2, 3, 8), block_shape=(2, 2)),
    "depthwise_conv": case(SHAPE, kernel=(3, 3, 2, 2), bias=normal(4)),
    "dilate": case(SHAPE, rate=(2, 1)),
    "fold": ({"patches": normal(4, 4, 3, 2, 2, 2)}, {"output_shape": (5, 4)}),
    "fractional_max_pool": case(
        SHAPE, window_shape=(2, 2), output_shape=(3, 2), samples=RNG.random((4, 2, 2))
    ),
    "fractional_max_pool_with_indices": case(
        SHAPE, window_shape=(2, 2), output_shape=(3, 2), samples=RNG.random((4, 2, 2))
    ),
    "global_avg_pool": case(SHAPE),
    "global_max_pool": case(SHAPE, keepdims=True),
    "grey_dilation": case(SHAPE, kernel=(2, 3, 2)),
    "grey_erosion": case(SHAPE, kernel=(2, 3, 2), strides=2),
    "logsumexp_pool": case(SHAPE, window_shape=(2, 2)),
    "lp_pool": case(SHAPE, norm_order=3, window_shape=(2, 2)),
    "max_pool": case(SHAPE, inputs=corners(*SHAPE), window_shape=(3, 3), strides=2, padding=1),
    "max_pool_with_indices": case(
        SHAPE, inputs=corners(*SHAPE), window_shape=(2, 2), padding="SAME"
    ),
    "max_unpool": case(
        (4, 2, 3, 2), indices=RNG.integers(0, 24, (4, 2, 3, 2)), window_shape=(2, 2), strides=2
    ),
    "min_pool": case(SHAPE, window_shape=(2, 3), padding="SAME"),
    "partial_conv": case(SHAPE, kernel=(3, 3, 2, 3), mask=(normal(4, 5, 4, 1) > 0) * 1.0),
    "resize_conv": case((4, 3, 2, 2), kernel=(3, 3, 2, 3), bias=normal(3), method="linear"),
    "separable_conv": case(
        SHAPE, depthwise_kernel=normal(3, 3, 2, 2), pointwise_kernel=normal(1, 1, 4, 3)
    ),
    "space_to_depth": case((4, 4, 6, 2), block_shape=(2, 2)),
    "spatial_pyramid_pool": case(SHAPE, levels=((1, 1), (2, 2))),
    "stochastic_pool": (
        {"inputs": abs(normal(*SHAPE)), "samples": RNG.random((4, 4, 3, 2))},
        {"window_shape": (2, 2)},
    ),
    "sum_pool": case(SHAPE, window_shape=(2, 2), strides=2),
    "unfold": case(SHAPE, window_shape=(2, 2)),
}


def spec_of(array):
    """How an array's type says that it is split, up to the last axis that is."""
    entries = list(jax.typeof(array).sharding.spec)
    while entries and entries[-1] is None:
        entries.pop()
    return P(*entries)


def expected(name, count=None):
    """Outputs, cotangent of the first and gradients, by hand; of so many images if it is given."""
    arrays, options = images_of(name, count), CASES[name][1]
    outputs = getattr(reference, name)(**arrays, **options)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    cotangent = np.random.default_rng(5).normal(size=outputs[0].shape)
    gradients = getattr(reference, f"{name}_vjp")(cotangent, **arrays, **options)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    gradients = [gradient for gradient in gradients if gradient is not None]
    return outputs, cotangent, dict(zip(moving(arrays), gradients, strict=True))


def images_of(name, count=None):
    """The arrays of a case, or those of its first images."""
    return {n: a[:count] if n in IMAGES else a for n, a in CASES[name][0].items()}


def moving(arrays):
    """The names of the arrays that have gradients."""
    return [n for n, a in arrays.items() if a.dtype == np.float64 and n != "samples"]


def pulled(function, arrays, cotangent):
    """Outputs and the gradients with respect to all arrays of floats that have any."""
    names = moving(arrays)

    def first(given):
        outputs = jax.tree.leaves(function(**arrays | given))
        return outputs[0], outputs

    _, pull, outputs = jax.vjp(first, {name: arrays[name] for name in names}, has_aux=True)
    if any(kind == AxisType.Explicit for kind in jax.typeof(outputs[0]).sharding.mesh.axis_types):
        cotangent = jax.sharding.reshard(cotangent, jax.typeof(outputs[0]).sharding)
    return outputs, pull(cotangent)[0]


def fitting(mesh, spec, array):
    """As much of `spec` as divides the array's axes."""
    entries = [
        entry if size % np.prod([mesh.shape[axis] for axis in np.ravel(entry or [])]) == 0 else None
        for entry, size in zip(spec, array.shape, strict=False)
    ]
    return NamedSharding(mesh, P(*entries))
