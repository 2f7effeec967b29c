// What is said of a set-up: the call that computes it, its sizes as a formula, and sums in words.

const MINUS = "\u2212";

// A number as short as it can be told to two decimals, with a proper minus.
function short(value) {
  const rounded = Math.round(value * 100) / 100;
  return String(rounded === 0 ? 0 : rounded).replace("-", MINUS);
}

const bracketed = (value) => (short(value)[0] === MINUS ? `(${short(value)})` : short(value));

function python(value) {
  return typeof value === "string" ? `"${value}"` : repr(value);
}

// An array as nested lists, of the shape given.
function nested(numbers, shape) {
  if (shape.length === 0) return String(numbers[0]);
  const [length, ...rest] = shape,
    size = product(rest);
  const parts = Array.from({ length }, (_, n) =>
    nested(numbers.slice(n * size, (n + 1) * size), rest),
  );
  return `[${parts.join(", ")}]`;
}

// The call that computes this, of `x` and `kernel`; options as the library's defaults are left out.
function callOf(setup) {
  const { op } = setup,
    options = [];
  const put = (name, value, usual) => {
    if (repr(value) !== repr(usual)) options.push(`${name}=${python(value)}`);
  };
  put("strides", setup.strides, 1);
  put("padding", setup.padding, defaultPadding(op));
  if (!MORPHOLOGY.includes(op)) put("padding_mode", setup.mode, defaultMode(op));
  put(isPool(op) ? "window_dilation" : "kernel_dilation", setup.kernelDilation, 1);
  if (op === "conv") put("input_dilation", setup.inputDilation, 1);
  if (op === "conv_transpose") put("output_padding", setup.outputPadding, 0);
  put("feature_group_count", setup.groups, 1);
  if (op === "conv") put("flip_kernel", setup.turned, false);
  if (op === "conv_transpose") put("transpose_kernel", setup.turned, false);
  put("ceil_mode", setup.ceil, false);
  if (op === "avg_pool") put("count_include_pad", setup.countPadding, true);
  const second = isPool(op) ? repr(setup.kernelSize) : "kernel";
  return `F.${op}(${["x", second, ...options].join(", ")})`;
}

// The whole program, to be pasted; with `solved`, what is computed of the set-up, its gradients too.
function programOf(setup, solved = null) {
  const lines = ["import jax.numpy as jnp", "from jaxcnn import functional as F", ""];
  const put = (name, numbers, shape) => {
    // Channels of 1 are left to the end, so that rows of the list are rows of the picture.
    const ones = shape.length - 1 - shape.findLastIndex((size) => size !== 1);
    const shown = shape.slice(0, shape.length - ones);
    const axes = ones ? `[..., ${Array(ones).fill("None").join(", ")}]` : "";
    lines.push(`${name} = jnp.array(${nested(numbers, shown)}, float)${axes}`);
  };
  put("x", setup.x, [...setup.sizes, setup.channels]);
  if (hasKernel(setup.op)) put("kernel", setup.w, kernelShape(setup));
  if (!solved) return [...lines, `y = ${callOf(setup)}`].join("\n");
  put("dy", setup.g, [...solved.shape, solved.features]);
  const [names, gradients] = hasKernel(setup.op) ? ["x, kernel", "dx, dkernel"] : ["x", "(dx,)"];
  const pulled = `y, back = jax.vjp(lambda ${names}: ${callOf(setup)}, ${names})`;
  return ["import jax", ...lines, pulled, `${gradients} = back(dy)`].join("\n");
}

// MathML from parts: text, numbers, ["frac", above, below], ["floor", inside], ["ceil", inside].
function mathOf(parts) {
  return parts
    .map((part) => {
      if (typeof part === "number") {
        return part < 0
          ? `<mo>(</mo><mo>${MINUS}</mo><mn>${-part}</mn><mo>)</mo>`
          : `<mn>${part}</mn>`;
      }
      if (Array.isArray(part)) {
        const [kind, ...inside] = part;
        const rows = inside.map((row) => `<mrow>${mathOf(row)}</mrow>`);
        if (kind === "frac") return `<mfrac>${rows.join("")}</mfrac>`;
        const [open, close] = kind === "floor" ? ["\u230A", "\u230B"] : ["\u2308", "\u2309"];
        return `<mrow><mo>${open}</mo>${rows.join("")}<mo>${close}</mo></mrow>`;
      }
      if (/^[A-Za-z]+$/.test(part)) return `<mi>${part}</mi>`;
      if (part.includes("_")) {
        const [name, below] = part.split("_");
        return `<msub><mi>${name}</mi><mi>${below}</mi></msub>`;
      }
      return `<mo>${part}</mo>`;
    })
    .join("");
}

