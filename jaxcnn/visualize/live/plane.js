// The plane that a window slides over: what stands in its cells, and where the taps lie.

// All places of a box, the last axis fastest.
function places(sizes, starts = sizes.map(() => 0)) {
  let found = [[]];
  sizes.forEach((size, axis) => {
    const next = [];
    for (const place of found) {
      for (let i = 0; i < size; i++) next.push([...place, starts[axis] + i]);
    }
    found = next;
  });
  return found;
}

const flatIndex = (place, sizes) => place.reduce((all, at, axis) => all * sizes[axis] + at, 0);

// What a position along an axis of the dilated input means: its kind and its pixel, null for none.
function meetsAlong(windows, axis, mode) {
  const size = wideSizes(windows)[axis],
    rate = windows.rate[axis];
  const [low, high] = windows.padding[axis];
  const pixel = (u) => (u % rate === 0 ? u / rate : null);
  return (u) => {
    if (u < -low || u >= size + high) {
      return u >= 0 && u < size ? ["cropped", pixel(u)] : ["overhang", null];
    }
    if (u >= 0 && u < size) return [u % rate === 0 ? "input" : "hole", pixel(u)];
    if (mode === "zeros" || mode === "identity") return [mode, null];
    if (mode === "replicate") return ["copy", pixel(Math.min(Math.max(u, 0), size - 1))];
    if (mode === "circular") return ["copy", pixel(modulo(u, size))];
    const period = Math.max(2 * (size - 1), 1);
    const folded = modulo(u, period);
    return ["copy", pixel(size > 1 ? Math.min(folded, period - folded) : 0)];
  };
}

function cellOf(met, mode, sizes) {
  const kinds = met.map(([kind]) => kind);
  const order = ["overhang", "cropped", mode, "copy", "hole", "input"];
  const kind = order.find((name) => kinds.includes(name));
  const whole = ["cropped", "copy", "input"].includes(kind) && met.every(([, at]) => at !== null);
  return {
    kind,
    source: whole
      ? flatIndex(
          met.map(([, at]) => at),
          sizes,
        )
      : -1,
  };
}

// The plane's sizes, its cells, and for each output the cells and taps of its window.
function slide(windows, mode) {
  const wide = wideSizes(windows),
    fitted = fittedPadding(windows);
  const starts = windows.padding.map(([low]) => Math.min(-low, 0));
  const plane = wide.map(
    (n, axis) => n + Math.max(windows.padding[axis][1], fitted[axis][1], 0) - starts[axis],
  );
  const meets = wide.map((_, axis) => meetsAlong(windows, axis, mode));
  const cells = places(plane, starts).map((place) =>
    cellOf(
      place.map((u, axis) => meets[axis](u)),
      mode,
      windows.sizes,
    ),
  );
  const taps = places(windows.kernel);
  const steps = places(windows.outputs).map((output) =>
    taps.map((tap, number) => {
      const place = output.map(
        (at, axis) =>
          at * windows.strides[axis] +
          tap[axis] * windows.dilation[axis] -
          windows.padding[axis][0] -
          starts[axis],
      );
      return { cell: flatIndex(place, plane), tap: number };
    }),
  );
  return { plane, cells, steps };
}

// A transposed convolution seen from its outputs. Where the padding copies pixels, what arrives
// there goes to the pixel shown, so that one output gathers from several places.
function gather(windows, mode) {
  const transposed = transposeOf(mode === "zeros" ? windows : paddedWindows(windows));
  const laid = slide(transposed, "zeros");
  if (mode === "zeros") return laid;
  const meets = windows.sizes.map((_, axis) => meetsAlong(windows, axis, mode));
  const steps = places(windows.sizes).map(() => []);
  places(transposed.outputs).forEach((at, number) => {
    const source = at.map((u, axis) => meets[axis](u - windows.padding[axis][0])[1]);
    if (source.every((pixel) => pixel !== null)) {
      steps[flatIndex(source, windows.sizes)].push(...laid.steps[number]);
    }
  });
  return { ...laid, steps };
}
