"""Linen networks, behind the bridge and in functions: their layers are seen as those of NNX."""

import functools

import jax
import numpy as np
import pytest
from flax import linen, nnx

from jaxcnn import analysis

pytestmark = pytest.mark.usefixtures("plain_promotion")


class Block(linen.Module):
    @linen.compact
    def __call__(self, x, _=None):
        return linen.relu(linen.Conv(3, (3, 3), name="conv")(x)), None


class Network(linen.Module):
    """A layer under its name, a block that is called twice, a loop of two, a head."""

    def setup(self):
        self.first = linen.Conv(3, (3, 3), strides=2)
        self.block = linen.remat(Block)()
        loop = linen.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=2)
        self.loop = loop()
        self.head = linen.Dense(4)

    def __call__(self, x):
        maps = self.block(self.block(self.first(x))[0])[0]
        return self.head(self.loop(maps, None)[0].mean((1, 2)))


class Behind(nnx.Module):
    """A layer of NNX, then a network of Linen."""

    def __init__(self, rngs):
        self.before = nnx.Conv(1, 2, (3, 3), rngs=rngs)
        self.net = nnx.bridge.ToNNX(Network(), rngs)

    def __call__(self, x):
        return self.net(self.before(x))


@pytest.fixture
def images(rng):
    return rng.normal(size=(2, 12, 10, 1)).astype(np.float32)


@pytest.fixture
def model(images):
    return nnx.bridge.lazy_init(Behind(nnx.Rngs(0)), images)


def test_layers_have_their_rows(model, images):
    table = analysis.summary(model, (1, 12, 10, 1), show=False)
    found = [(r.layer, r.kind, r.sees, r.parameters, r.multiply_adds) for r in table.rows]
    assert found == [
        ("before", "Conv", "3", 20, 120 * 18),
        ("net.first", "Conv", "5", 57, 30 * 54),
        ("net.block.conv", "Conv", "13", 84, 2 * 30 * 81),
        ("net.loop.conv", "Conv", "21", 168, 2 * 30 * 81),
        ("net.head", "Dense", "all", 16, 12),
    ]
    whole = analysis.summary(model, (1, 12, 10, 1), depth=1, show=False)
    assert [row.layer for row in whole.rows] == ["before", "net"]
    assert (whole.multiply_adds, whole.memory) == (table.multiply_adds, table.memory)
    times = analysis.summary(model, (1, 12, 10, 1), time=True, show=False)
    assert [row.share for row in times.rows] == [1, None, None, None, None]


def test_maps_kernels_and_grad_cam_of_its_layers(model, images):
    maps = analysis.feature_maps(model, images)
    assert {name: array.shape for name, array in maps.items()} == {
        "before": (2, 12, 10, 2), "net.first": (2, 6, 5, 3), "net.block.conv": (2, 6, 5, 3),
        "net.block.conv:1": (2, 6, 5, 3), "net.loop.conv": (2, 2, 6, 5, 3), "net.head": (2, 4),
    }  # fmt: skip
    np.testing.assert_allclose(maps["net.head"], model(images), rtol=1e-5, atol=1e-6)
    theirs = linen.Conv(3, (3, 3), strides=2).apply(
        {"params": _values(model.net.first)}, maps["before"]
    )
    np.testing.assert_allclose(maps["net.first"], theirs, rtol=1e-5, atol=1e-6)
    path, kernel = analysis.first_kernel(model.net, maps["before"])
    assert path == "first" and kernel.shape == (3, 3, 2, 3)
    cam = analysis.grad_cam(model, images, layer="net.first", target=1)
    assert cam.shape == (2, 12, 10) and np.ptp(cam)


def test_a_function_of_linen_has_the_same_layers(images):
    module = Network()
    apply = functools.partial(module.apply, module.init(jax.random.key(0), images))
    table = analysis.summary(apply, images, show=False)
    assert table.model == "Network" and [row.layer for row in table.rows] == [
        "first", "block.conv", "loop.conv", "head",
    ]  # fmt: skip
    assert list(analysis.feature_maps(apply, images, layers=["first"])) == ["first"]


def test_a_bridge_without_variables_says_what_to_do(images):
    empty = nnx.bridge.ToNNX(linen.Conv(2, (3, 3)), nnx.Rngs(0))
    for look in (analysis.feature_maps, analysis.saliency):
        with pytest.raises(TypeError, match=r"without its variables.*bridge.lazy_init\(model"):
            look(empty, images)


def _values(layer):
    return {name: variable[...] for name, variable in layer.items()}
