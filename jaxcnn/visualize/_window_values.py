"""The numbers of a sliding window, and the arithmetic of each output cell in words."""

import numpy as np
from numpy.typing import ArrayLike

from jaxcnn.visualize._plane import Step
from jaxcnn.visualize._scene import Scene


def example_inputs(shape: tuple[int, ...]) -> np.ndarray:
    """Digits 0 to 9 without a pattern that the eye would follow."""
    return np.random.default_rng(3).integers(0, 10, shape).astype(np.float64)


def example_kernel(shape: tuple[int, ...]) -> np.ndarray:
    """Weights -1 to 2 that are not symmetric."""
    return np.resize(np.array([1.0, 0, -1, 2, 1, 0, -1, 1, 2, 0, 1]), shape)


def checked(argument: str, value: ArrayLike | None, shape: tuple[int, ...]):
    """Returns `value` as floats of `shape`, or None where it is None."""
    if value is None:
        return None
    array = np.asarray(value, np.float64)
    if array.shape != shape:
        raise ValueError(
            f"`{argument}` must have the shape {shape}, without batch and channels; "
            f"received {array.shape}"
        )
    return array


def text(value: float) -> str:
    """A number as short as it can be told to two decimals, with a proper minus."""
    return f"{round(float(value), 2):g}".replace("-", "\N{MINUS SIGN}")


class Values:
    """What stands in every cell of a scene.

    Attributes:
      inputs: of the input's shape.
      kernel: of the kernel's size; meaningless for a pool.
      cells: one an entry of `scene.cells`; None where nothing stands.
      outputs: of the output's shape.
      arithmetic: a list of lines a step.
    """

    def __init__(self, scene: Scene, inputs: np.ndarray | None, kernel: np.ndarray | None):
        self.inputs = example_inputs(scene.input_shape) if inputs is None else inputs
        self.kernel = example_kernel(scene.kernel_size) if kernel is None else kernel
        self.cells: list[float | None] = []
        for cell in scene.cells:
            if cell.source is not None:
                self.cells.append(float(self.inputs[cell.source]))
            else:
                self.cells.append(None if cell.kind in ("identity", "overhang") else 0.0)
        self.outputs = np.zeros(scene.output_shape)
        self.arithmetic: list[list[str]] = []
        for step in scene.steps:
            lines, self.outputs[step.output] = self._step(scene, step)
            self.arithmetic.append(lines)

    def _step(self, scene: Scene, step: Step) -> tuple[list[str], float]:
        """The lines of one output cell, a row of the kernel each, and its value."""
        rows: list[list[str]] = []
        met: list[float] = []
        row = None
        for tap in step.taps:
            value = self.cells[tap.cell]
            if value is None:
                continue
            if tap.kernel[:-1] != row:
                row = tap.kernel[:-1]
                rows.append([])
            if scene.op in ("conv", "conv_transpose", "conv_gradient"):
                weight = float(self.kernel[scene.kernel_at(tap.kernel)])
                met.append(value * weight)
                rows[-1].append(f"{text(value)}\N{MULTIPLICATION SIGN}{_bracketed(weight)}")
            else:
                met.append(value)
                rows[-1].append(text(value))
        return _told(scene.op, rows, met, step.divisor)


def _bracketed(value: float) -> str:
    return f"({text(value)})" if value < 0 else text(value)


def _told(op: str, rows: list[list[str]], met: list[float], divisor: int):
    """Lines such as `max(3, 1,` `    4, 2) = 4`, and the value."""
    if op in ("max_pool", "min_pool"):
        value = max(met) if op == "max_pool" else min(met)
        opening, sign, closing = f"{op[:3]}(", ", ", ")"
    else:
        value = sum(met) / divisor
        average = op == "avg_pool"
        opening, sign, closing = ("(", " + ", f") / {divisor}") if average else ("", " + ", "")
    lines = [sign.join(row) for row in rows] or ["0"]
    lines = [line + sign.rstrip() for line in lines[:-1]] + [lines[-1] + closing]
    lines[0] = opening + lines[0]
    lines[-1] += f" = {text(value)}"
    return lines, value
