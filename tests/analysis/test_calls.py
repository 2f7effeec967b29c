"""Networks by whatever they are called with, and layers in loops, batches and containers."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxcnn import analysis
from tests.analysis.networks import conv, several, summary
from tests.visualize.test_models_left_alone import snapshot

pytestmark = pytest.mark.usefixtures("plain_promotion")


class Options(nnx.Module):
    """Takes an option by its name alone, a word, and another array."""

    def __init__(self, *, rngs):
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.head = nnx.Linear(4, 5, rngs=rngs)

    def __call__(self, x, pool="mean", more=0.0, *, train):
        x = nnx.relu(self.norm(self.conv(x), use_running_average=not train))
        return self.head(getattr(x, pool)((1, 2)) + more)


class FromDict(nnx.Module):
    def __init__(self, *, rngs):
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)

    def __call__(self, batch):
        return self.conv(batch["image"]) * batch["factor"]


@pytest.fixture
def images(rng):
    return rng.normal(size=(2, 6, 8, 3)).astype(np.float32)


def test_arguments_are_set_beforehand(images):
    model = Options(rngs=nnx.Rngs(0))
    more = jnp.arange(8.0, dtype=jnp.float32).reshape(2, 4)
    asked = functools.partial(model, pool="max", more=more, train=False)
    before = snapshot(model)

    def by_hand(x):
        return nnx.clone(model)(x, "max", more, train=False)

    table = summary(asked, images)
    assert [row.layer for row in table.rows] == ["conv", "norm", "head"]
    assert sum(row.share for row in summary(asked, images, time=True).rows) == pytest.approx(1)
    assert (table.model, table.parameters) == (
        "Options",
        summary(model.conv, images).parameters + 33,
    )
    maps = analysis.feature_maps(asked, images)
    assert list(maps) == ["conv", "norm", "head"]
    np.testing.assert_allclose(maps["head"], by_hand(images), rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda x: by_hand(x)[:, 2].sum())(images)
    np.testing.assert_allclose(
        analysis.saliency(asked, images, target=2), gradient, rtol=1e-4, atol=1e-6
    )
    assert analysis.grad_cam(asked, images, layer="conv", target=2).shape == (2, 6, 8)
    assert analysis.first_kernel(asked, images)[0] == "conv"
    field = analysis.receptive_field(functools.partial(model.norm, mask=None), (1, 6, 8, 4))
    assert field.size == (1, 1)
    assert snapshot(model) == before


def test_a_call_that_lacks_arguments_says_how_to_set_them(images):
    model = Options(rngs=nnx.Rngs(0))
    told = r"'train'; for arguments besides the inputs write functools.partial\(model, name=value\)"
    for look in (analysis.feature_maps, analysis.saliency, summary, analysis.grad_cam):
        with pytest.raises(TypeError, match=told):
            look(model, images)
    with pytest.raises(TypeError, match=r"`inputs` must be arrays.*ndarray, str; .*partial"):
        analysis.feature_maps(model, images, "max")
    with pytest.raises(
        TypeError, match=r"`inputs` must be one array of images, got dict; .*partial"
    ):
        analysis.saliency(model, {"image": images})


def test_inputs_in_a_dictionary(images):
    model = FromDict(rngs=nnx.Rngs(0))
    batch = {"factor": jnp.float32(2), "image": images}
    maps = analysis.feature_maps(model, batch)
    np.testing.assert_allclose(maps["conv"], model.conv(images), rtol=1e-5, atol=1e-6)
    assert analysis.first_kernel(model, batch)[0] == "conv"
    counts = analysis.activation_histograms(model, batch, edges=[0, 1, 2])
    assert counts["conv"].sum() == maps["conv"].size
    table = summary(model, {"factor": jnp.float32(2), "image": (2, 6, 8, 3)})
    assert table.rows[0].sees == "3"
    assert analysis.receptive_field(model, batch).size == (3, 3)
    listed = analysis.feature_maps(nnx.relu, images[0, 0].tolist())["(model)"]
    np.testing.assert_array_equal(listed, nnx.relu(images[0, 0]))


class Counting(nnx.Module):
    """Counts in containers of several kinds, and gives the names of Flax's to something else."""

    def __init__(self, *, rngs):
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.remat = nnx.remat(lambda conv, x: nnx.relu(conv(x)))
        self.calls, self.last = collections.Counter(), collections.deque([0], maxlen=2)
        self.by_shape = collections.defaultdict(list)

    def eval(self, images, labels):
        return (self(images).argmax(-1) == labels).mean()

    def __call__(self, x):
        self.calls["all"] += 1
        self.last.append(x.ndim)
        self.by_shape[x.shape].append(x)
        return self.remat(self.conv, x).mean((1, 2))


