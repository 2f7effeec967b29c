"""Weights of PyTorch's networks in ours and back."""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcnn import models
from jaxcnn.models import VGG, AlexNet, ConvNeXtTiny, MobileNetV2, ResNet

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (2, 24, 1, 1))
DEPTHS, WIDTHS = (1, 2, 1), (8, 12, 16)
WIDE = dict(hidden_features=8, dropout=0.0)
convnext = functools.partial(
    ConvNeXtTiny, 5, depths=DEPTHS, widths=WIDTHS, layer_scale=1.0, stochastic_depth=0.0
)
mobilenet = functools.partial(MobileNetV2, 5, stages=STAGES, dropout=0.0)

# Name, network, its twin, whose names, size of the images.
NETWORKS = {
    "alexnet": (functools.partial(AlexNet, 5, **WIDE), lambda t: t.alexnet(5, 8), 63),
    "vgg": (functools.partial(VGG, 11, 5, **WIDE), lambda t: t.vgg(CONVS, 5, 8, False), 32),
    "vgg-bn": (
        functools.partial(VGG, 11, 5, batch_normalized=True, **WIDE),
        lambda t: t.vgg(CONVS, 5, 8, True),
        40,
    ),
    "vgg-timm": (
        functools.partial(VGG, 11, 5, **WIDE),
        lambda t: t.vgg(CONVS, 5, 8, False, timm=True),
        224,
    ),
    "resnet18": (functools.partial(ResNet, 18, 5), lambda t: t.resnet((2, 2, 2, 2), 5, False), 40),
    "resnet50": (functools.partial(ResNet, 50, 5), lambda t: t.resnet((3, 4, 6, 3), 5, True), 40),
    "mobilenet": (mobilenet, lambda t: t.mobilenet(STAGES, 5), 24),
    "mobilenet-timm": (mobilenet, lambda t: t.mobilenet(STAGES, 5, timm=True), 24),
    "convnext": (convnext, lambda t: t.convnext(DEPTHS, WIDTHS, 5), 32),
    "convnext-timm": (convnext, lambda t: t.convnext(DEPTHS, WIDTHS, 5, timm=True), 32),
}
CONVS = (1, 1, 2, 2, 2)


def empty(build):
    """A network whose parameters have shapes alone."""
    return nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_pytorchs_and_the_way_back(name, tmp_path, rng):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    from tests.models import torch_twins

    build, twin, size = NETWORKS[name]
    names = "timm" if name.endswith("timm") else "torchvision"
    net = torch_twins.drawn(lambda: twin(torch_twins))
    state = {key: value for key, value in net.state_dict().items() if "tracked" not in key}
    safetensors.save_file(net.state_dict(), tmp_path / "theirs.safetensors")
    model = empty(build)
    models.load_torch(model, tmp_path / "theirs.safetensors")
    model.eval()
    images = rng.normal(size=(2, size, size, 3)).astype(np.float32)
    expected = torch_twins.logits(net, images)
    graph, arrays = nnx.split(model)
    found = jax.jit(lambda arrays, x: nnx.merge(graph, arrays)(x))(arrays, images)
    # float32 sums of thousands of products, in another order
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert np.abs(expected - expected[:1]).max() > 1e-3 * np.abs(expected).max()

    models.save_torch(model, tmp_path / "ours.safetensors", names=names)
    ours = safetensors.load_file(tmp_path / "ours.safetensors")
    assert ours.keys() == state.keys()
    assert all(torch.equal(ours[key], value) for key, value in state.items())
    net.load_state_dict(ours)


@pytest.mark.parametrize("names", ["torchvision", "timm"])
@pytest.mark.parametrize("build", [mobilenet, convnext, functools.partial(VGG, 11, 5, **WIDE)])
def test_what_is_saved_is_loaded(build, names, filled, tmp_path):
    model, copy = filled(build), empty(build)
    models.save_torch(model, tmp_path / "file.safetensors", names=names)
    models.load_torch(copy, str(tmp_path / "file.safetensors"))
    jax.tree.map(np.testing.assert_array_equal, nnx.state(copy), nnx.state(model))


small = functools.partial(ConvNeXtTiny, 3, depths=(1,), widths=(4,), stochastic_depth=0.0)