const mathElement = (parts) => `<math display="block"><mrow>${mathOf(parts)}</mrow></math>`;

// One formula, with letters for null, or with the numbers of an axis filled in.
function sizeFormula(setup, axis) {
  const { op } = setup,
    numbers = axis !== null;
  const of = (name) => (numbers ? axis[name] : ({ low: "p_low", high: "p_high" }[name] ?? name));
  const same = typeof setup.padding === "string" ? setup.padding.toUpperCase() : "";
  const span = [of("d"), "\u00B7", "(", of("k"), MINUS, 1, ")"];
  if (op === "conv_transpose") {
    const add = repr(axis ? axis.add : setup.outputPadding) !== "0" || !numbers;
    const tail = add ? ["+", of("add")] : [];
    if (same === "VALID") {
      return [
        of("n"),
        "\u00B7",
        of("s"),
        "+",
        "max",
        "(",
        ...span,
        "+",
        1,
        MINUS,
        of("s"),
        ",",
        0,
        ")",
        ...tail,
      ];
    }
    if (same && same !== "FULL") return [of("n"), "\u00B7", of("s"), ...tail];
    return [
      "(",
      of("n"),
      MINUS,
      1,
      ")",
      "\u00B7",
      of("s"),
      "+",
      ...span,
      "+",
      1,
      MINUS,
      of("low"),
      MINUS,
      of("high"),
      ...tail,
    ];
  }
  const wide =
    setup.op === "conv" && repr(setup.inputDilation) !== "1"
      ? [of("r"), "\u00B7", "(", of("n"), MINUS, 1, ")", "+", 1]
      : [of("n")];
  const above = [...wide, "+", of("low"), "+", of("high"), MINUS, ...span, MINUS, 1];
  return [[setup.ceil ? "ceil" : "floor", [["frac", above, [of("s")]]]], "+", 1];
}

// The formula of the output's size, and below it one with the numbers of each kind of axis.
function sizesTold(setup, solved) {
  const names = setup.sizes.length === 1 ? [""] : ["height", "width"];
  const rank = setup.sizes.length,
    { windows } = solved;
  const rate = perAxis("input_dilation", setup.inputDilation, rank);
  const transposed = setup.op === "conv_transpose";
  const axes = names.map((_, axis) => ({
    n: setup.sizes[axis],
    k: setup.kernelSize[axis],
    s: windows.strides[axis],
    d: windows.dilation[axis],
    r: rate[axis],
    low: windows.padding[axis][0],
    high: windows.padding[axis][1],
    add: transposed ? windows.extra[axis] : 0,
    out: solved.shape[axis],
  }));
  const [first, second] = axes.map((axis) => JSON.stringify(axis));
  const lines = [
    mathElement(["out", "=", ...sizeFormula(setup, null)]),
    `<p>n: cells of the input, k: of the ${isPool(setup.op) ? "window" : "kernel"}, s: strides, d: ` +
      `dilation${repr(setup.inputDilation) === "1" ? "" : ", r: of the input"}, p: padding` +
      `${setup.op === "conv_transpose" ? ", add: output padding" : ""}.</p>`,
  ];
  axes.forEach((axis, number) => {
    if (number && first === second) return;
    const name = second && first !== second ? names[number] : "out";
    const dropped = setup.ceil && axis.out !== ceilOf(axis);
    lines.push(
      mathElement([
        name,
        "=",
        ...sizeFormula(setup, axis),
        ...(dropped ? [MINUS, 1] : []),
        "=",
        axis.out,
      ]),
    );
    if (dropped) {
      lines.push("<p>The last window would begin in the padding at the end, and is dropped.</p>");
    }
  });
  const amounts = windows.padding.map(([low, high]) => `${low} before and ${high} after`);
  const distinct = [...new Set(amounts)];
  if (typeof setup.padding === "string") {
    const told =
      distinct.length === 1 ? distinct[0] : `${amounts[0]} (height), ${amounts[1]} (width)`;
    lines.push(
      `<p>Padding \u201C${setup.padding.toUpperCase()}\u201D means ${told}${
        transposed ? ", of the convolution that is transposed: here they are cut off" : ""
      }.</p>`,
    );
  }
  if (!transposed && !setup.ceil) {
    const left = axes.map((axis) =>
      modulo(axis.r * (axis.n - 1) + 1 + axis.low + axis.high - axis.d * (axis.k - 1) - 1, axis.s),
    );
    if (left.some((rest) => rest)) {
      lines.push(
        `<p>The division leaves ${Math.max(...left)} over: so many cells at the end are ` +
          "reached by no window.</p>",
      );
    }
  }
  return lines.join("");
}

