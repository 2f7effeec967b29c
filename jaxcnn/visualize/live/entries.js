// The entries of an address when a control is moved: what is kept and what is put together.

// Numbers of one's own stay where they are in the picture when its size changes. `entries` are those
// after the change `more`, `before` is the set-up of those before it.
function keptNumbers(entries, before, more) {
  const kept = { ...entries };
  if (!before || before.sizes.length !== (entries.n ?? "5x5").split("x").length) return kept;
  const after = setupOf(`#${new URLSearchParams({ ...entries, x: "", w: "", dy: "" })}`);
  const again = (name, numbers, old, now, fill) => {
    if (!(name in kept)) return;
    kept[name] = places(now)
      .map((at, n) => {
        const inside = old.length === now.length && at.every((i, axis) => i < old[axis]);
        return inside ? numbers[flatIndex(at, old)] : fill(n);
      })
      .join(",");
  };
  const shape = (setup) => [...setup.sizes, setup.channels];
  again("x", before.x, shape(before), shape(after), digitAt);
  if (hasKernel(after.op) && hasKernel(before.op)) {
    again("w", before.w, kernelShape(before), kernelShape(after), weightAt);
  }
  if (!more.dy) delete kept.dy;
  return kept;
}

// Whether the two axes of a set-up differ in any number.
function isUneven(setup) {
  const { sizes, kernelSize, padding } = setup;
  const lists = [setup.strides, setup.kernelDilation, setup.inputDilation, setup.outputPadding];
  const same = (list) => list.every((one) => String(one) === String(list[0]));
  const pads = Array.isArray(padding) ? padding : [];
  return (
    sizes.length === 2 && (lists.some(Array.isArray) || ![sizes, kernelSize, pads].every(same))
  );
}

// One number for both axes again: that of the first.
function togetherAgain(entries) {
  const kept = { ...entries };
  const first = (text) => text.split("x")[0];
  for (const name of ["n", "k"]) {
    if (name in kept) kept[name] = `${first(kept[name])}x${first(kept[name])}`;
  }
  for (const name of ["s", "d", "r", "add"]) {
    if (name in kept) kept[name] = first(kept[name]);
  }
  if (kept.p?.includes("x")) {
    const amounts = first(kept.p);
    kept.p = amounts.includes(",") ? `${amounts}x${amounts}` : amounts;
  }
  for (const name of ["x", "w", "dy"]) delete kept[name];
  return kept;
}
