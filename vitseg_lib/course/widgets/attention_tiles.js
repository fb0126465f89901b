// The maps of the attention explorer on canvases, and the small ones with their captions.

/** [0.0412, 0.2] → "4.1 · 20 %", with more digits where there is less; the space does not break. */
function percent(...weights) {
  const words = weights.map((weight) => (100 * weight).toFixed(weight >= 0.0995 ? 0 : weight >= 0.00095 ? 1 : 2));
  return `${words.join(' · ')}\u00a0%`;
}

/** Draws rows of attention over the image, pale as far as the opacity goes, into the canvases of the page. */
function attentionPainter(model, { rows, columns, extra, height, width }) {
  const image = imageCanvas(model.get('image'), height, width);
  const small = node('canvas', { width: columns, height: rows });
  const cells = small.getContext('2d').createImageData(columns, rows);
  const words = new Uint32Array(cells.data.buffer);
  const grounds = new Map(); // the paled image, by paleness and size
  let opacity = 1;
  let [palette, faded, ramps] = [null, null, []];

  const setPalette = (canvas) => {
    if (palette) return;
    palette = paletteOf(canvas.closest('.vitseg-widget'));
    const [under, kept] = palette.dark ? [rgbOf(palette.paper), 0.6] : [[255, 255, 255], 0.45];
    faded = imageCanvas(model.get('image'), height, width, under, kept);
    ramps = [glowRamp(palette.accent), glowRamp(palette.cold)];
  };
  /** The image, as pale as the opacity says, in the size it is shown in: made once and copied at each move. */
  const groundOf = (pale, wide, high) => {
    const key = `${pale} ${wide} ${high} ${window.devicePixelRatio}`;
    if (!grounds.has(key)) {
      const canvas = node('canvas');
      const context = sharpen(canvas, wide, high);
      context.imageSmoothingQuality = 'high';
      context.drawImage(image, 0, 0, wide, high);
      context.globalAlpha = Math.min(1, pale * opacity);
      context.drawImage(faded, 0, 0, wide, high);
      if (grounds.size > 8) grounds.clear();
      grounds.set(key, canvas);
    }
    return grounds.get(key);
  };
  const glow = (context, [x, y, wide, high], { row, slot, top }) => {
    const scale = 255 / Math.max(top, 1e-12);
    const ramp = ramps[slot];
    for (let i = 0; i < words.length; i += 1) words[i] = ramp[Math.min(255, Math.round(row[extra + i] * scale))];
    small.getContext('2d').putImageData(cells, 0, 0);
    context.globalAlpha = opacity;
    context.imageSmoothingEnabled = false;
    context.drawImage(small, x, y, wide, high);
    context.imageSmoothingEnabled = true;
    context.globalAlpha = 1;
  };
  const mark = (context, [x, y, wide, high], { token, slot, letter }, line) => {
    if (token < extra) return;
    const [row, column] = [Math.floor((token - extra) / columns), (token - extra) % columns];
    const [left, top] = [x + (column * wide) / columns, y + (row * high) / rows];
    outline(context, left, top, wide / columns, high / rows, { colour: letter && colourOf(slot), line });
    if (letter && line >= 2) tag(context, Math.min(left, wide - 16), Math.max(16, top - 4), letter, slot);
  };
  const colourOf = (slot) => [palette.accent, palette.cold][slot];
  /** A letter on a small coloured tag whose lower left corner is at (x, y). */
  const tag = (context, x, y, letter, slot) => {
    context.fillStyle = colourOf(slot);
    context.beginPath();
    context.roundRect(x, y - 15, 15, 15, 3);
    context.fill();
    context.fillStyle = palette.paper;
    context.font = '600 11px system-ui, "DejaVu Sans", sans-serif';
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.fillText(letter, x + 7.5, y - 7);
  };

  return {
    setOpacity: (value) => { opacity = value; grounds.clear(); },
    forget: () => { palette = null; grounds.clear(); },
    /** The large image: all maps over each other, patches outlined, letters at the pins. */
    image: (canvas, [wide, high], maps, marks) => {
      setPalette(canvas);
      const context = sharpen(canvas, wide, high);
      context.drawImage(groundOf(0.85, wide, high), 0, 0, wide, high); // in colour still
      for (const map of maps) glow(context, [0, 0, wide, high], map);
      gridLines(context, wide, high, rows, columns);
      for (const one of marks) mark(context, [0, 0, wide, high], one, 2);
    },
    /** A small canvas: the maps below each other. */
    tile: (canvas, [wide, high], maps, marks) => {
      setPalette(canvas);
      const context = sharpen(canvas, wide, maps.length * (high + 4) - 4);
      context.clearRect(0, 0, wide, maps.length * (high + 4));
      maps.forEach((map, i) => {
        const box = [0, i * (high + 4), wide, high];
        context.drawImage(groundOf(1.25, wide, high), ...box);
        glow(context, box, map);
        mark(context, box, marks[i], 1.4);
        if (marks[i].letter) tag(context, 2, box[1] + 17, marks[i].letter, i);
      });
    },
  };
}

