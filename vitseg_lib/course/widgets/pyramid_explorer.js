// One pixel of an image in all maps of a segmenter, and the footprints of their cells on the image.

const LOUPE = 3.4; // cells of the coarsest map that the magnified surroundings are wide
const GAP = 14; // CSS pixels between two maps
const NARROW = 640; // the width up to which everything is in one column

/** Choose sizes and colours for the card's width and the theme. */
function fit(view) {
  const { root, size: [height, width], maps } = view;
  const palette = paletteOf(root);
  const card = root.clientWidth - 40;
  if (card < 80) return; // hidden, or closing
  const left = card < NARROW ? card : 0.46 * card;
  const right = card < NARROW ? card : card - left - 2 * GAP;
  const wide = Math.min(left, (460 * width) / height);
  const across = card >= NARROW && maps.length < 7 ? 2 : 3;
  const tile = Math.floor((right - (across - 1) * GAP) / across);
  const widest = Math.max(...maps.map(({ grid, cell }) => grid[1] * cell[1]));
  Object.assign(view, { palette, line: outlineColours(palette), ramp: bothWays(palette), scale: wide / width });
  const loupeSide = view.windows.length ? 0.4 * left : Math.min(left, 220);
  Object.assign(view, { loupeSide, poolSide: (left - loupeSide - 2 * GAP) / 2 });
  view.tiles.style.gridTemplateColumns = `repeat(${across}, ${tile}px)`;
  view.pools.style.gridTemplateColumns = `repeat(2, ${view.poolSide}px)`;
  view.columns.style.gridTemplateColumns = card < NARROW ? '100%' : `${left}px ${right}px`;
  view.faded = imageCanvas(view.model.get('pixels'), height, width, rgbOf(palette.paper));
  for (const map of maps) {
    map.width = (tile * map.grid[1] * map.cell[1]) / widest; // all to one scale
    paintCells(map, view);
  }
  view.draw();
}

/** The image with the footprint of the map in use, and finely those of the others. */
function drawImage(view) {
  const { scale, size: [height, width], picture, image, maps, focus } = view;
  const context = sharpen(picture.canvas, width * scale, height * scale);
  context.imageSmoothingEnabled = scale < 1;
  context.drawImage(image, 0, 0, width * scale, height * scale);
  for (const map of maps) if (map !== focus) drawFootprint(context, map, view, { scale }, false);
  drawFootprint(context, focus, view, { scale }, true);
}

/** The surroundings of the pixel, magnified, so that the smallest cells can be seen. */
function drawLoupe(view) {
  const { loupe, image, size, maps, focus, loupeSide: side } = view;
  const seen = LOUPE * Math.max(...maps.map(({ cell }) => Math.max(...cell)));
  const [top, left] = [view.y, view.x].map((value) => value - seen / 2);
  const frame = { scale: side / seen, left, top };
  const context = sharpen(loupe.canvas, side, side);
  context.imageSmoothingEnabled = false;
  context.fillStyle = view.palette.shade;
  context.fillRect(0, 0, side, side);
  context.drawImage(image, -left * frame.scale, -top * frame.scale, size[1] * frame.scale, size[0] * frame.scale);
  for (const map of maps) if (map !== focus) drawFootprint(context, map, view, frame, false);
  drawFootprint(context, focus, view, frame, true);
}

/** One copy of the image with the pooling windows that hold the pixel, the others faded. */
function drawWindows(view, { canvas, foot, bins }) {
  const { size: [height, width], image, faded, line } = view;
  const map = view.maps[view.model.get('pooled')];
  const cell = cellAt(map, view);
  const scale = view.poolSide / width;
  const context = sharpen(canvas, width * scale, height * scale);
  const span = [cell.row, cell.column].map((n, axis) => windowsAt(n, map.grid[axis], bins));
  const [[top, bottom], [left, right]] = span.map(([first, last], axis) => [
    Math.floor((first * map.grid[axis]) / bins) * map.cell[axis], Math.ceil((last * map.grid[axis]) / bins) * map.cell[axis],
  ]);
  const [w, h] = [Math.min(right, width) - left, Math.min(bottom, height) - top];
  context.drawImage(faded, 0, 0, width * scale, height * scale);
  context.drawImage(image, left, top, w, h, left * scale, top * scale, w * scale, h * scale);
  outline(context, left * scale + 1, top * scale + 1, w * scale - 2, h * scale - 2, { ...line, line: 1.2 });
  const count = (span[0][1] - span[0][0]) * (span[1][1] - span[1][0]);
  foot.textContent = `${count} of ${bins * bins} window${bins > 1 ? 's' : ''}`;
}

/** The lines that say what is chosen and what the colours mean. */
function explain(view) {
  const { focus, note, bar, coloured, description } = view;
  const [high, wide] = focus.cell.map((side) => Number(side.toFixed(1)));
  const pixels = `${high} × ${wide} pixels`;
  description.textContent = `${focus.name}: a cell is ${pixels}; the dashed square is the input of a 3×3 convolution there.`;
  if (coloured === 'one channel') {
    const at = layerOf(focus, view);
    const [low, top] = [focus.lows[at], focus.highs[at]].map(short);
    note.textContent = `In ${focus.name} this is channel ${focus.channels[at]} of ${focus.shape[0]}, from ${low} (paper) to ${top} `
      + '(orange). Each map has its own channels, the most varied first.';
  } else note.textContent = 'Each map has its own three colours: its first three principal components as red, green, blue.';
  bar.style.display = coloured === 'one channel' ? '' : 'none';
}

