"""One page with everything in it: texts, pictures as data, windows to slide and to play with."""

import base64
import json
import os
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from experiments.gallery.formulas import mathml
from experiments.gallery.items import PREAMBLE, Example, Picture, Section
from jaxcnn.visualize import live

README = Path(__file__).parents[2] / "README.md"
_WEB = Path(__file__).with_name("web")
_SCALE = 0.64  # of the pixels of a file, drawn for sharper screens than most
_LEGIBLE = 560  # pixels across, below which the numbers of a large picture are too small
_START = "#op=conv&n=5x5&k=3x3&p=VALID"


def render(
    sections: Sequence[Section],
    folder: Path,
    told: Mapping[str, str],
    digit: Mapping[str, Any] | None = None,
) -> str:
    """The page as text, from the files that the calls have made.

    Args:
      sections: what to show.
      folder: holds `<name>.png` of each picture, and `<name>.html` of those with a slider.
      told: by name, the code of an example with its results, or the set-up of a slider.
      digit: weights and examples for a digit of the reader's own; None leaves it out.
    """
    styles, scripts, parts = "", "", []
    for section in sections:
        parts.append(f'<section id="{_anchor(section)}">\n<h2>{escape(section.title)}</h2>')
        parts.append(_paragraph(section.text))
        if section.preamble:
            parts.append(f"<p>First:</p>\n{_code(section.preamble)}")
        for item in section.items:
            if isinstance(item, Example):
                drawn, below = "", _code(told[item.name])
            else:
                below = _code(item.call, "call")
                drawn = _image(item, folder)
                if item.slides:
                    text = (folder / f"{item.name}.html").read_text(encoding="utf-8")
                    styles, drawn, scripts = _taken_apart(text)
                    below += _change(told[item.name])
            parts.append(_article(item, drawn, below))
        if section.setups:
            parts.append(_setups(section.setups))
        parts.append("</section>")
    if digit is not None:
        parts.append(_DIGIT)
        parts.append(
            f'<script type="application/json" id="digit-data">{json.dumps(digit)}</script>'
        )
        scripts += "".join(map(_read, ("network.js", "unit.js", "digit.js")))
    links = [("playground", "Playground"), *((_anchor(s), s.title) for s in sections)]
    links += [("digit", "A digit of your own")] if digit is not None else []
    nav = "".join(f'<li><a href="#{anchor}">{escape(title)}</a></li>' for anchor, title in links)
    body = "\n".join(parts)
    style = _read("page.css") + live.style() + styles
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>Convolution, seen</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'{_HEAD}<nav aria-label="Contents"><ol>{nav}</ol></nav>\n<main>\n{_playground()}\n'
        f"{_PREAMBLE_TOLD}{_code(PREAMBLE)}\n{body}\n</main>\n{_foot(folder)}"
        f"<script>{live.script()}{scripts}{_read('page.js')}</script>\n</body>\n</html>\n"
    )


_HEAD = (
    '<a class="skip" href="#playground">To the playground</a>\n<header>\n'
    "<h1>Convolution, seen</h1>\n"
    "<p>What convolutional networks are made of, from a pixel to a network that reads your own "
    "handwriting: to be played with, in numbers that are computed. Nothing is loaded from "
    "anywhere; the file can be sent, opened and printed.</p>\n</header>\n"
)
_PREAMBLE_TOLD = (
    "<p>Below, step by step, is what the playground has in it. Every picture is drawn, and every "
    "result computed, by the lines below it. They run as they are, from top to bottom, after "
    "these:</p>\n"
)
_DIGIT = (
    '<section id="digit">\n<h2>A digit of your own</h2>\n<p>The network of the last section, with '
    "all its weights, in this page. Draw a digit: every map and every unit is computed as you "
    "draw. Click any cell to see which pixels it looks at and what it adds up.</p>\n"
    '<div id="digit-window" class="dg"><noscript>This needs JavaScript.</noscript></div>\n'
    "</section>"
)
_EXAMPLES = (
    ("strides of 2", "#op=conv&n=7x7&k=3x3&s=2&p=VALID"),
    ("a dilated kernel", "#op=conv&n=7x7&k=3x3&d=2&p=VALID"),
    ("padding that reflects", "#op=conv&n=4x5&k=3x3&p=REFLECT"),
    ("channels and groups", "#op=conv&n=4x4&k=2x2&p=VALID&c=4&f=2&g=2"),
    ("both gradients", "#op=conv&n=4x4&k=3x3&p=VALID&grad=1"),
    ("a transposed convolution", "#op=conv_transpose&n=3x3&k=3x3&s=2&p=1"),
    ("a max pool and its winners", "#op=max_pool&n=4x4&k=2x2&s=2&grad=1"),
    ("a line, causal", "#op=conv&n=8&k=3&d=2&p=CAUSAL"),
    ("what is refused", "#op=conv&n=3x3&k=5x5&p=VALID"),
)


