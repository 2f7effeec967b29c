// What lights up when a cell is looked at, and what is said of it.
//
// A selection is {where, index}: "x", "w" or "y", or of the gradients "dx", "dw" or "dy". Lit are
// cells of the plane, by cell * channels + channel, and entries of the arrays, by index, each with
// its class and a tag, the number that takes part there.

function lightOf(setup, solved, selection) {
  const lit = {
    plane: new Map(),
    x: new Map(),
    w: new Map(),
    y: new Map(),
    dx: new Map(),
    dw: new Map(),
    dy: new Map(),
    told: "",
  };
  const { where, index } = selection;
  const weight = (term) => (term.w < 0 ? "" : short(setup.w[term.w]));
  const onPlane = (term, kind) => {
    const key = term.cell * setup.channels + term.channel;
    const before = lit.plane.get(key),
      tag = weight(term);
    lit.plane.set(key, { kind, tag: before ? `${before.tag} ${tag}` : tag });
  };
  if (where === "y" || where === "dy") {
    lightOutput(setup, solved, index, where, lit, onPlane);
    return lit;
  }
  const entry = where.at(-1),
    met = meetingTerms(solved, entry, index);
  if (entry === "x") {
    solved.cells.forEach(({ kind, source }, cell) => {
      const shown = source >= 0 && kind !== "cropped";
      if (shown && source === Math.floor(index / setup.channels)) {
        lit.plane.set(cell * setup.channels + (index % setup.channels), {
          kind: "current",
          tag: "",
        });
      }
    });
  }
  for (const { o, term, wins } of met) {
    if (where[0] === "d" && !wins) continue;
    if (entry === "w") onPlane(term, term.x < 0 ? "faint" : "tap");
    else if (term.w >= 0) lit.w.set(term.w, { kind: "current", tag: "" });
    const tag = entry === "x" ? weight(term) : "";
    const before = lit.y.get(o);
    const kind = wins ? "tap" : "faint";
    lit.y.set(o, { kind, tag: before ? `${before.tag} ${tag}` : tag });
    lit.dy.set(o, lit.y.get(o));
  }
  lit[where].set(index, { kind: "current", tag: "" });
  if (where === "w" || where === "dw") lit.w.set(index, { kind: "current", tag: "" });
  if (where === "x" || where === "dx") lit.dx.set(index, { kind: "current", tag: "" });
  lit.told = toldOf(setup, solved, where, index, met);
  return lit;
}

function lightOutput(setup, solved, o, where, lit, onPlane) {
  solved.terms[o].forEach((term, n) => {
    const winner = solved.linear || n === solved.winners[o];
    onPlane(term, term.x < 0 ? "faint" : !solved.linear && winner ? "winner" : "tap");
    if (term.w >= 0) {
      lit.w.set(term.w, { kind: solved.linear || !winner ? "tap" : "winner", tag: "" });
      if (winner) lit.dw.set(term.w, { kind: "tap", tag: "" });
    }
    if (term.x >= 0 && winner) lit.dx.set(term.x, { kind: "tap", tag: "" });
  });
  lit.y.set(o, { kind: "current", tag: "" });
  lit.dy.set(o, { kind: "current", tag: "" });
  lit.told = where === "y" ? outputTold(setup, solved, o) : handedTold(setup, solved, o);
}

// The terms of all outputs that hold an entry of the inputs or the kernel, and whether they win.
function meetingTerms(solved, entry, index) {
  const met = [];
  solved.terms.forEach((terms, o) =>
    terms.forEach((term, n) => {
      if (term[entry] === index)
        met.push({ o, term, wins: solved.linear || n === solved.winners[o] });
    }),
  );
  return met;
}

function toldOf(setup, solved, where, index, met) {
  const pool = isPool(setup.op);
  if (where === "x" || where === "w") {
    const value = where === "x" ? setup.x[index] : setup.w[index];
    const name =
      where === "x" ? nameOf("x", index, setup.sizes, setup.channels) : kernelName(setup, index);
    const outputs = new Set(met.map(({ o }) => o)).size;
    if (!outputs) return `${name} = ${short(value)} is read by no window.`;
    const head = `${name} = ${short(value)} takes part in ${outputs} of ${solved.y.length} outputs`;
    if (where === "w" || pool) {
      const wins = met.filter((one) => one.wins).length;
      return solved.linear ? `${head}.` : `${head}, and wins in ${wins}.`;
    }
    const parts = met
      .slice(0, 9)
      .map(
        ({ o, term }) =>
          `${nameOf("y", o, solved.shape, solved.features)} by the tap ${bracketed(setup.w[term.w])}`,
      );
    return `${head}:\n    ${parts.join(",\n    ")}${met.length > 9 ? ", and so on" : "."}`;
  }
  const fraction = (o) => (solved.divisor(o) === 1 ? null : `1/${solved.divisor(o)}`);
  const factor = ({ o, term }) => {
    if (where === "dx") return !solved.linear ? null : pool ? fraction(o) : setup.w[term.w];
    if (solved.linear) return setup.x[term.x];
    return solved.sign === 1 ? null : -1;
  };
  // Where a tap meets padding or a gap, it is multiplied by 0, which is not worth a word.
  const won = met.filter((one) => one.wins && (one.term.x >= 0 || !solved.linear));
  const pairs = won.map((one) => [setup.g[one.o], factor(one)]);
  const name =
    where === "dx"
      ? nameOf("dL/dx", index, setup.sizes, setup.channels)
      : kernelName(setup, index, "dL/dkernel");
  const total = (where === "dx" ? solved.dx : solved.dw)[index];
  const none = met.length && !solved.linear ? "it wins in no window" : "no output depends on it";
  return sumTold(name, pairs, total, none);
}

function handedTold(setup, solved, o) {
  const name = nameOf("dL/dy", o, solved.shape, solved.features),
    g = short(setup.g[o]);
  if (!solved.linear) {
    const best = solved.terms[o][solved.winners[o]];
    const ties = solved.terms[o].filter(
      (term) => candidateOf(setup, solved, term) === solved.y[o],
    ).length;
    const tied = ties > 1 ? `: the first of ${ties} equals` : "";
    const to =
      best.x < 0
        ? "the padding, where it is lost"
        : nameOf("x", best.x, setup.sizes, setup.channels);
    return `${name} = ${g} goes whole to the winner, ${to}${tied}.`;
  }
  const cells = new Set(solved.terms[o].filter((term) => term.x >= 0).map((term) => term.x)).size;
  if (isPool(setup.op)) {
    const share = setup.op === "avg_pool" ? `, divided by ${solved.divisor(o)},` : "";
    return `${name} = ${g} goes${share} to each of ${cells} cells of its window.`;
  }
  return `${name} = ${g} goes to ${cells} cells of the input, each time multiplied by the tap there.`;
}

function candidateOf(setup, solved, term) {
  const value = term.x < 0 ? 0 : setup.x[term.x];
  return value + (term.w < 0 ? 0 : solved.sign * setup.w[term.w]);
}
