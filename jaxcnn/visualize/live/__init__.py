"""The playground: a window that is played with in a browser, in JavaScript of its own.

It computes values and gradients of convolutions, transposed ones, pools and morphology from a
set-up that an address holds, `#op=conv&k=3&s=2`. Nothing is loaded from anywhere: `SCRIPT` defines
`Playground`, `STYLE` is its style sheet, and `page` is both with one playground.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from jaxcnn.geometry import IntPerAxis, Padding

_FOLDER = Path(__file__).parent
_FILES = ("geometry", "plane", "engine", "address", "entries", "words", "panels", "light", "grid",
          "matrix", "controls", "playground")  # fmt: skip
_MOST_CELLS = {1: 24, 2: 14}  # along an axis of the input, as in address.js
_MOST_TAPS = 9
_NAMES = "mount, setupOf, addressOf, solve, callOf, programOf, jacobian, lightOf, kernelShape"


def script() -> str:
    """The script that defines `Playground`."""
    texts = [(_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in _FILES]
    joined = "\n".join(texts)
    return (
        f'const Playground = (() => {{\n"use strict";\n{joined}\nreturn {{ {_NAMES} }};\n}})();\n'
    )


def style() -> str:
    """Its style sheet."""
    return (_FOLDER / "playground.css").read_text(encoding="utf-8")


def address(
    op: str,
    input_shape: Sequence[int],
    kernel_size: Sequence[int],
    *,
    strides: IntPerAxis = 1,
    padding: Padding | None = None,
    padding_mode: str | None = None,
    dilation: IntPerAxis = 1,
    input_dilation: IntPerAxis = 1,
    output_padding: IntPerAxis = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    inputs: ArrayLike | None = None,
    kernel: ArrayLike | None = None,
    cotangent: ArrayLike | None = None,
    gradient: bool = False,
) -> str:
    """A set-up as the playground reads it; arguments as those of `sliding_window`.

    Numbers that are not given are left to the playground, whose own are those of the pictures;
    `gradient` shows the gradients too. Returns "" for a set-up that is too large to be played with.

    >>> address("conv", (5, 5), (3, 3), strides=2, padding=((0, 1), (1, 1)))
    '#op=conv&n=5x5&k=3x3&s=2&p=0,1x1,1'
    """
    if max(input_shape) > _MOST_CELLS[len(input_shape)] or max(kernel_size) > _MOST_TAPS:
        return ""
    entries = {"op": op, "n": _times(input_shape), "k": _times(kernel_size)}
    for name, value, usual in (
        ("s", strides, 1),
        ("p", padding, None),
        ("mode", padding_mode, None),
        ("d", dilation, 1),
        ("r", input_dilation, 1),
        ("add", output_padding, 0),
    ):
        value = value.tolist() if isinstance(value, np.ndarray) else value
        if value != usual:
            entries[name] = _times(value)
    if ceil_mode:
        entries["ceil"] = "1"
    if not count_include_pad:
        entries["count"] = "0"
    for name, array in (("x", inputs), ("w", kernel), ("dy", cotangent)):
        if array is not None:
            entries[name] = ",".join(f"{value:g}" for value in np.ravel(np.asarray(array)))
    if gradient:
        entries["grad"] = "1"
    return "#" + urlencode(entries, safe=",")


def _times(value: object) -> str:
    """`2x1` of (2, 1), `0,1x1,1` of pairs, and what is neither as it is."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return str(value)
    return "x".join(
        str(entry) if not isinstance(entry, Sequence) else ",".join(map(str, entry))
        for entry in value
    )


def page(address: str, heading: str) -> str:
    """A whole page with one playground, which starts at `address`."""
    start = escape(address, quote=True)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(heading)}</title>\n<style>\nbody {{ margin: 0.6rem; }}\n"
        ":root { color-scheme: light dark; }\n"
        f"{style()}</style>\n</head>\n<body>\n"
        f'<div id="window" data-address="{start}"></div>\n<script>\n{script()}'
        'const place = document.getElementById("window");\n'
        "Playground.mount(place, { address: place.dataset.address, linked: false });\n"
        "</script>\n</body>\n</html>\n"
    )


class LiveFigure(Figure):
    """A figure that a notebook shows as a playground.

    Attributes:
      address: of the set-up, "" for one that is too large to be played with.
    """

    def __init__(self, address: str, heading: str, **options: Any):
        """Keeps what the playground starts from.

        Args:
          address: of the set-up; "" for one that is too large to be played with.
          heading: its title.
          **options: of `Figure`.
        """
        super().__init__(**options)
        self.address, self._heading = address, heading

    def _repr_html_(self) -> str | None:
        """The playground in a frame of its own, so that no style of the notebook's reaches it.

        None for a set-up that is too large: a notebook then shows the figure as a picture.
        """
        if not self.address:
            return None
        text = escape(page(self.address, self._heading), quote=True)
        title = escape(self._heading, quote=True)
        return (
            f'<iframe srcdoc="{text}" title="{title}" sandbox="allow-scripts" loading="lazy" '
            'style="width: 100%; height: 720px; border: 1px solid #8a8a8a; resize: vertical">'
            "</iframe>"
        )
