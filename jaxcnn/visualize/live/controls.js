// The controls of a set-up. Each change gives a new address, from which everything is made anew.

const CHOICES = [
  ["conv", "convolution", {}],
  ["conv", "true convolution (kernel turned)", { turn: "1" }],
  ["conv_transpose", "transposed (Flax's default)", {}],
  ["conv_transpose", "transposed (the adjoint)", { turn: "1" }],
  ["max_pool", "max pool", {}],
  ["min_pool", "min pool", {}],
  ["avg_pool", "average pool", {}],
  ["sum_pool", "sum pool", {}],
  ["grey_dilation", "morphological dilation", {}],
  ["grey_erosion", "morphological erosion", {}],
];
const everywhere = () => true;
const convs = (op) => op === "conv" || op === "conv_transpose";
const AXIS_FIELDS = [
  {
    name: "n",
    label: "input size",
    least: 1,
    most: (rank) => MOST[rank],
    read: (s) => s.sizes,
    for: everywhere,
  },
  {
    name: "k",
    label: "kernel size",
    pool: "window",
    least: 1,
    most: () => MOST_TAPS,
    read: (s) => s.kernelSize,
    for: everywhere,
  },
  { name: "s", label: "strides", least: 1, most: () => 6, read: (s) => s.strides, for: everywhere },
  {
    name: "d",
    label: "kernel dilation",
    pool: "window dilation",
    least: 1,
    most: () => 6,
    read: (s) => s.kernelDilation,
    for: everywhere,
  },
  {
    name: "r",
    label: "input dilation",
    least: 1,
    most: () => 4,
    read: (s) => s.inputDilation,
    for: (op) => op === "conv",
  },
  {
    name: "add",
    label: "output padding",
    least: 0,
    most: () => 5,
    read: (s) => s.outputPadding,
    for: (op) => op === "conv_transpose",
  },
];
const COUNT_FIELDS = [
  {
    name: "c",
    label: "input channels",
    least: 1,
    most: () => MOST_CHANNELS,
    read: (s) => s.channels,
    for: everywhere,
  },
  {
    name: "f",
    label: "output channels",
    least: 1,
    most: () => MOST_CHANNELS,
    read: (s) => s.features,
    for: convs,
  },
  {
    name: "g",
    label: "groups",
    least: 1,
    most: () => MOST_CHANNELS,
    read: (s) => s.groups,
    for: convs,
  },
];

let fieldNumber = 0; // for ids: there may be several playgrounds on a page

function stepper(label, value, least, most, change) {
  const id = `pg-field-${++fieldNumber}`;
  const field = element("input", { type: "number", id, min: least, max: most, step: 1 });
  field.value = value;
  const set = (number) => {
    if (Number.isNaN(number)) return;
    field.value = number;
    change(number);
  };
  const by = (step, sign, word) =>
    element(
      "button",
      {
        type: "button",
        tabindex: "-1", // the arrow keys do the same in the field
        "aria-label": `${word} ${label}`,
        onclick: () => set(Math.min(Math.max(Number(field.value) + step, least), most)),
      },
      sign,
    );
  field.addEventListener("change", () => {
    if (field.value.trim() === "") field.value = value; // emptied, or no number at all
    else set(Number(field.value));
  });
  return element(
    "div",
    { class: "pg-stepper" },
    element("label", { for: id }, label),
    element("span", { class: "pg-number" }, by(-1, MINUS, "less"), field, by(1, "+", "more")),
  );
}

function select(label, value, options, change) {
  const id = `pg-field-${++fieldNumber}`;
  const field = element(
    "select",
    { id, onchange: () => change(field.value) },
    ...options.map(([key, text]) =>
      element("option", { value: key, selected: key === value }, text),
    ),
  );
  return element("div", { class: "pg-select" }, element("label", { for: id }, label), field);
}

function check(label, value, change) {
  const id = `pg-field-${++fieldNumber}`;
  const field = element("input", {
    type: "checkbox",
    id,
    checked: value,
    onchange: () => change(field.checked),
  });
  return element("div", { class: "pg-check" }, field, element("label", { for: id }, label));
}

