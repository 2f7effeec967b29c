"""Weights of PyTorch's in any module: by its own names, by a rule, in the order of the layers."""

import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import models, nn
from tests.models.networks import NETWORKS
from tests.models.test_torch_weights import empty, entries, small


class Layers(nnx.Module):
    """One of each kind; its logits come from maps of 9x11."""

    def __init__(self, rngs):
        up = dict(strides=(2, 2), padding="VALID", rngs=rngs)
        self.up1 = nnx.ConvTranspose(3, 4, (2, 3), **up)
        self.up2 = nnx.ConvTranspose(4, 6, (3, 3), transpose_kernel=True, **up)
        self.norm = nnx.GroupNorm(6, 2, epsilon=1e-5, rngs=rngs)
        grouped = dict(padding="VALID", feature_group_count=2, rngs=rngs)
        self.conv = nnx.Conv(6, 8, (3, 3), **grouped)
        self.apart = nn.DepthwiseConv(8, (3, 3), multiplier=2, padding="VALID", rngs=rngs)
        self.batch = nn.batch_norm(16, rngs=rngs)
        self.head = nnx.Linear(16 * 9 * 11, 5, rngs=rngs)

    def __call__(self, x):
        x = self.conv(self.norm(self.up2(self.up1(x))))
        return self.head(self.batch(self.apart(x)).reshape(len(x), -1))


cifar = functools.partial(models.CifarResNet, 14, 5, widths=(4, 6, 8), shortcut="conv")
unet = functools.partial(models.UNet, 3, widths=(4, 4, 4))
simple = functools.partial(models.SimpleCNN, 5, widths=(4, 6), first_kernel_size=5)

# Network, its twin, options of `load_torch`, the shape of the images, whose names are found.
TWINS = {
    "layers": (Layers, "layers", (5, 9, 11), {"flattened": {"head": (9, 11)}}, (3, 3, 3), "order"),
    "lenet": (models.LeNet5, "lenet", (10,), {}, (28, 28, 1), "order"),
    "simple-cnn": (simple, "simple_cnn", (5, (4, 6), 5), {}, (14, 13, 1), "order"),
    "unet": (unet, "UNetTwin", (3, 4, 3), {}, (8, 12, 3), "order"),
    "cifar": (cifar, "cifar_resnet", (2, (4, 6, 8), 5), {}, (8, 9, 3), "torchvision"),
}


@pytest.mark.parametrize("name", TWINS)
def test_logits_are_pytorchs_and_the_way_back(name, rng, filled, tmp_path):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    from tests.models import torch_twins

    build, twin, sizes, options, shape, names = TWINS[name]
    net = torch_twins.drawn(lambda: getattr(torch_twins, twin)(*sizes))
    model = build(rngs=nnx.Rngs(0)) if name == "unet" else empty(build)  # which has no order
    report = models.load_torch(model, net.state_dict(), **options)
    assert report.names == names and not report.skipped and not report.missing
    model.eval()
    images = rng.normal(size=(2, *shape)).astype(np.float32)
    expected = torch_twins.logits(net, images)
    expected = np.moveaxis(expected, 1, -1) if expected.ndim == 4 else expected
    found = nnx.jit(lambda model, x: model(x))(model, images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())

    models.save_torch(model, tmp_path / "ours.safetensors", names=report, **options)
    ours = safetensors.load_file(tmp_path / "ours.safetensors")
    state = {key: value for key, value in net.state_dict().items() if "tracked" not in key}
    assert ours.keys() == state.keys()
    assert all(torch.equal(ours[key], value) for key, value in state.items())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_goes_through_a_file_under_its_own_names(name, filled, tmp_path):
    pytest.importorskip("safetensors")
    build, _ = NETWORKS[name]
    model, copy = filled(build), empty(build)
    models.save_torch(model, tmp_path / "file.safetensors", names="own")
    report = models.load_torch(copy, tmp_path / "file.safetensors")
    assert report.names == "own" and not report.missing
    floats = nnx.filterlib.Not(nnx.RngState)
    jax.tree.map(np.testing.assert_array_equal, *(nnx.state(m, floats) for m in (copy, model)))


