// Grids of cells that can be looked at, moved through by keys, and edited.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false)
      made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

// A grid under its title. `cells` are {kind, text, where, index, key, editable, label}, row by row.
function gridOf(title, columns, cells) {
  const grid = element("div", { role: "grid", "aria-label": title, class: "pg-grid" });
  grid.style.setProperty("--columns", columns);
  let row = null;
  const made = cells.map((cell, number) => {
    if (number % columns === 0) {
      row = element("div", { role: "row" });
      grid.append(row);
    }
    const box = element("div", {
      role: "gridcell",
      tabindex: number === 0 ? "0" : "-1",
      class: `pg-cell ${cell.kind}`,
      "aria-label": cell.label ?? null,
      "aria-readonly": cell.editable ? null : "true",
      title: cell.editable ? "select, then type a number" : null,
    });
    box.append(
      element("span", { class: "pg-value" }, cell.text),
      element("i", { class: "pg-tag", "aria-hidden": "true" }),
    );
    box.style.setProperty("--letters", Math.max(cell.text.length, 1));
    Object.assign(box, { cell, base: `pg-cell ${cell.kind}` });
    row.append(box);
    return box;
  });
  const figure = element(
    "figure",
    { class: "pg-panel" },
    element("figcaption", {}, title),
    element("div", { class: "pg-scroll" }, grid),
  );
  return { figure, grid, boxes: made, columns };
}

function paint(box, lit) {
  box.className = lit ? `${box.base} ${lit.kind}` : box.base;
  box.lastElementChild.textContent = lit ? lit.tag : "";
}

// Moves the focus within a grid by the arrow keys; true where the key was one of them.
function moveInGrid({ boxes, columns }, from, key) {
  const column = from % columns;
  const to = {
    ArrowLeft: column > 0 ? from - 1 : from,
    ArrowUp: from - columns,
    ArrowRight: column < columns - 1 ? from + 1 : from,
    ArrowDown: from + columns,
    Home: from - column,
    End: from - column + columns - 1,
  }[key];
  if (to === undefined) return false;
  const target = boxes[to];
  if (target) {
    boxes.forEach((box) => box.setAttribute("tabindex", box === target ? "0" : "-1"));
    target.focus();
  }
  return true;
}

// Puts a field into a cell; `done(value)` is called with the number typed, if it is one.
function editCell(box, typed, done) {
  const value = box.firstElementChild,
    before = value.textContent;
  const field = element("input", {
    class: "pg-edit",
    inputmode: "text",
    "aria-label": "new number",
    maxlength: "8",
  });
  field.value = typed ?? before.replace(MINUS, "-");
  value.replaceChildren(field);
  field.focus();
  if (typed === undefined) field.select();
  let open = true;
  const close = (keep) => {
    if (!open) return;
    open = false;
    const number = Number(field.value.replace(",", ".").replace(MINUS, "-"));
    const good =
      keep && field.value.trim() !== "" && Number.isFinite(number) && Math.abs(number) < 1e6;
    value.textContent = before;
    if (good) done(number);
  };
  field.addEventListener("blur", () => close(true));
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter" || event.key === "Escape") {
      event.preventDefault();
      close(event.key === "Enter");
      box.focus();
    }
  });
}
