// Where windows lie, in whole numbers: `jaxcnn.geometry` and the checks of `jaxcnn.functional`, in
// the same order and with the same words, for a page that has no Python. What is refused here is
// refused there, and tests/experiments/test_playground.py holds one against the other.

class Refusal extends Error {}

const PADDING_NAMES = ["SAME", "SAME_LOWER", "VALID", "FULL", "CAUSAL"];
const PADDING_MODES = ["zeros", "reflect", "replicate", "circular"];
const POOLS = ["max_pool", "min_pool", "avg_pool", "sum_pool"];
const MORPHOLOGY = ["grey_dilation", "grey_erosion"];
const OPERATIONS = ["conv", "conv_transpose", ...POOLS, ...MORPHOLOGY];

const isPool = (op) => POOLS.includes(op);
const product = (sizes) => sizes.reduce((all, size) => all * size, 1);
const effective = (size, dilation) => dilation * (size - 1) + 1;
const dilated = (size, dilation) => (size === 0 ? 0 : effective(size, dilation));
const modulo = (value, period) => ((value % period) + period) % period;

// A value as Python writes it.
function repr(value) {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) {
    return value.length === 1 ? `(${repr(value[0])},)` : `(${value.map(repr).join(", ")})`;
  }
  return typeof value === "string" ? `'${value}'` : String(value);
}

function wholeNumber(argument, value, minimum = null) {
  const label = `\`${argument}\` (=${repr(value)})`;
  if (typeof value !== "number")
    throw new Refusal(`${label} must be an int, got ${pythonType(value)}`);
  if (!Number.isInteger(value)) throw new Refusal(`${label} must be a whole number; write an int`);
  if (minimum !== null && value < minimum)
    throw new Refusal(`${label} must be at least ${minimum}`);
  return value;
}

function pythonType(value) {
  if (Array.isArray(value)) return "tuple";
  return { string: "str", boolean: "bool" }[typeof value] || "NoneType";
}

function perAxis(argument, value, rank, minimum = 1) {
  if (!Array.isArray(value)) return Array(rank).fill(wholeNumber(argument, value, minimum));
  if (value.length !== rank) {
    throw new Refusal(
      `\`${argument}\` (=${repr(value)}) must be one int for all axes or one for ` +
        `each of the ${rank} spatial axes, got ${value.length}`,
    );
  }
  return value.map((entry) => wholeNumber(argument, entry, minimum));
}

// How many windows fit: floor((n + p_lo + p_hi - e) / s) + 1.
function outputSize(size, kernel, stride, [low, high], dilation, ceil) {
  const room = size + low + high - effective(kernel, dilation);
  if (!ceil) return Math.max(Math.floor(room / stride) + 1, 0);
  const count = Math.ceil(room / stride) + 1;
  const startingInside = Math.ceil((size + low) / stride);
  return Math.max(Math.min(count, Math.max(startingInside, count - 1)), 0);
}

function namedPadding(name, size, span, stride) {
  if (name === "VALID") return [0, 0];
  if (name === "FULL") return [span - 1, span - 1];
  if (name === "CAUSAL") return [span - 1, 0];
  const total = Math.max((Math.ceil(size / stride) - 1) * stride + span - size, 0);
  const small = Math.floor(total / 2);
  return name === "SAME" ? [small, total - small] : [total - small, small];
}

function resolvePadding(padding, sizes, kernel, strides, dilation, crop) {
  const rank = sizes.length;
  if (typeof padding === "string") {
    const name = padding.toUpperCase();
    if (!PADDING_NAMES.includes(name)) {
      throw new Refusal(
        `\`padding\` (=${repr(padding)}) must be one of ` +
          `${PADDING_NAMES.join(", ")}, an int, or one int or (low, high) pair per axis`,
      );
    }
    if (name === "CAUSAL" && rank !== 1) {
      throw new Refusal(
        `\`padding\` (='CAUSAL') needs exactly one spatial axis, got ${rank}; ` +
          "give (low, high) pairs instead",
      );
    }
    return sizes.map((n, axis) =>
      namedPadding(name, n, effective(kernel[axis], dilation[axis]), strides[axis]),
    );
  }
  if (!Array.isArray(padding)) return Array(rank).fill(paddingPair(padding, padding, crop));
  if (padding.length !== rank) {
    throw new Refusal(
      `\`padding\` (=${repr(padding)}) must hold one int or (low, high) pair for ` +
        `each of the ${rank} spatial axes, got ${padding.length}`,
    );
  }
  return padding.map((entry) => paddingPair(padding, entry, crop));
}

