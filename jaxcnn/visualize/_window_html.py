"""Panels of a sliding window as inline SVG with a slider: a fragment, or a page of its own.

Nothing is loaded from anywhere. Without scripts the first step is shown.
"""

import json
from html import escape

from jaxcnn.visualize._panels import STYLES, Panel, Panels

_CELL = 34  # pixels


def page(panels: Panels, heading: str) -> str:
    """A whole page with one sliding window."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(heading)}</title>\n<style>\n"
        "body { font-family: system-ui, sans-serif; margin: 1rem; color: #1b1b1b; }\n"
        f"{STYLE}</style>\n</head>\n<body>\n<h1 style='font-size: 1.2rem'>{escape(heading)}</h1>\n"
        f"{fragment(panels, heading)}\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    )


def fragment(panels: Panels, label: str, start: int = 0) -> str:
    """The sliding window as a part of a page that holds `STYLE` and `SCRIPT` once.

    Args:
      panels: the whole slide.
      label: what a screen reader calls it.
      start: number of the step shown first.
    """
    count = len(panels.moments)
    first = panels.moments[start]
    roles, corners = list(panels.input.roles), [""] * len(panels.input.roles)
    for cell, held in first.taps.items():
        roles[cell], corners[cell] = panels.tap_role(cell), held
    shown = [
        "current" if n == start else "output" if n < start else "pending" for n in range(count)
    ]
    told = [panels.values[n] if n <= start else "" for n in range(count)]
    drawn = [_svg("input", panels.input, roles, panels.input.labels, corners)]
    if panels.kernel:
        drawn.append(_svg("kernel", panels.kernel, panels.kernel.roles, panels.kernel.labels))
    drawn.append(_svg("output", panels.output, shown, told))
    data = {
        "roles": panels.input.roles,
        "faint": [int(panels.tap_role(n) != "tap") for n in range(len(roles))],
        "values": panels.values,
        "steps": [[list(m.taps), list(m.taps.values()), list(m.lines)] for m in panels.moments],
    }
    packed = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    legend = "".join(
        f'<span><i style="background:{STYLES[role][0]};border-color:{STYLES[role][1]}"></i>'
        f"{escape(word)}</span>"
        for role, word in panels.legend
    )
    has_lines = any(moment.lines for moment in panels.moments)
    most = max(len(moment.lines) for moment in panels.moments)
    lines = escape("\n".join(first.lines))
    told_lines = f'<pre style="min-height:{1.35 * most:.2f}em">{lines}</pre>' if has_lines else ""
    return (
        f'<div class="slide" role="group" aria-label="{escape(label)}">\n'
        f'<div class="panels">{"".join(drawn)}</div>\n{told_lines}\n'
        '<div class="controls"><button type="button">&#9654; play</button>'
        f'<input type="range" min="1" max="{count}" value="{start + 1}" aria-label="step">'
        f"<output>step {start + 1} of {count}</output></div>\n"
        f'<div class="legend">{legend}</div>\n'
        f'<script type="application/json">{packed}</script>\n</div>'
    )


def _svg(name: str, panel: Panel, roles, labels, corners=None) -> str:
    """One grid under its title."""
    width, height = panel.columns * _CELL + 4, panel.rows * _CELL + 4
    parts = []
    for n, role in enumerate(roles):
        row, column = divmod(n, panel.columns)
        x, y = 2 + column * _CELL, 2 + row * _CELL
        parts.append(
            f'<rect class="{role}" x="{x}" y="{y}" width="{_CELL}" height="{_CELL}"/>'
            f'<text x="{x + _CELL / 2:g}" y="{y + _CELL * 0.62:g}">{escape(labels[n])}</text>'
        )
        if corners is not None:
            parts.append(
                f'<text class="w" x="{x + _CELL - 2.5:g}" y="{y + _CELL - 3:g}">'
                f"{escape(corners[n])}</text>"
            )
    return (
        f'<figure class="panel {name}"><figcaption>{escape(panel.title)}</figcaption>'
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"{''.join(parts)}</svg></figure>"
    )


def _rules() -> str:
    """A CSS rule a kind of cell; a blank in its name makes two classes."""
    lines = []
    for role, (face, edge, dashed, _) in STYLES.items():
        dashes = "stroke-dasharray:3 2;" if dashed else ""
        chosen = "".join(f".{part}" for part in role.split())
        lines.append(f".slide rect{chosen} {{ fill:{face}; stroke:{edge}; {dashes} }}\n")
    return "".join(lines)


STYLE = """.slide { max-width: 100%; }
.slide .panels { display: flex; flex-wrap: wrap; gap: 0.8rem 1.6rem; align-items: center;
  justify-content: center; }
