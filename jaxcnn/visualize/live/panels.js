// What the grids of a set-up hold, as plain data: {name, title, columns, cells} each.

const WORDS = {
  copy: "padding, a copy",
  zeros: "padding",
  identity: "padding that never wins",
  hole: "zero between cells",
  overhang: "past the padding",
  cropped: "cut off",
};

const counted = (length) => Array.from({ length }, (_, n) => n);
const times = (sizes) => sizes.join("\u00D7");
const numbered = (title, n, all) => (all > 1 ? `${title}, channel ${n}` : title);

// The input as the window slides over it, the kernel and the output, and the gradients of all.
function panelsOf(setup, solved) {
  const { channels } = setup;
  const arrays = (name, title, numbers, count, sizes, kind, editable = false) =>
    counted(count).map((c) => ({
      name,
      title: numbered(title, c, count),
      columns: sizes.at(-1),
      cells: arrayCells(name, numbers, count, c, kind, editable),
    }));
  const outputs = `output ${times(solved.shape)}`;
  const kernels = (name, title, numbers) =>
    hasKernel(setup.op) ? kernelPanels(setup, name, title, numbers) : [];
  return {
    inputs: counted(channels).map((c) => ({
      name: "plane",
      title: numbered(planeTitle(setup, solved), c, channels),
      columns: solved.plane.at(-1),
      cells: solved.cells.map((cell, p) => planeCell(setup, cell, p, c)),
    })),
    kernels: kernels("w", "kernel", setup.w),
    outputs: arrays("y", outputs, solved.y, solved.features, solved.shape, "output"),
    dx: arrays("dx", "dL/dx", solved.dx, channels, setup.sizes, "gradient"),
    dw: kernels("dw", "dL/dkernel", solved.dw),
    dy: arrays("dy", "dL/dy", setup.g, solved.features, solved.shape, "cotangent", true),
  };
}

function planeCell(setup, { kind, source }, p, c) {
  const least = setup.op === "min_pool" || setup.op === "grey_erosion";
  const index = source * setup.channels + c;
  const nothing = { identity: least ? "\u221E" : `${MINUS}\u221E`, overhang: "" }[kind] ?? "0";
  const text = source >= 0 ? short(setup.x[index]) : nothing;
  return {
    kind,
    text,
    where: kind === "input" || kind === "copy" ? "x" : null,
    index,
    key: p * setup.channels + c,
    map: "plane",
    editable: kind === "input",
    label: kind === "input" ? null : `${WORDS[kind]}: ${text}`,
  };
}

function arrayCells(where, numbers, channels, c, kind, editable) {
  return numbers.flatMap((value, index) =>
    index % channels === c
      ? [{ kind, text: short(value), where, index, key: index, map: where, editable }]
      : [],
  );
}

// A grid for each pair of an input's and an output's channel.
function kernelPanels(setup, name, title, numbers) {
  const shape = kernelShape(setup);
  const rest = product(shape.slice(setup.kernelSize.length)),
    last = shape.at(-1);
  return counted(rest).map((n) => {
    const pair = [Math.floor(n / last), n % last];
    if (isTurned(setup)) pair.reverse();
    const morph = MORPHOLOGY.includes(setup.op);
    const told = rest === 1 ? "" : morph ? `, channel ${n}` : ` [${pair.join(" \u2192 ")}]`;
    const kind = name === "w" ? "kernel" : "gradient";
    return {
      name,
      title: title + told,
      columns: setup.kernelSize.at(-1),
      cells: arrayCells(name, numbers, rest, n, kind, name === "w"),
    };
  });
}

function planeTitle(setup, solved) {
  const title = `input ${times(setup.sizes)}`;
  if (String(setup.sizes) === String(solved.plane)) return title;
  const kinds = new Set(solved.cells.map(({ kind }) => kind));
  const padded = ["zeros", "identity", "copy", "overhang"].some((kind) => kinds.has(kind));
  const done = [kinds.has("hole") ? "spread out" : "", padded ? "padded" : ""].filter(Boolean);
  return done.length ? `${title}, ${done.join(" and ")} to ${times(solved.plane)}` : title;
}
