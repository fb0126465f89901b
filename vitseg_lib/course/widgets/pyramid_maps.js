// The maps of the pyramid explorer: read once from their bytes, drawn with the chosen pixel outlined.

const LEAST = 7; // CSS pixels: an outline is never smaller, so that it can be found

/** Each map with its own bytes. `colours`: (h, w, 3); `layers`: (n, h, w); `small`: one pixel per cell. */
function mapsOf(model) {
  const [colours, layers] = ['colours', 'channels'].map((name) => arrayOf(model.get(name), Uint8Array));
  let [ofColours, ofLayers] = [0, 0];
  return model.get('maps').map((known) => {
    const [, h, w] = known.shape;
    return {
      ...known,
      grid: [h, w],
      colours: colours.subarray(ofColours, ofColours += 3 * h * w),
      layers: layers.subarray(ofLayers, ofLayers += known.channels.length * h * w),
      small: node('canvas', { width: w, height: h }),
    };
  });
}

/** The cell of a map that a point of the image, { y, x } in pixels, lies in; the last one where it reaches no further. */
function cellAt({ grid, cell }, { y, x }) {
  const [row, column] = [y, x].map((value, axis) => Math.min(Math.floor(value / cell[axis]), grid[axis] - 1));
  return { row, column };
}

/** The middle of a cell as a point of the image, no further than the image's last pixel. */
function middleOf({ cell }, { row, column }, size) {
  const [y, x] = [row, column].map((n, axis) => Math.min((n + 0.5) * cell[axis], size[axis] - 0.5));
  return { y, x };
}

/** First and one past the last of the windows, `bins` a side, that hold pixel `n` of an axis. */
function windowsAt(n, side, bins) {
  const held = [...Array(bins).keys()].filter((i) => (
    n >= Math.floor((i * side) / bins) && n < Math.ceil(((i + 1) * side) / bins)
  ));
  return [held[0], held.at(-1) + 1];
}

/** Which of a map's channels is shown, when one is: its index among those sent. */
const layerOf = (map, view) => Math.min(view.channel, map.channels.length) - 1;

/** Paint a map's cells: three colours, or one channel from paper to accent. */
function paintCells(map, view) {
  const [h, w] = map.grid;
  if (view.coloured === 'one channel') {
    const bytes = map.layers.subarray(layerOf(map, view) * h * w, (layerOf(map, view) + 1) * h * w);
    paintGrid(map.small, Float32Array.from(bytes, (byte) => byte / 255), map.grid, view.ramp);
    return;
  }
  const context = map.small.getContext('2d');
  const pixels = context.createImageData(w, h);
  for (let i = 0, j = 0; i < map.colours.length; i += 3, j += 4) {
    pixels.data.set(map.colours.subarray(i, i + 3), j);
    pixels.data[j + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
}

/** Outline a box, grown about its middle if it is too small to be found. */
function outlineCell(context, x, y, wide, high, style) {
  const [w, h] = [Math.max(wide, LEAST), Math.max(high, LEAST)];
  outline(context, x - (w - wide) / 2, y - (h - high) / 2, w, h, style);
}

/** A number in a few letters, with a true minus. */
const short = (value) => String(Number(value.toPrecision(2))).replace('-', '−');

/** What stands below a map: its cell, and in one channel the value there (to a 255th of the channel's range). */
function wordsOf(map, view, { row, column }) {
  const here = `cell ${row}, ${column}`;
  if (view.coloured !== 'one channel') return here;
  const [at, [h, w]] = [layerOf(map, view), map.grid];
  const [low, high] = [map.lows[at], map.highs[at]];
  const byte = map.layers[at * h * w + row * w + column];
  const sign = { 0: '≤ ', 255: '≥ ' }[byte] ?? '';
  return `${here}: ${sign}${short(low + ((high - low) * byte) / 255)}`;
}

/** One map with the chosen pixel on it. */
function drawCells(map, view) {
  const { width, canvas } = map;
  const [[rows, columns], cell] = [map.grid, cellAt(map, view)];
  const height = (width * rows * map.cell[0]) / (columns * map.cell[1]);
  const context = sharpen(canvas, width, height);
  const [wide, high] = [width / columns, height / rows];
  const focused = view.focus === map;
  context.imageSmoothingEnabled = false;
  context.drawImage(map.small, 0, 0, width, height);
  frame(context, width, height, view.palette);
  outlineCell(context, cell.column * wide, cell.row * high, wide, high, { ...view.line, line: focused ? 2 : 1.2 });
  map.foot.textContent = wordsOf(map, view, cell);
  map.head.style.color = focused ? 'var(--accent)' : '';
}

/** The footprint of a map's cell, and of its eight neighbours, on anything that shows the image from (left, top) on. */
function drawFootprint(context, map, view, { scale, left = 0, top = 0 }, strong) {
  const { row, column } = cellAt(map, view);
  const [high, wide] = map.cell.map((side) => side * scale);
  const [x, y] = [column * wide - left * scale, row * high - top * scale];
  if (strong) {
    context.setLineDash([4, 3]);
    outline(context, x - wide, y - high, 3 * wide, 3 * high, { ...view.line, line: 1 });
    context.setLineDash([]);
  }
  const style = strong ? { colour: view.palette.accent, halo: '#ffffff', line: 2 } : { ...view.line, line: 0.8 };
  (strong ? outlineCell : outline)(context, x, y, wide, high, style);
}
