"""Receptive fields by geometry are those that gradients and NaNs find."""

import functools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

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
    """A user's own block: two branches, one of blocks in a list."""

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


class OwnWindows(nnx.Module):
    """A user's own layer of windows."""

    def __call__(self, inputs):
        return functional.sum_pool(inputs, (1, 5), padding=((0, 0), (2, 0)))


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
    field = analysis.receptive_field(module, (1, *shape))
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
    field = analysis.receptive_field(module, (1, *sizes, channels))
    rows = np.ones((sizes[0], *sizes, channels), np.float32)
    rows[np.arange(sizes[0]), np.arange(sizes[0])] = np.nan
    reached = np.isnan(np.asarray(run(module, rows))).any((2, 3))
    assert field.output_shape[0] == reached.shape[1]
    for unit in range(field.output_shape[0]):
        where = np.flatnonzero(reached[:, unit])
        assert [where[0], where[-1] + 1] == expected(field, (unit, 0))[0]


def test_strides_are_fractions_where_units_are_more_than_pixels():
    layer = nnx.eval_shape(lambda: nn.ConvTranspose(3, 3, (2, 4), strides=2, rngs=nnx.Rngs(0)))
    field = analysis.receptive_field(layer, (2, 8, 5, 3))
    assert str(field.strides) == "(Fraction(1, 2), Fraction(1, 2))"
    assert field.output_shape == (16, 10)
    assert [field.sees((unit, unit)) for unit in range(3)] == [
        ((0, 1), (0, 1)), ((0, 1), (0, 2)), ((1, 2), (0, 2)),
    ]  # fmt: skip