function paddingPair(padding, entry, crop) {
  const amounts = Array.isArray(entry) ? entry : [entry, entry];
  if (amounts.length !== 2) {
    throw new Refusal(
      `\`padding\` (=${repr(padding)}) must hold ints or (low, high) pairs, ` +
        `got ${repr(entry)}`,
    );
  }
  const pair = amounts.map((amount) => wholeNumber("padding", amount));
  if (!crop && Math.min(...pair) < 0) {
    throw new Refusal(
      `\`padding\` (=${repr(padding)}) must not be negative here; ` +
        "slice the inputs to crop them",
    );
  }
  return pair;
}

// Flax's "CIRCULAR" and "REFLECT" as amounts and the fill that they stand for.
function fillAndAmounts(padding, mode, kernel, dilation) {
  if (!PADDING_MODES.includes(mode)) {
    throw new Refusal(
      `\`padding_mode\` (=${repr(mode)}) must be one of ${PADDING_MODES.join(", ")}`,
    );
  }
  const name = typeof padding === "string" ? padding.toUpperCase() : "";
  if (name !== "CIRCULAR" && name !== "REFLECT") return [padding, mode];
  if (mode !== "zeros" && mode !== name.toLowerCase()) {
    throw new Refusal(
      `\`padding_mode\` (=${repr(mode)}) must agree with \`padding\` ` +
        `(=${repr(padding)}), which is a fill of its own; leave one of them out`,
    );
  }
  const spans = kernel.map((k, axis) => effective(k, dilation[axis]));
  return [spans.map((e) => [Math.floor((e - 1) / 2), Math.floor(e / 2)]), name.toLowerCase()];
}

function refuseEmptyAxis(sizes) {
  const axis = sizes.findIndex((size) => size < 1);
  if (axis >= 0) {
    throw new Refusal(
      "`inputs` must have no empty spatial axis; received spatial sizes " +
        `${repr(sizes)}, axis ${axis} is empty (only batch axes may be)`,
    );
  }
}

// Checks all options that decide where windows lie and works them out.
function windowsOf(sizes, kernel, options) {
  const { argument, dilationArgument, ceil = false, crop = false } = options;
  const rank = kernel.length;
  refuseEmptyAxis(sizes);
  const strides = perAxis("strides", options.strides, rank);
  const dilation = perAxis(dilationArgument, options.dilation, rank);
  const rate = perAxis("input_dilation", options.inputDilation ?? 1, rank);
  const wide = sizes.map((n, axis) => dilated(n, rate[axis]));
  const padding = resolvePadding(options.padding, wide, kernel, strides, dilation, crop);
  const outputs = wide.map((n, axis) =>
    outputSize(n, kernel[axis], strides[axis], padding[axis], dilation[axis], ceil),
  );
  const least = Math.min(...outputs);
  if (least < 1) {
    const axis = outputs.indexOf(least);
    throw new Refusal(
      `\`${argument}\` (=${repr(kernel)}) spans ` +
        `${effective(kernel[axis], dilation[axis])} pixels along spatial axis ${axis}, more than ` +
        `the ${wide[axis] + padding[axis][0] + padding[axis][1]} of the padded input; received ` +
        `spatial sizes ${repr(sizes)}, ${argument} ${repr(kernel)}, strides ${repr(strides)}, ` +
        `${dilationArgument} ${repr(dilation)}, padding ${repr(padding)}; ` +
        "pad more or take a smaller window",
    );
  }
  return { sizes, kernel, strides, padding, dilation, rate, outputs };
}

const wideSizes = (windows) => windows.sizes.map((n, axis) => dilated(n, windows.rate[axis]));

// The padding after which the last window ends exactly at the end.
function fittedPadding(windows) {
  return wideSizes(windows).map((n, axis) => {
    const [low] = windows.padding[axis];
    const span = effective(windows.kernel[axis], windows.dilation[axis]);
    return [low, (windows.outputs[axis] - 1) * windows.strides[axis] + span - n - low];
  });
}

