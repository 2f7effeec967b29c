"""A picture must not lie: taps, weights and numbers held against primitives and reference."""

import itertools
import math

import jax
import numpy as np
import pytest

from jaxcnn import functional as F
from jaxcnn import reference
from jaxcnn.visualize._scene import POOLS, gradient_scene, sliding_scene
from jaxcnn.visualize._window_values import Values

# op, input_shape, kernel_size, options
CASES = [
    ("conv", (7, 7), (3, 3), dict(strides=2, padding="VALID")),
    ("conv", (5, 6), (2, 3), dict(strides=(1, 2), kernel_dilation=(2, 1))),
    ("conv", (5, 4), (3, 2), dict(padding="FULL", input_dilation=(1, 2))),
    ("conv", (5, 6), (3, 3), dict(padding=((2, 1), (0, 3)), padding_mode="reflect")),
    ("conv", (1, 4), (3, 2), dict(padding=((2, 1), (0, 1)), padding_mode="reflect")),
    ("conv", (3, 4), (3, 3), dict(padding=2, padding_mode="circular", strides=2)),
    ("conv", (3, 4), (3, 3), dict(padding=2, padding_mode="replicate", input_dilation=2)),
    ("conv", (6, 5), (3, 2), dict(padding=((-1, 1), (2, -2)))),
    ("conv", (6,), (4,), dict(padding="CAUSAL", kernel_dilation=2)),
    ("conv", (6, 4), (3, 3), dict(padding="REFLECT", strides=3)),
    ("conv", (5,), (3,), dict(padding="CIRCULAR")),
    ("conv_transpose", (3, 4), (3, 2), dict(strides=2, padding="VALID")),
    ("conv_transpose", (3, 3), (3, 3), dict(strides=(2, 3), padding=1, output_padding=(1, 2))),
    ("conv_transpose", (4, 3), (2, 3), dict(kernel_dilation=2, strides=2)),
    ("conv_transpose", (4,), (3,), dict(padding=-1, strides=2)),
    ("conv_transpose", (4, 3), (4, 3), dict(padding="CIRCULAR", strides=2)),
    ("conv_transpose", (3, 4), (3, 3), dict(padding=1, padding_mode="reflect")),
    ("conv_transpose", (3,), (4,), dict(padding=(2,), padding_mode="replicate", strides=2)),
    ("conv_transpose", (4,), (2,), dict(kernel_dilation=3, strides=1, output_padding=2, padding=0)),
    ("max_pool", (5, 7), (2, 3), dict(strides=2, window_dilation=(2, 1))),
    ("max_pool", (5, 6), (3, 3), dict(strides=2, padding="SAME")),
    ("max_pool", (6, 5), (3, 2), dict(strides=2, padding=1, ceil_mode=True)),
    ("max_pool", (4, 5), (3, 3), dict(padding=1, padding_mode="reflect")),
    ("min_pool", (7,), (3,), dict(strides=2, padding=1, padding_mode="zeros")),
    ("min_pool", (5, 4), (2, 2), dict(padding="SAME_LOWER", strides=2)),
    ("avg_pool", (6, 7), (3, 3), dict(strides=2, padding=1, ceil_mode=True)),
    ("avg_pool", (5, 5), (3, 2), dict(padding="SAME", count_include_pad=False)),
    ("avg_pool", (5,), (4,), dict(padding=2, padding_mode="circular", strides=2)),
    ("sum_pool", (5, 6), (2, 2), dict(window_dilation=(1, 3), padding=1)),
]


def primitive(op, kernel_size, kernel, options, library=F):
    """The function itself, or its reference, from a plane to a plane."""
    options = dict(options)
    function = getattr(library, op)
    if op in POOLS:
        return lambda x: function(x[..., None], kernel_size, **options)[..., 0]
    return lambda x: function(x[..., None], kernel[..., None, None], **options)[..., 0]


def weights(scene, kernel):
    """What the scene says each output takes of each input pixel, `(*out, *inputs)`."""
    matrix = np.zeros((*scene.output_shape, *scene.input_shape))
    for step in scene.steps:
        for tap in step.taps:
            source = scene.cells[tap.cell].source
            if source is not None and scene.cells[tap.cell].kind != "cropped":
                weight = 1.0 if scene.op in POOLS else kernel[scene.kernel_at(tap.kernel)]
                matrix[(*step.output, *source)] += weight / step.divisor
    return matrix


@pytest.mark.parametrize(("op", "shape", "size", "options"), CASES)
def test_taps_are_the_support_of_the_gradient(rng, op, shape, size, options):
    scene = sliding_scene(op, shape, size, **options)
    kernel = rng.uniform(0.5, 2, size)
    drawn = weights(scene, kernel)
    count = math.prod(shape)
    units = np.eye(count).reshape(count, *shape)
    if op in ("max_pool", "min_pool"):
        # Every pixel in turn is the extreme one: whatever window holds it sends its gradient there.
        function = primitive(op, size, kernel, options)
        sign = 1 if op == "max_pool" else -1
        planes = 20 * sign * units + sign * rng.uniform(1, 2, (count, *shape))
        gradients = np.asarray(jax.jit(jax.vmap(jax.jacobian(function)))(planes))
        assert gradients.shape[1 : 1 + len(shape)] == scene.output_shape
        support = (gradients != 0).reshape(count, -1, count)
        reached = np.stack([support[n, :, n] for n in range(count)], axis=-1)
        np.testing.assert_array_equal(reached.reshape(drawn.shape), drawn > 0)
        return
    # The others are linear: not the support alone but the weights themselves, which are what
    # becomes of a plane with a single 1.
    outputs = primitive(op, size, kernel, options, reference)(units)
    assert outputs.shape == (count, *scene.output_shape)
    np.testing.assert_allclose(drawn, np.moveaxis(outputs, 0, -1).reshape(drawn.shape), rtol=1e-12)


