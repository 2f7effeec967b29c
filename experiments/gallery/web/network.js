// LeNet-5 in plain numbers: the network of `jaxcnn.models.LeNet5`, with the weights of a run, and
// what is done to a drawing before, as experiments/data/digits.py does it. No page is needed here.

const SIDE = 28,
  BOX = 20,
  NOISE = 0.15;

// The weights by name, {shape, values}, from one base64 of 32-bit floats.
function unpackWeights(shapes, packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const all = new Float32Array(bytes.buffer);
  const weights = {};
  let at = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const size = shape.reduce((whole, n) => whole * n, 1);
    weights[name] = { shape, values: all.subarray(at, at + size) };
    at += size;
  }
  return weights;
}

// Maps {height, width, channels, values}, channels last.
function maps(height, width, channels) {
  return { height, width, channels, values: new Float64Array(height * width * channels) };
}

const at = (map, i, j, c) =>
  i < 0 || j < 0 || i >= map.height || j >= map.width
    ? 0
    : map.values[(i * map.width + j) * map.channels + c];

// A convolution and what it is before its ReLU.
function convolve(input, { shape, values }, bias, pad) {
  const [k, , channels, features] = shape;
  const out = maps(input.height + 2 * pad - k + 1, input.width + 2 * pad - k + 1, features);
  for (let i = 0; i < out.height; i++) {
    for (let j = 0; j < out.width; j++) {
      for (let o = 0; o < features; o++) {
        let sum = bias.values[o];
        for (let a = 0; a < k; a++) {
          for (let b = 0; b < k; b++) {
            for (let c = 0; c < channels; c++) {
              sum +=
                at(input, i + a - pad, j + b - pad, c) *
                values[((a * k + b) * channels + c) * features + o];
            }
          }
        }
        out.values[(i * out.width + j) * features + o] = sum;
      }
    }
  }
  return out;
}

function pooled(input) {
  const out = maps(input.height / 2, input.width / 2, input.channels);
  for (let i = 0; i < out.height; i++) {
    for (let j = 0; j < out.width; j++) {
      for (let c = 0; c < out.channels; c++) {
        out.values[(i * out.width + j) * out.channels + c] = Math.max(
          at(input, 2 * i, 2 * j, c),
          at(input, 2 * i, 2 * j + 1, c),
          at(input, 2 * i + 1, 2 * j, c),
          at(input, 2 * i + 1, 2 * j + 1, c),
        );
      }
    }
  }
  return out;
}

function dense(input, { shape: [rows, columns], values }, bias) {
  const out = maps(1, 1, columns);
  for (let o = 0; o < columns; o++) {
    let sum = bias.values[o];
    for (let u = 0; u < rows; u++) sum += input.values[u] * values[u * columns + o];
    out.values[o] = sum;
  }
  return out;
}

const relu = (map) => ({ ...map, values: map.values.map((value) => Math.max(value, 0)) });

// All layers for an image of 784 numbers, 0 to 1. `before` holds what a ReLU was given.
function forward(weights, image) {
  const input = { height: SIDE, width: SIDE, channels: 1, values: Float64Array.from(image) };
  const before = {};
  before.conv1 = convolve(input, weights.conv1_kernel, weights.conv1_bias, 2);
  const conv1 = relu(before.conv1),
    pool1 = pooled(conv1);
  before.conv2 = convolve(pool1, weights.conv2_kernel, weights.conv2_bias, 0);
  const conv2 = relu(before.conv2),
    pool2 = pooled(conv2);
  before.fc1 = dense(pool2, weights.fc1_kernel, weights.fc1_bias);
  const fc1 = relu(before.fc1);
  before.fc2 = dense(fc1, weights.fc2_kernel, weights.fc2_bias);
  const fc2 = relu(before.fc2),
    logits = dense(fc2, weights.fc3_kernel, weights.fc3_bias);
  const most = Math.max(...logits.values);
  const powers = logits.values.map((logit) => Math.exp(logit - most));
  const total = powers.reduce((sum, power) => sum + power, 0);
  const probabilities = Array.from(powers, (power) => power / total);
  return { input, conv1, pool1, conv2, pool2, fc1, fc2, logits, before, probabilities };
}