def entries(dtype=np.float32):
    """A state dict for the small network."""
    rng = np.random.default_rng(0)
    shapes = {
        "features.0.0": (4, 3, 4, 4),
        "features.0.1": (4,),
        "features.1.0.block.0": (4, 1, 7, 7),
        "features.1.0.block.2": (4,),
        "features.1.0.block.3": (16, 4),
        "features.1.0.block.5": (4, 16),
        "classifier.0": (4,),
        "classifier.2": (3, 4),
    }
    arrays = {"features.1.0.layer_scale": rng.normal(size=(4, 1, 1)).astype(dtype)}
    for name, shape in shapes.items():
        arrays[f"{name}.weight"] = rng.normal(size=shape).astype(dtype)
        arrays[f"{name}.bias"] = rng.normal(size=shape[:1]).astype(dtype)
    return arrays


def test_layouts():
    model, arrays = empty(small), entries()
    models.load_torch(model, arrays)
    stem, block = model.features.stem, model.features.stage1.block1
    theirs = arrays["features.0.0.weight"]
    np.testing.assert_array_equal(stem.conv.kernel[...], theirs.transpose(2, 3, 1, 0))
    theirs = arrays["features.1.0.block.0.weight"]
    np.testing.assert_array_equal(block.branch.conv.kernel[2, 5, 0, 3], theirs[3, 0, 2, 5])
    np.testing.assert_array_equal(
        block.branch.fc1.kernel[...], arrays["features.1.0.block.3.weight"].T
    )
    np.testing.assert_array_equal(
        block.layer_scale[...], arrays["features.1.0.layer_scale"].ravel()
    )


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16, np.float64])
def test_entries_of_other_widths_take_the_parameters_dtype(dtype, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file(entries(dtype), tmp_path / "file.safetensors")
    for weights in (entries(dtype), tmp_path / "file.safetensors"):
        model = empty(small)
        models.load_torch(model, weights)
        kernel = model.classifier.fc.kernel[...]
        assert kernel.dtype == jnp.float32
        np.testing.assert_array_equal(
            kernel, np.asarray(entries(dtype)["classifier.2.weight"], np.float32).T
        )
    half = empty(functools.partial(small, param_dtype=jnp.bfloat16))
    models.load_torch(half, entries())
    assert half.classifier.fc.kernel[...].dtype == jnp.bfloat16


def test_pytorchs_tensors_are_arrays_too():
    torch = pytest.importorskip("torch")
    tensors = {name: torch.nn.Parameter(torch.tensor(a)) for name, a in entries().items()}
    for kind in (torch.float32, torch.bfloat16):
        model = empty(small)
        models.load_torch(model, {name: tensor.to(kind) for name, tensor in tensors.items()})
        expected = tensors["classifier.2.weight"].to(kind).float().detach().numpy().T
        np.testing.assert_array_equal(model.classifier.fc.kernel[...], expected)


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_changed(filled):
    model = filled(small)
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(model)))
    arrays = entries()
    del arrays["classifier.2.bias"], arrays["features.0.1.weight"]
    arrays["head.weight"] = np.zeros(3)
    arrays["features.0.0.weight"] = np.zeros((4, 3, 4, 5))
    arrays["classifier.0.bias"] = np.zeros(4, np.int32)
    message = (
        r"load_torch: `weights` must hold what ConvNeXtTiny under torchvision's names has; "
        r"missing: features.0.1.weight, classifier.2.bias; unknown: head.weight; "
        r"misshapen: features.0.0.weight is \(4, 3, 4, 5\) in place of \(4, 3, 4, 4\), "
        r"classifier.0.bias holds int32 in place of floats"
    )
    with pytest.raises(ValueError, match=message):
        models.load_torch(model, arrays)
    jax.tree.map(np.testing.assert_array_equal, nnx.to_pure_dict(nnx.state(model)), before)
    timm = {"stem.0.weight": np.zeros(3), "stages.0.blocks.0.gamma": np.zeros(4)}
    with pytest.raises(ValueError, match="ConvNeXtTiny under timm's names has; missing: stem.0.b"):
        models.load_torch(model, timm)


def test_wrong_arguments_are_refused(tmp_path, monkeypatch):
    model = empty(small)
    for call in (models.load_torch, models.save_torch):
        with pytest.raises(TypeError, match="_torch: `model` must be a flax.nnx.Module, got dict"):
            call({}, {})
    with pytest.raises(TypeError, match="load_torch: `weights` must be the path .* got list"):
        models.load_torch(model, [])
    with pytest.raises(FileNotFoundError, match="load_torch: `weights` .* is no file"):
        models.load_torch(model, tmp_path)
    alexnet = empty(functools.partial(AlexNet, 2, **WIDE))
    with pytest.raises(ValueError, match="save_torch: `names` .='timm'. must be one of torchvisi"):
        models.save_torch(alexnet, tmp_path / "file", names="timm")
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"load_torch: .*install jaxcnn\[weights\]"):
        models.load_torch(model, tmp_path / "file")
