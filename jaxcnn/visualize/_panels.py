"""Lays a sliding window out as panels of labelled boxes; matplotlib or SVG draws them."""

import dataclasses
from string import ascii_letters

from jaxcnn.visualize._scene import POOLS, Scene
from jaxcnn.visualize._window_values import Values, text
from jaxcnn.visualize.figures import times

# Face, edge, dashes and colour of the label of every kind of cell. Taps and outputs are told apart
# by lightness too, so that they differ in grey.
STYLES = {
    "input": ("#BFE0F5", "#2F4B5C", False, "#10242F"),
    "copy": ("#E3F2FB", "#5B7A8C", True, "#3A5566"),
    "zeros": ("#F4F4F4", "#9A9A9A", True, "#5F5F5F"),
    "identity": ("#F4F4F4", "#9A9A9A", True, "#5F5F5F"),
    "hole": ("#FFFFFF", "#B5B5B5", False, "#5F5F5F"),
    "overhang": ("#FFFFFF", "#8A8A8A", True, "#8A8A8A"),
    "cropped": ("#DADADA", "#8A8A8A", False, "#5F5F5F"),
    "kernel": ("#F7B955", "#7A4B00", False, "#2B1A00"),
    "tap": ("#F7B955", "#7A4B00", False, "#2B1A00"),
    "faint tap": ("#FCE3B8", "#A36B12", True, "#5A3B05"),
    "pending": ("#FFFFFF", "#A8C9BC", False, "#7A8F87"),
    "output": ("#C5EBDC", "#1F5E4A", False, "#0C3326"),
    "current": ("#007A5A", "#00382A", False, "#FFFFFF"),
}
_WORDS = {
    "input": "input",
    "copy": "padding: copies of input cells",
    "zeros": "padding: zeros",
    "identity": "padding: never wins",
    "hole": "zeros between (dilation)",
    "overhang": "past the padding, not counted",
    "cropped": "cropped",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Panel:
    """A titled grid; `roles` and `labels` run over its cells, row by row."""

    title: str
    rows: int
    columns: int
    roles: tuple[str, ...]
    labels: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """What one step changes: cells of the input with what the kernel holds there, and the output.

    Attributes:
      taps: number of a cell -> the kernel's element that lies on it, "" where none is written.
      output: number of the output cell.
      lines: the arithmetic, "" without numbers.
    """

    taps: dict[int, str]
    output: int
    lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Panels:
    """The input, the kernel (a pool has none) and the output, and every step."""

    input: Panel
    kernel: Panel | None
    output: Panel
    moments: tuple[Moment, ...]
    legend: tuple[tuple[str, str], ...]
    values: tuple[str, ...]

    def tap_role(self, cell: int) -> str:
        """How a tap on `cell` looks: fainter where it meets no input pixel."""
        return "tap" if self.input.roles[cell] in ("input", "copy") else "faint tap"


def panels_of(scene: Scene, values: Values | None) -> Panels:
    """Lays out a scene, with numbers where there are `values`."""
    pool = scene.op in POOLS
    kinds = {cell.kind for cell in scene.cells}
    rows, columns = _grid(scene.plane)
    plane = Panel(
        _title(scene, kinds),
        rows,
        columns,
        tuple(cell.kind for cell in scene.cells),
        _labels(scene, values),
    )
    kernel = None
    if not pool:
        places = [scene.kernel_at(tap.kernel) for tap in _window(scene)]
        labels = tuple(text(values.kernel[place]) if values else "" for place in places)
        title = f"{scene.names[1]} {times(scene.kernel_size)}"
        kernel = Panel(title, *_grid(scene.kernel_size), ("kernel",) * len(labels), labels)
    rows, columns = _grid(scene.output_shape)
    count = len(scene.steps)
    output = Panel(
        f"{scene.names[2]} {times(scene.output_shape)}",
        rows,
        columns,
        ("output",) * count,
        ("",) * count,
    )
    legend = [(kind, _WORDS[kind]) for kind in _WORDS if kind in kinds]
    legend[0:1] = [("input", scene.names[0])]
    legend.append(("tap", "the window's taps" if pool else "the kernel's taps"))
    legend += [("current", "computed now"), ("output", scene.names[2])]
    told = tuple(text(value) for value in values.outputs.ravel()) if values else ("",) * count
    return Panels(plane, kernel, output, _moments(scene, values), tuple(legend), told)


def _window(scene: Scene):
    """The taps of one window, in order."""
    count = 1
    for size in scene.kernel_size:
        count *= size
    return next(step.taps[:count] for step in scene.steps if step.taps)


def _moments(scene: Scene, values: Values | None) -> tuple[Moment, ...]:
    moments = []
    for number, step in enumerate(scene.steps):
        taps: dict[int, str] = {}
        for tap in step.taps:
            held = ""
            if values and scene.op not in POOLS:
                held = text(values.kernel[scene.kernel_at(tap.kernel)])
            taps[tap.cell] = f"{taps[tap.cell]} {held}" if tap.cell in taps else held
        lines = tuple(values.arithmetic[number]) if values else ()
        moments.append(Moment(taps, number, lines))
    return tuple(moments)


def _labels(scene: Scene, values: Values | None) -> tuple[str, ...]:
    """Numbers; without them zeros as such, and where padding copies the letters of the pixels."""
    named = any(cell.kind == "copy" for cell in scene.cells)
    identity = "\N{INFINITY}" if scene.op == "min_pool" else "\N{MINUS SIGN}\N{INFINITY}"
    labels = []
    for number, cell in enumerate(scene.cells):
        if cell.kind == "identity":
            labels.append(identity)
        elif cell.kind == "overhang":
            labels.append("")
        elif cell.source is None:
            labels.append("0")
        elif values:
            labels.append(text(values.cells[number] or 0.0))
        else:
            labels.append(_letter(scene.input_shape, cell.source) if named else "")
    return tuple(labels)


def _letter(shape: tuple[int, ...], source: tuple[int, ...]) -> str:
    number = 0
    for size, place in zip(shape, source, strict=True):
        number = number * size + place
    return ascii_letters[number] if number < len(ascii_letters) else str(number)


def _grid(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns; one axis is a row."""
    return (1, shape[0]) if len(shape) == 1 else (shape[0], shape[1])


def _title(scene: Scene, kinds: set[str]) -> str:
    """The input's name and size, and that of the plane where it is larger."""
    title = f"{scene.names[0]} {times(scene.input_shape)}"
    if scene.input_shape == scene.plane:
        return title
    padded = "padded" if kinds & {"zeros", "identity", "copy", "overhang"} else ""
    done = " and ".join(filter(None, ["dilated" if "hole" in kinds else "", padded]))
    return f"{title}, {done} to {times(scene.plane)}"
