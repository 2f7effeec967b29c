"""What the network of a run takes and tells, kept in its folder as `inputs.json`.

With it a run is used without its data set: which form the inputs have, the names of the classes,
and how sure the network was of what it was tested with.
"""

import dataclasses
import math
from typing import Any, Literal

import numpy as np

from experiments.commands import files
from experiments.commands.command import UserError
from experiments.data import Dataset, load
from experiments.data.decoding import MOST_PIXELS
from experiments.training.runs import Run

NAME = "inputs"
_MOST_BYTES = 2**24
_MOST_CLASSES = 100_000
_LEAST_SURE = 0.02  # of the tests are less sure than the least that is taken for sure
_OF_DIGITS = {"mnist", "mnist5k"}  # whose images were centred as `experiments.data.digits` does

Form = Literal["digit", "image", "signal"]


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a network takes, and what it tells."""

    task: Literal["classification", "segmentation"]
    form: Form
    """How a file is prepared: as one of MNIST's digits; its middle; not at all."""
    image_shape: tuple[int, ...]
    """`(height, width, channels)` or `(length, channels)`, bytes, as the network sees them."""
    classes: tuple[str, ...]
    """Their names."""
    least_probability: float | None = None
    """Of the first class, which all but 2 % of the tests reached; None before the test."""

    @classmethod
    def of(cls, dataset: Dataset, image_shape: tuple[int, ...]) -> "Inputs":
        """Those of a network that learns `dataset`, seeing images of `image_shape`."""
        form: Form = "signal" if len(image_shape) == 2 else "image"
        if dataset.name.partition(":")[0] in _OF_DIGITS and tuple(image_shape) == (28, 28, 1):
            form = "digit"
        return cls(dataset.task, form, tuple(image_shape), tuple(dataset.classes))

    def save(self, run: Run) -> None:
        """Writes them into the folder of a run."""
        run.save_json(NAME, dataclasses.asdict(self))

    def tested(self, probabilities: np.ndarray) -> "Inputs":
        """With how sure the network was, from its probabilities `(n, classes)` in the test."""
        if self.task == "segmentation":
            return self
        least = float(np.quantile(probabilities.max(axis=-1), _LEAST_SURE))
        return dataclasses.replace(self, least_probability=round(least, 4))


def saved_inputs(run: Run, data: str, image_size: tuple[int, int] | None) -> Inputs:
    """What a run keeps; for one that keeps nothing, what its data set says.

    Args:
      run: its folder.
      data: name of its data set.
      image_size: that images were brought to.
    Raises:
      UserError: the file cannot be used, or the data set is not there.
    """
    path = run.folder / f"{NAME}.json"
    try:
        return _checked(files.parse(files.read(path, _MOST_BYTES)))
    except FileNotFoundError:
        dataset = load(data, say=lambda line: None)
        return Inputs.of(dataset, dataset.shape_at(image_size))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"cannot read {path} ({error}); delete it") from None


def _checked(saved: Any) -> Inputs:
    """Raises ValueError, TypeError or KeyError for what `Inputs.save` does not write."""
    inputs = Inputs(**{**saved, "image_shape": tuple(saved["image_shape"])})
    inputs = dataclasses.replace(inputs, classes=tuple(inputs.classes))
    ranks = {"digit": 3, "image": 3, "signal": 2}
    if (
        inputs.task not in ("classification", "segmentation")
        or ranks.get(inputs.form) != len(inputs.image_shape)
        or not all(type(size) is int and size >= 1 for size in inputs.image_shape)
        or inputs.image_shape[-1] not in (1, 3)
        or math.prod(inputs.image_shape) > 3 * MOST_PIXELS
        or not 1 <= len(inputs.classes) <= _MOST_CLASSES
        or not all(isinstance(name, str) for name in inputs.classes)
        or not (inputs.least_probability is None or 0 <= inputs.least_probability <= 1)
    ):
        raise ValueError("it holds what no run writes")
    return inputs
