// The numbers of the position explorer: vectors resized by matrices, and their cosines.

const MEAN = 'rgb(124 116 104)'; // what padding is: zero after normalising, the data set's mean colour

/** The matrices of each patch size and kind, `{ down, across }` with a row for every new place, from their bytes. */
function matricesOf(model) {
  const [numbers, trained, found] = [arrayOf(model.get('matrices'), Float32Array), model.get('trained'), new Map()];
  let at = 0;
  const next = (before, after) => Array.from({ length: after }, () => numbers.subarray(at, at += before));
  for (const p of model.get('patch_sizes')) {
    for (const kind of model.get('kinds')) {
      const [down, across] = model.get('size').map((side, axis) => next(trained[axis], Math.ceil(side / p)));
      found.set(`${p} ${kind}`, { down, across });
    }
  }
  return found;
}

/** Resize the places of an embedding, (1 + h·w, C) → (h'·w', C), along the columns and then along the rows. */
function resized(vectors, channels, [h, w], { down, across }, way) {
  const skip = way === 'class row as a place' ? 0 : 1;
  const row = way === 'read by columns' ? (i, j) => skip + j * h + i : (i, j) => skip + i * w + j;
  const columns = across.length;
  const [wide, both] = [h, down.length].map((rows) => new Float32Array(rows * columns * channels));
  const mix = (source, rowOf, shares, out, target) => shares.forEach((share, n) => {
    if (share === 0) return; // most are
    const [from, to] = [rowOf(n) * channels, target * channels];
    for (let c = 0; c < channels; c += 1) out[to + c] += share * source[from + c];
  });
  for (let i = 0; i < h; i += 1) {
    across.forEach((shares, j) => mix(vectors, (n) => row(i, n), shares, wide, i * columns + j));
  }
  for (let j = 0; j < columns; j += 1) {
    down.forEach((shares, i) => mix(wide, (n) => n * columns + j, shares, both, i * columns + j));
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

/** Cosines of row `place` with all rows of units (N, C). @returns {Float32Array} (N) */
function cosines(units, channels, place) {
  const own = units.subarray(place * channels, (place + 1) * channels);
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
  const { p, way, vectors, channels, trained, size, maps, padded } = view;
  view.grid = size.map((side) => Math.ceil(side / p));
  const by = (kind) => view.matrices.get(`${p} ${kind}`) ?? view.matrices.get(`${p} right`);
  const both = ['right', way].map((kind) => resized(vectors, channels, trained, by(kind), kind));
  both.forEach((found, i) => Object.assign(maps[i + 1], { units: unit(found, channels), grid: view.grid }));
  view.apart = apart(...both);
  Object.assign(padded, { width: view.grid[1] * p, height: view.grid[0] * p });
  const context = padded.getContext('2d');
  context.fillStyle = MEAN;
  context.fillRect(0, 0, padded.width, padded.height);
  context.drawImage(view.image, 0, 0);
}

/** The cell of a grid that the chosen place, two fractions of the image, lies in. */
const cellIn = ({ y, x }, [rows, columns]) => ({ row: Math.floor(y * rows), column: Math.floor(x * columns) });
