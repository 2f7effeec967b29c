// A set-up as an address, `#op=conv&k=3&s=2`, and back. What an address leaves out is as the
// library's own defaults are.

const DIGITS =
  "8012188500346421670143854465177972366682900992130865241740275320665992662247276238860628949738315863943126726812553316917107173599422851899696596737905300217268";
const WEIGHTS = [1, 0, -1, 2, 1, 0, -1, 1, 2, 0, 1];
const MOST = { 1: 24, 2: 14 }; // cells along an axis, as many as can be looked at
const MOST_TAPS = 9,
  MOST_CHANNELS = 4;

const defaultPadding = (op) => (isPool(op) ? "VALID" : "SAME");
const defaultMode = (op) => (isPool(op) ? "identity" : "zeros");

function numberOf(text) {
  const value = Number(text);
  return text.trim() === "" || Number.isNaN(value) ? text : value;
}

// "2" is 2, "2x1" is [2, 1].
function entryOf(text) {
  const entries = text.split("x").map(numberOf);
  return entries.length === 1 ? entries[0] : entries;
}

// A name, "1", "1x2" (an int an axis) or "1,2x0,1" (pairs of low and high).
function paddingOf(text) {
  if (/^[a-z_]+$/i.test(text)) return text;
  const entries = text.split("x").map((entry) => {
    const amounts = entry.split(",").map(numberOf);
    return amounts.length === 1 ? amounts[0] : amounts;
  });
  return entries.length === 1 && !Array.isArray(entries[0]) ? entries[0] : entries;
}

const paddingText = (padding) =>
  Array.isArray(padding) ? padding.map((entry) => String(entry)).join("x") : String(padding);
const entryText = (entry) => (Array.isArray(entry) ? entry.join("x") : String(entry));
const listOf = (text) =>
  text
    .split(",")
    .map(Number)
    .map((v) => (Number.isFinite(v) ? v : 0));

// Numbers for `count` cells: those given, then `fill(n)`.
const filled = (given, count, fill) =>
  Array.from({ length: count }, (_, n) => (given && n < given.length ? given[n] : fill(n)));

const digitAt = (n) => Number(DIGITS[n % DIGITS.length]);
const weightAt = (n) => WEIGHTS[n % WEIGHTS.length];
const cotangentAt = (n) => (n % 9) + 1;

function setupOf(address) {
  const given = Object.fromEntries(new URLSearchParams(address.replace(/^#/, "")));
  const op = OPERATIONS.includes(given.op) ? given.op : "conv";
  const notes = []; // what is shown otherwise than it was asked for
  if (op !== (given.op ?? op)) notes.push(`There is no operation \u201C${given.op}\u201D here: a convolution.`);
  const limit = (value, least, most, name) => {
    const taken = Math.min(Math.max(Math.round(Number(value)) || 0, least), most);
    const note = `The ${name} is ${taken}, not ${value}: a whole number from ${least} to ${most} is drawn.`;
    if (Number(value) !== taken && !notes.includes(note)) notes.push(note);
    return taken;
  };
  const read = (text, name) => {
    const entries = text.split("x");
    if (entries.length > 2) notes.push(`Two axes are drawn of the ${name} ${text}.`);
    return entries.slice(0, 2);
  };
  const sizesText = read(given.n ?? "5x5", "input size");
  const sizes = sizesText.map((n) => limit(n, 0, MOST[sizesText.length], "input size"));
  let kernel = read(given.k ?? "3", "kernel size").map((k) =>
    limit(k, 0, MOST_TAPS, "kernel size"),
  );
  if (kernel.length !== sizes.length) kernel = sizes.map((_, axis) => kernel[axis] ?? kernel[0]);
  const entry = (name, usual) => (name in given ? entryOf(given[name]) : usual);
  const setup = {
    op,
    sizes,
    kernelSize: kernel,
    strides: entry("s", 1),
    padding: "p" in given ? paddingOf(given.p) : defaultPadding(op),
    mode: given.mode ?? defaultMode(op),
    kernelDilation: entry("d", 1),
    inputDilation: op === "conv" ? entry("r", 1) : 1,
    channels: limit(given.c ?? 1, 1, MOST_CHANNELS, "number of input channels"),
    features: limit(given.f ?? 1, 1, MOST_CHANNELS, "number of output channels"),
    groups:
      op === "conv" || op === "conv_transpose" ? limit(given.g ?? 1, 0, 8, "number of groups") : 1,
    ceil: isPool(op) && given.ceil === "1",
    countPadding: op !== "avg_pool" || given.count !== "0",
    outputPadding: op === "conv_transpose" ? entry("add", 0) : 0,
    turned: (op === "conv" || op === "conv_transpose") && given.turn === "1",
  };
  if (MORPHOLOGY.includes(op)) setup.mode = "identity";
  setup.notes = notes;
  for (const name of ["x", "w", "dy"]) {
    const wrong = (given[name] || "0").split(",").find((text) => !Number.isFinite(Number(text)));
    if (wrong !== undefined) notes.push(`\u201C${wrong}\u201D is no number: 0 stands there.`);
  }
  setup.given = {
    x: given.x && listOf(given.x),
    w: given.w && listOf(given.w),
    g: given.dy && listOf(given.dy),
  };
  return withNumbers(setup);
}

// Lays the numbers that are given, and ours for the rest, into arrays of the right sizes.
function withNumbers(setup) {
  setup.x = filled(setup.given.x, product(setup.sizes) * setup.channels, digitAt);
  setup.w = hasKernel(setup.op) ? filled(setup.given.w, product(kernelShape(setup)), weightAt) : [];
  setup.g = [];
  const shown = solve(setup);
  if (!shown.error) {
    setup.g = filled(setup.given.g, shown.y.length, cotangentAt);
  }
  return setup;
}

function addressOf(setup, extra = {}) {
  const { op } = setup,
    parts = { op, n: setup.sizes.join("x"), k: setup.kernelSize.join("x") };
  const put = (name, value, usual) => {
    if (value !== usual) parts[name] = value;
  };
  put("s", entryText(setup.strides), "1");
  put("p", paddingText(setup.padding), defaultPadding(op));
  put("mode", setup.mode, MORPHOLOGY.includes(op) ? "identity" : defaultMode(op));
  put("d", entryText(setup.kernelDilation), "1");
  put("r", entryText(setup.inputDilation), "1");
  put("c", String(setup.channels), "1");
  put("f", String(setup.features), "1");
  put("g", String(setup.groups), "1");
  put("ceil", setup.ceil ? "1" : "0", "0");
  put("count", setup.countPadding ? "1" : "0", "1");
  put("add", entryText(setup.outputPadding), "0");
  put("turn", setup.turned ? "1" : "0", "0");
  for (const [name, numbers] of [
    ["x", setup.given.x],
    ["w", setup.given.w],
    ["dy", setup.given.g],
  ]) {
    if (numbers) parts[name] = numbers.join(",");
  }
  // Commas may stand in an address as they are, and are easier to read.
  return `#${new URLSearchParams({ ...parts, ...extra })}`.replace(/%2C/g, ",");
}
