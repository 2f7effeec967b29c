"""One page with everything in it: texts, pictures as data, sliding windows as SVG."""

import base64
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from experiments.gallery.pictures import Picture, Section

_SCALE = 0.64  # of the pixels of a file, drawn for sharper screens than most
_LEGIBLE = 560  # pixels across, below which the numbers of a large picture are too small
_STYLE = """
:root { color-scheme: light; }
body { font-family: system-ui, sans-serif; line-height: 1.5; color: #1b1b1b; background: #fff;
  max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { line-height: 1.2; }
h2 { margin-top: 3rem; border-bottom: 2px solid #007a5a; padding-bottom: 0.2rem; }
nav { display: flex; flex-wrap: wrap; gap: 0.3rem 1rem; }
nav a { color: #00567a; padding: 0.2rem 0; }
article { margin: 2.2rem 0; scroll-margin-top: 1rem; }
.picture { overflow-x: auto; }
.picture img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
article p { margin: 0.5rem 0; }
.formula, .call { font-family: ui-monospace, monospace; font-size: 0.86rem; overflow-wrap: anywhere;
  padding: 0.35rem 0.6rem; border-radius: 4px; }
.formula { background: #eef6f3; }
.call { background: #f3f3f3; color: #333; }
"""


def render(sections: Sequence[Section], folder: Path) -> str:
    """The page as text, from the files that the calls have made.

    Args:
      sections: what to show.
      folder: holds `<name>.png` of each picture, and `<name>.html` of those with a slider.
    """
    styles, scripts, parts = "", "", []
    for section in sections:
        anchor = _anchor(section.title)
        parts.append(f'<section id="{anchor}">\n<h2>{escape(section.title)}</h2>')
        parts.append(f"<p>{escape(section.text)}</p>")
        for picture in section.pictures:
            if picture.slides:
                text = (folder / f"{picture.name}.html").read_text(encoding="utf-8")
                styles, drawn, scripts = _taken_apart(text)
            else:
                drawn = _image(picture, folder)
            parts.append(_article(picture, drawn))
        parts.append("</section>")
    links = "".join(
        f'<a href="#{_anchor(section.title)}">{escape(section.title)}</a>' for section in sections
    )
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>Convolution, seen</title>\n<style>{_STYLE}{styles}</style>\n</head>\n<body>\n"
        "<h1>Convolution, seen</h1>\n"
        "<p>Every picture here is drawn by <code>jaxcnn.visualize</code>, by the call below it, "
        "from the same arithmetic that computes the layers. Where there is a slider, move it, or "
        "press play.</p>\n"
        f"<nav>{links}</nav>\n{body}\n<script>{scripts}</script>\n</body>\n</html>\n"
    )


def _article(picture: Picture, drawn: str) -> str:
    formula = f'<p class="formula">{escape(picture.formula)}</p>' if picture.formula else ""
    call = re.sub(r', animation=folder / "([^"]+)"', r', animation="\1"', picture.call)
    return (
        f'<article id="{picture.name}">\n{drawn}\n<p>{escape(picture.caption)}</p>\n{formula}\n'
        f'<p class="call">{escape(call)}</p>\n</article>'
    )


def _image(picture: Picture, folder: Path) -> str:
    """A picture as data inside the page, as wide as it was meant to be."""
    content = (folder / f"{picture.name}.png").read_bytes()
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    packed = base64.b64encode(content).decode()
    shown = round(width * _SCALE)
    least = _LEGIBLE if shown > 1.1 * _LEGIBLE else 0
    # On a phone a wide picture is moved sideways: shrunk to its width it could not be read.
    return (
        f'<div class="picture"><img src="data:image/png;base64,{packed}" width="{shown}" '
        f'height="{round(height * _SCALE)}" style="min-width:{least}px" '
        f'alt="{escape(picture.caption)}"></div>'
    )


def _taken_apart(page: str) -> tuple[str, str, str]:
    """The style, the sliding window and the script of a page that `visualize` wrote."""
    style = page.split("<style>")[1].split("</style>")[0]
    window = page.split("</h1>\n")[1].rpartition("\n<script>\n")[0]
    script = page.rpartition("<script>\n")[2].split("</script>")[0]
    return style.split("}\n", 1)[1], window, script


def _anchor(title: str) -> str:
    return "-".join(re.findall(r"[a-z]+", title.lower()))
