// The playground: one set-up drawn, lit, stepped through and changed.

const FIELDS = "input, select, button, summary";
const FRAME = 700; // milliseconds a step

// Puts a playground into `root`. Options: `address` of the first set-up; `changed(address)` is told
// of every other; `linked: false` leaves out the link to the set-up.
function mount(root, options = {}) {
  const changed = options.changed ?? (() => {});
  let entries = {},
    setup,
    solved,
    gradient = false,
    apart = false;
  let selected = { where: "y", index: 0 },
    progress = null,
    timer = null,
    painted = [];

  const unfolded = { open: innerWidth > 640 }; // on a phone the cells come first

  const parts = Object.fromEntries(
    ["controls", "panels", "gradients", "told", "transport", "problem", "note", "sizes", "code"].map(
      (name) => [name, element("div", { class: `pg-${name}` })],
    ),
  );
  parts.told = element("output", { class: "pg-told", "aria-live": "polite" });
  parts.problem.setAttribute("role", "alert");
  parts.note.setAttribute("role", "status");
  const matrix = matrixView((selection) => pick(selection));
  const scene = element("div", { class: "pg-scene" });
  scene.append(parts.panels, parts.gradients, parts.told, parts.transport);
  const range = element("input", { type: "range", min: 1, value: 1, "aria-label": "step" });
  const count = element("output", { class: "pg-count" });
  const play = element("button", { type: "button", class: "pg-play" }, "\u25B6 play");
  const back = element("button", { type: "button", "aria-label": "one step back" }, "\u2039");
  const on = element("button", { type: "button", "aria-label": "one step on" }, "\u203A");
  parts.transport.append(back, play, on, range, count);
  const turn = element("input", {
    type: "checkbox",
    role: "switch",
    id: `pg-switch-${++fieldNumber}`,
  });
  const switches = element(
    "div",
    { class: "pg-switch" },
    turn,
    element("label", { for: turn.id }, "gradients: what flows back from the output"),
  );
  const hint = element(
    "p",
    { class: "pg-hint" },
    "Point at a cell, or move to it with the arrow " +
      "keys: what belongs to it lights up, inputs to outputs and back, and small numbers in the " +
      "corners are the taps that meet there. Select a cell and type to change its number.",
  );
  const facts = element("div", { class: "pg-facts" }, parts.sizes, matrix.view);
  const view = element("div", { class: "pg-view" });
  view.append(parts.note, parts.problem, switches, scene, hint, facts, parts.code);
  root.replaceChildren(parts.controls, view);
  root.classList.add("pg");

  function load(address) {
    stop();
    apart = false;
    entries = Object.fromEntries(new URLSearchParams(address.replace(/^#/, "")));
    gradient = entries.grad === "1";
    turn.checked = gradient;
    build();
    const at = Number(entries.at);
    if (!solved.error && at >= 0 && at < solved.y.length) pick({ where: "y", index: at });
  }

  function change(more) {
    stop();
    const before = setup;
    for (const [name, value] of Object.entries(more)) {
      if (value === null) delete entries[name];
      else entries[name] = value;
    }
    delete entries.at;
    const focused = fields().indexOf(document.activeElement);
    entries = keptNumbers(entries, before, more);
    build();
    fields()[focused]?.focus();
    changed(address());
  }

  // The controls are made anew at each change; the focus stays on the same one.
  const fields = () => [...parts.controls.querySelectorAll(FIELDS)];

  const address = () => addressOf(setup, gradient ? { grad: "1" } : {});

  function build() {
    setup = setupOf(`#${new URLSearchParams(entries)}`);
    solved = solve(setup);
    // What was limited is told once, and is then as it is shown.
    parts.note.textContent = setup.notes.join(" ");
    parts.note.hidden = !setup.notes.length;
    if ("op" in entries) entries.op = setup.op;
    if ("n" in entries) entries.n = setup.sizes.join("x");
    if ("k" in entries) entries.k = setup.kernelSize.join("x");
    for (const [name, count] of [
      ["c", setup.channels],
      ["f", setup.features],
    ]) {
      if (name in entries) entries[name] = String(count);
    }
    apart ||= isUneven(setup);
    parts.controls.replaceChildren(
      controlsOf(
        setup,
        apart && setup.sizes.length === 2,
        change,
        (wanted) => {
          apart = wanted;
          if (!wanted) entries = togetherAgain(entries);
          build();
          changed(address());
        },
        unfolded,
      ),
    );
    parts.problem.textContent = solved.error ?? "";
    parts.problem.hidden = !solved.error;
    for (const part of [scene, hint, facts, parts.code, switches]) part.hidden = !!solved.error;
    if (solved.error) return;
    drawPanels();
    range.max = solved.y.length;
    parts.sizes.innerHTML = `<h4>How large the output is</h4>${sizesTold(setup, solved)}`;
    drawCode();
    matrix.draw(setup, solved);
    if (selected.where !== "y" || selected.index >= solved.y.length)
      selected = { where: "y", index: 0 };
    show(selected);
  }

  function drawCode() {
    const text = programOf(setup, gradient ? solved : null);
    const copy = element(
      "button",
      {
        type: "button",
        onclick: () => {
          // A page in a frame may not write to the clipboard: then the text is selected, to be copied.
          const chosen = () => getSelection().selectAllChildren(parts.code.querySelector("code"));
          (navigator.clipboard?.writeText(text) ?? Promise.reject()).then(() => {
            copy.textContent = "copied";
          }, chosen);
        },
      },
      "copy",
    );
    const link = element("a", { href: address() }, "a link to this set-up");
    parts.code.replaceChildren(
      element("h4", {}, "The same in Python"),
      element("pre", { tabindex: "0" }, element("code", {}, text)),
      element(
        "p",
        {},
        copy,
        options.linked === false ? "" : " ",
        options.linked === false ? "" : link,
      ),
    );
  }

  function drawPanels() {
    painted = [];
    const panels = panelsOf(setup, solved);
    const group = (some) =>
      some.length ? [element("div", { class: "pg-group" }, ...some.map(drawPanel))] : [];
    const sign = (text) => element("span", { class: "pg-sign", "aria-hidden": "true" }, text);
    const kernels = group(panels.kernels);
    parts.panels.replaceChildren(
      ...group(panels.inputs),
      ...(kernels.length ? [sign("\u2217"), ...kernels] : []),
      sign("\u2192"),
      ...group(panels.outputs),
    );
    parts.gradients.hidden = !gradient;
    if (gradient) {
      const { dx, dw, dy } = panels;
      parts.gradients.replaceChildren(...group(dx), ...group(dw), sign("\u2190"), ...group(dy));
    }
    fit();
  }

  function drawPanel({ name, title, columns, cells }) {
    const made = gridOf(title, columns, cells);
    made.figure.classList.add(`pg-${name}`);
    made.boxes.forEach((box, number) => listen(made, box, number));
    painted.push(...made.boxes);
    return made.figure;
  }

  function listen(made, box, number) {
    const { cell } = box;
    const chosen = () => cell.where && pick({ where: cell.where, index: cell.index });
    box.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "mouse" && cell.where && !timer) show(cell);
    });
    box.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && !timer) show(selected);
    });
    let again = false; // a second press on a cell that has the focus already edits it
    box.addEventListener("pointerdown", () => {
      again = document.activeElement === box;
    });
    box.addEventListener("click", () => {
      if (again && cell.editable) edit(box);
    });
    box.addEventListener("focus", chosen);
    box.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (moveInGrid(made, number, event.key)) event.preventDefault();
      else if (cell.editable && /^[-0-9.]$/.test(event.key)) {
        event.preventDefault();
        edit(box, event.key);
      } else if (cell.editable && (event.key === "Enter" || event.key === "F2")) {
        event.preventDefault();
        edit(box);
      }
    });
  }

  function edit(box, typed) {
    stop();
    editCell(box, typed, (value) => {
      const { where, index } = box.cell;
      const [name, numbers] = { x: ["x", setup.x], w: ["w", setup.w], dy: ["dy", setup.g] }[where];
      const next = [...numbers];
      next[index] = value;
      entries[name] = next.join(",");
      const at = painted.indexOf(box),
        focused = document.activeElement === box;
      selected = { where, index };
      const keep = selected;
      build();
      pick(keep);
      if (focused || document.activeElement === document.body) {
        painted[at]?.focus({ preventScroll: true });
      }
      changed(address());
    });
  }

  function pick(selection) {
    stop();
    progress = null;
    selected = { where: selection.where, index: selection.index };
    show(selected);
  }

  function show({ where, index }) {
    const lit = lightOf(setup, solved, { where, index });
    for (const box of painted) {
      const { map, key } = box.cell;
      paint(box, lit[map].get(key));
      if (progress !== null && map === "y" && key > progress) box.classList.add("pending");
    }
    parts.told.textContent = lit.told;
    const step =
      where === "y" || where === "dy" ? index : selected.where === "y" ? selected.index : 0;
    range.value = step + 1;
    count.textContent = `step ${step + 1} of ${solved.y.length}`;
    const entry = where.at(-1);
    matrix.paint({ rows: entry === "y" ? [index] : [], columns: entry === "x" ? [index] : [] });
  }

  function goTo(number) {
    const all = solved.y.length;
    progress = modulo(number, all);
    selected = { where: gradient && selected.where === "dy" ? "dy" : "y", index: progress };
    show(selected);
  }

  function stop() {
    if (timer) clearInterval(timer);
    timer = null;
    play.textContent = "\u25B6 play";
  }

  const currentStep = () => Number(range.value) - 1;
  play.addEventListener("click", () => {
    if (timer) return stop();
    const last = currentStep() === solved.y.length - 1;
    goTo(last || progress === null ? 0 : currentStep());
    timer = setInterval(
      () => (currentStep() === solved.y.length - 1 ? stop() : goTo(currentStep() + 1)),
      FRAME,
    );
    play.textContent = "\u275A\u275A pause";
  });
  back.addEventListener("click", () => {
    stop();
    goTo(currentStep() - 1);
  });
  on.addEventListener("click", () => {
    stop();
    goTo(currentStep() + 1);
  });
  range.addEventListener("input", () => {
    stop();
    goTo(currentStep());
  });
  turn.addEventListener("change", () => {
    gradient = turn.checked;
    if (gradient) entries.grad = "1";
    else delete entries.grad;
    drawPanels();
    drawCode();
    selected = {
      where: gradient ? "dy" : "y",
      index: selected.where.endsWith("y") ? selected.index : 0,
    };
    show(selected);
    changed(address());
  });

  // Cells as large as fit beside one another, within what a finger and an eye need.
  function fit() {
    const widest = Math.max(solved.plane.at(-1), solved.shape.at(-1));
    const room = (width || 320) - 2;
    const cell = Math.min(Math.max(Math.floor(room / widest), 26), widest > 9 ? 34 : 38);
    root.style.setProperty("--cell", `${cell}px`);
  }
  // Asked once and then told: to ask at every change would lay the page out each time.
  let width = root.clientWidth;
  new ResizeObserver(([{ contentRect }]) => {
    width = contentRect.width;
    if (!solved.error) fit();
  }).observe(root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    matrix.forget();
    show(selected);
  });

  load(options.address ?? "#op=conv");
  return { load, address, pick, read: () => ({ setup, solved }) };
}
