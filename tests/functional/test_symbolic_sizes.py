"""Every function exported once for all batches, and for all sizes of images where that can be."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from jaxcnn import functional, reference

IMAGES = "b, h, w, 4"
KERNEL = "3, 2, 4, 4"
REFUSED = "must have spatial sizes that are known when it is traced"


class Row(NamedTuple):
    """One function with its options.

    Attributes:
      function: its name.
      arrays: its array arguments by their names, with shapes as `jax.export` reads them.
      options: all others.
      refused: of symbolic spatial sizes, how the message begins; empty where they are taken.
      like: name and options of the reference, where they differ.
    """

    function: str
    arrays: dict[str, str]
    options: dict[str, Any]
    refused: str = ""
    like: tuple[str, dict[str, Any]] | None = None


def images(function, refused="", **options):
    return Row(function, {"inputs": IMAGES}, options, refused)


def convolution(function, kernel=KERNEL, **options):
    return Row(function, {"inputs": IMAGES, "kernel": kernel}, options)


CHANNELS_FIRST = Row(
    "conv_general_dilated",
    {"lhs": IMAGES, "rhs": KERNEL},
    dict(
        window_strides=(2, 1), padding=((1, 0), (2, 1)), dimension_numbers=("NHWC", "HWIO", "NWHC")
    ),
    like=("conv", dict(strides=(2, 1), padding=((1, 0), (2, 1)))),
)
ROWS = {
    "adaptive_avg_pool": images("adaptive_avg_pool", output_shape=(1, None)),
    "adaptive_avg_pool, uneven": images("adaptive_avg_pool", REFUSED, output_shape=(3, 2)),
    "adaptive_max_pool": images("adaptive_max_pool", output_shape=(None, 1)),
    "adaptive_max_pool, uneven": images("adaptive_max_pool", REFUSED, output_shape=(3, None)),
    "adaptive_max_pool_with_indices": images(
        "adaptive_max_pool_with_indices", output_shape=(1, None)
    ),
    "adaptive_max_pool_with_indices, uneven": images(
        "adaptive_max_pool_with_indices", REFUSED, output_shape=(2, 2)
    ),
    "avg_pool": images("avg_pool", window_shape=(3, 2), strides=2, padding="SAME"),
    "avg_pool, not counting": images(
        "avg_pool",
        window_shape=(3, 3),
        strides=2,
        padding=1,
        count_include_pad=False,
        ceil_mode=True,
    ),
    "blur_pool": images("blur_pool", window_shape=(3, 2), strides=2, padding_mode="replicate"),
    "blur_pool, circular": images("blur_pool", window_shape=(2, 3), padding_mode="circular"),
    "blur_pool, reflect": images("blur_pool", "needs padding that is known", window_shape=(3, 3)),
    "conv": convolution("conv"),
    "conv, strides": convolution("conv", strides=(2, 1), padding="SAME"),
    "conv, valid": convolution("conv", strides=(1, 3), padding="VALID"),
    "conv, explicit": convolution("conv", strides=3, padding=((1, 0), (0, 4)), kernel_dilation=2),
    "conv, cropped": convolution("conv", padding=((-1, 2), (1, -1))),
    "conv, groups": convolution("conv", "3, 2, 2, 6", strides=2, feature_group_count=2),
    "conv, input dilation": convolution("conv", input_dilation=(2, 3), strides=(1, 2)),
    "conv, one tap": convolution("conv", "1, 1, 4, 3", strides=2),
    "conv, circular": convolution("conv", padding="CIRCULAR"),
    "conv, reflect": Row(
        "conv", {"inputs": IMAGES, "kernel": KERNEL}, dict(padding="REFLECT"), "needs padding"
    ),
    "conv, 1-D": Row("conv", {"inputs": "b, h, 2", "kernel": "3, 2, 3"}, dict(strides=2)),
    "conv, 3-D": Row(
        "conv", {"inputs": "b, h, w, 3, 2", "kernel": "2, 3, 2, 2, 3"}, dict(padding="SAME")
    ),
    "conv, two batch axes": Row("conv", {"inputs": "2, b, h, w, 4", "kernel": KERNEL}, {}),
    "conv_general_dilated": CHANNELS_FIRST._replace(
        options=CHANNELS_FIRST.options | {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    ),
    "conv_general_dilated, by lax": CHANNELS_FIRST,
    "conv_local": Row("conv_local", {"inputs": IMAGES, "kernel": "7, 6, 3, 2, 4, 2"}, {}, REFUSED),
    "conv_transpose": convolution("conv_transpose", strides=2),
    "conv_transpose, valid": convolution("conv_transpose", strides=(2, 3), padding="VALID"),
    "conv_transpose, explicit": convolution(
        "conv_transpose", strides=(3, 2), padding=((1, 0), (0, 1)), output_padding=1
    ),
    "conv_transpose, U-Net's": convolution("conv_transpose", "2, 2, 4, 3", strides=2),
    "deform_conv": Row(
        "deform_conv",
        {"inputs": IMAGES, "kernel": "2, 1, 4, 3", "offsets": "b, h, w, 4"},
        dict(padding="SAME"),
    ),
    "depth_to_space": images("depth_to_space", block_shape=(2, 2)),
    "depthwise_conv": convolution("depthwise_conv", "3, 2, 4, 2", strides=(2, 1)),
    "depthwise_conv, long": convolution("depthwise_conv", "9, 10, 4, 1", padding=8),
    "dilate": images("dilate", rate=(2, 3)),
    "fold": Row("fold", {"patches": "b, 3, 2, 3, 2, 2"}, dict(output_shape=(7, 6), strides=(2, 3))),
    "fractional_max_pool": Row(
        "fractional_max_pool",
        {"inputs": IMAGES, "samples": "b, 4, 2"},
        dict(window_shape=(2, 2), output_shape=(3, 3)),
        REFUSED,
    ),
    "fractional_max_pool_with_indices": Row(
        "fractional_max_pool_with_indices",
        {"inputs": IMAGES, "samples": "b, 4, 2"},
        dict(window_shape=(2, 2), output_shape=(3, 3)),
        REFUSED,
    ),
    "global_avg_pool": images("global_avg_pool"),
    "global_max_pool": images("global_max_pool"),
    "grey_dilation": convolution("grey_dilation", "3, 2, 4", strides=2),
    "grey_erosion": convolution("grey_erosion", "2, 3, 4", padding=1, kernel_dilation=(2, 1)),
    "logsumexp_pool": images("logsumexp_pool", window_shape=(3, 2), padding=1, ceil_mode=True),
    "lp_pool": images("lp_pool", norm_order=2, window_shape=(2, 2), strides=2),
    "max_pool": images("max_pool", window_shape=(3, 2), strides=2, padding="SAME"),
    "max_pool, valid": images("max_pool", window_shape=(2, 3), window_dilation=2),
    "max_pool, long": images("max_pool", window_shape=(17, 2), padding=((9, 9), (0, 0))),
    "max_pool_with_indices": images(
        "max_pool_with_indices", window_shape=(3, 3), strides=2, padding=((1, 1), (0, 2))
    ),
    "max_unpool": Row(
        "max_unpool", {"inputs": IMAGES, "indices": IMAGES}, dict(window_shape=(2, 2), strides=2)
    ),
    "min_pool": images("min_pool", window_shape=(3, 3), padding=1, ceil_mode=True, strides=2),
    "partial_conv": Row(
        "partial_conv", {"inputs": IMAGES, "kernel": KERNEL, "mask": "b, h, w, 1"}, dict(strides=2)
    ),
    "pool": images(
        "pool", init=0.0, reduce_fn=jnp.add, window_shape=(3, 2), padding="SAME"
    )._replace(like=("sum_pool", dict(window_shape=(3, 2), padding="SAME"))),
    "resize_conv": convolution("resize_conv", scale=(2, 3), method="linear"),
    "resize_conv, nearest": convolution("resize_conv", padding="VALID"),
    "resize_conv, to a shape": Row(
        "resize_conv",
        {"inputs": IMAGES, "kernel": KERNEL},
        dict(resized_shape=(9, 8)),
        REFUSED,
    ),
    "separable_conv": Row(
        "separable_conv",
        {"inputs": IMAGES, "depthwise_kernel": "2, 3, 4, 1", "pointwise_kernel": "1, 1, 4, 3"},
        {},
    ),
    "space_to_depth": Row("space_to_depth", {"inputs": "b, 2*h, 3*w, 2"}, dict(block_shape=(2, 3))),
    "spatial_pyramid_pool": images("spatial_pyramid_pool", levels=((1, 1),), reducer="avg"),
    "spatial_pyramid_pool, uneven": images(
        "spatial_pyramid_pool", REFUSED, levels=((1, 1), (2, 2))
    ),
    "stochastic_pool": Row(
        "stochastic_pool",
        {"inputs": IMAGES, "samples": IMAGES},
        dict(window_shape=(3, 2), padding="SAME"),
    ),
    "stochastic_pool, expected": images("stochastic_pool", window_shape=(2, 3), deterministic=True),
    "sum_pool": images("sum_pool", window_shape=(2, 2), strides=(2, 3)),
    "unfold": images("unfold", window_shape=(3, 2), strides=2, padding=1),
}


def symbolic(row, **known):
    """The arguments, as `jax.export` takes them, with the sizes that are not `known` left open."""
    scope = export.SymbolicScope()
    return {
        name: jax.ShapeDtypeStruct(
            tuple(
                eval(entry, known) if set(known) & set(entry) or entry.isdigit()
                else export.symbolic_shape(entry, scope=scope)[0]
                for entry in shape.replace(" ", "").split(",")
            ),
            np.int32 if name == "indices" else np.float64,
        )
        for name, shape in row.arrays.items()
    }  # fmt: skip


def drawn(row, **sizes):
    """The arguments of these sizes: normal numbers, positive masks and samples, true indices."""
    rng, arrays = np.random.default_rng(3), {}
    for name, shape in row.arrays.items():
        shape = eval(f"({shape},)", dict(sizes))
        arrays[name] = {
            "samples": lambda shape=shape: rng.random(shape),
            "mask": lambda shape=shape: (rng.random(shape) > 0.3).astype(float),
            "indices": lambda shape=shape: rng.integers(0, 4 * sizes["h"] * sizes["w"], shape, int),
        }.get(name, lambda shape=shape: rng.standard_normal(shape))()
    return {
        name: value.astype(np.int32) if name == "indices" else value
        for name, value in arrays.items()
    }


def value_and_gradients(row, **options):
    """The function, its outputs pulled back by themselves to all arguments but what selects."""

    def call(arrays):
        inexact = {k: v for k, v in arrays.items() if k not in ("indices", "mask", "samples")}
        rest = {k: v for k, v in arrays.items() if k not in inexact}

        def first(moved):
            outputs = getattr(functional, row.function)(**moved, **rest, **row.options, **options)
            return outputs[0] if isinstance(outputs, tuple) else outputs

        outputs, pullback = jax.vjp(first, inexact)
        return outputs, pullback(outputs)[0]

    return call


def agrees(found, row, arrays):
    """Whether value and gradients are the reference's."""
    name, options = row.like or (row.function, row.options)
    given = list(arrays.values())
    if "samples" in arrays:
        options, given = options | {"samples": arrays["samples"]}, [arrays["inputs"]]
    expected = getattr(reference, name)(*given, **options)
    expected = expected[0] if isinstance(expected, tuple) else expected
    outputs = found[0].swapaxes(1, 2) if "NWHC" in str(row.options) else found[0]
    np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-10)
    by_hand = getattr(reference, f"{name}_vjp")(expected, *given, **options)
    by_hand = by_hand if isinstance(by_hand, tuple) else (by_hand,)
    for argument, gradient in zip(arrays, by_hand, strict=False):
        if argument in found[1]:
            np.testing.assert_allclose(
                found[1][argument], gradient, rtol=1e-9, atol=1e-9, err_msg=argument
            )


