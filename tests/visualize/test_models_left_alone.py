"""Whatever looks at a model leaves it as it was: values, flags, attributes and objects."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import analysis, nn, visualize

pytestmark = pytest.mark.filterwarnings("ignore:Using 'Module.sow:DeprecationWarning")


def drawn(key, shape, dtype):
    """An initialiser that compiles nothing."""
    del key
    values = np.random.default_rng(sum(shape)).normal(size=shape) / np.sqrt(np.prod(shape[:-1]))
    return jax.device_put(values.astype(dtype))


@pytest.fixture(autouse=True)
def promotion():
    """JAX's own: Flax's batch normalisation keeps its averages in float32."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


OPTIONS = dict(kernel_init=drawn)


class Small(nnx.Module):
    """Whatever can change: statistics, keys, a count, what is sown, a list, with remat or not."""

    def __init__(self, conv=nn.Conv, remat=True):
        rngs = nnx.Rngs(0)
        norm = nnx.BatchNorm(3, rngs=rngs)
        inner = nn.Chain(conv=conv(2, 3, (3, 3), **OPTIONS, rngs=rngs), norm=norm)
        self.features = nn.Chain(
            inner=inner, relu=nn.Activation("relu"), drop=nnx.Dropout(0.5, rngs=rngs)
        )
        self.features.remat = remat
        self.classifier = nn.Chain(
            pool=nn.GlobalAvgPool(),
            drop=nnx.Dropout(0.5, rngs=rngs),
            fc=nnx.Linear(3, 4, **OPTIONS, rngs=rngs),
        )
        self.calls = nnx.Variable(jnp.zeros((), jnp.int32))
        self.seen = []
        self.again = self.features.inner.conv  # the same object under another name

    def __call__(self, inputs):
        self.calls[...] += np.int32(1)
        self.seen.append(inputs.shape)
        maps = self.features(inputs)
        self.sow(nnx.Intermediate, "maps", maps)
        return self.classifier(maps)


def snapshot(model):
    """Everything that can be told of a model: objects by their identity, arrays by their bits."""
    found = {}
    for path, node in nnx.iter_graph(model):
        if isinstance(node, nnx.Variable):
            value = jax.tree.map(bits, node.get_value())
            found[path] = (id(node), type(node), value)
        elif isinstance(node, nnx.Pytree):
            told = {k: v for k, v in vars(node).items() if not k.startswith("_pytree")}
            told = {k: list(v) if isinstance(v, list) else id(v) for k, v in told.items()}
            found[path] = (id(node), type(node), told)
    return found


def bits(leaf):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf).tobytes()


IMAGE = np.random.default_rng(0).normal(size=(5, 6, 2)).astype(np.float32)
LOOKS = {
    "saliency": lambda m: visualize.saliency(m, IMAGE),
    "smooth_grad": lambda m: visualize.smooth_grad(m, IMAGE, samples=2),
    "guided_backpropagation": lambda m: visualize.guided_backpropagation(m, IMAGE),
    "deconvnet": lambda m: visualize.deconvnet(m, IMAGE, target=1),
    "grad_cam": lambda m: visualize.grad_cam(m, IMAGE),
    "feature_maps": lambda m: analysis.feature_maps(m, IMAGE[None])["features.drop"],
    "receptive_field": lambda m: visualize.receptive_field(m, IMAGE[None]),
    "field of features": lambda m: visualize.receptive_field(m.features, IMAGE[None]),
    "field by geometry": lambda m: analysis.receptive_field(m, IMAGE[None]),
    "summary": lambda m: analysis.summary(m, IMAGE[None], show=False),
    "times": lambda m: analysis.summary(m, IMAGE[None], show=False, time=True),
    "conv_matrix": lambda m: analysis.conv_matrix(m.features.inner, (3, 3, 2)),
}
MODELS = {
    "ours, with remat": Small,
    "Flax": functools.partial(Small, conv=nnx.Conv, remat=False),
}


def shown(result):
    """What a picture or a table says."""
    if hasattr(result, "axes"):
        return [np.asarray(image.get_array()) for ax in result.axes for image in ax.images]
    return [np.asarray(result)] if hasattr(result, "shape") else []


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_model_in_training_is_left_as_it_was(look, build):
    if look in (LOOKS["times"],) and build is not Small:
        pytest.skip("once is enough")
    model = build()
    model.sow(nnx.Intermediate, "maps", np.ones(2))
    before = snapshot(model)
    found = shown(look(model))
    assert snapshot(model) == before
    model.eval()
    for one, other in zip(found, shown(look(model)), strict=True):
        np.testing.assert_array_equal(one, other)


class Fails(Small):
    """Breaks down after everything has been changed."""

    def __call__(self, inputs):
        super().__call__(inputs)
        raise ArithmeticError("in the middle")


@pytest.mark.parametrize(
    "look", ["saliency", "deconvnet", "grad_cam", "receptive_field", "summary"]
)
def test_a_model_that_fails_is_left_as_it_was(look):
    model = Fails()
    before = snapshot(model)
    with pytest.raises(ArithmeticError, match="in the middle"):
        LOOKS[look](model)
    assert snapshot(model) == before


FUNCTIONS = {
    "saliency": visualize.saliency,
    "smooth_grad": visualize.smooth_grad,
    "receptive_field": lambda f, image: visualize.receptive_field(f, image[None]),
    "conv_matrix": lambda f, image: analysis.conv_matrix(f, (2, 2, 2)),
}


@pytest.mark.parametrize("look", FUNCTIONS)
def test_functions_that_would_change_a_module_are_refused(look):
    model = Small(remat=False)
    before = snapshot(model)
    for function in (lambda x: model(x), jax.jit(lambda x: model(x))):
        with pytest.raises(TypeError, match=f"{look}: `.*must not change the module that it holds"):
            FUNCTIONS[look](function, IMAGE)
        assert snapshot(model) == before
    with pytest.raises(TypeError, match=rf"{look}: `.*` \(=3\) must be a layer or a function, got"):
        FUNCTIONS[look](3, IMAGE)


def test_parts_methods_and_functions_of_a_model():
    model = Small(remat=False)
    before = snapshot(model)

    class Parts:
        """No module, but it has some."""

        def __init__(self, model):
            self.features, self.classifier = model.features, model.classifier

        def __call__(self, inputs):
            return self.classifier(self.features(inputs))

    with pytest.raises(TypeError, match="must not change the module that it holds"):
        visualize.saliency(Parts(model), IMAGE)
    method = shown(visualize.saliency(model.__call__, IMAGE))
    assert snapshot(model) == before
    model.eval()
    found = (shown(visualize.saliency(m, IMAGE)) for m in (model, Parts(model)))
    for (one,) in found:
        np.testing.assert_allclose(one, method[0], rtol=1e-5)


def test_a_model_that_jit_closes_over_is_left_as_it_was():
    model = Small()
    before = snapshot(model)

    @jax.jit
    def products(x):
        return x * analysis.summary(model, x, show=False).multiply_adds

    assert float(products(np.ones((1, 5, 6, 2), np.float32))[0, 0, 0, 0]) == 30 * 54 + 12
    matrix = jax.jit(lambda: analysis.conv_matrix(model.features.inner, (2, 2, 2)))()
    assert matrix.shape == (12, 8) and snapshot(model) == before
