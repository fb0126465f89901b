// Patches of an image, and the cosines of one position's embedding with all others, before and after a resize.

const GAP = 12; // CSS pixels between two maps
const LOUPE = [220, 176]; // the side of the magnified patch, in a wide card and in a narrow one

/** The image in patches with gaps between them, ready to be laid under what moves. */
function paintBoard({ board, padded, grid: [rows, columns], shown: [width, height], p, palette }) {
  const context = sharpen(board, width, height);
  const side = width / columns;
  const gap = Math.min(3, Math.max(1, 0.08 * side));
  const inner = side - gap;
  context.imageSmoothingEnabled = false;
  context.fillStyle = palette.paper;
  context.fillRect(0, 0, width, height);
  for (let i = 0; i < rows; i += 1) {
    for (let j = 0; j < columns; j += 1) {
      context.drawImage(padded, j * p, i * p, p, p, j * side + gap / 2, i * side + gap / 2, inner, inner);
    }
  }
}

/** Choose sizes and colours for the card's width and the theme. */
function fit(view) {
  const { root, padded, maps, bar } = view;
  const palette = paletteOf(root);
  const width = root.clientWidth - 40;
  if (width < 80) return; // hidden, or closing
  const wide = Math.min(width < 600 ? width : width - LOUPE[0] - 200, (420 * padded.width) / padded.height);
  const shapes = maps.reduce((sum, { grid }) => sum + grid[1] / grid[0], 0);
  Object.assign(view, { palette, line: outlineColours(palette), ramp: bothWays(palette), tall: Math.min((width - 2 * GAP) / shapes, 280) });
  maps.forEach(({ element, grid }) => { element.style.width = `${(view.tall * grid[1]) / grid[0]}px`; });
  view.side = LOUPE[width < 600 ? 1 : 0];
  view.shown = [wide, (wide * padded.height) / padded.width];
  paintBoard(view);
  paintGrid(bar, Float32Array.from({ length: 121 }, (_, i) => i / 60 - 1), [1, 121], view.ramp);
  view.draw();
}

/** The image in patches, the chosen one lifted out of it. */
function drawImage(view, { row, column }) {
  const { image, board, padded, shown, grid, p, line } = view;
  const kept = cellIn(view.held, grid);
  const context = sharpen(image.canvas, ...shown);
  const side = shown[0] / grid[1];
  const lifted = Math.max(1.3 * side, 16);
  const [x, y] = [column, row].map((n, axis) => (
    Math.min(Math.max((n + 0.5) * side - lifted / 2, 3), shown[axis] - lifted - 3)
  ));
  context.imageSmoothingEnabled = false;
  context.drawImage(board, 0, 0, ...shown);
  outline(context, kept.column * side, kept.row * side, side, side, { ...line, line: 1 });
  Object.assign(context, { shadowColor: 'rgb(0 0 0 / 0.6)', shadowBlur: 10, shadowOffsetY: 3 });
  context.drawImage(padded, column * p, row * p, p, p, x, y, lifted, lifted);
  context.shadowColor = 'transparent';
  outline(context, x, y, lifted, lifted, { ...line, line: 1.6 });
}

/** The chosen patch magnified, and what is known of it. */
function drawLoupe({ loupe, facts, padded, size, grid, p, side }, { row, column }) {
  const context = sharpen(loupe.canvas, side, side);
  context.imageSmoothingEnabled = false;
  context.drawImage(padded, column * p, row * p, p, p, 0, 0, side, side);
  const number = row * grid[1] + column;
  const [bottom, right] = [row, column].map((n, axis) => Math.min((n + 1) * p, size[axis]));
  const missing = p * p - (bottom - row * p) * (right - column * p);
  loupe.head.textContent = `patch ${number}`;
  facts.replaceChildren(...[
    `row ${row}, column ${column}`,
    `pixels ${row * p}–${bottom - 1} down`,
    `pixels ${column * p}–${right - 1} across`,
    `${p} × ${p} × 3 = ${3 * p * p} values`,
    `token ${number + 1} (0 is the class)`,
    ...(missing ? [`${missing} of ${p * p} pixels are padding`] : []),
  ].map((words, i) => node('div', { class: i ? 'note' : null }, words)));
}

/** One map of cosines. @returns {Float32Array} its values */
function drawMap(view, { canvas, small, grid, units, foot }) {
  const [[rows, columns], { row, column }] = [grid, cellIn(view, grid)];
  const values = cosines(units, view.channels, row * columns + column);
  paintGrid(small, values, grid, view.ramp);
  const side = view.tall / rows;
  const context = sharpen(canvas, side * columns, view.tall);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, side * columns, view.tall);
  frame(context, side * columns, view.tall, view.palette);
  outline(context, column * side, row * side, side, side, { ...view.line, line: 1.4 });
  foot.textContent = `row ${row}, column ${column}`;
  return values;
}

/** Where and by how much two maps of cosines differ most, in a sentence. */
function compare(right, wrong, { grid, apart: all }) {
  let worst = 0;
  const off = right.map((value, n) => Math.abs(value - wrong[n]));
  off.forEach((value, n) => { if (value > off[worst]) worst = n; });
  if (off[worst] < 1e-6) return 'The two resized maps do not differ here.';
  const [row, column] = [Math.floor(worst / grid[1]), worst % grid[1]];
  return `The two resized maps differ by at most ${off[worst].toFixed(4)} (row ${row}, column ${column}), `
    + `the vectors of all positions by ${(100 * all).toFixed(1)}\u00a0%.`;
}