.slide figure { margin: 0; text-align: center; max-width: 100%; }
.slide figcaption { font-size: 0.85rem; margin-bottom: 0.2rem; }
.slide svg { max-width: 100%; height: auto; font-family: system-ui, sans-serif; }
.slide svg text { font-size: 14px; text-anchor: middle; fill: #1b1b1b; }
.slide .output text { font-size: 12.5px; }
.slide svg text.w { font-size: 10.5px; text-anchor: end; fill: #7a2e00; font-weight: 700; }
.slide rect { stroke-width: 1; }
.slide rect.tap { stroke-width: 1.8; }
.slide rect.current + text { fill: #fff; font-weight: 700; }
.slide rect.zeros + text, .slide rect.identity + text, .slide rect.hole + text { fill: #5f5f5f; }
.slide rect.copy + text { fill: #3a5566; font-style: italic; }
.slide pre { font-size: 0.9rem; line-height: 1.35; margin: 0.6rem auto; width: fit-content;
  max-width: 100%; overflow-x: auto; }
.slide .controls { display: flex; flex-wrap: wrap; gap: 0.7rem; align-items: center;
  justify-content: center; margin: 0.6rem auto; max-width: 34rem; }
.slide .controls input { flex: 1; min-width: 6rem; accent-color: #007a5a; height: 1.8rem; }
.slide .controls button { font: inherit; padding: 0.3rem 0.7rem; min-width: 5.4rem; }
.slide .controls output { font-size: 0.9rem; white-space: nowrap; min-width: 7rem; }
.slide .legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; justify-content: center;
  font-size: 0.82rem; }
.slide .legend span { white-space: nowrap; }
.slide .legend i { display: inline-block; width: 0.8em; height: 0.8em; border: 1px solid;
  margin-right: 0.35em; vertical-align: -0.05em; }
""" + _rules()

SCRIPT = """for (const slide of document.querySelectorAll(".slide")) {
  const data = JSON.parse(slide.querySelector("script").textContent);
  const [range, button, told] = ["input", "button", "output"].map(
    (name) => slide.querySelector(".controls " + name));
  const cells = slide.querySelectorAll(".panel.input rect");
  const corners = slide.querySelectorAll(".panel.input text.w");
  const outputs = slide.querySelectorAll(".panel.output rect");
  const values = slide.querySelectorAll(".panel.output text");
  const lines = slide.querySelector("pre");
  const show = (number) => {
    const [taps, held, arithmetic] = data.steps[number];
    cells.forEach((cell, n) => {
      cell.setAttribute("class", data.roles[n]);
      corners[n].textContent = "";
    });
    taps.forEach((n, index) => {
      cells[n].setAttribute("class", data.faint[n] ? "faint tap" : "tap");
      corners[n].textContent = held[index];
    });
    outputs.forEach((cell, n) => {
      cell.setAttribute("class", n === number ? "current" : n < number ? "output" : "pending");
      values[n].textContent = n <= number ? data.values[n] : "";
    });
    if (lines) lines.textContent = arithmetic.join("\\n");
    told.textContent = `step ${number + 1} of ${data.steps.length}`;
    range.value = number + 1;
  };
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "\\u25b6 play";
  };
  range.addEventListener("input", () => { stop(); show(range.value - 1); });
  button.addEventListener("click", () => {
    if (timer) return stop();
    button.textContent = "\\u275a\\u275a pause";
    timer = setInterval(() => show(range.value % data.steps.length), 700);
  });
}
"""
