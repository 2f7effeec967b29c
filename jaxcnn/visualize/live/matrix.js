// The matrix of the map: a row an output, a column an input.

const MOST_ENTRIES = 60000;
const LARGE = "There is more of it than fits: move it sideways or down.";

function matrixView(select) {
  const canvas = element("canvas", { role: "img", class: "pg-matrix-canvas" });
  const caption = element("figcaption", {});
  const scroll = element("div", { class: "pg-scroll", tabindex: "0" }, canvas);
  const wide = element("p", { class: "pg-wide", hidden: true }, LARGE);
  const view = element("figure", { class: "pg-matrix" }, caption, scroll, wide);
  const watch = new ResizeObserver(() => {
    wide.hidden =
      scroll.scrollWidth <= scroll.clientWidth + 1 && scroll.scrollHeight <= scroll.clientHeight + 1;
  });
  watch.observe(scroll);
  watch.observe(canvas);
  let shown = null;

  const colours = new Map(); // of the theme, as the style sheet has them
  const colour = (name) => {
    if (!colours.has(name)) colours.set(name, getComputedStyle(view).getPropertyValue(name).trim());
    return colours.get(name);
  };

  function draw(setup, solved) {
    const rows = jacobian(setup, solved),
      columns = setup.x.length;
    const name = solved.linear
      ? "The matrix W of the map, y = W x"
      : "The matrix of derivatives: a 1 where the winner is";
    caption.textContent = `${name}: ${rows.length} × ${columns}`;
    const large = rows.length * columns > MOST_ENTRIES;
    canvas.hidden = large;
    if (large) caption.textContent += ", too many entries to be drawn";
    const size = columns <= 26 && rows.length <= 30 ? 24 : columns <= 64 ? 11 : 5;
    shown = { setup, solved, rows, columns, size, large };
    canvas.setAttribute("aria-label", caption.textContent);
    paintMatrix(null);
  }

  function paintMatrix(lit) {
    if (!shown || shown.large) return;
    const { rows, columns, size } = shown,
      ratio = globalThis.devicePixelRatio || 1;
    const width = columns * size + 2,
      height = rows.length * size + 2;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.translate(1, 1);
    pen.fillStyle = colour("--pg-paper");
    pen.fillRect(0, 0, width, height);
    const most = Math.max(1e-9, ...rows.flatMap((row) => [...row.values()].map(Math.abs)));
    pen.font = `${size > 20 ? 11 : 8}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    rows.forEach((row, o) => {
      for (const [u, value] of row) {
        pen.globalAlpha = value === 0 ? 0.25 : 0.35 + (0.65 * Math.abs(value)) / most;
        pen.fillStyle = colour(
          value < 0 ? "--pg-negative" : value > 0 ? "--pg-positive" : "--pg-edge",
        );
        pen.fillRect(u * size, o * size, size, size);
        pen.globalAlpha = 1;
        if (size > 20) {
          pen.fillStyle = colour("--pg-matrix-ink");
          pen.fillText(short(value), (u + 0.5) * size, (o + 0.52) * size);
        }
      }
    });
    lines(pen, colour("--pg-edge"));
    pen.strokeStyle = colour("--pg-current");
    pen.lineWidth = 2;
    for (const o of lit?.rows ?? []) pen.strokeRect(0, o * size, columns * size, size);
    for (const u of lit?.columns ?? []) pen.strokeRect(u * size, 0, size, rows.length * size);
  }

  // Thin lines between cells where there is room, thicker ones between rows of a picture.
  function lines(pen, colour) {
    const { setup, solved, rows, columns, size } = shown;
    const across = setup.sizes.at(-1) * setup.channels,
      down = solved.shape.at(-1) * solved.features;
    pen.fillStyle = colour;
    for (let u = 0; u <= columns; u++) {
      const thick = u % across === 0;
      if (thick || size > 8) pen.fillRect(u * size - 0.5, 0, thick ? 1.5 : 0.4, rows.length * size);
    }
    for (let o = 0; o <= rows.length; o++) {
      const thick = o % down === 0;
      if (thick || size > 8) pen.fillRect(0, o * size - 0.5, columns * size, thick ? 1.5 : 0.4);
    }
  }

  canvas.addEventListener("click", (event) => {
    const o = Math.floor((event.offsetY - 1) / shown.size);
    if (o >= 0 && o < shown.rows.length) select({ where: "y", index: o });
  });
  return { view, draw, paint: paintMatrix, forget: () => colours.clear() };
}
