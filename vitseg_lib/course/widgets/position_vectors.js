// The computations of the position explorer: embeddings resized by matrices, and their cosines.

const MEAN = 'rgb(124 116 104)'; // what padding is: zero after normalising, the data set's mean colour

/** The matrices of each patch size and kind, `{ down, across }` with a row for every new position, from their bytes. */
function matricesOf(model) {
  const [values, trained, matrices] = [arrayOf(model.get('matrices'), Float32Array), model.get('trained'), new Map()];
  let at = 0;
  const next = (before, after) => Array.from({ length: after }, () => values.subarray(at, at += before));
  for (const p of model.get('patch_sizes')) {
    for (const kind of model.get('kinds')) {
      const [down, across] = model.get('size').map((side, axis) => next(trained[axis], Math.ceil(side / p)));
      matrices.set(`${p} ${kind}`, { down, across });
    }
  }
  return matrices;
}

/** Resize the positions of an embedding, (1 + h·w, C) → (h'·w', C), along the columns and then along the rows. */
function resized(vectors, channels, [h, w], { down, across }, mistake) {
  const skip = mistake === 'class row as a patch' ? 0 : 1;
  const row = mistake === 'read by columns' ? (i, j) => skip + j * h + i : (i, j) => skip + i * w + j;
  const columns = across.length;
  const [wide, both] = [h, down.length].map((rows) => new Float32Array(rows * columns * channels));
  const mix = (source, rowOf, weights, out, target) => weights.forEach((weight, n) => {
    if (weight === 0) return; // most are
    const [from, to] = [rowOf(n) * channels, target * channels];
    for (let c = 0; c < channels; c += 1) out[to + c] += weight * source[from + c];
  });
  for (let i = 0; i < h; i += 1) {
    across.forEach((weights, j) => mix(vectors, (n) => row(i, n), weights, wide, i * columns + j));
  }
  for (let j = 0; j < columns; j += 1) {
    down.forEach((weights, i) => mix(wide, (n) => n * columns + j, weights, both, i * columns + j));
  }
  return both;
}

/** Each row of (N, C) at length 1. */
function unit(vectors, channels) {
  const units = new Float32Array(vectors.length);
  for (let at = 0; at < vectors.length; at += channels) {
    const length = Math.hypot(...vectors.subarray(at, at + channels)) || 1;
    for (let c = 0; c < channels; c += 1) units[at + c] = vectors[at + c] / length;
  }
  return units;
}

/** Cosines of row `index` with all rows of units (N, C). @returns {Float32Array} (N) */
function cosines(units, channels, index) {
  const own = units.subarray(index * channels, (index + 1) * channels);
  return Float32Array.from({ length: units.length / channels }, (_, n) => {
    let sum = 0;
    for (let c = 0, at = n * channels; c < channels; c += 1) sum += own[c] * units[at + c];
    return sum;
  });
}

/** How far all vectors of b are from those of a, relative to those of a. */
function apart(a, b) {
  let [difference, length] = [0, 0];
  for (let i = 0; i < a.length; i += 1) {
    difference += (a[i] - b[i]) ** 2;
    length += a[i] ** 2;
  }
  return Math.sqrt(difference / (length || 1));
}

/** Compute what changes with the patch size or the mistake: the grid, its vectors twice, the padded image. */
function measure(view) {
  const { p, mistake, vectors, channels, trained, size, maps, padded } = view;
  view.grid = size.map((side) => Math.ceil(side / p));
  const by = (kind) => view.matrices.get(`${p} ${kind}`) ?? view.matrices.get(`${p} right`);
  const both = ['right', mistake].map((kind) => resized(vectors, channels, trained, by(kind), kind));
  both.forEach((rows, i) => Object.assign(maps[i + 1], { units: unit(rows, channels), grid: view.grid }));
  view.apart = apart(...both);
  Object.assign(padded, { width: view.grid[1] * p, height: view.grid[0] * p });
  const context = padded.getContext('2d');
  context.fillStyle = MEAN;
  context.fillRect(0, 0, padded.width, padded.height);
  context.drawImage(view.source, 0, 0);
}

/** The cell of a grid that the chosen position, two fractions of the image, lies in. */
const cellIn = ({ y, x }, [rows, columns]) => ({ row: Math.floor(y * rows), column: Math.floor(x * columns) });
