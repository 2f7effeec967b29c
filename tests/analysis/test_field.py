"""Receptive fields by geometry are those that gradients and NaNs find."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import analysis, functional, models, nn

# Flax's batch normalisation mixes its float32 averages with 16-bit floats.
pytestmark = pytest.mark.usefixtures("plain_promotion")


def positive(build):
    """A module with positive kernels, whose other parameters change nothing."""
    rng = np.random.default_rng(0)
    graph, state = nnx.split(nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0))))

    def value(path, leaf):
        names = [str(getattr(entry, "key", getattr(entry, "name", ""))) for entry in path]
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.key(0)
        ones = {"var", "scale", "layer_scale"} & set(names)
        size = max(int(np.prod(leaf.shape[:-1])), 1)
        if any("kernel" in name or "coefficient" in name for name in names):
            filled = rng.uniform(0.5, 1.5, size=leaf.shape) / size
        else:
            filled = np.full(leaf.shape, 1.0 if ones else 0.0)
        return jax.device_put(filled.astype(leaf.dtype))

    module = nnx.merge(graph, jax.tree_util.tree_map_with_path(value, state))
    module.eval()
    return module


run = nnx.jit(lambda module, inputs: module(inputs))


def expected(field, unit):
    """The pixels of the image that the unit sees, along each axis."""
    spans = field.sees(unit)
    for axis, (first, past) in enumerate(spans):
        bound = field.start[axis] + unit[axis] * field.strides[axis]
        assert bound <= first < past <= bound + field.size[axis]
    return [list(span) for span in spans]


class Blocks(nn.Chain):
    """A residual block, an inverted one and one of ConvNeXt's, with strides."""

    def __init__(self, *, rngs):
        super().__init__(
            conv=nn.Conv(2, 4, (3, 2), (1, 2), padding=((2, 0), (0, 1)), rngs=rngs),
            residual=nn.BasicBlock(4, 4, 2, rngs=rngs),
            padded=nn.BasicBlock(4, 6, 1, shortcut="pad", rngs=rngs),
            inverted=nn.InvertedResidual(6, 6, expansion=2, rngs=rngs),
            next=models.convnext.ConvNeXtBlock(6, layer_scale=1.0, rngs=rngs),
            blur=nn.BlurPool((3, 3), 2, padding_mode="zeros"),
        )


class Ups(nn.Chain):
    """Transposed convolutions, dilated inputs and copied or blended pixels, between strides."""

    def __init__(self, *, rngs):
        super().__init__(
            down=nn.Conv(1, 2, (3, 2), (2, 3), padding="SAME", rngs=rngs),
            up=nn.ConvTranspose(2, 2, (4, 3), (2, 3), padding=((2, 2), (1, 3)), rngs=rngs),
            average=nn.AvgPool((2, 3), strides=(3, 2)),
            blended=nn.ResizeConv(2, 2, (1, 2), scale=(2, 3), method="linear", rngs=rngs),
            dilated=nn.ConvTranspose(2, 1, (3, 2), (2, 1), kernel_dilation=(3, 2), rngs=rngs),
            spaced=nn.Conv(1, 1, (5, 4), (3, 2), input_dilation=(2, 3), padding="VALID", rngs=rngs),
        )


class Layers(nn.Chain):
    """Every other layer of windows."""

    def __init__(self, *, rngs):
        super().__init__(
            depthwise=nn.DepthwiseConv(2, (3, 3), padding="SAME_LOWER", rngs=rngs),
            average=nn.AvgPool((2, 3), strides=2, padding="SAME", ceil_mode=False),
            separable=nn.SeparableConv(2, 3, (3, 1), kernel_dilation=2, rngs=rngs),
            linear=nnx.Linear(3, 3, rngs=rngs),
            table=nn.TableConv(3, ((0, 1), (1, 2)), (2, 2), rngs=rngs),
            sums=nn.Subsampling(2, (2, 2), rngs=rngs),
        )


def smooth(x):
    """Shifted slices, and a pixel to the left of them."""
    return functional.avg_pool(x, (2, 3)) + x[..., 1:, :-2, :]