// For every window along `axis`, how many taps fall on the input, or on it and its padding.
function tapCounts(windows, axis, includePadding) {
  const [low, high] = includePadding ? windows.padding[axis] : [0, 0];
  const last = wideSizes(windows)[axis] + high;
  return Array.from({ length: windows.outputs[axis] }, (_, i) => {
    const start = i * windows.strides[axis] - windows.padding[axis][0];
    let count = 0;
    for (let a = 0; a < windows.kernel[axis]; a++) {
      const at = start + a * windows.dilation[axis];
      if (-low <= at && at < last) count++;
    }
    return count;
  });
}

function refuseWindowInPadding(windows, argument) {
  windows.padding.forEach(([low, high], axis) => {
    if (low === 0 && high === 0) return;
    const window = tapCounts(windows, axis, false).indexOf(0);
    if (window >= 0) {
      throw new Refusal(
        `\`padding\` (=${repr(windows.padding)}) leaves window ${window} along ` +
          `spatial axis ${axis} without a pixel of the input; received spatial sizes ` +
          `${repr(windows.sizes)}, ${argument} ${repr(windows.kernel)}, strides ` +
          `${repr(windows.strides)}, dilation ${repr(windows.dilation)}; pad less`,
      );
    }
  });
}

// The windows of the convolution that a transposed one transposes: its sizes are what comes out.
function transposedWindows(sizes, kernel, options) {
  const { padding, crop } = options;
  const rank = kernel.length;
  refuseEmptyAxis(sizes);
  const strides = perAxis("strides", options.strides, rank);
  const dilation = perAxis("kernel_dilation", options.dilation, rank);
  const spans = kernel.map((k, axis) => effective(k, dilation[axis]));
  const name = typeof padding === "string" ? padding.toUpperCase() : "";
  let usual = sizes.map((n, axis) => n * strides[axis]);
  if (name === "VALID") {
    usual = usual.map((m, axis) => m + Math.max(spans[axis] - strides[axis], 0));
  }
  const pairs =
    name === "REFLECT"
      ? spans.map((e) => [Math.floor((e - 1) / 2), Math.floor(e / 2)])
      : resolvePadding(padding, usual, kernel, strides, dilation, crop);
  if (name === "" || name === "FULL") {
    usual = sizes.map(
      (n, axis) => (n - 1) * strides[axis] + spans[axis] - pairs[axis][0] - pairs[axis][1],
    );
  }
  const extra = perAxis("output_padding", options.outputPadding, rank, 0);
  extra.forEach((pixels, axis) => {
    if (pixels >= Math.max(strides[axis], dilation[axis])) {
      throw new Refusal(
        `\`output_padding\` (=${repr(options.outputPadding)}) must be below ` +
          `strides (=${strides[axis]}) or kernel_dilation (=${dilation[axis]}) along spatial axis ` +
          `${axis}; pad the outputs instead`,
      );
    }
  });
  const outputs = usual.map((m, axis) => m + extra[axis]);
  if (outputs.some((m) => m < 1)) {
    throw new Refusal(
      `\`padding\` (=${repr(padding)}) must leave an output, got spatial sizes ` +
        `${repr(outputs)}; received spatial sizes ${repr(sizes)}, kernel ${repr(kernel)}, strides ` +
        `${repr(strides)}, kernel_dilation ${repr(dilation)}; pad less`,
    );
  }
  const rate = Array(rank).fill(1);
  return { sizes: outputs, kernel, strides, padding: pairs, dilation, rate, outputs: sizes, extra };
}

// The same windows over an input that is dilated and padded already.
function paddedWindows(windows) {
  const sizes = wideSizes(windows).map(
    (n, axis) => n + windows.padding[axis][0] + windows.padding[axis][1],
  );
  const rank = sizes.length;
  return { ...windows, sizes, padding: Array(rank).fill([0, 0]), rate: Array(rank).fill(1) };
}

// A stride-1 convolution over pixels that lie `strides` apart: the transpose, seen from its output.
function transposeOf(windows) {
  const fitted = fittedPadding(windows);
  const padding = windows.kernel.map((k, axis) => {
    const reach = effective(k, windows.dilation[axis]) - 1;
    return [reach - fitted[axis][0], reach - fitted[axis][1]];
  });
  return {
    sizes: windows.outputs,
    kernel: windows.kernel,
    strides: windows.kernel.map(() => 1),
    padding,
    dilation: windows.dilation,
    rate: windows.strides,
    outputs: windows.sizes,
  };
}