def test_containers_and_names_of_the_model_are_its_own(images):
    model = Counting(rngs=nnx.Rngs(0))
    expected = nnx.relu(model.conv(images)).mean((1, 2))
    for look in (analysis.saliency, analysis.grad_cam, summary):
        look(model, images)
    found = analysis.feature_maps(model, images, layers=["(model)"])["(model)"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert (dict(model.calls), list(model.last), dict(model.by_shape)) == ({}, [0], {})


class Attention(nnx.Module):
    """Patches by a fully connected layer: nothing here has a window."""

    def __init__(self, *, rngs):
        self.attention = nnx.MultiHeadAttention(2, 3, 8, decode=False, rngs=rngs)

    def __call__(self, x):
        return self.attention(x.reshape(len(x), -1, 3))


class Heads(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.MultiHeadDotProductAttention(2, qkv_features=8)(x.reshape(len(x), -1, 3))


class Several(nnx.Module):
    """Fully connected layers side by side, then convolutions in a loop, then a head."""

    def __init__(self, *, rngs):
        self.beside = several(3, functools.partial(nnx.Linear, 3, 3))(rngs)
        self.stem = nnx.Conv(3, 3, (1, 1), rngs=rngs)
        self.loop = several(2, conv(nnx.Conv))(rngs)

    def __call__(self, x):
        x = nnx.vmap(lambda layer, x: layer(x), in_axes=(0, None))(self.beside, x).mean(0)
        x = self.stem(x) if self.stem is not None else x
        return nnx.scan(
            lambda layer, x: nnx.relu(layer(x)), in_axes=(0, nnx.Carry), out_axes=nnx.Carry
        )(self.loop, x).mean((1, 2))


def test_kernels_without_a_window_are_none(images):
    bridged = nnx.bridge.ToNNX(Heads(), nnx.Rngs(0)).lazy_init(images)
    for model in (Attention(rngs=nnx.Rngs(0)), bridged):
        with pytest.raises(ValueError, match="must have a layer with a kernel of a window"):
            analysis.first_kernel(model, images)


def test_the_first_kernel_of_a_stack(images):
    model = Several(rngs=nnx.Rngs(0))
    assert analysis.first_kernel(model, images)[0] == "stem"
    model.stem = None
    path, kernel = analysis.first_kernel(model, images)
    assert path == "loop"
    np.testing.assert_array_equal(kernel, model.loop.kernel[...][0])


def test_grad_cam_takes_the_last_layer_outside_of_loops(images):
    model = Several(rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(
        analysis.grad_cam(model, images), analysis.grad_cam(model, images, layer="stem")
    )


class Magnitude(nnx.Module):
    """Of complex maps."""

    def __init__(self, *, rngs):
        self.conv = nnx.Conv(3, 4, (3, 3), dtype=jnp.complex64, rngs=rngs)

    def __call__(self, x):
        return jnp.abs(self.conv(x.astype(jnp.complex64)) * (1 + 2j)).sum((1, 2))


def test_complex_maps(images):
    model = Magnitude(rngs=nnx.Rngs(0))
    maps = analysis.feature_maps(model, images)["conv"]
    cam = analysis.grad_cam(model, images, layer="conv", target=1, negative="keep")
    # Away from 0, |(1 + 2i) a| moves with the sqrt(5) a / |a| of its own.
    weights = jnp.conj(maps / jnp.abs(maps) * jnp.sqrt(5.0)).at[..., jnp.array([0, 2, 3])].set(0)
    expected = (maps * weights.mean((1, 2), keepdims=True)).sum(-1).real
    np.testing.assert_allclose(cam, expected, rtol=1e-4, atol=1e-5)
    counts = analysis.activation_histograms(model, images, edges=[0, 0.5, 9], layers=["conv"])
    assert counts["conv"].tolist()[0] == (jnp.abs(maps) < 0.5).sum()


class Box(nnx.Pytree):
    """Holds a layer, and is no module."""

    def __init__(self, layer):
        self.layer = layer


class Held(nnx.Module):
    def __init__(self, *, rngs):
        self.box = Box(nnx.Conv(3, 4, (3, 3), rngs=rngs))

    def __call__(self, x):
        return self.box.layer(x)


def test_a_layer_held_by_no_module_is_counted_once(images):
    model = Held(rngs=nnx.Rngs(0))
    table = summary(model, images)
    assert [row.layer for row in table.rows] == ["box.layer"]
    assert table.memory == 2 * 6 * 8 * 4 * 4
    assert list(analysis.feature_maps(model, images)) == ["box.layer"]
