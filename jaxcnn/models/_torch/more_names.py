"""What PyTorch calls the layers of the networks made of modules of their own kinds."""

from typing import Any

from jaxcnn.models._torch.names import Pairs, conv_and_norm, head, numbered
from jaxcnn.models.densenet import DenseNet
from jaxcnn.models.efficientnet import EfficientNetB0
from jaxcnn.models.googlenet import GoogLeNet, Inception
from jaxcnn.models.regnet import RegNet
from jaxcnn.models.squeezenet import Fire, SqueezeNet


def efficientnet(model: EfficientNetB0, names: str) -> Pairs:
    """timm numbers normalisations in a block; torchvision counts its steps."""
    timm, features = names == "timm", model.features
    stem, top = (("conv_stem", "bn1"), ("conv_head", "bn2"))
    yield from conv_and_norm(*(stem if timm else ("features.0.0", "features.0.1")), features.stem)  # type: ignore[attr-defined]
    stages = numbered(features, "stage")
    for stage, chain in enumerate(stages):
        for index, block in enumerate(chain.layers):
            steps = dict(zip(block.branch.names, block.branch.layers, strict=True))
            where = f"blocks.{stage}.{index}." if timm else f"features.{stage + 1}.{index}.block."
            kinds = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
            if "expand" not in steps:
                kinds["project"] = "conv_pw"
            norm = 0
            for place, (name, step) in enumerate(steps.items()):
                if name == "squeeze":
                    inner = ("se.conv_reduce", "se.conv_expand")
                    inner = inner if timm else (f"{place}.fc1", f"{place}.fc2")
                    yield f"{where}{inner[0]}", step.factors.fc1
                    yield f"{where}{inner[1]}", step.factors.fc2
                    continue
                norm += 1
                both = (kinds[name], f"bn{norm}") if timm else (f"{place}.0", f"{place}.1")
                yield from conv_and_norm(f"{where}{both[0]}", f"{where}{both[1]}", step)
    where = f"features.{len(stages) + 1}."
    yield from conv_and_norm(*(top if timm else (f"{where}0", f"{where}1")), features.top)  # type: ignore[attr-defined]
    yield "classifier" if timm else "classifier.1", head(model)


def regnet(model: RegNet, names: str) -> Pairs:
    """Blocks by letters in torchvision, by numbers in timm."""
    timm = names == "timm"
    both = ("conv", "bn") if timm else ("0", "1")
    yield from conv_and_norm(f"stem.{both[0]}", f"stem.{both[1]}", model.features.stem)  # type: ignore[attr-defined]
    steps = dict(conv1="f.a", conv2="f.b", squeeze="f.se", conv3="f.c")
    steps = dict(conv1="conv1", conv2="conv2", squeeze="se", conv3="conv3") if timm else steps
    for stage, chain in enumerate(numbered(model.features, "stage"), 1):
        for index, block in enumerate(chain.layers):
            where = f"trunk_output.block{stage}.block{stage}-{index}."
            where = f"s{stage}.b{index + 1}." if timm else where
            if block.shortcut is not None:
                short = f"{where}{'downsample' if timm else 'proj'}"
                yield from conv_and_norm(f"{short}.{both[0]}", f"{short}.{both[1]}", block.shortcut)
            for name, step in zip(block.branch.names, block.branch.layers, strict=True):
                prefix = f"{where}{steps[name]}"
                if name == "squeeze":
                    yield f"{prefix}.fc1", step.factors.fc1
                    yield f"{prefix}.fc2", step.factors.fc2
                else:
                    yield from conv_and_norm(f"{prefix}.{both[0]}", f"{prefix}.{both[1]}", step)
    yield "head.fc" if timm else "fc", head(model)


def densenet(model: DenseNet, names: str) -> Pairs:
    """The same in both."""
    features: Any = model.features
    yield from conv_and_norm("features.conv0", "features.norm0", features.stem)
    for stage, chain in enumerate(numbered(features, "stage"), 1):
        for index, layer in enumerate(chain.layers, 1):
            where = f"features.denseblock{stage}.denselayer{index}."
            for number, step in enumerate(layer.branch.layers, 1):
                yield from conv_and_norm(f"{where}conv{number}", f"{where}norm{number}", step)
        shrink = getattr(features, f"transition{stage}", None)
        if shrink is not None:
            where = f"features.transition{stage}."
            yield from conv_and_norm(f"{where}conv", f"{where}norm", shrink.conv)
    yield f"features.norm{len(numbered(features, 'stage')) + 1}", features.norm
    yield "classifier", head(model)


def squeezenet(model: SqueezeNet, names: str) -> Pairs:
    """torchvision's; timm has none. ReLUs of the stem and pools are counted."""
    yield "features.0", model.features.stem.conv  # type: ignore[attr-defined]
    for place, layer in enumerate(model.features.layers[1:], 2):
        if isinstance(layer, Fire):
            yield f"features.{place}.squeeze", layer.squeeze.conv
            yield f"features.{place}.expand1x1", layer.expand1.conv
            yield f"features.{place}.expand3x3", layer.expand3.conv
    last = head(model, "conv")
    yield "classifier.1", None if last is None else last.conv


def googlenet(model: GoogLeNet, names: str) -> Pairs:
    """torchvision's; timm has none."""
    features: Any = model.features
    for name, layer in zip(features.names, features.layers, strict=True):
        if not isinstance(layer, Inception):
            if name.startswith("conv"):
                yield from conv_and_norm(f"{name}.conv", f"{name}.bn", layer)
            continue
        for branch, steps in enumerate(
            (
                {"": layer.branch1},
                {".0": layer.branch2.reduce, ".1": layer.branch2.conv},  # type: ignore[attr-defined]
                {".0": layer.branch3.reduce, ".1": layer.branch3.conv},  # type: ignore[attr-defined]
                {".1": layer.branch4.conv},  # type: ignore[attr-defined]
            ),
            1,
        ):
            for place, step in steps.items():
                where = f"{name}.branch{branch}{place}"
                yield from conv_and_norm(f"{where}.conv", f"{where}.bn", step)
    yield "fc", head(model)


_BOTH = ("torchvision", "timm")
NETWORKS = {
    DenseNet: (densenet, _BOTH),
    EfficientNetB0: (efficientnet, _BOTH),
    GoogLeNet: (googlenet, ("torchvision",)),
    RegNet: (regnet, _BOTH),
    SqueezeNet: (squeezenet, ("torchvision",)),
}