/** All elements, in `view`, and the card filled with them. */
function build(view) {
  const { model, root } = view;
  const set = setterOf(model);
  view.picture = framed({ role: 'application', 'aria-label': 'The image' });
  view.loupe = framed({ role: 'img', 'aria-label': 'Around the pixel, magnified' });
  view.windows = model.get('bins').map((bins) => ({ bins, ...framed({ role: 'img', 'aria-label': `${bins}×${bins} pooling windows` }) }));
  view.maps.forEach((map) => Object.assign(map, framed({ role: 'application', 'aria-label': `The map ${map.name}` })));
  view.picture.head.textContent = `image · ${view.size.join(' × ')} pixels`;
  view.loupe.head.textContent = 'around the pixel';
  view.windows.forEach(({ head, bins }) => { head.textContent = `pool ${bins}×${bins}`; });
  view.maps.forEach(({ head, element, name, shape }) => {
    head.textContent = name;
    element.insertBefore(node('div', { class: 'note' }, shape.join('×')), element.children[1]);
  });
  const [description, note, bar] = [node('p', { class: 'said' }), node('p', { class: 'note' }), node('span')];
  const colourings = ['three colours', 'one channel'].map((value) => ({ value, label: value }));
  view.colourings = segments('maps in', colourings, model.get('coloured'), set('coloured'));
  const most = Math.max(...view.maps.map(({ channels }) => channels.length));
  view.slide = slider('channel', { min: 1, max: most, step: 1, value: model.get('channel'), words: (n) => `${n} of ${most}` }, set('channel'));
  bar.append(view.slide.element);
  const grid = (columns, gap, ...children) => (
    node('div', { style: `display: grid; grid-template-columns: ${columns}; gap: ${gap}; align-content: start` }, ...children)
  );
  view.pools = grid('100%', `6px ${GAP}px`, ...view.windows.map(({ element }) => element));
  const around = flex(`gap: ${GAP}px; align-items: flex-start`, view.loupe.element, view.pools);
  view.tiles = grid('100%', `14px ${GAP}px`, ...view.maps.map(({ element }) => element));
  view.columns = grid('100%', `20px ${2 * GAP}px`,
    grid('100%', '14px', view.picture.element, around), view.tiles);
  root.append(
    node('div', { class: 'row', style: 'margin-bottom: 14px; min-height: 34px' }, view.colourings.element, bar),
    view.columns, node('div', { style: 'margin-top: 14px' }, description, note),
  );
  Object.assign(view, { description, note, bar });
}

/** Let a canvas be pointed at and walked over; `cells` says in what steps, `mapOf` whose keys' cells are. */
function walk(view, canvas, sides, { toPixel, mapOf }) {
  const [rows, columns] = [() => sides()[0], () => sides()[1]];
  const show = (pixel, map) => {
    Object.assign(view, pixel, { focus: map, moved: true });
    view.draw();
  };
  const keep = (pixel, map) => {
    show(pixel, map);
    view.held = { y: view.y, x: view.x, focus: map };
  };
  const send = () => {
    const { held } = view;
    view.model.set('chosen', view.maps.indexOf(held.focus));
    view.model.set('pixel', [Math.floor(held.y), Math.floor(held.x)]);
    view.model.save_changes();
    Object.assign(view, held, { held }); // finer than the whole pixels that were set
  };
  const over = (cell) => (cell ? show(toPixel(cell), mapOf()) : view.draw(Object.assign(view, view.held)));
  const press = (cell) => send(keep(toPixel(cell), mapOf()));
  const step = (cell) => keep(middleOf(mapOf(), cell, view.size), mapOf());
  pointCells(canvas, { rows, columns, over, press });
  walkCells(canvas, {
    rows: () => mapOf().grid[0], columns: () => mapOf().grid[1], get: () => cellAt(mapOf(), view), set: step,
    press: () => send(keep({ y: view.y, x: view.x }, mapOf())),
  });
}

function render({ model, el }) {
  const { root, say } = card(model, el);
  const size = model.get('size');
  const view = { model, root, size, image: imageCanvas(model.get('pixels'), ...size), maps: mapsOf(model) };
  view.draw = oncePerFrame(() => {
    if (!view.scale) return;
    drawImage(view);
    drawLoupe(view);
    view.windows.forEach((pool) => drawWindows(view, pool));
    view.maps.forEach((map) => drawCells(map, view));
    explain(view);
    const { row, column } = cellAt(view.focus, view);
    if (view.moved) say(`Row ${Math.floor(view.y)}, column ${Math.floor(view.x)} of the image; ${view.focus.name}, cell ${row}, ${column}.`);
  });
  const moveTo = () => {
    const [y, x] = model.get('pixel').map((n) => n + 0.5);
    view.held = { y, x, focus: view.maps[model.get('chosen')] };
    view.draw(Object.assign(view, view.held));
  };
  const colours = () => {
    Object.assign(view, { coloured: model.get('coloured'), channel: model.get('channel') });
    view.colourings.set(view.coloured);
    view.slide.set(view.channel);
    if (!view.scale) return;
    view.maps.forEach((map) => paintCells(map, view));
    view.draw();
  };
  build(view);
  moveTo();
  colours();
  walk(view, view.picture.canvas, () => size, { toPixel: ({ row, column }) => ({ y: row + 0.5, x: column + 0.5 }), mapOf: () => view.focus });
  view.maps.forEach((map) => {
    walk(view, map.canvas, () => map.grid, { toPixel: (cell) => middleOf(map, cell, size), mapOf: () => map });
  });
  const changes = { pixel: moveTo, chosen: moveTo, coloured: colours, channel: colours };
  return follow(model, root, changes, () => fit(view));
}
