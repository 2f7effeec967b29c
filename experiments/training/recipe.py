"""What decides the result of a run: one frozen dataclass, which is also the command line."""

import dataclasses
import math
import reprlib
import typing
from typing import Any, Literal

import tyro

from experiments.commands.command import UserError, require
from experiments.training.augment import Augmentation


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained; each experiment has its own defaults."""

    epochs: int = 30
    """Passes over the training images."""
    batch_size: int = 64
    """Images in a step, on all devices together."""
    optimizer: Literal["adamw", "sgd", "muon"] = "adamw"
    """AdamW; SGD with Nesterov momentum; or Muon for kernels with AdamW for the rest."""
    learning_rate: float = 3e-3
    """Peak of the schedule."""
    head_learning_rate: float | None = None
    """Peak for the classifier, where it is to be another than for the features."""
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    """How the learning rate goes from step to step."""
    warmup: float = 0.0
    """Epochs in which the rate of `cosine` and `constant` rises from 0."""
    momentum: float = 0.9
    """Of SGD and Muon."""
    weight_decay: float = 1e-2
    """Share of the kernels taken off, per step and unit of learning rate; biases and norms stay."""
    label_smoothing: float = 0.0
    """Probability spread evenly over all classes in the target, 0 to 1."""
    ema: float = 0.0
    """Share of the past in the moving average of the model, which is then tested; 0: no average."""
    accumulate: int = 1
    """Parts that a batch is computed in, one after another, to save memory."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Dtype of activations; parameters are float32."""
    remat: bool = False
    """Whether the backward pass computes activations anew instead of keeping them."""
    nonfinite: Literal["stop", "skip", "ignore"] = "stop"
    """At a loss or an update that is NaN or infinite: stop and say where it came from, leave the
    update out and count it, or go on regardless."""
    views: Literal["one", "flip", "flip-shift"] = "one"
    """Test images as they are, mirrored too, or shifted by a pixel as well; logits are averaged."""
    test_batch_size: int = 500
    """Images that are tested at once."""
    weights: str = ""
    """Safetensors file to begin from, of the same network here, in torchvision or in timm; its
    classifier is left out where it has other classes."""
    freeze: str = ""
    """Parts that stay as they are, such as features, or features.stage1,features.stage2: no
    gradient, no decay; batch norms there use and keep the averages that came with --weights."""
    augmentation: tyro.conf.OmitArgPrefixes[Augmentation] = Augmentation()
    seed: int = 0
    """Of the initial parameters, the order, the augmentation and dropout."""

    def __post_init__(self):
        share = "must be 0 or more and below 1"
        for name, holds, rule in (
            ("epochs", self.epochs >= 1, "must be 1 or more"),
            ("batch_size", self.batch_size >= 1, "must be 1 or more"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "must be above 0"),
            (
                "head_learning_rate",
                self.head_learning_rate is None or 0 < self.head_learning_rate < math.inf,
                "must be above 0",
            ),
            ("warmup", 0 <= self.warmup < self.epochs, "must be 0 or more and below --epochs"),
            ("warmup", self.schedule != "one-cycle" or not self.warmup, "is part of one-cycle"),
            ("momentum", 0 <= self.momentum < 1, share),
            ("weight_decay", 0 <= self.weight_decay < 1, share),
            ("label_smoothing", 0 <= self.label_smoothing < 1, share),
            ("ema", 0 <= self.ema < 1, share),
            ("accumulate", self.accumulate >= 1, "must be 1 or more"),
            ("accumulate", self.batch_size % max(self.accumulate, 1) == 0, "must divide the batch"),
            ("test_batch_size", self.test_batch_size >= 1, "must be 1 or more"),
            ("seed", 0 <= self.seed < 2**31, "must be 0 or more and below 2**31"),
        ):
            require(holds, name, getattr(self, name), rule)


def from_config(kind: type, saved: Any) -> Any:
    """Options of a dataclass from what `dataclasses.asdict` and JSON made of them.

    Args:
      kind: the dataclass, `Recipe` for example.
      saved: its fields by name; those that are lacking have their defaults.
    Raises:
      UserError: a field is unknown, lacking, of another type or out of range.
    """
    kinds = typing.get_type_hints(kind)
    if not isinstance(saved, dict):
        raise UserError(f"{reprlib.repr(saved)} is no {kind.__name__}")
    if unknown := sorted(saved.keys() - kinds.keys()):
        raise UserError(f"{kind.__name__} has no {reprlib.repr(unknown)}")
    try:
        return kind(**{name: _typed(name, value, kinds[name]) for name, value in saved.items()})
    except (TypeError, OverflowError) as error:
        raise UserError(str(error)) from None


def _typed(name: str, value: Any, kind: Any) -> Any:
    """A value from JSON as the annotation of its field says: 2.5 and True are no int."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return from_config(typing.cast(type, kind), value)
    if origin is Literal:
        fits, wanted = value in parts, f"one of {', '.join(parts)}"
    elif origin is tuple:
        fits, wanted = isinstance(value, list) and len(value) == len(parts), f"{len(parts)} values"
        value = tuple(map(_typed, [name] * len(parts), value, parts)) if fits else value
    elif parts:  # a choice with None
        return None if value is None else _typed(name, value, parts[0])
    else:
        value = float(value) if kind is float and type(value) is int else value
        fits, wanted = type(value) is kind, kind.__name__
    if not fits:
        raise UserError(f"{name} (={reprlib.repr(value)}) must be {wanted}")
    return value


def check_unchanged(given: Any, kept: Any) -> None:
    """Refuses options that contradict those of a run to be resumed.

    Args:
      given: by the command line: a dataclass. What it has no option for cannot be given.
      kept: what it is in the run: a `Recipe`, or another dataclass.
    """
    given_ = _flat(given)
    for name, old in _flat(kept).items():
        value = given_.get(name, old)
        rule = f"cannot be changed in a run that is resumed, where it is {old}; leave it out"
        require(value == old, name, value, rule)


def _flat(options: Any) -> dict[str, Any]:
    values = dataclasses.asdict(options)
    return {**values.pop("augmentation", {}), **values}