const ceilOf = (axis) =>
  Math.ceil((axis.n + axis.low + axis.high - axis.d * (axis.k - 1) - 1) / axis.s) + 1;

// Names such as x[1, 2], with the channel where there is more than one.
function nameOf(letter, index, sizes, channels) {
  const at = [],
    channel = index % channels;
  let place = Math.floor(index / channels);
  for (let axis = sizes.length - 1; axis >= 0; axis--) {
    at.unshift(place % sizes[axis]);
    place = Math.floor(place / sizes[axis]);
  }
  return `${letter}[${[...at, ...(channels > 1 ? [channel] : [])].join(", ")}]`;
}

function kernelName(setup, index, letter = "kernel") {
  const shape = kernelShape(setup),
    at = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    at.unshift(index % shape[axis]);
    index = Math.floor(index / shape[axis]);
  }
  const shown = at.slice(0, setup.kernelSize.length);
  if (product(shape.slice(setup.kernelSize.length)) > 1) shown.push(...at.slice(shown.length));
  return `${letter}[${shown.join(", ")}]`;
}

// The sum of an output in words, a row of the kernel a line.
function outputTold(setup, solved, o) {
  const terms = solved.terms[o];
  const name = nameOf("y", o, solved.shape, solved.features);
  const value = (term) => (term.x < 0 ? 0 : setup.x[term.x]);
  const parts = terms.map((term, n) => {
    if (term.w < 0) return short(value(term));
    const weight = bracketed(setup.w[term.w]);
    if (setup.op.startsWith("conv")) return `${bracketed(value(term))}\u00D7${weight}`;
    const sum = `${short(value(term))}${solved.sign < 0 ? MINUS : "+"}${weight}`;
    return n === solved.winners[o] ? `[${sum}]` : sum;
  });
  const rows = [];
  const rowOf = ({ cell }) => Math.floor(cell / solved.plane[solved.plane.length - 1]);
  parts.forEach((part, n) => {
    const fresh = n === 0 || rowOf(terms[n]) !== rowOf(terms[n - 1]);
    if (fresh || rows.at(-1).length === 8) rows.push([part]);
    else rows.at(-1).push(part);
  });
  const extreme = !solved.linear;
  const body = (rows.length ? rows : [["0"]])
    .map((row) => row.join(extreme ? ", " : " + "))
    .join(extreme ? ",\n    " : " +\n    ");
  let sum = body;
  if (extreme) sum = `${solved.least ? "min" : "max"}(${body})`;
  else if (setup.op === "avg_pool") sum = `(${body}) / ${solved.divisor(o)}`;
  return `${name} = ${sum} = ${short(solved.y[o])}`;
}

// A gradient's sum: `pairs` are [gradient of the output, what it is multiplied by], a number, a
// text such as "1/9", or null for nothing; `none` is said where there is no pair.
function sumTold(name, pairs, total, none) {
  if (!pairs.length) return `${name} = 0: ${none}.`;
  const parts = pairs.map(([g, factor]) => {
    if (factor === null) return bracketed(g);
    return `${bracketed(g)}\u00D7${typeof factor === "string" ? factor : bracketed(factor)}`;
  });
  const rows = [];
  for (let n = 0; n < parts.length; n += 5) rows.push(parts.slice(n, n + 5).join(" + "));
  const sum = rows.join(" +\n    ");
  return sum === short(total) ? `${name} = ${sum}` : `${name} = ${sum} = ${short(total)}`;
}