/** Faint lines where patches meet; none where they would be a grey veil. */
function gridLines(context, width, height, rows, columns) {
  if (width / columns < 9) return;
  context.beginPath();
  for (let column = 1; column < columns; column += 1) {
    context.moveTo((column * width) / columns, 0);
    context.lineTo((column * width) / columns, height);
  }
  for (let row = 1; row < rows; row += 1) {
    context.moveTo(0, (row * height) / rows);
    context.lineTo(width, (row * height) / rows);
  }
  context.strokeStyle = `rgba(255, 255, 255, ${Math.min(0.28, width / columns / 70)})`;
  context.lineWidth = 1;
  context.stroke();
}

/** The same rows, each computed once while it stays on show: pinned ones need not be computed again. */
function remembering({ head, mean, rollout }) {
  const kept = new Map();
  const once = (key, compute) => {
    const row = kept.get(key) ?? compute();
    kept.delete(key);
    kept.set(key, row); // the newest last
    if (kept.size > 64) kept.delete(kept.keys().next().value);
    return row;
  };
  return {
    head: (layer, number, token) => once(`${layer} ${number} ${token}`, () => head(layer, number, token)),
    mean: (layer, token) => once(`${layer} mean ${token}`, () => mean(layer, token)),
    rollout: (token) => once(`rollout ${token}`, () => rollout(token)),
  };
}

/** The small maps: each with its name, what is known of it over the whole image, and how a row of it is had. */
function tilesOf({ view, layer, head }, attention, { layers, heads, entropy, distance }) {
  const tile = (value, name, at, number) => {
    const averaged = number === heads;
    return {
      value,
      name,
      key: `${at}/${number}`,
      known: averaged ? `of ${heads} heads` : `${entropy[at][number].toFixed(1)} bits · ${distance[at][number].toFixed(0)} px`,
      row: (token) => (averaged ? attention.mean(at, token) : attention.head(at, number, token)),
    };
  };
  const rollout = { value: 'rollout', name: 'rollout', key: 'rollout', known: 'all layers', row: attention.rollout };
  const made = view === 'heads'
    ? Array.from({ length: heads + 1 }, (_, i) => tile(i, i === heads ? 'mean' : `head ${i}`, layer, i))
    : Array.from({ length: layers }, (_, i) => tile(i, `layer ${i}`, i, head));
  return [...made, rollout];
}

/** The small maps as one group of choices. @returns the group, and of each tile its canvas and the words that change */
function tileGroup(tiles, chosen, extra, choose) {
  const parts = tiles.map(() => ({
    canvas: node('canvas', { 'aria-hidden': 'true' }), top: node('span', { class: 'top' }), cls: node('span'),
  }));
  const options = tiles.map((tile, i) => ({
    value: tile.value,
    title: `${tile.name}: ${tile.known}`,
    label: node('span', {}, parts[i].canvas,
      node('span', { class: 'line' }, node('b', {}, tile.name), parts[i].top),
      node('span', { class: 'line quiet' }, node('span', {}, tile.known)),
      extra ? node('span', { class: 'line quiet' }, node('span', {}, 'class'), parts[i].cls) : null),
  }));
  const { element, set } = choices('maps', 'tiles', options, chosen, choose);
  return { element, set, parts };
}