@pytest.mark.parametrize(("op", "shape", "size", "options"), CASES[::3])
def test_numbers_are_what_the_primitive_computes(rng, op, shape, size, options):
    scene = sliding_scene(op, shape, size, **options)
    inputs, kernel = rng.normal(size=shape), rng.normal(size=size)
    function = jax.jit(primitive(op, size, kernel, options))
    values = Values(scene, inputs, kernel)
    np.testing.assert_allclose(values.outputs, function(inputs), rtol=1e-12)
    for step, lines in zip(scene.steps, values.arithmetic, strict=True):
        told = float(lines[-1].rpartition("= ")[2].replace("\N{MINUS SIGN}", "-"))
        assert told == pytest.approx(values.outputs[step.output], abs=0.006)


@pytest.mark.parametrize(
    ("shape", "size", "options"),
    [
        ((5, 5), (3, 3), {}),
        ((6, 7), (3, 2), dict(strides=(2, 3), padding=1)),
        ((6, 5), (2, 3), dict(kernel_dilation=2, padding="SAME")),
        ((4, 5), (3, 3), dict(padding="REFLECT", strides=2)),
        ((7,), (3,), dict(strides=2, padding="FULL")),
    ],
)
def test_gradient_of_a_convolution_is_the_full_convolution_drawn(rng, shape, size, options):
    scene = gradient_scene(shape, size, **options)
    kernel = rng.normal(size=size)
    options = {"padding": "VALID", **options}
    function = primitive("conv", size, kernel, options)
    assert jax.eval_shape(function, np.zeros(shape)).shape == scene.input_shape
    cotangent = rng.normal(size=scene.input_shape)
    values = Values(scene, cotangent, kernel)
    pull = jax.jit(lambda c: jax.vjp(function, np.zeros(shape))[1](c)[0])
    np.testing.assert_allclose(values.outputs, pull(cotangent), rtol=1e-12)


def test_the_padding_is_what_it_is():
    def kinds(op, **options):
        scene = sliding_scene(op, (3,), (3,), padding=1, **options)
        return [(cell.kind, cell.source) for cell in scene.cells]

    inputs = [("input", (n,)) for n in range(3)]
    zero = ("zeros", None)
    assert kinds("conv") == [zero, *inputs, zero]
    for mode, first, last in (("reflect", 1, 1), ("replicate", 0, 2), ("circular", 2, 0)):
        copies = [("copy", (first,)), *inputs, ("copy", (last,))]
        assert kinds("conv", padding_mode=mode) == copies
    assert kinds("max_pool")[0] == ("identity", None)
    assert kinds("avg_pool")[0] == zero
    assert kinds("conv", input_dilation=2)[2] == ("hole", None)
    assert kinds("max_pool", strides=3, ceil_mode=True)[-1] == ("overhang", None)


def test_steps_run_over_the_output_row_by_row():
    for op, shape, size, options in CASES:
        scene = sliding_scene(op, shape, size, **options)
        outputs = [step.output for step in scene.steps]
        assert outputs == list(itertools.product(*map(range, scene.output_shape)))


BAD = [
    (("blur", (4,), (2,)), {}, ValueError, r"`op` \(='blur'\) must be one of conv"),
    ((7, (4,), (2,)), {}, TypeError, r"`op` \(=7\) must be one of"),
    (("conv", (4, 4), (2,)), {}, ValueError, "must both have one axis or both two"),
    (("conv", (4,) * 3, (2,) * 3), {}, ValueError, "must both have one axis or both two"),
    (("conv", 7, (2,)), {}, TypeError, r"`input_shape` \(=7\) must be a tuple"),
    (("max_pool", (4,), (2,)), dict(kernel_dilation=2), ValueError, "goes with conv, conv_transp"),
    (("conv", (4,), (2,)), dict(window_dilation=2), ValueError, "goes with max_pool, min_pool"),
    (("max_pool", (4,), (2,)), dict(input_dilation=2), ValueError, "goes with conv alone"),
    (("conv", (4,), (2,)), dict(output_padding=1), ValueError, "goes with conv_transpose alone"),
    (("conv", (4,), (2,)), dict(ceil_mode=True), ValueError, "`ceil_mode`.*goes with max_pool"),
    (("max_pool", (4,), (2,)), dict(ceil_mode=1), TypeError, "must be True or False"),
    (("sum_pool", (4,), (2,)), dict(count_include_pad=False), ValueError, "goes with avg_pool"),
    (("conv", (4,), (5,)), dict(padding="VALID"), ValueError, r"`kernel_size` \(=\(5,\)\) spans 5"),
    (("conv", (4,), (2,)), dict(padding_mode="mirror"), ValueError, "`padding_mode`.*'mirror'"),
    (("conv", (4,), (2,)), dict(strides=0), ValueError, r"`strides` \(=0\) must be at least 1"),
    (("max_pool", (4,), (2,)), dict(padding=4), ValueError, "without a pixel of the input"),
    (
        ("avg_pool", (4,), (2,)),
        dict(padding=1, padding_mode="reflect", count_include_pad=False),
        ValueError,
        "must be True where padding is filled",
    ),
]


@pytest.mark.parametrize(("arguments", "options", "error", "message"), BAD)
def test_errors(arguments, options, error, message):
    with pytest.raises(error, match=message):
        sliding_scene(*arguments, **options)
