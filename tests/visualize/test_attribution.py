"""Attributions as they are drawn: by the formulas, and by another way of computing them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from matplotlib.figure import Figure

from jaxcnn import nn, visualize

METHODS = (
    *("saliency", "smooth_grad", "integrated_gradients", "guided_backpropagation", "deconvnet"),
    *("grad_cam", "occlusion"),
)


def drawn_init(key, shape, dtype):
    """An initialiser that compiles nothing."""
    del key
    values = np.random.default_rng(sum(shape)).normal(size=shape) / np.sqrt(np.prod(shape[:-1]))
    return jax.device_put(values.astype(dtype))


class Small(nnx.Module):
    """Two convolutions, a pool, a shortcut and two linear layers, all by ReLUs."""

    def __init__(self):
        options = dict(rngs=nnx.Rngs(3), param_dtype=jnp.float64)
        options |= dict(kernel_init=drawn_init, bias_init=drawn_init)
        self.features = nn.Chain(
            conv1=nn.Conv(2, 4, (3, 3), **options),
            relu1=nn.Activation("relu"),
            pool=nn.MaxPool((2, 2), strides=2),
            conv2=nn.Conv(4, 5, (3, 3), **options),
            relu2=nn.Activation(nnx.relu),
        )
        self.classifier = nn.Chain(
            flatten=nn.Flatten(),
            fc1=nnx.Linear(60, 7, **options),
            relu3=nn.Activation("relu"),
            fc2=nnx.Linear(7, 3, **options),
        )

    def __call__(self, inputs):
        return self.classifier(self.features(inputs))


@pytest.fixture(scope="module")
def model():
    return Small()


@pytest.fixture(scope="module")
def compiled(model):
    return jax.jit(model)


@pytest.fixture
def image(rng):
    return rng.normal(size=(6, 8, 2))


def drawn(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


GATES = {
    "guided": lambda x, g: (x > 0) & (g > 0),
    "projected": lambda x, g: g > 0,
    "plain": lambda x, g: x > 0,
}


@functools.partial(jax.jit, static_argnums=0)
def layerwise(model, image, target):
    """One gradient for each of the gates."""
    return {name: pulled_back(model, image, target, gate) for name, gate in GATES.items()}


def pulled_back(model, image, target, gate):
    """The gradient pulled back layer by layer, cut at each ReLU: the textbook way."""
    layers = [*model.features.layers, *model.classifier.layers]
    x, pulls = image[None], []
    for layer in layers:
        entering = x
        if isinstance(layer, nn.Activation):
            x = jnp.maximum(x, 0)
            pulls.append(lambda g, entering=entering: jnp.where(gate(entering, g), g, 0))
        else:
            x, pull = jax.vjp(layer, x)
            pulls.append(lambda g, pull=pull: pull(g)[0])
    start = jnp.zeros_like(x).at[0, target].set(1)
    return functools.reduce(lambda g, pull: pull(g), reversed(pulls), start)[0]


def strongest(gradient):
    first = np.abs(gradient[..., 0]) >= np.abs(gradient[..., 1])
    return np.where(first, gradient[..., 0], gradient[..., 1])


@pytest.mark.parametrize("target", [0, 2])
def test_gates_at_the_relus(model, compiled, image, target):
    guided, projected, plain = jax.tree.map(
        np.asarray, [layerwise(model, image, target)[name] for name in GATES]
    )
    figure = visualize.guided_backpropagation(model, image, target=target)
    np.testing.assert_allclose(drawn(figure), strongest(guided), rtol=1e-10)
    figure = visualize.deconvnet(model, image, target=target)
    np.testing.assert_allclose(drawn(figure), strongest(projected), rtol=1e-10)
    figure = visualize.saliency(compiled, image, target=target)
    np.testing.assert_allclose(drawn(figure), np.abs(strongest(plain)), rtol=1e-10)
    assert not np.allclose(guided, projected) and not np.allclose(guided, plain)


def test_the_model_is_left_as_it_was(model, image):
    images = jax.device_put(image[None])
    before = np.asarray(model(images))
    visualize.guided_backpropagation(model, image)
    assert model.features.relu1.function == "relu"
    np.testing.assert_array_equal(model(images), before)


def test_smooth_grad_without_noise_is_the_saliency(compiled, image):
    plain = drawn(visualize.saliency(compiled, image, target=1))
    smooth = functools.partial(visualize.smooth_grad, compiled, image, target=1, samples=2)
    np.testing.assert_allclose(drawn(smooth(noise=0.0)), plain, rtol=1e-10)
    noisy = [drawn(smooth(seed=seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(noisy[0], noisy[1])
    assert not np.allclose(noisy[0], noisy[2]) and not np.allclose(noisy[0], plain)


def test_grad_cam_is_its_formula(model, image):
    maps = np.asarray(model.features(jax.device_put(image[None])))
    (gradient,) = np.asarray(jax.jit(jax.grad(lambda a: model.classifier(a)[0, 2]))(maps))
    cam = np.maximum(np.einsum("hwc,c->hw", maps[0], gradient.mean((0, 1))), 0)
    shown = drawn(visualize.grad_cam(model, image, target=2))
    expected = jax.image.resize(jax.device_put(cam), (6, 8), "linear")
    np.testing.assert_allclose(shown, expected, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_figures(model, compiled, image, method):
    figure = Figure()
    _, right = figure.subplots(1, 2)
    options = dict(samples=2) if method == "smooth_grad" else {}
    options |= dict(window_shape=(3, 3), strides=3) if method == "occlusion" else {}
    draw = functools.partial(getattr(visualize, method), model, **options)
    assert draw(image, ax=right) is figure
    predicted = int(np.argmax(compiled(image[None])))
    assert f"for class {predicted} (" in right.get_title()
    one = np.asarray(right.images[0].get_array())
    batch = draw(np.stack([image, image[::-1]]), title="Both")
    assert batch.get_suptitle() == "Both"
    assert batch.axes[0].get_title() == right.get_title().split(" for ")[1]
    np.testing.assert_allclose(drawn(batch), one, rtol=1e-6, atol=1e-9)
    batch.canvas.draw()
    with pytest.raises(ValueError, match=f"{method}: `ax` takes one image; received 2"):
        draw(np.stack([image, image]), ax=right)


@pytest.mark.parametrize("method", METHODS)
def test_errors(model, image, method):
    draw = getattr(visualize, method)
    for bad in (image[0], image.astype(int)):
        with pytest.raises(ValueError, match=f"{method}: `image` must be floats"):
            draw(model, bad)


def test_errors_of_single_methods(model, image):
    with pytest.raises(ValueError, match=r"`target` \(=3\) must be below the 3 classes"):
        visualize.saliency(model, image, target=3)
    with pytest.raises(ValueError, match=r"smooth_grad: `samples` \(=0\)"):
        visualize.smooth_grad(model, image, samples=0)
    with pytest.raises(ValueError, match=r"smooth_grad: `noise` \(=-1\)"):
        visualize.smooth_grad(model, image, noise=-1)
    with pytest.raises(TypeError, match="smooth_grad: `noise` .='much'. must be a number"):
        visualize.smooth_grad(model, image, noise="much")
    for logits in (lambda x: model(x)[0], lambda x: model(x)[:, :0]):
        with pytest.raises(ValueError, match=r"`model` must give an array \(n, classes\)"):
            visualize.saliency(logits, image)
