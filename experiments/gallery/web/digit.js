// A digit is drawn, and the network reads it live: every map, every unit's sum.

const LAYERS = [
  { name: "conv1", told: "First convolution: six 5\u00D75 kernels, then ReLU", zoom: 3 },
  { name: "pool1", told: "First max pool: 2\u00D72 windows", zoom: 5 },
  {
    name: "conv2",
    told: "Second convolution: sixteen kernels of 5\u00D75\u00D76, then ReLU",
    zoom: 5,
  },
  { name: "pool2", told: "Second max pool: 2\u00D72 windows", zoom: 9 },
  { name: "fc1", told: "400 numbers to 120, then ReLU", zoom: 11, columns: 24 },
  { name: "fc2", told: "120 to 84, then ReLU", zoom: 11, columns: 28 },
  { name: "logits", told: "84 to 10 logits, a number for each digit", zoom: 20, columns: 10 },
];

// Puts the section into `root`: {shapes, packed, examples}, each example {pixels, label, taken}.
function mountDigit(root, { shapes, packed, examples }) {
  const weights = unpackWeights(shapes, packed);
  const pad = make("canvas", {
    width: 280,
    height: 280,
    tabindex: "0",
    role: "img",
    class: "dg-pad",
    "aria-label":
      "Drawing area: draw a digit, or move the pen with the arrow keys and draw with space held",
  });
  const seen = make("canvas", { width: SIDE * 5, height: SIDE * 5, class: "dg-seen", role: "img" });
  const bars = make("div", { class: "dg-bars" });
  const verdict = make("output", { class: "dg-verdict", "aria-live": "polite" });
  const layers = make("div", { class: "dg-layers" });
  const inspector = make("div", { class: "dg-inspector", "aria-live": "polite" });
  const pen = pad.getContext("2d", { willReadFrequently: true });
  let result = null,
    chosen = { layer: "conv1", map: 0, i: 14, j: 14 },
    views = [];

  function clear() {
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, 280, 280);
    pen.lineWidth = 22;
    pen.lineCap = pen.lineJoin = "round";
  }

  // What the network is given of the drawing, as a photograph is treated by `experiments.lenet`.
  function readPad() {
    const { data } = pen.getImageData(0, 0, 280, 280);
    const grey = Float64Array.from({ length: 280 * 280 }, (_, n) => data[4 * n] / 255);
    const strokes = inkOf(grey);
    return strokes && centred(strokes, 280, 280);
  }

  function see(bytes) {
    root.classList.toggle("blank", !bytes); // what was read before says nothing of it
    if (!bytes) {
      verdict.textContent = "The drawing is blank; draw a digit.";
      return;
    }
    result = forward(
      weights,
      Array.from(bytes, (byte) => byte / 255),
    );
    const order = [...result.probabilities.keys()].sort(
      (a, b) => result.probabilities[b] - result.probabilities[a],
    );
    const [best, next] = order,
      percent = (n) => `${(100 * result.probabilities[n]).toFixed(1)} %`;
    verdict.textContent = `It reads a ${best} (${percent(best)}); next a ${next} (${percent(next)}).`;
    bars.replaceChildren(
      ...result.probabilities.map((share, digit) =>
        make(
          "div",
          { class: "dg-bar" },
          make("span", {}, String(digit)),
          make("i", {
            style: `width:${Math.max(100 * share, 0.5)}%`,
            class: digit === best ? "best" : "",
          }),
          make("b", {}, percent(digit)),
        ),
      ),
    );
    drawLayers();
    inspect(chosen);
  }

  function drawLayers() {
    if (!views.length) {
      layers.replaceChildren(
        ...LAYERS.map((layer) =>
          make("figure", { class: "dg-layer" }, make("figcaption", {}, layer.told), rowOf(layer)),
        ),
      );
    }
    for (const view of views) paintView(view);
  }

  function rowOf(layer) {
    const maps = result[layer.name],
      flat = maps.height === 1;
    const row = make("div", { class: "dg-row" });
    for (let map = 0; map < (flat ? 1 : maps.channels); map++) {
      const columns = flat ? layer.columns : maps.width;
      const rows = flat ? Math.ceil(maps.channels / columns) : maps.height;
      const canvas = make("canvas", {
        width: columns * layer.zoom,
        height: rows * layer.zoom,
        tabindex: "0",
        role: "img",
      });
      const view = { layer: layer.name, map, columns, rows, zoom: layer.zoom, flat, canvas };
      views.push(view);
      const choose = (j, i) => {
        if (flat)
          inspect({
            layer: view.layer,
            map: Math.min(i * columns + j, maps.channels - 1),
            i: 0,
            j: 0,
          });
        else inspect({ layer: view.layer, map, i, j });
      };
      canvas.addEventListener("click", (event) => {
        const scale = canvas.width / canvas.clientWidth;
        choose(
          ...[event.offsetX, event.offsetY].map((x, axis) =>
            Math.min(Math.floor((x * scale) / view.zoom), [columns, rows][axis] - 1),
          ),
        );
      });
      canvas.addEventListener("keydown", (event) => {
        const step = {
          ArrowLeft: [-1, 0],
          ArrowRight: [1, 0],
          ArrowUp: [0, -1],
          ArrowDown: [0, 1],
        }[event.key];
        if (!step && event.key !== "Enter") return;
        event.preventDefault();
        const here = chosen.layer === view.layer && (flat || chosen.map === map);
        const [x, y] = !here
          ? [0, 0]
          : flat
            ? [chosen.map % columns, Math.floor(chosen.map / columns)]
            : [chosen.j, chosen.i];
        const [dx, dy] = here && step ? step : [0, 0];
        choose(Math.min(Math.max(x + dx, 0), columns - 1), Math.min(Math.max(y + dy, 0), rows - 1));
      });
      row.append(canvas);
    }
    return row;
  }

  function paintView(view) {
    const maps = result[view.layer],
      most = Math.max(1e-9, ...maps.values.map(Math.abs));
    const pen = view.canvas.getContext("2d");
    const value = (i, j) =>
      view.flat ? (maps.values[i * view.columns + j] ?? 0) : at(maps, i, j, view.map);
    for (let i = 0; i < view.rows; i++) {
      for (let j = 0; j < view.columns; j++) {
        pen.fillStyle = shade(value(i, j) / most);
        pen.fillRect(j * view.zoom, i * view.zoom, view.zoom, view.zoom);
      }
    }
    view.canvas.setAttribute(
      "aria-label",
      view.flat
        ? `${view.layer}, ${maps.channels} units`
        : `${view.layer}, map ${view.map}, ${maps.height} by ${maps.width}`,
    );
    const here = chosen.layer === view.layer && (view.flat || chosen.map === view.map);
    if (!here) return;
    const [i, j] = view.flat
      ? [Math.floor(chosen.map / view.columns), chosen.map % view.columns]
      : [chosen.i, chosen.j];
    pen.strokeStyle = "#d9480f";
    pen.lineWidth = 2;
    pen.strokeRect(j * view.zoom, i * view.zoom, view.zoom, view.zoom);
  }

  // Black is 0, white the largest; what is negative is violet.
  function shade(share) {
    const level = Math.round(255 * Math.min(Math.abs(share), 1));
    return share < 0
      ? `rgb(${level * 0.7}, ${level * 0.45}, ${level})`
      : `rgb(${level}, ${level}, ${level})`;
  }

  function paintSeen(field) {
    const pen = seen.getContext("2d");
    for (let n = 0; n < SIDE * SIDE; n++) {
      pen.fillStyle = shade(result.input.values[n]);
      pen.fillRect((n % SIDE) * 5, Math.floor(n / SIDE) * 5, 5, 5);
    }
    const [top, bottom] = field.rows,
      [left, right] = field.columns;
    pen.strokeStyle = "#ff8c42";
    pen.lineWidth = 2;
    pen.strokeRect(left * 5, top * 5, (right - left) * 5, (bottom - top) * 5);
    seen.setAttribute(
      "aria-label",
      "The 28 by 28 pixels that the network is given; the unit looked " +
        `at sees rows ${top} to ${bottom - 1}, columns ${left} to ${right - 1}`,
    );
  }

  function inspect(unit) {
    chosen = unit;
    const field = fieldOf(unit.layer, unit.i, unit.j);
    paintSeen(field);
    for (const view of views) paintView(view);
    inspector.replaceChildren(...sumOf(result, weights, unit, field));
  }

  // Drawing by mouse, finger, pen; and by keys.
  let last = null,
    pending = false;
  const place = (event) => {
    const box = pad.getBoundingClientRect();
    return [
      ((event.clientX - box.left) * 280) / box.width,
      ((event.clientY - box.top) * 280) / box.height,
    ];
  };
  const line = (from, to) => {
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(...to);
    pen.stroke();
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => {
      pending = false;
      see(readPad());
    });
  };
  let fresh = false; // an example is shown: the first stroke wipes it away
  const begin = () => {
    if (fresh) clear();
    fresh = false;
  };
  pad.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    pad.focus({ preventScroll: true });
    pad.setPointerCapture(event.pointerId);
    begin();
    last = place(event);
    line(last, last);
  });
  pad.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = place(event);
    line(last, next);
    last = next;
  });
  for (const end of ["pointerup", "pointercancel"])
    pad.addEventListener(end, () => {
      last = null;
    });
  let key = [140, 60],
    down = false;
  const mark = make("i", { class: "dg-pen", "aria-hidden": "true" }); // where the keys' pen is
  const moveMark = () => {
    [mark.style.left, mark.style.top] = key.map((x) => `${x / 2.8}%`);
  };
  moveMark();
  pad.addEventListener("keydown", (event) => {
    if (event.key === " ") {
      event.preventDefault();
      begin();
      down = true;
      line(key, key);
    }
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
      event.key
    ];
    if (!step) return;
    event.preventDefault();
    const next = key.map((x, axis) => Math.min(Math.max(x + 12 * step[axis], 20), 260));
    if (down) line(key, next);
    key = next;
    moveMark();
  });
  pad.addEventListener("keyup", (event) => {
    if (event.key === " ") down = false;
  });

  function show(example) {
    clear();
    fresh = true;
    const bytes = bytesOf(example.pixels);
    // Only to be looked at: the network is given the bytes themselves.
    bytes.forEach((byte, n) => {
      pen.fillStyle = `rgb(${255 - byte}, ${255 - byte}, ${255 - byte})`;
      pen.fillRect((n % SIDE) * 10, Math.floor(n / SIDE) * 10, 10, 10);
    });
    see(bytes);
  }

  const button = (example) => {
    const canvas = make("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
    const picture = canvas.getContext("2d"),
      data = picture.createImageData(SIDE, SIDE);
    bytesOf(example.pixels).forEach((byte, n) => data.data.set([byte, byte, byte, 255], 4 * n));
    picture.putImageData(data, 0, 0);
    const right = example.label === example.taken;
    const words = right ? `a ${example.label}` : `a ${example.label}, read as ${example.taken}`;
    return make(
      "button",
      { type: "button", class: "dg-example", onclick: () => show(example) },
      canvas,
      make("span", {}, words),
    );
  };
  const rows = [
    ["Digits it reads", true],
    ["Digits it misreads", false],
  ]
    .map(([title, right]) => {
      const some = examples.filter((one) => (one.label === one.taken) === right);
      return some.length
        ? [make("h4", {}, title), make("div", { class: "dg-examples" }, ...some.map(button))]
        : [];
    })
    .flat();
  const wipe = make(
    "button",
    {
      type: "button",
      onclick: () => {
        clear();
        fresh = false;
        see(null);
      },
    },
    "clear",
  );
  root.replaceChildren(
    make(
      "div",
      { class: "dg-top" },
      make("div", {}, make("h4", {}, "Draw here"), make("div", { class: "dg-place" }, pad, mark), make("p", {}, wipe)),
      make(
        "div",
        {},
        make("h4", {}, "What the network is given"),
        seen,
        make(
          "p",
          { class: "dg-note" },
          "Cut out, shrunk to 20\u00D720 and centred by its mass, as " +
            "every digit that it was trained on. The box is what the chosen unit sees.",
        ),
      ),
      make("div", { class: "dg-answer" }, make("h4", {}, "What it reads"), verdict, bars),
    ),
    ...rows,
    make(
      "div",
      { class: "dg-below" },
      make("h4", {}, "Every layer; click a cell, or move by the arrow keys"),
      layers,
      inspector,
    ),
  );
  clear();
  if (examples.length) show(examples[0]);
  return { see: (bytes) => see(bytes), show, inspect, read: () => ({ result, chosen }), readPad };
}

const bytesOf = (packed) => Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
