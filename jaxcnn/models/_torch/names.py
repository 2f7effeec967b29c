"""What PyTorch calls the layers of the networks: in torchvision, and in timm.

One function a network lists pairs of a PyTorch prefix and a layer of ours, in order.
"""

from collections.abc import Callable, Iterator
from typing import Any

from flax import nnx

from jaxcnn import nn
from jaxcnn.models._torch.layout import AsConv, Flattened, PerChannel
from jaxcnn.models.alexnet import AlexNet
from jaxcnn.models.convnext import ConvNeXtTiny
from jaxcnn.models.mobilenet import MobileNetV2
from jaxcnn.models.resnet import CifarResNet, ResNet
from jaxcnn.models.vgg import VGG

Pairs = Iterator[tuple[str, Any]]


def alexnet(model: AlexNet, names: str) -> Pairs:
    """torchvision's; timm has no AlexNet."""
    for index, place in enumerate((0, 3, 6, 8, 10), 1):
        yield f"features.{place}", getattr(model.features, f"conv{index}")
    yield "classifier.1", Flattened(model.classifier.fc1, (6, 6))  # type: ignore[attr-defined]
    yield "classifier.4", model.classifier.fc2  # type: ignore[attr-defined]
    yield "classifier.6", model.classifier.fc3  # type: ignore[attr-defined]


def vgg(model: VGG, names: str) -> Pairs:
    """In timm the first two fully connected layers are convolutions."""
    place = 0
    for stage in model.features.layers:
        for layer in stage.layers:  # type: ignore[attr-defined]
            if isinstance(layer, nn.MaxPool):
                place += 1
                continue
            yield f"features.{place}", layer.conv
            if layer.norm is not None:
                yield f"features.{place + 1}", layer.norm
            place += 2 + (layer.norm is not None)
    head: Any = model.classifier
    if names == "timm":
        yield "pre_logits.fc1", AsConv(head.fc1, (7, 7))
        yield "pre_logits.fc2", AsConv(head.fc2, (1, 1))
        yield "head.fc", head.fc3
    else:
        yield "classifier.0", Flattened(head.fc1, (7, 7))
        yield "classifier.3", head.fc2
        yield "classifier.6", head.fc3


def resnet(model: ResNet | CifarResNet, names: str) -> Pairs:
    """The same in both."""
    yield from conv_and_norm("conv1", "bn1", model.features.stem)  # type: ignore[attr-defined]
    for stage, chain in enumerate(numbered(model.features, "stage"), 1):
        for index, block in enumerate(chain.layers):
            prefix = f"layer{stage}.{index}."
            for number, layer in enumerate(block.branch.layers, 1):
                yield from conv_and_norm(f"{prefix}conv{number}", f"{prefix}bn{number}", layer)
            if isinstance(block.shortcut, nn.ConvBlock):
                where = f"{prefix}downsample."
                yield from conv_and_norm(f"{where}0", f"{where}1", block.shortcut)
    yield "fc", head(model)


def mobilenet(model: MobileNetV2, names: str) -> Pairs:
    """timm numbers the stages and calls the steps by what they do."""
    timm, features = names == "timm", model.features
    stem, top = (("conv_stem", "bn1"), ("conv_head", "bn2"))
    yield from conv_and_norm(*(stem if timm else ("features.0.0", "features.0.1")), features.stem)  # type: ignore[attr-defined]
    place = 0
    for stage in range(len(model.stages)):
        for index, block in enumerate(getattr(features, f"stage{stage + 1}").layers):
            place += 1
            steps = block.branch.layers
            if timm:
                prefix = f"blocks.{stage}.{index}."
                kinds = ("conv_pw", "conv_dw", "conv_pwl") if len(steps) == 3 else _SEPARABLE
                for number, (kind, layer) in enumerate(zip(kinds, steps, strict=True), 1):
                    yield from conv_and_norm(f"{prefix}{kind}", f"{prefix}bn{number}", layer)
                continue
            prefix = f"features.{place}.conv."
            for number, layer in enumerate(steps[:-1]):
                yield from conv_and_norm(f"{prefix}{number}.0", f"{prefix}{number}.1", layer)
            last = len(steps) - 1
            yield from conv_and_norm(f"{prefix}{last}", f"{prefix}{last + 1}", steps[-1])
    where = f"features.{place + 1}."
    yield from conv_and_norm(*(top if timm else (f"{where}0", f"{where}1")), features.top)  # type: ignore[attr-defined]
    yield "classifier" if timm else "classifier.1", head(model)


def convnext(model: ConvNeXtTiny, names: str) -> Pairs:
    """torchvision counts the steps between the stages as stages, and those in a block."""
    timm, features = names == "timm", model.features
    stem: Any = features.stem  # type: ignore[attr-defined]
    yield "stem.0" if timm else "features.0.0", stem.conv
    yield "stem.1" if timm else "features.0.1", stem.norm
    for number, stage in enumerate(features.layers[1:]):
        layers = dict(zip(stage.names, stage.layers, strict=True))  # type: ignore[attr-defined]
        if "norm" in layers:
            where = f"stages.{number}.downsample." if timm else f"features.{2 * number}."
            yield f"{where}0", layers.pop("norm")
            yield f"{where}1", layers.pop("conv")
        steps = _TIMM_BLOCK if timm else _TORCHVISION_BLOCK
        for index, block in enumerate(layers.values()):
            prefix = f"stages.{number}.blocks.{index}." if timm else None
            prefix = prefix or f"features.{2 * number + 1}.{index}."
            for step, name in steps.items():
                yield prefix + name, getattr(block.branch, step)
            if timm:
                yield f"{prefix}gamma", block.layer_scale
            else:
                yield f"{prefix}layer_scale", PerChannel(block.layer_scale)
    yield "head.norm" if timm else "classifier.0", head(model, "norm")
    yield "head.fc" if timm else "classifier.2", head(model)


def head(model: Any, name: str = "fc") -> Any:
    """A layer of the classifier, which may be one of the user's that has no such."""
    return getattr(model.classifier, name, None)


def conv_and_norm(conv: str, norm: str, block: Any) -> Pairs:
    """The two steps of an `nn.ConvBlock`."""
    yield conv, block.conv
    yield norm, block.norm


def numbered(chain: Any, name: str) -> list[Any]:
    """The layers of a chain that are called `name` and a number, in order."""
    pairs = zip(chain.names, chain.layers, strict=True)
    return [layer for each, layer in pairs if each.rstrip("0123456789") == name]


_SEPARABLE = ("conv_dw", "conv_pw")
_TIMM_BLOCK = {"conv": "conv_dw", "norm": "norm", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}
_TORCHVISION_BLOCK = {"conv": "block.0", "norm": "block.2", "fc1": "block.3", "fc2": "block.5"}

NETWORKS: dict[type[nnx.Module], tuple[Callable[..., Pairs], tuple[str, ...]]] = {
    AlexNet: (alexnet, ("torchvision",)),
    VGG: (vgg, ("torchvision", "timm")),
    CifarResNet: (resnet, ("torchvision",)),
    ResNet: (resnet, ("torchvision", "timm")),
    MobileNetV2: (mobilenet, ("torchvision", "timm")),
    ConvNeXtTiny: (convnext, ("torchvision", "timm")),
}