class WithFunctions(nn.Chain):
    """Functions of single elements, of channels and of windows among layers."""

    def __init__(self, *, rngs):
        mixing = np.arange(1, 13, dtype=np.float32).reshape(4, 3)
        super().__init__(
            conv=nnx.Conv(2, 4, (3, 2), (1, 2), padding=((2, 0), (0, 1)), rngs=rngs),
            softplus=nnx.softplus,
            scale=lambda x: x * mixing[:, 0].reshape((1,) * (x.ndim - 1) + (4,)),
            pool=functools.partial(nnx.avg_pool, window_shape=(3, 2), strides=(2, 1)),
            leaky=functools.partial(jax.nn.leaky_relu, negative_slope=0.1),
            mixed=lambda x: jnp.einsum("...c,cd->...d", x, mixing),
            smooth=smooth,
            gelu=nn.Activation(functools.partial(jax.nn.gelu, approximate=False)),
        )


class Own(nnx.Module):
    """A user's own block, which says itself what it sees: two branches, one of blocks in a list."""

    def __init__(self, *, rngs):
        pools = [nn.AvgPool((2, 3), (2, 1)), nnx.Conv(2, 2, (1, 3), padding="VALID", rngs=rngs)]
        self.blocks = nnx.List(pools)
        self.up = nn.ConvTranspose(2, 2, (2, 1), (2, 1), rngs=rngs)
        self.wide = OwnWindows()

    def __call__(self, inputs):
        outputs = inputs
        for block in self.blocks:
            outputs = block(outputs)
        outputs = self.up(outputs)
        wide = self.wide(inputs)
        rows, columns = outputs.shape[-3:-1]
        return wide[..., :rows, :columns, :] + outputs

    def receptive_field(self, field, after):
        outputs = after(after(after(field, "blocks", 0), "blocks", 1), "up")
        return after(field, "wide").cropped(outputs).union(outputs)


class OwnWindows(nnx.Module):
    """A user's own layer of windows."""

    def __call__(self, inputs):
        return functional.sum_pool(inputs, (1, 5), padding=((0, 0), (2, 0)))

    def receptive_field(self, field, after):
        return field.windows((1, 5), padding=((0, 0), (2, 0)))


BUILD = {
    "own": (Own, (24, 31, 2)),
    "functions": (WithFunctions, (26, 31, 2)),
    "blocks": (Blocks, (41, 46, 2)),
    "layers": (Layers, (27, 23, 2)),
    "ups": (Ups, (26, 33, 1)),
    "context": (
        functools.partial(nn.ContextBlock, 1, dilations=(1, 2, 4), noise=0.1),
        (31, 29, 1),
    ),
}


