// Values and gradients of every operation, from a set-up: pure functions of plain numbers.
//
// A set-up: {op, sizes, kernelSize, strides, padding, mode, kernelDilation, inputDilation,
// channels, features, groups, ceil, countPadding, outputPadding, turned, x, w, g}. `turned` is
// `flip_kernel` of a convolution and `transpose_kernel` of a transposed one; `x`, `w` and `g` are
// inputs, kernel and the gradient of the output, flat, in the library's layout (channels last).

function lay(setup) {
  const { op, sizes, kernelSize: kernel, channels, groups } = setup;
  const where = { strides: setup.strides, dilation: setup.kernelDilation, padding: setup.padding };
  if (isPool(op)) return layPool(setup, where);
  const shape = [...sizes, channels];
  if (channels < 1) {
    throw new Refusal(`\`inputs\` must have at least one channel; received inputs ${repr(shape)}`);
  }
  if (MORPHOLOGY.includes(op)) {
    if (product(kernel) === 0) {
      throw new Refusal(
        "`kernel` must be (*kernel_size, channels) with at least one spatial axis " +
          `and none empty; received kernel ${repr([...kernel, channels])}`,
      );
    }
    const names = { argument: "kernel", dilationArgument: "kernel_dilation" };
    const windows = windowsOf(sizes, kernel, { ...where, ...names });
    refuseWindowInPadding(windows, "kernel");
    return { windows, mode: "identity", ...slide(windows, "identity") };
  }
  if (op === "conv_transpose") return layTransposed(setup, where);
  checkGroups(setup, groups);
  refuseEmptyKernel(setup);
  const dilation = perAxis("kernel_dilation", setup.kernelDilation, kernel.length);
  const [padding, mode] = fillAndAmounts(setup.padding, setup.mode, kernel, dilation);
  const windows = windowsOf(sizes, kernel, {
    ...where,
    padding,
    inputDilation: setup.inputDilation,
    crop: mode === "zeros",
    argument: "kernel",
    dilationArgument: "kernel_dilation",
  });
  return { windows, mode, ...slide(windows, mode) };
}

function layPool(setup, where) {
  const { op, sizes } = setup;
  const kernel = setup.kernelSize.map((k) =>
    wholeNumberOfTuple("window_shape", setup.kernelSize, k),
  );
  const names = { argument: "window_shape", dilationArgument: "window_dilation" };
  const windows = windowsOf(sizes, kernel, { ...where, ...names, ceil: setup.ceil });
  const modes = ["identity", ...PADDING_MODES];
  if (!modes.includes(setup.mode)) {
    throw new Refusal(`\`padding_mode\` (=${repr(setup.mode)}) must be one of ${modes.join(", ")}`);
  }
  const extreme = op === "max_pool" || op === "min_pool";
  let mode = setup.mode;
  if (!extreme && mode === "identity") mode = "zeros";
  if (extreme) {
    const padded = windows.padding.some(([low, high]) => low !== 0 || high !== 0);
    if (mode === "identity" || !padded) refuseWindowInPadding(windows, "window_shape");
  }
  if (op === "avg_pool" && !setup.countPadding && mode !== "zeros") {
    throw new Refusal(
      "`count_include_pad` (=False) must be True where padding is filled with " +
        `pixels; received padding_mode ${repr(setup.mode)}; use 'zeros'`,
    );
  }
  const laid = { windows, mode, ...slide(windows, mode) };
  if (op === "avg_pool") {
    const counts = sizes.map((_, axis) => tapCounts(windows, axis, setup.countPadding));
    laid.divisors = places(windows.outputs).map((at) =>
      Math.max(product(at.map((i, axis) => counts[axis][i])), 1),
    );
  }
  return laid;
}

const wholeNumberOfTuple = (argument, _, entry) => wholeNumber(argument, entry, 1);

function layTransposed(setup, where) {
  refuseEmptyKernel(setup);
  checkGroups(setup, setup.groups);
  let { padding } = setup;
  const [, mode] = fillAndAmounts(padding, setup.mode, [], []);
  if (typeof padding === "string" && padding.toUpperCase() === "CIRCULAR") {
    padding = setup.turned ? "SAME_LOWER" : "SAME";
  }
  const windows = transposedWindows(setup.sizes, setup.kernelSize, {
    ...where,
    padding,
    outputPadding: setup.outputPadding,
    crop: mode === "zeros",
  });
  return { windows, mode, ...gather(windows, mode) };
}

function refuseEmptyKernel(setup) {
  if (product(setup.kernelSize) === 0) {
    throw new Refusal(
      "`kernel` must have no empty axis; received kernel " + repr(kernelShape(setup)),
    );
  }
}

function checkGroups(setup, groups) {
  wholeNumber("feature_group_count", groups, 1);
  const received =
    `received inputs ${repr([...setup.sizes, setup.channels])}, kernel ` + repr(kernelShape(setup));
  const counts = [
    ["in_features", setup.channels],
    ["out_features", featuresOf(setup)],
  ];
  for (const [name, count] of counts) {
    if (count % groups) {
      throw new Refusal(
        `\`feature_group_count\` (=${groups}) must divide \`${name}\` ` +
          `(=${count}); ${received}`,
      );
    }
  }
}

