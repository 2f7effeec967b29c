"""Grad-CAM held against PyTorch's gradients, and against pytorch-grad-cam where it is installed."""

import functools

import numpy as np
import pytest
from flax import nnx

from jaxcnn import analysis, models

torch = pytest.importorskip("torch")

from tests.models import torch_twins  # noqa: E402 - it needs PyTorch

CLASSES = [3, 0]
NETWORKS = {
    "resnet18": (
        functools.partial(models.ResNet, 18, 5),
        lambda: torch_twins.resnet((2, 2, 2, 2), 5, False),
        {
            None: lambda net: net.layer4[-1],
            "features.stage2.block1": lambda net: net.layer2[0],
        },
    ),
    "vgg11": (
        functools.partial(models.VGG, 11, 5, hidden_features=8, dropout=0.0),
        lambda: torch_twins.vgg((1, 1, 2, 2, 2), 5, 8, False),
        {None: lambda net: net.features, "features.stage4.conv2": lambda net: net.features[14]},
    ),
}


def hooked(net, layer, images):
    """By a hook on the layer, and autograd."""
    kept = []
    handle = layer.register_forward_hook(lambda module, given, maps: kept.append(maps))
    outputs = net(images)
    handle.remove()
    (gradient,) = torch.autograd.grad(outputs[range(len(CLASSES)), CLASSES].sum(), kept)
    cam = (kept[0] * gradient.mean((2, 3), keepdim=True)).sum(1, keepdim=True).relu()
    return torch.nn.functional.interpolate(cam, images.shape[2:], mode="bilinear")[:, 0].detach()


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_are_those_of_pytorch(name, rng):
    build, twin, layers = NETWORKS[name]
    net = torch_twins.drawn(twin)
    model = nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))
    models.load_torch(model, {key: value.numpy() for key, value in net.state_dict().items()})
    images = rng.normal(size=(2, 64, 48, 3)).astype(np.float32)
    theirs = torch.tensor(images).permute(0, 3, 1, 2)
    for path, find in layers.items():
        cam = np.asarray(analysis.grad_cam(model, images, layer=path, target=CLASSES))
        expected = hooked(net, find(net), theirs).numpy()
        assert cam.max() > 0
        np.testing.assert_allclose(cam / cam.max(), expected / cam.max(), rtol=0, atol=1e-4)
        try:
            import pytorch_grad_cam
            from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
        except ImportError:
            continue
        scaled = analysis.heat_map(cam, channels=None)
        packaged = pytorch_grad_cam.GradCAM(model=net, target_layers=[find(net)])
        targets = [ClassifierOutputTarget(number) for number in CLASSES]
        found = packaged(input_tensor=theirs, targets=targets)
        np.testing.assert_allclose(np.asarray(scaled), found, rtol=0, atol=1e-4)