def lenet_weights(classes=10, names="conv1 conv2 fc1 fc2 fc3"):
    """Of the digits' network, under the names of most tutorials."""
    shapes = [(6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (classes, 84)]
    drawn = np.random.default_rng(0)
    arrays = {}
    for layer, shape in zip(names.split(), shapes, strict=True):
        arrays[f"{layer}.weight"] = drawn.normal(size=shape).astype(np.float32)
        arrays[f"{layer}.bias"] = drawn.normal(size=shape[:1]).astype(np.float32)
    return arrays


HEAD = ("classifier.fc3.kernel", "classifier.fc3.bias")


def test_a_head_with_other_classes_is_left_out_where_that_is_said(filled):
    model = filled(models.LeNet5)
    before = np.asarray(model.classifier.fc3.kernel[...])
    message = r"skip='fc3' leaves that layer as it is; misshapen: fc3.weight is \(7, 84\) in pl"
    with pytest.raises(ValueError, match=message):
        models.load_torch(model, lenet_weights(7))
    assert not model.features.conv1.kernel[...].any() or before.any()
    loose = models.load_torch(model, lenet_weights(7), strict=False)
    asked = models.load_torch(model, lenet_weights(7), skip="fc3")
    ours = models.load_torch(model, lenet_weights(7), skip=["classifier.fc3"])
    assert asked == ours and loose.taken == asked.taken and len(asked.taken) == 8
    assert loose.missing == asked.missing == HEAD
    assert asked.skipped == (("fc3.weight", "asked for"), ("fc3.bias", "asked for"))
    assert "skipped: fc3.weight (is (7, 84) in place of (10, 84)), fc3.bias" in repr(loose)
    np.testing.assert_array_equal(model.classifier.fc3.kernel[...], before)
    kernel = lenet_weights()["conv2.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(model.features.conv2.kernel[...], kernel)
    with pytest.raises(ValueError, match="`skip` has 'fc9', and no name begins so; there are c"):
        models.load_torch(model, lenet_weights(), skip="fc9")
    with pytest.raises(ValueError, match="has parameters that .* of their own: classifier.fc3"):
        models.load_torch(empty(models.LeNet5), lenet_weights(7), skip="fc3")
    with pytest.raises(TypeError, match="load_torch: `skip` .=3. must be a name or names"):
        models.load_torch(model, lenet_weights(), skip=3)
    with pytest.raises(ValueError, match="must hold what LeNet5 under its own names has; missing"):
        models.load_torch(model, {"other.weight": np.zeros(3)}, strict=False)


def test_names_are_changed_by_rules_and_wrappers_do_not_matter(filled):
    model = filled(models.LeNet5)
    names = "stem body a b c"
    rules = {"stem": "features.conv1", "body": "features.conv2"}
    rules |= {old: f"classifier.fc{i}" for i, old in enumerate("abc", 1)}
    wrapped = {f"module.model.{n}": a for n, a in lenet_weights(names=names).items()}
    within = {f"module.model.{old}": new for old, new in rules.items()}
    report = models.load_torch(model, wrapped, rename=within)
    assert report.names == "own" and ("module.model.c.bias", HEAD[1]) in report.taken

    def rule(name):
        layer, array = name.rsplit(".")
        return f"{rules[layer]}.{array}"

    again = models.load_torch(model, lenet_weights(names=names), rename=rule)
    assert [ours for _, ours in again.taken] == [ours for _, ours in report.taken]
    dropped = models.load_torch(
        model, lenet_weights() | {"ema": np.zeros(2)}, rename=lambda n: None if n == "ema" else n
    )
    assert dropped.skipped == (("ema", "asked for"),) and len(dropped.taken) == 10
    wrong = [
        ({"none": "x"}, ValueError, "`rename` has 'none', and no name begins so; there are conv1"),
        ({"fc1": "x", "fc2": "x"}, ValueError, "`rename` makes 'fc1.weight' and 'fc2.weight' both"),
        (lambda name: 3, TypeError, "`rename` must give a name or None for 'conv1.weight', got 3"),
        (3, TypeError, "`rename` must be a mapping or a function, got int"),
    ]
    for rename, kind, message in wrong:
        with pytest.raises(kind, match=f"load_torch: {message}"):
            models.load_torch(model, lenet_weights(), rename=rename)


class Twice(nnx.Module):
    """Two layers of the same shape; the alphabet has them the other way round."""

    def __init__(self, rngs):
        self.wide, self.even = (nnx.Linear(2, 2, rngs=rngs) for _ in range(2))


def test_order_decides_where_it_is_known_and_is_asked_for_where_not():
    one, two = np.full((2, 2), 1.0), np.full((2, 2), 2.0)
    zeros = dict.fromkeys(("second.bias", "first.bias"), np.zeros(2))
    weights = {"second.weight": one, "first.weight": two, **zeros}
    model = Twice(nnx.Rngs(0))
    models.load_torch(model, weights)
    assert model.wide.kernel[...][0, 0] == 1 and model.even.kernel[...][0, 0] == 2
    message = "layers of the same shapes whose order is not known: .*; say which is which by rename"
    sorted_as_in_files = {name: weights[name] for name in sorted(weights)}
    for build, given in ((Twice, sorted_as_in_files), (lambda rngs: empty(Twice), weights)):
        with pytest.raises(ValueError, match=message):
            models.load_torch(build(rngs=nnx.Rngs(0)), given)
    numbered = {n.replace("first", "10").replace("second", "9"): a for n, a in weights.items()}
    models.load_torch(model, {name: numbered[name] for name in sorted(numbered)})
    assert model.wide.kernel[...][0, 0] == 1
    models.load_torch(model, sorted_as_in_files, rename={"first": "wide", "second": "even"})
    assert model.wide.kernel[...][0, 0] == 2


def test_flattened_maps_are_asked_for():
    model, weights = Layers(nnx.Rngs(0)), {"head.weight": np.zeros((5, 16 * 9 * 11))}
    message = r"`flattened` must say of `head`, which has 1584 .* 99 pixels of 16 channels"
    with pytest.raises(ValueError, match=message):
        models.load_torch(model, weights)
    for wrong in ({"head": (9, 10)}, {"conv": (9, 11)}):
        with pytest.raises(ValueError, match="must name a fully connected .* are: head of 1584"):
            models.load_torch(model, weights, flattened=wrong)
    with pytest.raises(TypeError, match="load_torch: `flattened` .=3. must be a mapping from"):
        models.load_torch(model, weights, flattened=3)
    assert not models._torch.own.keeps_order(empty(Layers))


def test_a_head_of_ones_own_is_left_alone_and_not_lost(filled, tmp_path):
    pytest.importorskip("safetensors")
    model = filled(small)
    pool, mine = nn.GlobalAvgPool(spatial_axes=(-3, -2)), nnx.Linear(4, 2, rngs=nnx.Rngs(0))
    model.classifier = nn.Chain(pool=pool, mine=mine)
    report = models.load_torch(model, entries(), skip="classifier")
    assert report.missing == ("classifier.mine.kernel", "classifier.mine.bias")
    with pytest.raises(ValueError, match="`model` has another classifier than ConvNeXtTiny"):
        models.save_torch(model, tmp_path / "file.safetensors")
    models.save_torch(model, tmp_path / "file.safetensors", names="own")
    assert not models.load_torch(model, tmp_path / "file.safetensors").missing


def sharded(folder, parts=("a", "b"), **index):
    """The digits' network in two files with an index."""
    safetensors = pytest.importorskip("safetensors.numpy")
    arrays = {n: a.astype(jnp.bfloat16) for n, a in lenet_weights().items()}
    names = sorted(arrays)
    held = {f"model-{part}.safetensors": names[i::2] for i, part in enumerate(parts)}
    for file, within in held.items():
        safetensors.save_file({n: arrays[n] for n in within}, folder / file)
    places = {name: file for file, within in held.items() for name in within}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": places | index}))
    return path


def test_several_files_with_an_index_are_one(tmp_path):
    model = empty(models.LeNet5)
    report = models.load_torch(model, sharded(tmp_path))
    assert len(report.taken) == 10
    kernel = model.features.conv1.kernel[...]
    expected = lenet_weights()["conv1.weight"].astype(jnp.bfloat16).astype(np.float32)
    assert kernel.dtype == jnp.float32
    np.testing.assert_array_equal(kernel, expected.transpose(2, 3, 1, 0))
    wrong = {
        "names '../a.safetensors'$": {"x": "../a.safetensors"},
        r"names '/etc/passwd'$": {"x": "/etc/passwd"},
        "says that 'x' is in 'model-a.safetensors', and it is not": {"x": "model-a.safetensors"},
        "no index of safetensors files": {"x": 3},
    }
    for message, index in wrong.items():
        with pytest.raises(ValueError, match=f"load_torch: `weights` .*{message}"):
            models.load_torch(model, sharded(tmp_path, **index))
    path = sharded(tmp_path)
    (tmp_path / "model-b.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="model-b.* is no file, and the index names it"):
        models.load_torch(model, path)
    path.write_text("{}")
    with pytest.raises(ValueError, match='no index of .*must hold {"weight_map": '):
        models.load_torch(model, path)


def test_the_two_lines_that_an_error_gives_convert_a_pickle(tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors.torch")
    path = tmp_path / "lenet.pth"
    torch.save({n: torch.tensor(a) for n, a in lenet_weights().items()}, path)
    model = empty(models.LeNet5)
    with pytest.raises(ValueError, match="a pickle by its name, and nothing is unpickled") as told:
        models.load_torch(model, path)
    lines = re.findall("`([^`]*)`", str(told.value))[1:]
    assert len(lines) == 2
    exec("\n".join(lines), {})
    assert len(models.load_torch(model, tmp_path / "lenet.safetensors").taken) == 10
