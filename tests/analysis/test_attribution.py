"""Attributions of networks of anybody's: batches, any output, their formulas and conventions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from jaxcnn import analysis
from tests.visualize.test_models_left_alone import snapshot

pytestmark = pytest.mark.usefixtures("plain_promotion")


class Net(nnx.Module):
    """Plain Flax: a layer called twice, one inside `remat`, ReLUs of three kinds, two outputs."""

    def __init__(self, rngs):
        self.conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.again = nnx.Conv(4, 4, (3, 3), rngs=rngs)
        self.inner = nnx.Conv(4, 6, (3, 3), strides=2, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(6, 5, rngs=rngs)

    def __call__(self, x):
        return self.head(self.maps(x).mean((1, 2)))

    def maps(self, x):
        x = nnx.relu(self.norm(self.conv(x)))
        x = nnx.max_pool(jnp.maximum(self.again(self.again(x)), 0), (2, 2), (2, 2))
        x = nnx.remat(lambda net, y: jax.nn.relu6(net.inner(y)))(self, x)
        return self.drop(jax.nn.softplus(x))


def steps(net, x, relu=nnx.relu):
    """The same one after another, with ReLUs that can be exchanged."""
    x = relu(net.norm(net.conv(x), use_running_average=True))
    x = nnx.max_pool(relu(net.again(net.again(x))), (2, 2), (2, 2))
    return net.head(jax.nn.softplus(jnp.minimum(relu(net.inner(x)), 6)).mean((1, 2)))


@pytest.fixture(scope="module")
def net():
    return Net(nnx.Rngs(0))


@pytest.fixture
def images(rng):
    return rng.normal(size=(2, 12, 16, 3)).astype(np.float32)


def test_feature_maps_of_every_layer(net, images):
    before = snapshot(net)
    maps = analysis.feature_maps(net, images)
    assert list(maps) == ["conv", "norm", "again", "again:1", "inner", "drop", "head"]
    assert snapshot(net) == before
    quiet = nnx.clone(net)
    quiet.eval()
    first = np.asarray(quiet.again(nnx.relu(maps["norm"])))
    np.testing.assert_allclose(maps["again"], first, atol=1e-5)
    np.testing.assert_allclose(maps["again:1"], quiet.again(first), atol=1e-5)
    np.testing.assert_allclose(maps["head"], quiet(images), atol=1e-5)
    state = nnx.split(net)
    jitted = jax.jit(
        lambda arrays, x: analysis.feature_maps(nnx.merge(state[0], arrays), x, layers=["inner"])
    )(state[1], images)
    np.testing.assert_allclose(jitted["inner"], maps["inner"], atol=1e-5)
    (whole,) = analysis.feature_maps(net, images, layers="(model)").values()
    np.testing.assert_array_equal(whole, maps["head"])
    counts = analysis.activation_histograms(net, images, edges=[-1, 0, 1], layers=["again:1"])
    above = int((np.asarray(maps["again:1"]) > 0).sum())
    assert counts["again:1"].tolist() == [maps["again:1"].size - above, above]
    path, kernel = analysis.first_kernel(net, images)
    assert path == "conv" and kernel.shape == (3, 3, 3, 4)


def test_layers_in_a_loop_have_an_axis_more(images):
    @nnx.split_rngs(splits=3)
    @nnx.vmap
    def stacked(rngs):
        return nnx.Conv(3, 3, (3, 3), rngs=rngs)

    class Loop(nnx.Module):
        def __init__(self, rngs):
            self.convs = stacked(rngs)

        def __call__(self, x):
            run = nnx.scan(lambda x, conv: (nnx.relu(conv(x)), None), in_axes=(nnx.Carry, 0))
            return run(x, self.convs)[0]

    loop = Loop(nnx.Rngs(0))
    (maps,) = analysis.feature_maps(loop, images).values()
    assert maps.shape == (3, *images.shape)
    np.testing.assert_allclose(nnx.relu(maps[-1]), loop(images), atol=1e-6)
    with pytest.raises(ValueError, match="deconvnet: `model` must call its ReLUs outside loops"):
        analysis.deconvnet(loop, images, target=(0, 0, 0))
    with pytest.raises(
        ValueError, match=r"grad_cam: `layer` .* must give maps .*\(3, 2, 12, 16, 3"
    ):
        analysis.grad_cam(loop, images, layer="convs", target=(0, 0, 0))


METHODS = {
    "saliency": analysis.saliency,
    "smooth_grad": functools.partial(analysis.smooth_grad, noise=0.0, samples=2),
    "integrated_gradients": functools.partial(analysis.integrated_gradients, steps=4),
    "guided_backpropagation": analysis.guided_backpropagation,
    "deconvnet": analysis.deconvnet,
    "grad_cam": functools.partial(analysis.grad_cam, layer="again", negative="keep"),
    "occlusion": functools.partial(analysis.occlusion, window_shape=(6, 8), strides=6),
}


@pytest.mark.parametrize("name", METHODS)
def test_batches_and_targets(net, images, name):
    method = METHODS[name]
    both = method(net, images, target=[4, 1])
    assert both.shape == (images.shape if both.ndim == 4 else images.shape[:3])
    one = method(net, images[1:], target=1)
    np.testing.assert_allclose(both[1:], one, atol=1e-6 * float(jnp.abs(one).max()) + 1e-8)
    same = method(net, images, target=lambda logits: jnp.stack([logits[0, 4], logits[1, 1]]))
    np.testing.assert_allclose(both, same, atol=1e-7)
    quiet = nnx.clone(net)
    quiet.eval()
    taken = [int(number) for number in np.argmax(quiet(images), -1)]
    np.testing.assert_allclose(method(net, images), method(net, images, target=taken), atol=1e-7)


def test_pixels_and_boxes(net, images):
    gradient = analysis.saliency(net.maps, images, target=(1, 2, 0))
    box = analysis.saliency(net.maps, images, target=lambda maps: maps[:, 1:2, 2:3, 0].sum((1, 2)))
    np.testing.assert_allclose(gradient, box, atol=1e-8)
    (low, high), (left, right) = analysis.receptive_field(net.maps, images).sees((1, 2))
    outside = np.array(gradient)
    assert outside[:, low:high, left:right].any()
    outside[:, low:high, left:right] = 0
    assert not outside.any()
    maps = np.asarray(analysis.grad_cam(net, images, target=2))
    assert maps.shape == (2, 12, 16) and maps.min() >= 0


GATES = {
    "guided_backpropagation": lambda x, g: (x > 0) & (g > 0),
    "deconvnet": lambda x, g: g > 0,
}


@pytest.mark.parametrize("name", GATES)
def test_rules_at_relus_of_every_kind(net, images, name):
    gate = GATES[name]

    @jax.custom_vjp
    def relu(x):
        return jnp.maximum(x, 0)

    relu.defvjp(lambda x: (relu(x), x), lambda x, g: (jnp.where(gate(x, g), g, 0),))
    expected = jax.grad(lambda x: steps(net, x, relu)[:, 3].sum())(images)
    found = METHODS[name](net, images, target=3)
    np.testing.assert_allclose(found, expected, atol=1e-6 * float(jnp.abs(expected).max()))
    assert (
        float(jnp.abs(expected - jax.grad(lambda x: steps(net, x)[:, 3].sum())(images)).max()) > 0
    )


RELUS = {
    "clip": lambda x: jnp.clip(x, 0),
    "clip, ended": lambda x: jnp.clip(x, 0, 100.0),
    "zeros": lambda x: jnp.maximum(x, jnp.zeros_like(x)),
    "zeros of lax": lambda x: lax.max(jnp.zeros(x.shape, x.dtype), x),
    "jitted": jax.jit(lambda x: jnp.clip(x, min=0)),
}


@pytest.mark.parametrize("name", RELUS)
def test_a_maximum_with_0_is_a_relu_however_it_is_written(net, images, name):
    def loose(relu):
        return lambda x: steps(net, x, relu)

    for method in (analysis.guided_backpropagation, analysis.deconvnet):
        expected = method(loose(nnx.relu), images, target=3)
        found = method(loose(RELUS[name]), images, target=3)
        largest = float(jnp.abs(expected).max())
        np.testing.assert_allclose(found, expected, atol=1e-6 * largest)


def test_integrated_gradients_add_up(net, images):
    shares = analysis.integrated_gradients(net, images, target=3, baseline=0.5, steps=64)
    quiet = nnx.clone(net)
    quiet.eval()
    rise = quiet(images)[:, 3] - quiet(jnp.full_like(images, 0.5))[:, 3]
    np.testing.assert_allclose(shares.sum((1, 2, 3)), rise, rtol=0.02)


def test_occlusion_is_the_fall_of_the_output(images):
    weights = np.arange(12.0 * 16, dtype=np.float32).reshape(12, 16, 1)
    linear = lambda x: (x * weights[None]).sum((1, 2, 3))[:, None]  # noqa: E731
    fall = analysis.occlusion(linear, images, window_shape=(4, 4), strides=4, fill=0.5)
    blocks = ((images - 0.5) * weights).sum(-1).reshape(2, 3, 4, 4, 4).sum((2, 4))
    np.testing.assert_allclose(fall, blocks.repeat(4, 1).repeat(4, 2), rtol=1e-3, atol=0.05)


def test_heat_maps():
    values = np.array([[[[1.0, -3.0], [2.0, 0.0]]], [[[-8.0, 4.0], [0.0, -2.0]]]], np.float32)
    heat = functools.partial(analysis.heat_map, values)
    assert heat(scale=False).tolist() == [[[3, 2]], [[8, 2]]]
    assert heat(channels="sum", negative="keep").tolist() == [[[-1, 1]], [[-1, -0.5]]]
    assert heat(negative="cut", scale=False).tolist() == [[[0, 2]], [[0, 0]]]
    assert heat().tolist() == [[[1, 0]], [[1, 0]]]
    assert not analysis.heat_map(np.zeros((1, 2, 2)), channels=None).any()
    for option in ("channels", "negative"):
        with pytest.raises(ValueError, match=f"heat_map: `{option}` .='no'. must be one of"):
            heat(**{option: "no"})
    with pytest.raises(ValueError, match=r"heat_map: `attribution` must be .* received \(2, 2\)"):
        analysis.heat_map(values[0, 0])


def test_bad_arguments_are_refused(net, images):
    refused = [
        (dict(target=5), ValueError, "`target` .=5. must be below the 5 classes"),
        (dict(target=[1]), ValueError, "must have one class for each of the 2 images"),
        (dict(target=(1, 2)), ValueError, r"must be a place in outputs \(5,\)"),
        (dict(target=0.5), TypeError, "must be None, a class, a list of classes"),
        (dict(target=lambda y: y), ValueError, r"one number for each image, \(2,\); got \(2, 5\)"),
        (dict(layer="agian"), ValueError, "grad_cam: `layer` .='agian'. .* such as again"),
        (dict(layer="head"), ValueError, r"must give maps .*; it gives \(2, 5\)"),
        (dict(negative="absolute"), ValueError, "`negative` .='absolute'. must be 'cut' or 'keep'"),
    ]
    for options, kind, message in refused:
        with pytest.raises(kind, match=message):
            analysis.grad_cam(net, images, **options)
    with pytest.raises(ValueError, match="saliency: `target` .=None. must be a tuple, a place in"):
        analysis.saliency(net.maps, images)
    with pytest.raises(ValueError, match=r"saliency: `inputs` must be floats .* \(12, 16\)"):
        analysis.saliency(net, images[0, :, :, 0])
    with pytest.raises(ValueError, match="spatial axes .12, 16. and 2 channels last"):
        analysis.feature_maps(net, images[..., :2])
    with pytest.raises(TypeError, match="feature_maps: `model` must hold values"):
        analysis.feature_maps(nnx.eval_shape(lambda: Net(nnx.Rngs(0))), images)
    with pytest.raises(ValueError, match="deconvnet: `model` must have a ReLU, a maximum with 0"):
        analysis.deconvnet(lambda x: x.mean((1, 2)), images)
    with pytest.raises(ValueError, match="first_kernel: `model` must have a layer with a kernel"):
        analysis.first_kernel(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), images)
    with pytest.raises(ValueError, match="activation_histograms: `edges` must be rising"):
        analysis.activation_histograms(net, images, edges=[1, 0])
    with pytest.raises(ValueError, match="integrated_gradients: `baseline` must fit the inputs"):
        analysis.integrated_gradients(net, images, baseline=np.ones(2))
    with pytest.raises(ValueError, match="occlusion: `window_shape` .=.13, 2.. must fit images"):
        analysis.occlusion(net, images, window_shape=(13, 2))
    with pytest.raises(ValueError, match="occlusion: `strides` .=4. must be no more than"):
        analysis.occlusion(net, images, window_shape=(3, 3))
