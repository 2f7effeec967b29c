// A unit looked at: what it saw, its weights, their products, and what becomes of them.

const make = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};
const told = (value) => (Math.round(value * 1000) / 1000).toFixed(3).replace("-", "\u2212");

// The elements that tell it.
function sumOf(result, weights, { layer, map, i, j }, field) {
  const [rows, columns] = [field.rows, field.columns].map(([a, b]) => `${a} to ${b - 1}`);
  const flat = result[layer].height === 1;
  const value = flat ? result[layer].values[map] : at(result[layer], i, j, map);
  const name = flat ? `${layer}, unit ${map}` : `${layer}, map ${map}, row ${i}, column ${j}`;
  const sees = flat
    ? "sees the whole image"
    : `sees rows ${rows} and columns ${columns} of the image`;
  const heading = make("h4", {}, `${name} = ${told(value)}`);
  const lines = [heading];
  const say = (text) => lines.push(make("p", {}, text));
  if (layer === "pool1" || layer === "pool2") {
    const below = result[layer === "pool1" ? "conv1" : "conv2"];
    const four = [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ].map(([a, b]) => told(at(below, 2 * i + a, 2 * j + b, map)));
    say(`It ${sees}, and takes the largest of four: max(${four.join(", ")}) = ${told(value)}.`);
    return lines;
  }
  const below = { conv1: "input", conv2: "pool1", fc1: "pool2", fc2: "fc1", logits: "fc2" }[layer];
  const stem = layer === "logits" ? "fc3" : layer;
  const kernel = weights[`${stem}_kernel`],
    bias = weights[`${stem}_bias`].values[map];
  let total = 0,
    count = 0;
  if (flat) {
    const products = Array.from(
      result[below].values,
      (x, u) => x * kernel.values[u * kernel.shape[1] + map],
    );
    total = products.reduce((sum, product) => sum + product, 0);
    count = products.length;
    const strongest = [...products.keys()].sort(
      (a, b) => Math.abs(products[b]) - Math.abs(products[a]),
    );
    say(
      `It ${sees}. The five largest of its ${count} products: ` +
        `${strongest
          .slice(0, 5)
          .map((u) => told(products[u]))
          .join(", ")}.`,
    );
  } else {
    const [k, , channels, features] = kernel.shape,
      pad = layer === "conv1" ? 2 : 0;
    const table = make("div", { class: "dg-sums" });
    for (let c = 0; c < channels; c++) {
      const seen = [],
        taps = [];
      for (let n = 0; n < k * k; n++) {
        seen.push(at(result[below], i + Math.floor(n / k) - pad, j + (n % k) - pad, c));
        taps.push(kernel.values[(n * channels + c) * features + map]);
      }
      const products = seen.map((x, n) => x * taps[n]);
      const sum = products.reduce((all, product) => all + product, 0);
      total += sum;
      count += products.length;
      table.append(
        make(
          "div",
          { class: "dg-sum" },
          patch(seen, k),
          "\u00D7",
          patch(taps, k),
          "=",
          patch(products, k),
          make("span", {}, `sum ${told(sum)}`),
        ),
      );
    }
    say(
      `It ${sees}. Below: ${channels === 1 ? "those pixels" : "each map below it"}, its taps, and their products.`,
    );
    lines.push(table);
  }
  const before = total + bias,
    end = layer === "logits" ? "" : `; ReLU makes it ${told(value)}`;
  say(`Sum of ${count} products ${told(total)} + bias ${told(bias)} = ${told(before)}${end}.`);
  return lines;
}

// A small square of numbers as colours: blue is positive, orange negative.
function patch(values, k) {
  const canvas = make("canvas", {
    width: k * 11,
    height: k * 11,
    role: "img",
    "aria-label": values.map(told).join(", "),
  });
  const pen = canvas.getContext("2d"),
    most = Math.max(1e-9, ...values.map(Math.abs));
  values.forEach((value, n) => {
    const share = Math.abs(value) / most,
      fade = Math.round(255 - 205 * share);
    pen.fillStyle =
      value < 0
        ? `rgb(${230 + 25 * (1 - share)}, ${fade * 0.75 + 60}, ${fade})`
        : `rgb(${fade}, ${fade * 0.7 + 76}, ${200 + 55 * (1 - share)})`;
    pen.fillRect((n % k) * 11, Math.floor(n / k) * 11, 11, 11);
  });
  return canvas;
}
