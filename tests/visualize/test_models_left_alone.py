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
    "receptive_field": lambda m: visualize.receptive_field(m, IMAGE[None]),
    "field of features": lambda m: visualize.receptive_field(m.features, IMAGE[None]),
    "field by geometry": lambda m: analysis.receptive_field(m.features, (5, 6)),
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