const perGroup = (count, groups) => Math.max(Math.floor(count / Math.max(groups, 1)), 1);
const hasKernel = (op) => !isPool(op);
const isTurned = (setup) => setup.op === "conv_transpose" && setup.turned;

// Channels of the output; with `transpose_kernel` the kernel holds those of one group.
function featuresOf(setup) {
  if (isPool(setup.op) || MORPHOLOGY.includes(setup.op)) return setup.channels;
  return isTurned(setup)
    ? perGroup(setup.features, setup.groups) * Math.max(setup.groups, 1)
    : setup.features;
}

function kernelShape(setup) {
  const { op, kernelSize, channels, features, groups } = setup;
  if (isPool(op)) return [];
  if (MORPHOLOGY.includes(op)) return [...kernelSize, channels];
  if (isTurned(setup)) return [...kernelSize, perGroup(features, groups), channels];
  return [...kernelSize, perGroup(channels, groups), features];
}

// Every product, sum or candidate that an output is made of: {cell, channel, x, w}, -1 for none.
function termsOf(setup, laid) {
  const { op, channels, groups, kernelSize } = setup;
  const features = featuresOf(setup),
    taps = product(kernelSize);
  const conv = op === "conv" || op === "conv_transpose";
  const reversed = op === "grey_erosion" || (conv && setup.turned);
  const inGroup = conv ? channels / groups : 1,
    outGroup = conv ? features / groups : 1;
  const all = [];
  laid.steps.forEach((step) => {
    for (let o = 0; o < features; o++) {
      const terms = [],
        first = conv ? Math.floor(o / outGroup) * inGroup : o;
      for (const { cell, tap } of step) {
        const { kind, source } = laid.cells[cell];
        if (kind === "overhang" || (kind === "identity" && !conv)) continue;
        const at = reversed ? taps - 1 - tap : tap;
        for (let c = first; c < first + inGroup; c++) {
          let w = -1;
          if (isTurned(setup)) w = (at * outGroup + (o % outGroup)) * channels + c;
          else if (conv) w = (at * inGroup + c - first) * features + o;
          else if (hasKernel(op)) w = at * channels + c;
          const x = source < 0 || kind === "cropped" ? -1 : source * channels + c;
          terms.push({ cell, channel: c, x, w });
        }
      }
      all.push(terms);
    }
  });
  return all;
}

// The winner of a maximum or a minimum: the first of equals.
function winnerOf(candidates, least) {
  let best = 0;
  candidates.forEach((value, n) => {
    if (least ? value < candidates[best] : value > candidates[best]) best = n;
  });
  return best;
}

// All that is computed of a set-up, or {error}, the message that the library would give.
function solve(setup) {
  let laid;
  try {
    laid = lay(setup);
  } catch (refusal) {
    if (refusal instanceof Refusal) return { error: `${setup.op}: ${refusal.message}` };
    throw refusal;
  }
  const { op } = setup,
    features = featuresOf(setup);
  const terms = termsOf(setup, laid);
  const linear = ["conv", "conv_transpose", "avg_pool", "sum_pool"].includes(op);
  const least = op === "min_pool" || op === "grey_erosion";
  const sign = op === "grey_erosion" ? -1 : 1;
  const value = (term) => (term.x < 0 ? 0 : setup.x[term.x]);
  const weight = (term) => (term.w < 0 ? 1 : setup.w[term.w]);
  const divisor = (o) => (laid.divisors ? laid.divisors[Math.floor(o / features)] : 1);
  const candidate = (term) => value(term) + (term.w < 0 ? 0 : sign * setup.w[term.w]);
  const y = [],
    winners = [],
    dx = setup.x.map(() => 0),
    dw = setup.w.map(() => 0);
  terms.forEach((made, o) => {
    const g = setup.g[o] ?? 0;
    if (linear) {
      let sum = 0;
      for (const term of made) {
        sum += value(term) * weight(term);
        if (term.x >= 0) dx[term.x] += (g * weight(term)) / divisor(o);
        if (term.w >= 0) dw[term.w] += g * value(term);
      }
      y.push(sum / divisor(o));
      return;
    }
    const candidates = made.map(candidate),
      best = winnerOf(candidates, least);
    y.push(candidates[best]);
    winners.push(best);
    if (made[best].x >= 0) dx[made[best].x] += g;
    if (made[best].w >= 0) dw[made[best].w] += sign * g;
  });
  const shape = op === "conv_transpose" ? laid.windows.sizes : laid.windows.outputs;
  return {
    error: null,
    ...laid,
    shape,
    features,
    terms,
    linear,
    least,
    sign,
    winners,
    y,
    dx,
    dw,
    divisor,
  };
}

// The matrix of the map, rows of outputs: what each output changes by with each input.
function jacobian(setup, solved) {
  return solved.terms.map((made, o) => {
    const row = new Map();
    made.forEach((term, n) => {
      if (term.x < 0 || (!solved.linear && n !== solved.winners[o])) return;
      const share = solved.linear && term.w >= 0 ? setup.w[term.w] : 1;
      row.set(term.x, (row.get(term.x) ?? 0) + share / solved.divisor(o));
    });
    return row;
  });
}