/** All elements, in `view`, and the card filled with them. */
function build(view) {
  const { model, root } = view;
  view.image = framed({ role: 'application' });
  view.loupe = framed({ role: 'img', 'aria-label': 'The chosen patch, magnified' });
  view.facts = node('div', { style: 'line-height: 1.75; min-width: 0' });
  view.maps = ['trained', 'resized', 'mistake'].map((name) => (
    { ...framed({ role: 'application' }), name, small: node('canvas'), grid: view.trained }
  ));
  Object.assign(view, { verdict: node('p', { class: 'said' }), note: node('p', { class: 'note' }), bar: node('canvas') });
  Object.assign(view, { board: node('canvas'), padded: node('canvas') });
  view.bar.style = 'width: 120px; height: 8px';
  const sizes = model.get('patch_sizes').map((p) => ({ value: p, label: `${p}×${p}` }));
  const mistakes = Object.entries(model.get('mistakes')).map(([name, title]) => ({ value: name, label: name, title }));
  const set = setterOf(model);
  view.sizes = segments('patch', sizes, model.get('patch_size'), set('patch_size'));
  view.mistakes = segments('mistake', mistakes, model.get('mistake'), set('mistake'));
  root.append(
    node('div', { class: 'row', style: 'margin-bottom: 12px' }, view.sizes.element),
    flex('flex-wrap: wrap; gap: 12px 20px; align-items: flex-start', view.image.element, flex('gap: 14px; align-items: flex-end', view.loupe.element, view.facts)),
    node('p', { class: 'title', style: 'margin: 20px 0 8px' }, 'How similar the embedding of this position is to those of all others'),
    node('div', { class: 'row', style: 'margin-bottom: 12px' }, view.mistakes.element),
    flex(`gap: ${GAP}px; align-items: flex-end`, ...view.maps.map(({ element }) => element)),
    flex('flex-wrap: wrap; gap: 6px 24px; margin-top: 12px; justify-content: space-between',
      node('div', { style: 'flex: 1 1 340px' }, view.verdict, view.note),
      node('div', {}, view.bar, flex('justify-content: space-between', ...['−1', '0', '1'].map((n) => node('span', { class: 'note' }, n))),
        node('span', { class: 'note' }, 'cosine'))),
  );
}

/** Take the patch size and the mistake that were chosen, by a control or from Python. */
function choose(view) {
  const { model } = view;
  Object.assign(view, { p: model.get('patch_size'), mistake: model.get('mistake') });
  view.sizes.set(view.p);
  view.mistakes.set(view.mistake);
  measure(view);
  view.image.head.textContent = `${view.grid[0]} × ${view.grid[1]} = ${view.grid[0] * view.grid[1]} patches`;
  view.image.canvas.setAttribute('aria-label', `The image in ${view.image.head.textContent}`);
  view.maps.forEach(({ head, canvas, grid, name }, i) => {
    head.textContent = `${i === 2 ? view.mistake : name} · ${grid.join('×')}`;
    canvas.setAttribute('aria-label', `Cosines with the chosen position, ${head.textContent}`);
  });
  view.note.textContent = model.get('mistakes')[view.mistake];
  fit(view);
  const { row, column } = cellIn(view.held, view.grid);
  if (String([row, column]) !== String(model.get('position'))) send(view); // the same position is another patch now
}

/** Send the kept position to Python, as a patch; the browser goes on with the exact one, which may be another grid's. */
function send(view) {
  const { held, grid, model } = view;
  const { row, column } = cellIn(held, grid);
  setterOf(model)('position')([row, column]);
  Object.assign(view, held, { held });
}

/** Let a canvas be pointed at and walked over; a click or Enter keeps a position and sends it to Python. */
function walk(view, canvas, gridOf) {
  const [rows, columns] = [() => gridOf()[0], () => gridOf()[1]];
  const show = ({ row, column }) => {
    Object.assign(view, { y: (row + 0.5) / rows(), x: (column + 0.5) / columns() });
    view.moved = true; // from now on there is something to say
    view.draw();
  };
  const hold = (cell) => {
    show(cell);
    view.held = { y: view.y, x: view.x };
  };
  const press = (cell) => {
    hold(cell);
    send(view);
  };
  const over = (cell) => {
    if (cell) show(cell);
    else view.draw(Object.assign(view, view.held));
  };
  pointCells(canvas, { rows, columns, over, press });
  walkCells(canvas, { rows, columns, get: () => cellIn(view, gridOf()), set: hold, press });
}

function render({ model, el }) {
  const { root, say } = card(model, el);
  const [size, trained, channels] = ['size', 'trained', 'channels'].map((name) => model.get(name));
  const vectors = arrayOf(model.get('vectors'), Float32Array);
  const source = imageCanvas(model.get('pixels'), ...size);
  const view = { model, root, size, trained, channels, vectors, source, matrices: matricesOf(model) };
  view.draw = oncePerFrame(() => {
    if (!view.shown) return;
    const cell = cellIn(view, view.grid);
    drawImage(view, cell);
    drawLoupe(view, cell);
    const [, right, wrong] = view.maps.map((map) => drawMap(view, map));
    view.verdict.textContent = compare(right, wrong, view);
    if (view.moved) say(`Patch ${cell.row * view.grid[1] + cell.column}, row ${cell.row}, column ${cell.column}. ${view.verdict.textContent}`);
  });
  build(view);
  view.maps[0].units = unit(vectors.subarray(channels), channels);
  const moveTo = () => {
    const [y, x] = model.get('position').map((n, axis) => (n + 0.5) / Math.ceil(size[axis] / model.get('patch_size')));
    view.held = { y, x };
    view.draw(Object.assign(view, view.held));
  };
  const again = () => choose(view);
  moveTo();
  again();
  walk(view, view.image.canvas, () => view.grid);
  view.maps.forEach((map) => walk(view, map.canvas, () => map.grid));
  return follow(model, root, { patch_size: again, mistake: again, position: moveTo }, () => fit(view));
}