class Plain(nnx.Module):
    """A network of Flax's own layers and of functions, as somebody else writes it."""

    def __init__(self, *, rngs):
        self.conv1 = nnx.Conv(3, 4, (5, 5), strides=2, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.conv2 = nnx.Conv(4, 4, (3, 3), kernel_dilation=2, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(4, 5, rngs=rngs)

    def __call__(self, inputs):
        x = nnx.relu(self.norm(self.conv1(inputs)))
        x = nnx.max_pool(x, (2, 2), strides=(2, 2))
        x = x + self.drop(nnx.relu(self.conv2(x)))
        up = jax.image.resize(x, (*x.shape[:1], 2 * x.shape[1], 2 * x.shape[2], 4), "nearest")
        return self.head(up), self.head(x.mean((1, 2)))


def test_a_network_of_flax_in_training():
    model = nnx.eval_shape(lambda: Plain(rngs=nnx.Rngs(0)))
    maps, pooled = analysis.receptive_field(model, (2, 32, 48, 3))
    assert pooled is None and maps.output_shape == (16, 24) and maps.strides == (2, 2)
    inner = analysis.receptive_field(model.conv2, (2, 8, 12, 4))
    assert (inner.size, inner.start) == ((5, 5), (-2, -2))
    # unit 4 before the resize: 2 to 6 of the pool, 4 to 13 of conv1, 2 * 4 - 1 to 2 * 13 + 3
    assert maps.sees((8, 9)) == ((7, 30), (7, 30))


class Linen(linen.Module):
    @linen.compact
    def __call__(self, inputs):
        x = linen.relu(linen.Conv(4, (3, 3), strides=2)(inputs))
        return linen.avg_pool(linen.Conv(4, (3, 3))(x), (2, 2), strides=(2, 2))


def test_a_network_of_linen_by_its_bridge_and_by_function():
    module, images = Linen(), np.ones((1, 16, 16, 3), np.float32)
    variables = module.init(jax.random.key(0), images)
    bridged = nnx.bridge.ToNNX(module, rngs=nnx.Rngs(0)).lazy_init(images)
    for model in (bridged, functools.partial(module.apply, variables)):
        field = analysis.receptive_field(model, images)
        assert (field.size, field.strides) == ((9, 9), (4, 4))
        table = analysis.summary(model, images, show=False)
        assert table.multiply_adds == 64 * 27 * 4 + 64 * 36 * 4
        assert [row.sees for row in table.rows] == ["3", "7"]  # and the pools after each
    with pytest.raises(TypeError, match="`model` is a Linen module, Linen, without its variables"):
        analysis.summary(module, images)


ARTICLE = {
    # (window, stride) of the layers on the longest way, the field and the stride in its table
    "AlexNet-v2": (
        [(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)], 195, 32,
    ),
    "VGG-16": (
        [(3, 1)] * 2 + [(2, 2)] + [(3, 1)] * 2 + [(2, 2)] + 3 * ([(3, 1)] * 3 + [(2, 2)]), 212, 32,
    ),
    "MobileNet-v1": (
        [(3, 2), (3, 1)] + [(3, 2), (3, 1)] * 2 + [(3, 2)] + [(3, 1)] * 5 + [(3, 2), (3, 1)],
        315, 32,
    ),
    "ResNet-v1-50": (
        [(7, 2), (3, 2)] + [(3, 1)] * 2 + [(3, 2)] + [(3, 1)] * 3 + [(3, 2)] + [(3, 1)] * 5
        + [(3, 2)] + [(3, 1)] * 3,
        483, 32,
    ),
    "ResNet-v1-101": (
        [(7, 2), (3, 2)] + [(3, 1)] * 2 + [(3, 2)] + [(3, 1)] * 3 + [(3, 2)] + [(3, 1)] * 22
        + [(3, 2)] + [(3, 1)] * 3,
        1027, 32,
    ),
    "ResNet-v1-152": (
        [(7, 2), (3, 2)] + [(3, 1)] * 2 + [(3, 2)] + [(3, 1)] * 7 + [(3, 2)] + [(3, 1)] * 35
        + [(3, 2)] + [(3, 1)] * 3,
        1507, 32,
    ),
    "Inception-v2": (
        [(7, 2), (3, 2), (3, 1), (3, 2)] + [(3, 1)] * 5 + [(3, 2)] + [(3, 1)] * 9 + [(3, 2)]
        + [(3, 1)] * 4,
        699, 32,
    ),
    "Inception-v3": (
        [(3, 2)] + [(3, 1)] * 2 + [(3, 2), (3, 1), (3, 2)] + [(3, 1)] * 7 + [(3, 2)]
        + [(7, 1)] * 9 + [(3, 2)] + [(3, 1)] * 4,
        1311, 32,
    ),
    "Inception-v4": (
        [(3, 2)] + [(3, 1)] * 2 + [(3, 2), (7, 1), (3, 1), (3, 2)] + [(3, 1)] * 9 + [(3, 2)]
        + [(7, 1)] * 15 + [(3, 2)] + [(3, 1)] * 6,
        2071, 32,
    ),
    "Inception-ResNet-v2": (
        [(3, 2)] + [(3, 1)] * 2 + [(3, 2), (3, 1), (3, 2)] + [(3, 1)] * 23 + [(3, 2)]
        + [(7, 1)] * 20 + [(3, 1), (3, 2)] + [(3, 1)] * 10,
        3039, 32,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARTICLE)
def test_fields_of_the_article(name):
    layers, expected, stride = ARTICLE[name]

    def network(x):
        for window, step in layers:
            x = nnx.avg_pool(x, (window, window), (step, step), padding="SAME")
        return x

    field = analysis.receptive_field(network, (1, 224, 224, 1))
    formula = 1 + sum(
        (window - 1) * int(np.prod([step for _, step in layers[:number]], dtype=int))
        for number, (window, _) in enumerate(layers)
    )
    assert field.size == (expected, expected) == (formula, formula)
    assert field.strides == (stride, stride)


def test_gaps_are_seen_as_nothing():
    layer = nnx.eval_shape(lambda: nn.ConvTranspose(3, 3, (2, 2), strides=3, rngs=nnx.Rngs(0)))
    field = analysis.receptive_field(layer, (1, 4, 4, 3))
    found = [field.sees((unit, 0))[0] for unit in range(5)]
    assert found == [(0, 1), (0, 1), (0, 0), (1, 2), (1, 2)]
    assert field.strides == (Fraction(1, 3), Fraction(1, 3))


def test_bad_arguments_are_refused():
    pool, conv = nn.AvgPool((9, 9)), nnx.Conv(3, 4, (3, 3), rngs=nnx.Rngs(0))
    with pytest.raises(TypeError, match=r"receptive_field: `inputs` must be arrays.*received 8; "):
        analysis.receptive_field(pool, 8)
    with pytest.raises(ValueError, match=r"receptive_field: `inputs` must have batch.*\(8, 8\)"):
        analysis.receptive_field(pool, (8, 8))
    with pytest.raises(ValueError, match="avg_pool: `window_shape`.*spans 9 pixels"):
        analysis.receptive_field(pool, (1, 8, 8, 1))
    for look in (analysis.receptive_field, analysis.summary):
        with pytest.raises(ValueError, match=r"read as .* spatial axes \(8, 8\) and 2 channels"):
            look(conv, (1, 8, 8, 2))
    with pytest.raises(TypeError, match="receptive_field: `model` .=3. must be a layer or a func"):
        analysis.receptive_field(3, (1, 8, 8, 1))
    with pytest.raises(ValueError, match="`model` must give what depends on its inputs"):
        analysis.receptive_field(jnp.zeros_like, (1, 8, 8, 1))
    with pytest.raises(TypeError, match="`model` does `pure_callback`, of which is unknown what"):
        analysis.receptive_field(lambda x: jax.pure_callback(abs, x, x), (1, 8, 8, 1))