# Their height and width must be known, or what computes them depends on it.
BATCHES = [name for name, row in ROWS.items() if row.refused or "conv" in name]


@pytest.mark.parametrize("name", BATCHES)
def test_symbolic_batch(name):
    row = ROWS[name]
    exported = export.export(jax.jit(value_and_gradients(row)))(symbolic(row, h=7, w=6))
    arrays = drawn(row, b=9, h=7, w=6)  # more than one block of images
    agrees(exported.call(arrays), row, arrays)


@pytest.mark.parametrize("name", ROWS)
def test_symbolic_height_and_width(name):
    row = ROWS[name]
    compute = export.export(jax.jit(value_and_gradients(row)))
    if row.refused:
        with pytest.raises(ValueError, match=f"{row.function}: `.*{row.refused}"):
            compute(symbolic(row))
        return
    exported = compute(symbolic(row))
    for sizes in (dict(b=2, h=7, w=6), dict(b=1, h=6, w=9)):
        arrays = drawn(row, **sizes)
        agrees(exported.call(arrays), row, arrays)


@pytest.mark.parametrize("name", ["conv, strides", "depthwise_conv", "max_pool", "avg_pool"])
def test_symbolic_batch_by_every_algorithm(name):
    row = ROWS[name]
    arrays = drawn(row, b=3, h=7, w=6)
    taken = []
    for algorithm in ("direct", "canonical", "shift", "fft", "blocks", "planes", "tree", "window"):
        compute = value_and_gradients(row, algorithm=algorithm)
        try:
            exported = export.export(jax.jit(compute))(symbolic(row, h=7, w=6))
        except ValueError as error:
            assert str(error).startswith(f"{row.function}: `algorithm`")
            continue
        taken.append(algorithm)
        agrees(exported.call(arrays), row, arrays)
    assert len(taken) > 1


