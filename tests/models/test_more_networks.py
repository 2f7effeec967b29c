"""Networks of side-by-side branches, of groups and of weighed channels: a step, options refused."""

import pytest
from flax import nnx

from jaxcnn import models
from tests.models.networks import NETWORKS


@pytest.mark.parametrize("name", ["EfficientNetB0", "GoogLeNet"])
def test_one_step_of_training_and_evaluation(name, trained, rng):
    build, shape = NETWORKS[name]
    model, logits, _ = trained(build, rng.normal(size=(4, *shape)), vmapped=False)
    assert logits.shape == (4, 3)
    assert list(nnx.eval_shape(lambda m, x: m.feature_maps(x), model, rng.normal(size=(1, *shape))))


WRONG = [
    ("RegNet", dict(variant="z"), ValueError, "`variant` .='z'. must be one of"),
    (
        "RegNet",
        dict(depths=(1,)),
        ValueError,
        "`widths` .=.48, 104, 208, 440.. must have one entry",
    ),
    ("SqueezeNet", dict(version="2"), ValueError, "`version` .='2'. must be one of"),
    ("SqueezeNet", dict(fires=3), TypeError, "`fires` .=3. must be a tuple of tuples of ints"),
    (
        "EfficientNetB0",
        dict(stages=((1, 2),)),
        ValueError,
        "`stages` must have .expansion, taps, s",
    ),
    ("EfficientNetB0", dict(dropout=2), ValueError, "`dropout` .=2. must be between 0 and 1"),
    ("GoogLeNet", dict(modules=3), TypeError, "`modules` .=3. must be a mapping from stages to"),
    ("DenseNet", dict(growth=0), ValueError, "`growth` .=0. must be at least 1"),
    ("ResNet", dict(depth=18, group_features=8), ValueError, "`depth` .=18. must be 50 or more"),
    ("ResNet", dict(feature_group_count=0), ValueError, "`feature_group_count` .=0. must be at l"),
]


@pytest.mark.parametrize("name, options, kind, message", WRONG)
def test_options_out_of_range_are_refused(name, options, kind, message):
    with pytest.raises(kind, match=f"{name}: {message}"):
        getattr(models, name)(**options, rngs=nnx.Rngs(0))