// All controls for a set-up; `change(entries)` is given entries of the address, null to leave out.
// `unfolded` says whether all but the operation is shown, and is told of it.
function controlsOf(setup, apart, change, separate, unfolded) {
  const { op } = setup,
    rank = setup.sizes.length;
  const box = element("div", { class: "pg-controls" });
  const axisNames = rank === 1 ? [""] : [" (height)", " (width)"];
  const current = CHOICES.findIndex(
    ([name, , extra]) => name === op && !!extra.turn === setup.turned,
  );
  const choose = (number) => {
    const [name, , extra] = CHOICES[number];
    change({
      op: name,
      turn: extra.turn ?? null,
      // What the new operation does not take goes back to its default.
      ...(isPool(name) === isPool(op) ? {} : { p: null, mode: null, ceil: null, count: null }),
      ...(MORPHOLOGY.includes(name) || MORPHOLOGY.includes(op) ? { mode: null } : {}),
      ...(MORPHOLOGY.includes(name) && isFill(setup.padding) ? { p: null } : {}),
      ...(name === "conv_transpose" ? {} : { add: null }),
      ...(name === "conv" ? {} : { r: null }),
    });
  };
  box.append(
    element(
      "div",
      { class: "pg-row" },
      select(
        "operation",
        String(current),
        CHOICES.map(([, text], n) => [String(n), text]),
        (value) => choose(Number(value)),
      ),
      select(
        "axes",
        String(rank),
        [
          ["1", "1: a line"],
          ["2", "2: a picture"],
        ],
        (value) => {
          const rankTo = Number(value);
          const again = (name, entry) => ({
            [name]: Array.isArray(entry) ? String(entry[0]) : null,
          });
          change({
            n:
              rankTo === 1
                ? String(Math.max(setup.sizes[0], 7))
                : `${Math.min(setup.sizes[0], 7)}x${Math.min(setup.sizes[0], 7)}`,
            k: Array(rankTo).fill(setup.kernelSize[0]).join("x"),
            x: null,
            w: null,
            dy: null,
            ...(Array.isArray(setup.padding) || setup.padding === "CAUSAL" ? { p: null } : {}),
            ...(Array.isArray(setup.strides) ? again("s", setup.strides) : {}),
            ...(Array.isArray(setup.kernelDilation) ? again("d", setup.kernelDilation) : {}),
            ...(Array.isArray(setup.inputDilation) ? again("r", setup.inputDilation) : {}),
            ...(Array.isArray(setup.outputPadding) ? again("add", setup.outputPadding) : {}),
          });
        },
      ),
      rank === 2 ? check("height and width apart", apart, separate) : "",
    ),
  );
  const row = element("div", { class: "pg-row pg-steppers" });
  for (const field of AXIS_FIELDS.filter((one) => one.for(op))) {
    const value = field.read(setup),
      label = (isPool(op) && field.pool) || field.label;
    const values = Array.isArray(value) ? value : Array(rank).fill(value);
    const many = field.name === "n" || field.name === "k"; // whose entries are told one by one
    for (let axis = 0; axis < (apart ? rank : 1); axis++) {
      row.append(
        stepper(
          label + (apart ? axisNames[axis] : ""),
          values[axis],
          field.least,
          field.most(rank),
          (number) => {
            const next = values.map((old, other) => (!apart || other === axis ? number : old));
            const equal = !many && next.every((one) => one === next[0]);
            change({ [field.name]: equal ? String(next[0]) : next.join("x") });
          },
        ),
      );
    }
  }
  const rest = element("details", { open: unfolded.open }, element("summary", {}, briefly(setup)));
  rest.addEventListener("toggle", () => {
    unfolded.open = rest.open;
  });
  rest.append(row, paddingRow(setup, apart, axisNames, change));
  const more = element("div", { class: "pg-row pg-steppers" });
  for (const field of COUNT_FIELDS.filter((one) => one.for(op))) {
    more.append(
      stepper(field.label, field.read(setup), field.least, field.most(rank), (number) =>
        change({ [field.name]: String(number) }),
      ),
    );
  }
  if (isPool(op)) {
    more.append(
      check("round the size up (ceil mode)", setup.ceil, (on) => change({ ceil: on ? "1" : null })),
    );
  }
  if (op === "avg_pool") {
    more.append(
      check("padding counts in the average", setup.countPadding, (on) =>
        change({ count: on ? null : "0" }),
      ),
    );
  }
  rest.append(more);
  box.append(rest);
  return box;
}

// What the summary of the folded controls says.
function briefly(setup) {
  const times = (sizes) => (Array.isArray(sizes) ? sizes.join("\u00D7") : String(sizes));
  const window = isPool(setup.op) ? "window" : "kernel";
  return `size ${times(setup.sizes)}, ${window} ${times(setup.kernelSize)}, strides ${times(
    setup.strides,
  )}, padding ${typeof setup.padding === "string" ? setup.padding : paddingText(setup.padding)}`;
}

const isFill = (padding) => ["CIRCULAR", "REFLECT"].includes(String(padding).toUpperCase());

function paddingRow(setup, apart, axisNames, change) {
  const { op } = setup,
    rank = setup.sizes.length,
    row = element("div", { class: "pg-row" });
  const names = [
    "SAME",
    "SAME_LOWER",
    "VALID",
    "FULL",
    ...(rank === 1 ? ["CAUSAL"] : []),
    ...(convs(op) ? ["CIRCULAR", "REFLECT"] : []),
  ];
  const named = typeof setup.padding === "string";
  const value = named ? setup.padding.toUpperCase() : "amounts";
  row.append(
    select(
      "padding",
      value,
      [...names.map((name) => [name, name]), ["amounts", "amounts of my own"]],
      (chosen) => change({ p: chosen === "amounts" ? "1" : chosen }),
    ),
  );
  if (!named) {
    const given = Array.isArray(setup.padding) ? setup.padding : Array(rank).fill(setup.padding);
    const pairs = given.map((entry) => (Array.isArray(entry) ? entry : [entry, entry]));
    const least = convs(op) && setup.mode === "zeros" ? -3 : 0;
    for (let axis = 0; axis < (apart ? rank : 1); axis++) {
      ["before", "after"].forEach((word, side) => {
        row.append(
          stepper(word + (apart ? axisNames[axis] : ""), pairs[axis][side], least, 9, (number) => {
            const next = pairs.map((pair, other) =>
              !apart || other === axis ? pair.map((old, n) => (n === side ? number : old)) : pair,
            );
            const equal = next.flat().every((one) => one === next[0][0]);
            change({ p: equal ? String(next[0][0]) : next.map(String).join("x") });
          }),
        );
      });
    }
  }
  if (!MORPHOLOGY.includes(op) && !isFill(setup.padding)) {
    const extreme = op === "max_pool" || op === "min_pool";
    const modes = [
      ...(isPool(op) ? [["identity", extreme ? "nothing (never wins)" : "zeros (identity)"]] : []),
      ...PADDING_MODES.filter(
        (mode) => mode !== "zeros" || !isPool(op) || extreme || setup.mode === mode,
      ).map((mode) => [mode, mode]),
    ];
    row.append(select("filled with", setup.mode, modes, (mode) => change({ mode })));
  }
  return row;
}