def test_images_smaller_than_a_window_give_nothing():
    """As `lax`, which says nothing either."""
    shapes = {"inputs": IMAGES, "kernel": "3, 3, 4, 2"}
    pools = functools.partial(functional.max_pool, window_shape=(3, 3))
    convs = functools.partial(functional.conv, padding="VALID")
    row = Row("conv", shapes, {})
    exported = export.export(jax.jit(lambda a: (pools(a["inputs"]), convs(**a))))(symbolic(row))
    for h, rows in ((1, 0), (2, 0), (3, 1)):
        pooled, convolved = exported.call(drawn(row, b=2, h=h, w=5))
        assert pooled.shape == (2, rows, 3, 4) and convolved.shape == (2, rows, 3, 2)


def test_sizes_given_as_symbols():
    """What takes the size of its result takes that of a symbolic array."""

    def back(x, k):
        sizes = x.shape[1:-1]
        pooled = functional.max_pool_with_indices(x, (2, 2), 2)
        strided = functional.conv(x, k, strides=2)
        return (
            functional.fold(functional.unfold(x, (2, 2)), sizes),
            functional.max_unpool(*pooled, (2, 2), 2, output_shape=sizes),
            functional.conv_transpose(strided, k, strides=2, output_shape=sizes),
            functional.adaptive_avg_pool(x, sizes),
        )

    scope = export.SymbolicScope(("h >= 2", "w >= 2"))
    specs = [
        jax.ShapeDtypeStruct(export.symbolic_shape(shape, scope=scope), np.float64)
        for shape in (IMAGES, "3, 3, 4, 4")
    ]
    exported = export.export(jax.jit(back))(*specs)
    rng = np.random.default_rng(0)
    for h, w in ((6, 7), (5, 4)):
        x, k = rng.standard_normal((2, h, w, 4)), rng.standard_normal((3, 3, 4, 4))
        folded, unpooled, transposed, kept = exported.call(x, k)
        patches = reference.unfold(x, (2, 2))
        np.testing.assert_allclose(folded, reference.fold(patches, (h, w)))
        pooled = reference.max_pool_with_indices(x, (2, 2), 2)
        np.testing.assert_allclose(
            unpooled, reference.max_unpool(*pooled, (2, 2), 2, output_shape=(h, w))
        )
        strided = reference.conv(x, k, strides=2)
        expected = reference.conv_transpose(strided, k, strides=2, output_shape=(h, w))
        np.testing.assert_allclose(transposed, expected, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(kept, x)


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        ("max_pool", dict(window_shape=(3, 3), strides="h"), "`strides` .=h. must be an int known"),
        ("max_pool", dict(window_shape=("h", 3)), "`window_shape` .=h. must be an int known"),
        ("max_pool", dict(window_shape=(17, 2), algorithm="tree"), "`algorithm` .='tree'. takes"),
        (
            "space_to_depth",
            dict(block_shape=(2, 2)),
            "`block_shape` .*must divide the spatial sizes .h, w.",
        ),
    ],
)
def test_what_must_be_known_is_said(function, options, message):
    b, h, w = export.symbolic_shape("b, h, w")
    options = {k: h if v == "h" else v for k, v in options.items()}
    if options.get("window_shape", ())[:1] == ("h",):
        options["window_shape"] = (h, 3)
    call = functools.partial(getattr(functional, function), **options)
    kind = TypeError if "must be an int" in message else ValueError
    with pytest.raises(kind, match=f"{function}: {message}"):
        export.export(jax.jit(call))(jax.ShapeDtypeStruct((b, h, w, 4), np.float64))


def test_every_function_has_a_row():
    assert {row.function for row in ROWS.values()} == set(functional.__all__) - {"plan"}
