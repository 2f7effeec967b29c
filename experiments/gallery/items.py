"""What a section of the gallery is made of: text, pictures and lines of code.

A call is text, shown on the page and run as it stands, so that the page can't show another call
than the one that made the picture, nor a result that it does not have.
"""

import ast
import contextlib
import io
from typing import Any, NamedTuple

PREAMBLE = """\
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import random
from jaxcnn import analysis, functional as F, models, nn, visualize

ones = jnp.ones((3, 3, 1, 1))
noise = random.normal(random.key(0), (4, 25, 25, 1))"""


class Picture(NamedTuple):
    """A picture of the gallery.

    Attributes:
      name: of its file, and its anchor on the page.
      caption: what to see in it, in plain words.
      call: a Python expression that gives a figure.
      formula: what is computed, in one line of `formulas`; "" for none.
      slides: whether it is shown with a slider, as the page that the call's `animation` makes.
      setup: what a slider links to in the playground; "" for the same as the call.
    """

    name: str
    caption: str
    call: str
    formula: str = ""
    slides: bool = False
    setup: str = ""


class Example(NamedTuple):
    """Lines of code; the page shows beside each expression what it gives.

    Attributes:
      name: its anchor on the page.
      caption: what it shows.
      code: statements and expressions.
      formula: as a picture's.
    """

    name: str
    caption: str
    code: str
    formula: str = ""


class Section(NamedTuple):
    """Pictures and examples under one heading.

    Attributes:
      title: the heading.
      text: what comes first.
      items: pictures and examples.
      setups: (text, address) of set-ups of the playground to try.
      preamble: code that the calls of this section need besides; "" for none.
    """

    title: str
    text: str
    items: tuple[Picture | Example, ...]
    setups: tuple[tuple[str, str], ...] = ()
    preamble: str = ""

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures alone."""
        return tuple(item for item in self.items if isinstance(item, Picture))


def slide(
    name: str,
    caption: str,
    arguments: str,
    formula: str = "",
    function: str = "sliding_window",
    setup: str = "",
) -> Picture:
    """A picture with a slider; `arguments` are those of the call without `animation`."""
    call = f'visualize.{function}({arguments}, animation="{name}.html")'
    return Picture(name, caption, call, formula, slides=True, setup=setup)


def run(code: str, names: dict[str, Any]) -> str:
    """Runs an example, and returns it with what each expression gives as a comment below it."""
    lines = code.splitlines()
    shown, done = [], 0
    for statement in ast.parse(code).body:
        end = statement.end_lineno or statement.lineno
        shown += lines[done:end]
        done = end
        source = "\n".join(lines[statement.lineno - 1 : end])
        if not isinstance(statement, ast.Expr):
            exec(source, names)  # our own text, as all that is run here
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            value = eval(source, names)
        told = printed.getvalue() if value is None else _told(value)
        shown += [f"# {line}".rstrip() for line in told.splitlines()]
    return "\n".join(shown)


def _told(value: Any) -> str:
    """A result as it reads best: arrays without their dtype, floats short."""
    return str(_plain(value))


def _plain(value: Any) -> Any:
    """Arrays as lists, floats to six digits, whole ones as ints, within lists and tuples too."""
    if hasattr(value, "tolist"):  # an array or one of its numbers
        value = value.tolist()
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e9 else float(f"{value:.6g}")
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(map(_plain, value))
    return value
