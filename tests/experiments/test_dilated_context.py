"""With and without dilation: the same layers, other fields; and the score of a run."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments import dilated_context
from experiments.training import compare
from jaxcnn import analysis

pytestmark = pytest.mark.usefixtures("plain_jax")


def test_only_the_field_differs():
    made = {
        kind: lambda rngs, kind=kind: dilated_context.network(kind, 24, rngs)
        for kind in dilated_context.DILATIONS
    }
    assert {compare.parameters(make) for make in made.values()} == {23861}
    fields = {kind: dilated_context._field(make) for kind, make in made.items()}
    # Each convolution of three taps sees 2 pixels more for each pixel of dilation, at strides 2.
    assert fields["dilated"] - fields["not dilated"] == 2 * 2 * (15 - 4)
    model = nnx.eval_shape(lambda: made["dilated"](nnx.Rngs(0)))
    images = np.zeros((2, 64, 64, 3), np.float32)
    assert nnx.eval_shape(lambda m: m(jnp.asarray(images)), model).shape == (2, 64, 64, 5)
    assert analysis.receptive_field(model, images).output_shape == (64, 64)


def test_curves_are_drawn_over_the_seeds():
    runs = [[{"iou": 0.1 * epoch + 0.01 * seed} for epoch in range(3)] for seed in range(2)]
    curves = {"one": runs, "other": runs[:1]}
    assert compare.last(curves, "iou") == pytest.approx({"one": 0.205, "other": 0.2})
    axes = compare.curve_picture(curves, {"score, %": "iou"}, "title").axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.5, 10.5, 20.5])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "other"]