// Where a unit of a layer looks: rows and columns of the image, the first and the one past the last.
function fieldOf(layer, i, j) {
  const [start, step, size] = {
    input: [0, 1, 1],
    conv1: [-2, 1, 5],
    pool1: [-2, 2, 6],
    conv2: [-2, 2, 14],
    pool2: [-2, 4, 16],
  }[layer] ?? [0, 0, SIDE];
  const along = (place) =>
    [start + step * place, start + step * place + size].map((pixel) =>
      Math.min(Math.max(pixel, 0), SIDE),
    );
  return { rows: along(i), columns: along(j) };
}

// Rounds halves to the even neighbour, as Python does.
function roundEven(value) {
  const low = Math.floor(value),
    rest = value - low;
  if (rest !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

// How much each pixel differs from the paper: 0 there and in the noise, 1 in the darkest stroke.
// Null for a blank drawing.
function inkOf(grey) {
  let dark = 0;
  for (const value of grey) dark = Math.max(dark, 1 - value);
  if (dark < 0.05) return null;
  return grey.map((value) => Math.min(Math.max(((1 - value) / dark - NOISE) / (1 - NOISE), 0), 1));
}

// Averages over the pixels that each new pixel covers, along one axis, as Pillow's BOX filter.
function boxWeights(from, to) {
  const scale = from / to,
    reach = Math.max(scale, 1) / 2;
  return Array.from({ length: to }, (_, n) => {
    const middle = (n + 0.5) * scale;
    const first = Math.max(Math.floor(middle - reach + 0.5), 0);
    const last = Math.min(Math.floor(middle + reach + 0.5), from);
    const shares = [];
    for (let u = first; u < last; u++) {
      const distance = (u - middle + 0.5) / Math.max(scale, 1);
      shares.push(distance > -0.5 && distance <= 0.5 ? 1 : 0);
    }
    const total = shares.reduce((sum, share) => sum + share, 0);
    return { first, shares: shares.map((share) => share / total) };
  });
}

function resized(cut, height, width, toHeight, toWidth) {
  const across = boxWeights(width, toWidth),
    down = boxWeights(height, toHeight);
  const lines = new Float64Array(height * toWidth);
  for (let i = 0; i < height; i++) {
    across.forEach(({ first, shares }, j) => {
      lines[i * toWidth + j] = shares.reduce(
        (sum, share, n) => sum + share * cut[i * width + first + n],
        0,
      );
    });
  }
  const out = new Float64Array(toHeight * toWidth);
  for (let j = 0; j < toWidth; j++) {
    down.forEach(({ first, shares }, i) => {
      out[i * toWidth + j] = shares.reduce(
        (sum, share, n) => sum + share * lines[(first + n) * toWidth + j],
        0,
      );
    });
  }
  return out;
}

// Fits what is not 0 into 20 x 20 and puts its centre of mass at the middle of 28 x 28; bytes.
function centred(strokes, height, width) {
  let top = height,
    bottom = -1,
    left = width,
    right = -1;
  strokes.forEach((value, n) => {
    if (!value) return;
    const i = Math.floor(n / width),
      j = n % width;
    top = Math.min(top, i);
    bottom = Math.max(bottom, i);
    left = Math.min(left, j);
    right = Math.max(right, j);
  });
  const rows = bottom - top + 1,
    columns = right - left + 1;
  const cut = Float64Array.from(
    { length: rows * columns },
    (_, n) => strokes[(top + Math.floor(n / columns)) * width + left + (n % columns)],
  );
  const [h, w] = [rows, columns].map((n) =>
    Math.max(1, roundEven((n * BOX) / Math.max(rows, columns))),
  );
  const small = resized(cut, rows, columns, h, w);
  const most = Math.max(1e-6, ...small);
  let mass = 0,
    down = 0,
    across = 0;
  small.forEach((value, n) => {
    mass += value / most;
    down += (value / most) * Math.floor(n / w);
    across += (value / most) * (n % w);
  });
  const offset = (centre, size) =>
    Math.min(Math.max(roundEven((SIDE - 1) / 2 - centre), 0), SIDE - size);
  const y = offset(down / mass, h),
    x = offset(across / mass, w);
  const bytes = new Uint8Array(SIDE * SIDE);
  small.forEach((value, n) => {
    bytes[(y + Math.floor(n / w)) * SIDE + x + (n % w)] = roundEven((255 * value) / most);
  });
  return bytes;
}
