"""Networks written with plain Flax become ours by their imports, and so do their checkpoints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxcnn.functional
import jaxcnn.nn

PLAIN = {"Conv": nnx.Conv, "ConvTranspose": nnx.ConvTranspose, "max_pool": nnx.max_pool}
OURS = {
    "Conv": jaxcnn.nn.Conv,
    "ConvTranspose": jaxcnn.nn.ConvTranspose,
    "max_pool": jaxcnn.functional.max_pool,
}


def vgg(imports):
    """A small VGG's source, run with `Conv` and `max_pool` from one library or the other."""
    Conv, max_pool = imports["Conv"], imports["max_pool"]

    class VGG(nnx.Module):
        def __init__(self, num_classes: int, *, rngs: nnx.Rngs):
            self.convs, inside = nnx.List(), 3
            for count, width in ((1, 4), (2, 6)):
                stage = nnx.List()
                for _ in range(count):
                    stage.append(Conv(inside, width, kernel_size=(3, 3), padding="SAME", rngs=rngs))
                    inside = width
                self.convs.append(stage)
            self.fc1 = nnx.Linear(2 * 3 * inside, 8, rngs=rngs)
            self.fc2 = nnx.Linear(8, num_classes, rngs=rngs)

        def __call__(self, x):
            for stage in self.convs:
                for conv in stage:
                    x = nnx.relu(conv(x))
                x = max_pool(x, window_shape=(2, 2), strides=(2, 2))
            x = x.reshape(*x.shape[:-3], -1)
            return self.fc2(nnx.relu(self.fc1(x)))

    return VGG


def autoencoder(imports):
    """Strides, groups, dilation, one axis: every option of `Conv` that has parameters."""

    class Autoencoder(nnx.Module):
        def __init__(self, *, rngs: nnx.Rngs):
            self.down = imports["Conv"](4, 6, (3,), 2, feature_group_count=2, rngs=rngs)
            self.wide = imports["Conv"](6, 6, (3,), kernel_dilation=2, rngs=rngs)
            self.up = imports["ConvTranspose"](6, 4, (4,), strides=2, use_bias=False, rngs=rngs)

        def __call__(self, x):
            return self.up(nnx.relu(self.wide(self.down(x))))

    return Autoencoder


def test_a_vgg_in_plain_flax_becomes_ours_by_its_imports(tmp_path, rng):
    theirs, ours = (vgg(imports)(5, rngs=nnx.Rngs(0)) for imports in (PLAIN, OURS))
    jax.tree.map(
        np.testing.assert_array_equal,
        nnx.to_pure_dict(nnx.state(theirs)),
        nnx.to_pure_dict(nnx.state(ours)),
    )
    images = jnp.asarray(rng.normal(size=(2, 8, 12, 3)), jnp.float32)

    @nnx.jit
    def value_and_gradient(model, images):
        def loss(model):
            logits = model(images)
            return jnp.sum(jnp.sin(logits)), logits

        return nnx.value_and_grad(loss, has_aux=True)(model)

    (_, expected), their_gradient = value_and_gradient(theirs, images)
    (_, logits), our_gradient = value_and_gradient(ours, images)
    # float32 sums in another order
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        nnx.to_pure_dict(our_gradient),
        nnx.to_pure_dict(their_gradient),
    )


@pytest.mark.parametrize("source, target", [(PLAIN, OURS), (OURS, PLAIN)])
def test_a_checkpoint_of_one_loads_into_the_other(source, target, tmp_path):
    orbax = pytest.importorskip("orbax.checkpoint")
    written, read = vgg(source)(5, rngs=nnx.Rngs(1)), vgg(target)(5, rngs=nnx.Rngs(2))
    _round_trip(orbax, written, read, tmp_path)
    written, read = autoencoder(source)(rngs=nnx.Rngs(1)), autoencoder(target)(rngs=nnx.Rngs(2))
    _round_trip(orbax, written, read, tmp_path)


def _round_trip(orbax, written, read, folder):
    """Saves one model and loads it into the other, in the form that Flax's guide shows."""
    path = folder / type(written).__name__
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, nnx.state(written))
        checkpointer.wait_until_finished()
        graph, abstract = nnx.split(nnx.eval_shape(lambda: read))
        state = checkpointer.restore(path, abstract)
    loaded = nnx.merge(graph, state)
    assert type(loaded) is type(read)
    assert jax.tree.structure(nnx.state(loaded)) == jax.tree.structure(nnx.state(read))
    jax.tree.map(
        np.testing.assert_array_equal,
        nnx.to_pure_dict(nnx.state(loaded)),
        nnx.to_pure_dict(nnx.state(written)),
    )
