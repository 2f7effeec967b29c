"""Logits of networks beside torchvision's and timm's own, on the same random weights.

Both are peers alone: `pip install torchvision==0.28.0 timm`, beside torch==2.13.0.
"""

import functools
import importlib

import jax
import numpy as np
import pytest
from flax import nnx

from jaxcnn import models
from tests.models.test_torch_weights import empty


def peer(package):
    """A package, skipped without; torchvision refuses a PyTorch that it was not built for."""
    try:
        return importlib.import_module(package)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"needs {package}: {error}")


def torchvision(name, **options):
    return getattr(peer("torchvision.models"), name)(num_classes=5, **options)


def timm(name):
    return peer("timm").create_model(name, num_classes=5)


def build(network, *arguments, **options):
    return functools.partial(getattr(models, network), *arguments, num_classes=5, **options)


still = dict(dropout=0.0, stochastic_depth=0.0)
googlenet = functools.partial(torchvision, "googlenet", init_weights=False)
AUXILIARY = ("aux1", "aux2")
PEERS = {
    "densenet121": (build("DenseNet"), functools.partial(torchvision, "densenet121"), 37),
    "efficientnet_b0": (
        build("EfficientNetB0", **still),
        functools.partial(torchvision, "efficientnet_b0"),
        33,
    ),
    "efficientnet_b0-timm": (
        build("EfficientNetB0", **still),
        functools.partial(timm, "efficientnet_b0"),
        32,
    ),
    "googlenet": (build("GoogLeNet", dropout=0.0), googlenet, 50),
    "regnet_x_400mf": (
        build("RegNet", "x_400mf"),
        functools.partial(torchvision, "regnet_x_400mf"),
        33,
    ),
    "regnet_y_400mf-timm": (
        build("RegNet", "y_400mf"),
        functools.partial(timm, "regnety_004"),
        32,
    ),
    "resnext50_32x4d": (
        build("ResNet", 50, feature_group_count=32, group_features=4),
        functools.partial(torchvision, "resnext50_32x4d"),
        33,
    ),
    "squeezenet1_0": (
        build("SqueezeNet", "1.0", dropout=0.0),
        functools.partial(torchvision, "squeezenet1_0"),
        44,
    ),
    "squeezenet1_1": (
        build("SqueezeNet", "1.1", dropout=0.0),
        functools.partial(torchvision, "squeezenet1_1"),
        39,
    ),
}


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.filterwarnings("ignore")  # of packages that warn of their own future
def test_logits_are_the_peers(name, rng):
    pytest.importorskip("torch")
    from tests.models import torch_twins

    ours, theirs, size = PEERS[name]
    net = torch_twins.drawn(theirs)
    model = empty(ours)
    state = net.state_dict()
    skip = AUXILIARY if any(key.startswith(AUXILIARY) for key in state) else ()
    report = models.load_torch(model, state, skip=skip)
    assert report.names == ("timm" if name.endswith("timm") else "torchvision")
    assert not report.missing
    model.eval()
    images = rng.normal(scale=9.0, size=(2, size, size + 3, 3)).astype(np.float32)
    expected = torch_twins.logits(net, images)
    graph, arrays = nnx.split(model)
    found = jax.jit(lambda arrays, x: nnx.merge(graph, arrays)(x))(arrays, images)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * scale)
    assert np.abs(expected - expected[:1]).max() > 1e-3 * scale


COUNTS = [
    # torchvision's, of what no peer above is loaded into
    ("ResNet", dict(depth=152), 60_192_808),
    ("ResNet", dict(depth=101, feature_group_count=32, group_features=8), 88_791_336),
    ("ResNet", dict(depth=101, group_features=128), 126_886_696),
    ("RegNet", dict(variant="x_800mf"), 7_259_656),
    ("RegNet", dict(variant="y_800mf"), 6_432_512),
    ("ConvNeXtTiny", dict(depths=(3, 3, 27, 3), widths=(128, 256, 512, 1024)), 88_591_464),
]


@pytest.mark.parametrize("network, options, expected", COUNTS)
def test_parameters_are_the_published_ones(network, options, expected):
    peer("torchvision.models")  # elsewhere the counts would only cost time
    model = empty(functools.partial(getattr(models, network), **options))
    leaves = jax.tree.leaves(nnx.state(model, nnx.Param))
    assert sum(leaf.size for leaf in leaves) == expected
