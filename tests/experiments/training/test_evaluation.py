"""The test: every example once, whatever the batches are, in one view or several."""

import jax
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax, softmax

from experiments.training.evaluation import fill, make_evaluate, results
from experiments.training.mesh import make_mesh
from experiments.training.network import Network, scale

pytestmark = pytest.mark.usefixtures("plain_jax")


def make_linear(rngs):
    return nnx.Sequential(lambda x: x.reshape(len(x), -1), nnx.Linear(30, 3, rngs=rngs))


def make_pixels(rngs):
    return nnx.Conv(1, 3, (3, 3), rngs=rngs)


def evaluate(make, batch, views="one"):
    network = Network(make)
    model = network.initial(2)
    test = make_evaluate(network, classes=3, views=views, mesh=make_mesh("data=1"))
    sums, outputs = jax.jit(test)(model, *batch)
    apply = jax.jit(lambda images: network.apply(model, scale(images))[0])
    return lambda images: np.asarray(apply(images)), sums, outputs


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (7, 6, 5, 1)).astype(np.uint8)


def test_what_fills_the_batch_does_not_count(images, rng):
    labels = rng.integers(0, 3, 7).astype(np.int32)
    filled = fill(images, labels, 5)
    assert [array.shape[0] for array in filled] == [10, 10] and (filled[1][7:] == -1).all()
    logits, sums, outputs = evaluate(make_linear, filled)
    losses = -log_softmax(logits(images), -1)[np.arange(7), labels]
    given = logits(images).argmax(-1)
    confusion = np.zeros((3, 3), int)
    np.add.at(confusion, (labels, given), 1)
    np.testing.assert_array_equal(sums.confusion, confusion)
    assert results(sums)["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert results(sums)["accuracy"] == pytest.approx((given == labels).mean())
    np.testing.assert_allclose(np.asarray(outputs)[:7], softmax(logits(images), -1), rtol=1e-5)


def test_intersection_over_union(images, rng):
    masks = rng.integers(0, 2, (7, 6, 5)).astype(np.uint8)  # class 2 is never true
    masks[0, 0] = 255
    filled = fill(images, masks, 8)
    assert filled[1].dtype == np.uint8 and (filled[1][7:] == 255).all()
    logits, sums, outputs = evaluate(make_pixels, filled)
    given, known = logits(images).argmax(-1), masks != 255
    shares = [
        ((masks == c) & (given == c)).sum() / (((masks == c) | (given == c)) & known).sum()
        for c in range(3)
        if (((masks == c) | (given == c)) & known).any()
    ]
    assert results(sums)["iou"] == pytest.approx(np.mean(shares))
    np.testing.assert_array_equal(np.asarray(outputs)[:7], given)


def test_views_are_averaged(images):
    labels = np.zeros(7, np.int32)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    views = [(images, 0.5), (padded[:, :6, :5], 0.25), (padded[:, 2:, 2:], 0.25)]
    logits, _, outputs = evaluate(make_linear, (images, labels), "flip-shift")
    mean = sum(w * (logits(v) + logits(v[:, :, ::-1])) / 2 for v, w in views)
    np.testing.assert_allclose(outputs, softmax(mean, -1), rtol=1e-4)
    logits, _, outputs = evaluate(make_linear, (images, labels), "flip")
    mean = (logits(images) + logits(images[:, :, ::-1])) / 2
    np.testing.assert_allclose(outputs, softmax(mean, -1), rtol=1e-4)


def test_masks_of_mirrored_images_are_mirrored_back(images):
    masks = np.zeros((7, 6, 5), np.uint8)
    logits, _, outputs = evaluate(make_pixels, (images, masks), "flip")
    mean = logits(images) + logits(images[:, :, ::-1])[:, :, ::-1]
    np.testing.assert_array_equal(outputs, mean.argmax(-1))
