"""The table of a network: published costs, exact sums, nothing allocated, nothing changed."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import analysis, models, nn

# Flax's batch normalisation mixes its float32 averages with 16-bit floats.
pytestmark = pytest.mark.usefixtures("plain_promotion")


def images(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


@functools.cache
def shapes(build):
    """The network without values."""
    return nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))


RESNET_50 = functools.partial(models.ResNet, 50)
COSTS = [
    # torchvision's model cards, in multiply-adds of one 224x224 image; the fields of the features
    # as A. Araujo, W. Norris and J. Sim tabulate them, ResNet-50's for version 1.5
    (models.AlexNet, 61_100_840, 714_188_480, 195),
    (functools.partial(models.VGG, 16), 138_357_544, 15_470_264_320, 212),
    (functools.partial(models.ResNet, 18), 11_689_512, 1_814_073_344, 435),
    (RESNET_50, 25_557_032, 4_089_184_256, 427),
    (models.MobileNetV2, 3_504_872, 300_774_272, 491),
    (models.ConvNeXtTiny, 28_589_128, 4_455_531_264, 1688),
]


@pytest.mark.parametrize("build, parameters, multiply_adds, field", COSTS)
def test_costs_and_fields_are_the_published_ones(build, parameters, multiply_adds, field):
    model = shapes(build)
    table = analysis.summary(model, (1, 224, 224, 3), depth=1, show=False)
    features, classifier = table.rows
    assert (features.field.size, features.field.strides) == ((field, field), (32, 32))
    assert classifier.field is None and classifier.sees == "all"
    assert table.parameters == parameters and table.multiply_adds == multiply_adds
    leaves = jax.tree.leaves(nnx.state(model, nnx.Param))
    assert sum(leaf.size for leaf in leaves) == parameters
    assert sum(row.parameters for row in table.rows) == parameters
    assert table.output == (1, 1000)


GIGA = [
    # torchvision's model cards, 10^9 multiply-adds to three places
    (models.EfficientNetB0, "0.386"),
    (models.RegNet, "0.402"),
    (models.SqueezeNet, "0.349"),
]


@pytest.mark.parametrize("build, giga", GIGA)
def test_costs_of_later_networks_are_the_published_ones(build, giga):
    table = analysis.summary(shapes(build), (1, 224, 224, 3), depth=1, show=False)
    assert f"{table.multiply_adds / 1e9:.3f}" == giga


def test_resnet_50_as_a_user_sees_it(capsys):
    table = analysis.summary(shapes(RESNET_50), images(1, 224, 224, 3))
    printed = capsys.readouterr().out
    assert printed == f"{table}\n"
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 120 and len(lines) == len(table.rows) + 4
    (line,) = (line for line in lines if line.startswith("features.stage4.block1 "))
    assert (
        line.split()
        == (
            "features.stage4.block1 BottleneckBlock 1x7x7x2048 299 32 6,039,552 372.51 M 3.51 MB"
        ).split()
    )
    assert lines[-1].split() == "ResNet 25,557,032 4.09 G 128.16 MB".split()
    assert repr(table) == "Summary(ResNet: 25,557,032 parameters, 4.09 G multiply-adds)"


def test_every_layer_by_itself():
    model = shapes(models.LeNet5)
    table = analysis.summary(model, images(2, 28, 28, 1), depth=None, show=False)
    found = [(r.layer, r.output, r.sees, r.parameters, r.multiply_adds) for r in table.rows]
    assert found == [
        ("features.conv1", (2, 28, 28, 6), "5", 156, 2 * 28 * 28 * 150),
        ("features.relu1", (2, 28, 28, 6), "5", 0, 0),
        ("features.pool1", (2, 14, 14, 6), "6", 0, 0),
        ("features.conv2", (2, 10, 10, 16), "14", 2_416, 2 * 100 * 2_400),
        ("features.relu2", (2, 10, 10, 16), "14", 0, 0),
        ("features.pool2", (2, 5, 5, 16), "16", 0, 0),
        ("classifier.flatten", (2, 400), "all", 0, 0),
        ("classifier.fc1", (2, 120), "all", 48_120, 2 * 48_000),
        ("classifier.relu3", (2, 120), "all", 0, 0),
        ("classifier.fc2", (2, 84), "all", 10_164, 2 * 10_080),
        ("classifier.relu4", (2, 84), "all", 0, 0),
        ("classifier.fc3", (2, 10), "all", 850, 2 * 840),
    ]
    assert table.rows[0].memory == 2 * 28 * 28 * 6 * 4
    assert table.rows[2].field.strides == (2, 2)
    whole = analysis.summary(model, images(2, 28, 28, 1), depth=1, show=False)
    assert [row.layer for row in whole.rows] == ["features", "classifier"]
    assert (whole.multiply_adds, whole.memory) == (table.multiply_adds, table.memory)


LAYERS = [
    (functools.partial(nn.Conv, 4, 6, (3, 2), 2, feature_group_count=2), (2, 8, 6, 4), 2 * 12 * 72),
    (functools.partial(nn.ConvTranspose, 4, 6, (3, 2), 2), (2, 4, 3, 4), 2 * 12 * 144),
    (functools.partial(nn.DepthwiseConv, 4, (3, 3), multiplier=2), (2, 8, 6, 4), 2 * 48 * 72),
    (functools.partial(nn.SeparableConv, 4, 6, (3, 3)), (2, 8, 6, 4), 2 * 48 * (36 + 24)),
    (functools.partial(nn.ConvLocal, 4, 6, (3, 3), (8, 6)), (2, 8, 6, 4), 2 * 48 * 216),
    (functools.partial(nn.ResizeConv, 4, 6, (3, 3)), (2, 4, 3, 4), 2 * 48 * 216),
    (functools.partial(nn.TableConv, 3, ((0,), (1, 2)), (3, 3)), (2, 8, 6, 3), 2 * 48 * 27),
    (functools.partial(nnx.Linear, 4, 6), (2, 8, 4), 2 * 8 * 24),
    (functools.partial(nn.DeformConv, 4, 6, (3, 3)), (2, 8, 6, 4), None),
]


@pytest.mark.parametrize("build, shape, expected", LAYERS)
def test_multiply_adds_of_every_layer(build, shape, expected):
    layer = nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))
    table = analysis.summary(layer, images(*shape), show=False)
    if expected is None:  # the deformed kernel, and the one that finds where it looks
        expected = 2 * 48 * (216 + layer.offsets.kernel.size)
    assert table.multiply_adds == expected


def test_layers_of_two_inputs():
    layer = nnx.eval_shape(lambda: nn.PartialConv(4, 6, (3, 3), rngs=nnx.Rngs(0)))
    table = analysis.summary(layer, images(2, 8, 6, 4), images(2, 8, 6, 1), show=False)
    assert table.multiply_adds == 2 * 48 * 216 and table.output == ((2, 8, 6, 6), (2, 8, 6, 1))


def test_segmentation_networks_and_remat():
    unet = nnx.eval_shape(lambda: models.UNet(2, widths=(4, 6), remat=True, rngs=nnx.Rngs(0)))
    table = analysis.summary(unet, images(1, 9, 14, 3), show=False)
    plain = nnx.eval_shape(lambda: models.UNet(2, widths=(4, 6), rngs=nnx.Rngs(0)))
    same = analysis.summary(plain, images(1, 9, 14, 3), show=False)
    assert table.multiply_adds == same.multiply_adds and str(table) == str(same)
    fields = {row.layer: row.sees for row in table.rows}
    assert fields["features.down2.conv2"] == "14" and fields["features.up1.conv1"] == "17"
    dilated = nnx.eval_shape(lambda: models.DilatedContext(21, rngs=nnx.Rngs(0)))
    table = analysis.summary(dilated, images(1, 64, 64, 3), depth=2, show=False)
    assert [row.layer for row in table.rows][-2:] == ["classifier.scores", "classifier.context"]
    assert table.rows[-1].sees == str(380 + 66 * 8)


def values(module):
    """Copies of all arrays of a module, keys as the numbers that they are."""

    def copy(leaf):
        key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.array(jax.random.key_data(leaf) if key else leaf)

    return jax.tree.map(copy, nnx.to_pure_dict(nnx.state(module)))


def test_times_are_shares_and_the_model_stays_as_it_was():
    layers = dict(
        conv=nn.ConvBlock(2, 3, (3, 3), rngs=nnx.Rngs(0)),
        drop=nnx.Dropout(0.5, rngs=nnx.Rngs(1)),
        pool=nn.GlobalAvgPool(),
    )
    chain = nn.Chain(**layers)
    before = values(chain)
    table = analysis.summary(chain, images(2, 6, 5, 2), depth=1, time=True, show=False)
    assert sum(row.share for row in table.rows) == pytest.approx(1)
    assert all(row.share > 0 for row in table.rows)
    assert "%" in str(table) and "time" in str(table).splitlines()[0]
    jax.tree.map(np.testing.assert_array_equal, before, values(chain))
    assert type(chain) is nn.Chain and type(chain.conv) is nn.ConvBlock


def test_bad_arguments_are_refused():
    model = shapes(models.LeNet5)
    with pytest.raises(TypeError, match="summary: `model` .='net'. must be a layer or a function"):
        analysis.summary("net", images(1, 28, 28, 1))
    with pytest.raises(TypeError, match=r"summary: `inputs` must be arrays.*received \(1, 'a'\)"):
        analysis.summary(model, (1, "a"))
    with pytest.raises(ValueError, match="summary: `depth` .=0. must be at least 1"):
        analysis.summary(model, images(1, 28, 28, 1), depth=0)
    with pytest.raises(TypeError, match="summary: `time` .=1. must be True or False"):
        analysis.summary(model, images(1, 28, 28, 1), time=1)
    with pytest.raises(TypeError, match="summary: `model` must hold values to be timed"):
        analysis.summary(model, images(1, 28, 28, 1), time=True)
    with pytest.raises(ValueError, match="LeNet5: `inputs` must be"):
        analysis.summary(model, images(1, 32, 28, 1))