@pytest.mark.parametrize("name", BUILD)
def test_geometry_finds_the_support_of_the_gradient(name, rng):
    build, shape = BUILD[name]
    module = positive(build)
    field = analysis.receptive_field(module, shape[:-1])
    images = rng.uniform(1, 2, size=shape).astype(np.float32)
    graph, state = nnx.split(module)

    @jax.jit
    def gradient(state, images, unit):
        return jax.grad(lambda x: jnp.sum(nnx.merge(graph, state)(x).sum(-1) * unit))(images)

    units = list(np.ndindex(field.output_shape))
    # One by one: XLA on CPU miscompiles LayerNorm's gradient under vmap in JAX 0.10.2.
    for unit in (*units[:2], *units[3 :: len(units) // 9], units[-1]):
        one = np.zeros(field.output_shape, np.float32)
        one[unit] = 1
        seen = np.any(np.asarray(gradient(state, images, one)) != 0, axis=-1)
        found = [np.flatnonzero(seen.any(1 - axis)) for axis in range(2)]
        spans = [[where[0], where[-1] + 1] for where in found]
        assert spans == expected(field, unit), unit


NETWORKS = {
    "LeNet5": (models.LeNet5, (32, 36), 1),
    "AlexNet": (functools.partial(models.AlexNet, 2, hidden_features=2), (87, 64), 3),
    "CifarResNet": (functools.partial(models.CifarResNet, 8, widths=(2, 2, 2)), (33, 30), 3),
    "SimpleCNN": (functools.partial(models.SimpleCNN, widths=(2, 2, 2)), (28, 33), 1),
    "CifarSpeedNet": (functools.partial(models.CifarSpeedNet, widths=(2, 2, 2)), (32, 34), 3),
    "UNet": (functools.partial(models.UNet, in_features=1, widths=(2, 2, 2)), (27, 12), 1),
    "UNet, VALID": (
        functools.partial(models.UNet, in_features=1, widths=(2, 2, 2), padding="VALID"),
        (50, 44),
        1,
    ),
    "UNet, resized": (
        functools.partial(models.UNet, in_features=1, widths=(2, 2, 2), upsampling="resize"),
        (30, 12),
        1,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_nan_in_a_row_reaches_what_sees_it(name):
    build, sizes, channels = NETWORKS[name]
    module = positive(build).features
    field = analysis.receptive_field(module, sizes)
    rows = np.ones((sizes[0], *sizes, channels), np.float32)
    rows[np.arange(sizes[0]), np.arange(sizes[0])] = np.nan
    reached = np.isnan(np.asarray(run(module, rows))).any((2, 3))
    assert field.output_shape[0] == reached.shape[1]
    for unit in range(field.output_shape[0]):
        where = np.flatnonzero(reached[:, unit])
        assert [where[0], where[-1] + 1] == expected(field, (unit, 0))[0]


KNOWN = [
    # as A. Araujo, W. Norris and J. Sim tabulate them; ResNet-50 in version 1.5
    (functools.partial(models.AlexNet), (195, 32)),
    (functools.partial(models.VGG, 16), (212, 32)),
    (functools.partial(models.ResNet, 18), (435, 32)),
    (functools.partial(models.ResNet, 50), (427, 32)),
    (models.MobileNetV2, (491, 32)),
]


@pytest.mark.parametrize("build, known", KNOWN)
def test_fields_of_the_networks(build, known):
    model = nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))
    field = analysis.receptive_field(model.features, (224, 224))
    assert (field.size[0], field.strides[0]) == known
    assert analysis.receptive_field(model, (224, 224)) is None


def test_strides_are_fractions_where_units_are_more_than_pixels():
    layer = nnx.eval_shape(lambda: nn.ConvTranspose(3, 3, (2, 4), strides=2, rngs=nnx.Rngs(0)))
    field = analysis.receptive_field(layer, (8, 5))
    assert str(field.strides) == "(Fraction(1, 2), Fraction(1, 2))"
    assert field.output_shape == (16, 10)
    assert [field.sees((unit, unit)) for unit in range(3)] == [
        ((0, 1), (0, 1)), ((0, 1), (0, 2)), ((1, 2), (0, 2)),
    ]  # fmt: skip


def test_what_has_no_field_is_refused():
    for options in (dict(padding="CIRCULAR"), dict(strides=3)):  # with gaps
        build = functools.partial(nn.ConvTranspose, 3, 3, (2, 2), **options)
        layer = nnx.eval_shape(lambda build=build: build(rngs=nnx.Rngs(0)))
        with pytest.raises(TypeError, match="receptive_field: `model` holds ConvTranspose, whose"):
            analysis.receptive_field(layer, (8, 8))
    gaps = nnx.eval_shape(lambda: nn.Conv(3, 3, (2, 2), input_dilation=3, rngs=nnx.Rngs(0)))
    with pytest.raises(TypeError, match="receptive_field: `model` holds Conv, whose windows leave"):
        analysis.receptive_field(gaps, (8, 8))
    deform = nnx.eval_shape(lambda: nn.DeformConv(3, 3, (2, 2), rngs=nnx.Rngs(0)))
    with pytest.raises(TypeError, match="holds DeformConv, whose windows move"):
        analysis.receptive_field(deform, (8, 8))
    pool = nn.AvgPool((9, 9))
    with pytest.raises(TypeError, match="receptive_field: `input_shape` .=8. must be a tuple"):
        analysis.receptive_field(pool, 8)
    with pytest.raises(ValueError, match="AvgPool: `window_shape`.*spans 9 pixels"):
        analysis.receptive_field(pool, (8, 8))


class Speechless(nnx.Module):
    """Says nothing, raises or returns something else."""

    def __call__(self, inputs):
        return inputs


def test_what_a_module_does_not_say_is_unknown():
    with pytest.raises(TypeError, match="holds Speechless, which has no method `receptive_field`;"):
        analysis.receptive_field(nn.Chain(first=Speechless()), (8, 8))

    class Refusing(Speechless):
        def receptive_field(self, field, after):
            raise NotImplementedError("whose windows are drawn at random")

    with pytest.raises(TypeError, match="holds Refusing, whose windows are drawn at random;"):
        analysis.receptive_field(nn.Chain(first=Refusing()), (8, 8))

    class Wrong(Speechless):
        def receptive_field(self, field, after):
            return field.size

    with pytest.raises(TypeError, match="Wrong, whose `receptive_field` returns tuple in place of"):
        analysis.receptive_field(nn.Chain(first=Wrong()), (8, 8))
    # Behind what sees every pixel, a layer sees every pixel too, whatever it is.
    chain = nn.Chain(pool=nn.GlobalAvgPool(keepdims=True), first=Speechless(), second=Refusing())
    assert analysis.receptive_field(chain, (8, 8)) is None