def _foot(folder: Path) -> str:
    """Says whence the page comes, with a link to the README of the clone that it was drawn from."""
    try:
        there = quote(Path(os.path.relpath(README, folder.resolve())).as_posix())
    except ValueError:  # on another drive
        there = README.as_uri()
    link = f'<a href="{there}">README.md</a>'
    return (
        "<footer><p>Drawn by <code>python -m experiments.gallery</code> with jaxcnn, whose "
        f"{link} says what else it has, as long as this page lies where it was drawn.</p>"
        "</footer>\n"
    )


def _playground() -> str:
    return (
        '<section id="playground">\n<h2>Playground</h2>\n<p>Change anything, and see what '
        "becomes of it: sizes, numbers, gradients, and the call that gives the same. The "
        "address of the page follows, so that every set-up can be linked to.</p>\n"
        f'{_setups(_EXAMPLES)}\n<div id="playground-window" data-address="{escape(_START)}">'
        "<noscript>The playground needs JavaScript; the pictures below do not.</noscript></div>\n"
        "</section>"
    )


def _setups(setups: Sequence[tuple[str, str]]) -> str:
    links = "".join(
        f'<li><a href="{escape(address)}">{escape(text)}</a></li>' for text, address in setups
    )
    return f'<ul class="try"><li>Try:</li>{links}</ul>'


def _article(item: Picture | Example, drawn: str, below: str) -> str:
    formula = f'<div class="formula scrolls">{mathml(item.formula)}</div>' if item.formula else ""
    return (
        f'<article id="{item.name}">\n{drawn}\n{_paragraph(item.caption)}\n{formula}\n{below}\n'
        "</article>"
    )


def _paragraph(text: str) -> str:
    """Text with `code` in it."""
    marked = re.sub("`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    return f"<p>{marked}</p>"


def _code(text: str, kind: str = "code") -> str:
    """Lines of code, those that tell a result set apart."""
    lines = [
        f'<span class="result">{escape(line)}</span>' if line.startswith("# ") else escape(line)
        for line in text.splitlines()
    ]
    joined = "\n".join(lines)
    return f'<pre class="{kind}">{joined}</pre>'


def _change(address: str) -> str:
    link = f'<a href="{escape(address)}">Change it in the playground</a>'
    return f'<p class="change">{link}</p>' if address else ""


def _image(picture: Picture, folder: Path) -> str:
    """A picture as data inside the page, as wide as it was meant to be."""
    content = (folder / f"{picture.name}.png").read_bytes()
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    packed = base64.b64encode(content).decode()
    shown = round(width * _SCALE)
    least = _LEGIBLE if shown > 1.1 * _LEGIBLE else 0
    # On a phone a wide picture is moved sideways: shrunk to its width it could not be read.
    return (
        f'<div class="picture scrolls" role="group" aria-label="picture">'
        f'<img src="data:image/png;base64,{packed}" width="{shown}" '
        f'height="{round(height * _SCALE)}" style="min-width:{least}px" '
        f'alt="{escape(picture.caption)}"></div>'
        '<p class="more">The picture is wider than the screen: move it sideways.</p>'
    )


def _taken_apart(page: str) -> tuple[str, str, str]:
    """The style, the sliding window and the script of a page that `visualize` wrote."""
    style = page.split("<style>")[1].split("</style>")[0]
    window = page.split("</h1>\n")[1].rpartition("\n<script>\n")[0]
    script = page.rpartition("<script>\n")[2].split("</script>")[0]
    return style.split("}\n", 1)[1], window, script


def _read(name: str) -> str:
    return (_WEB / name).read_text(encoding="utf-8")


def _anchor(section: Section) -> str:
    return "about-" + "-".join(re.findall(r"[a-z]+", section.title.lower()))
