// The mask explorer: layers of one image with a wipe. mask_panel.js, which stands before it, has what is beside them.

/** What was sent, as arrays. `wrong` is 1 where the prediction differs from a label. */
function maskData(model) {
  const [height, width] = model.get('size');
  const bytes = (name) => arrayOf(model.get(name), Uint8Array);
  const data = {
    height, width, count: height * width, names: model.get('names'), colours: model.get('colours'),
    ignore: model.get('ignore'), rows: model.get('rows'), rgb: bytes('pixels'), prediction: bytes('prediction'),
    labels: model.get('labels').byteLength ? bytes('labels') : null, top: bytes('top_classes'),
    probabilities: bytes('top_probabilities'),
  };
  const { labels, prediction, ignore } = data;
  data.wrong = Uint8Array.from(prediction, (k, i) => (labels && labels[i] !== ignore && labels[i] !== k ? 1 : 0));
  data.tops = data.top.length / data.count;
  return data;
}

/** Pixels as RGBA words, as they are and faded to a pale grey: the grounds that colours lie on. */
function groundsOf({ rgb, count }, paper) {
  const image = new Uint32Array(count);
  const faded = new Uint32Array(count);
  for (let i = 0, j = 0; i < count; i += 1, j += 3) {
    const grey = 0.45 * (0.299 * rgb[j] + 0.587 * rgb[j + 1] + 0.114 * rgb[j + 2]);
    image[i] = word(rgb[j], rgb[j + 1], rgb[j + 2]);
    faded[i] = word(grey + 0.55 * paper[0], grey + 0.55 * paper[1], grey + 0.55 * paper[2]);
  }
  return { image, faded };
}

/** Red, green and blue (0..255) as the word that an image's memory holds. */
function word(red, green, blue) {
  return ((255 << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red)) >>> 0;
}

/** Fill `out` (one word a pixel) with a layer. `look`: opacity, onlyErrors, shown (1 for each class that is), spot (the
 * class that the mouse is on in the list, or null), and whole (nothing is switched off). */
function paintLayer(name, out, data, grounds, look, accent) {
  const { prediction, wrong, rgb, count } = data;
  const { image, faded } = grounds;
  const { shown, opacity, onlyErrors, spot, whole } = look;
  if (name === 'image' && spot === null) { out.set(image); return; }
  const labels = name === 'prediction' || !data.labels ? prediction : data.labels;
  const paint = Float32Array.from(data.colours.flat(), (value) => opacity * value + 0.5); // a half: `|` cuts, and so rounds
  const rest = 1 - opacity;
  const red = word(...accent);
  for (let i = 0, j = 0; i < count; i += 1, j += 3) {
    const k = labels[i];
    const at = 3 * k;
    if (name === 'image') out[i] = k === spot ? image[i] : faded[i];
    else if (name === 'errors') out[i] = wrong[i] && (shown[data.labels[i]] || shown[prediction[i]]) ? red : faded[i];
    else if (onlyErrors && !wrong[i]) out[i] = faded[i];
    else if (k === data.ignore) out[i] = whole ? image[i] : faded[i];
    else if (!shown[k]) out[i] = faded[i];
    else {
      const blue = rest * rgb[j + 2] + paint[at + 2];
      const green = rest * rgb[j + 1] + paint[at + 1];
      out[i] = (255 << 24) | (blue << 16) | (green << 8) | (rest * rgb[j] + paint[at]);
    }
  }
}

/** A canvas of the image's own pixels, whose memory `paint` fills word by word. */
function layerCanvas({ height, width }) {
  const canvas = node('canvas', { height, width });
  const context = canvas.getContext('2d');
  const pixels = context.createImageData(width, height);
  const words = new Uint32Array(pixels.data.buffer);
  return { canvas, paint: (fill) => { fill(words); context.putImageData(pixels, 0, 0); } };
}

/** The pixel that the model doubts most: a good place to begin. */
function doubtful({ probabilities, count, width }) {
  let least = 0;
  for (let i = 1; i < count; i += 1) if (probabilities[i] < probabilities[least]) least = i;
  return { row: Math.floor(least / width), column: least % width };
}

/** The divider between two layers: dragged, or moved by the arrow keys. `place(part)` puts it there. */
function divider(model, keep) {
  const element = node('div', {
    class: 'divider', role: 'slider', tabindex: '0', 'aria-label': 'Divider', 'aria-valuemin': 0, 'aria-valuemax': 100,
    'data-lm-suppress-shortcuts': 'true', title: 'Drag, or use the arrow keys',
  }, node('span', { class: 'knob', 'aria-hidden': 'true' }, '‹ ›'));
  const drag = (event) => {
    if (!element.hasPointerCapture(event.pointerId)) return;
    event.stopPropagation(); // the pixel under the cursor stays the same meanwhile
    const box = element.parentElement.getBoundingClientRect();
    model.set('wipe', Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1));
  };
  element.addEventListener('pointerdown', (event) => { element.setPointerCapture(event.pointerId); event.stopPropagation(); });
  element.addEventListener('pointermove', drag);
  element.addEventListener('pointerup', () => model.save_changes());
  element.addEventListener('click', (event) => event.stopPropagation());
  element.addEventListener('keydown', (event) => {
    const step = event.shiftKey ? 0.1 : 0.01;
    const now = model.get('wipe');
    const to = { ArrowLeft: now - step, ArrowDown: now - step, ArrowRight: now + step, ArrowUp: now + step, Home: 0, End: 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    keep('wipe', Math.round(100 * Math.min(Math.max(to, 0), 1)) / 100);
  });
  const place = (part) => {
    element.style.left = `${100 * part}%`;
    element.setAttribute('aria-valuenow', Math.round(100 * part));
    element.setAttribute('aria-valuetext', `${model.get('left')} up to ${Math.round(100 * part)} percent, then ${model.get('right')}`);
  };
  return { element, place };
}

/** Shift and an arrow key: eight pixels at once, before the single step that every walk has. */
function leap(event, { height, width }, { row, column }, go) {
  const [down, right] = { ArrowUp: [-8, 0], ArrowDown: [8, 0], ArrowLeft: [0, -8], ArrowRight: [0, 8] }[event.key] ?? [0, 0];
  if (!event.shiftKey || !(down || right)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  go({ row: Math.min(Math.max(row + down, 0), height - 1), column: Math.min(Math.max(column + right, 0), width - 1) });
}

function render({ model, el }) {
  const { root, say } = card(model, el);
  root.classList.add('mask-explorer');
  const data = maskData(model);
  const layers = data.labels ? ['image', 'ground truth', 'prediction', 'errors'] : ['image', 'prediction'];
  const pinned = model.get('pixel');
  let home = pinned.length ? { row: pinned[0], column: pinned[1] } : doubtful(data);
  let cell = home;
  let spot = null;
  let palette;
  let grounds;
  const sides = ['left', 'right'].map((side) => ({ side, ...layerCanvas(data), stale: true }));
  const keep = (name, value) => { model.set(name, value); model.save_changes(); };

  const canvas = node('canvas', {
    role: 'application', 'aria-roledescription': 'image', 'aria-label':
      `Image of ${data.height} rows and ${data.width} columns. Arrow keys walk over its pixels, with Shift by eight; Enter pins one.`,
  });
  const grip = divider(model, keep);
  const tags = sides.map(({ side }) => node('span', { class: `tag ${side}`, 'aria-hidden': 'true' }));
  const stage = node('div', { class: 'stage' }, canvas, grip.element, ...tags);
  const column = node('div', { class: 'picture' }, stage);
  const reading = readingOf(data);

  const repaint = () => {
    const hidden = new Set(model.get('hidden'));
    const shown = Uint8Array.from({ length: 256 }, (_, k) => (spot === null ? !hidden.has(k) : k === spot));
    const look = { shown, spot, whole: spot === null && !hidden.size, opacity: model.get('opacity'), onlyErrors: model.get('only_errors') };
    const accent = rgbOf(palette.accent);
    for (const { side, paint } of sides.filter(({ stale }) => stale)) {
      paint((words) => paintLayer(model.get(side), words, data, grounds, look, accent));
    }
    sides.forEach((side) => { side.stale = false; });
  };
  let [width, height] = [1, 1];
  const draw = oncePerFrame(() => {
    if (!palette) return;
    if (sides.some(({ stale }) => stale)) repaint();
    const context = sharpen(canvas, width, height);
    const [split, scale] = [model.get('wipe'), width / data.width];
    const cut = Math.round(split * width);
    context.imageSmoothingEnabled = scale * (window.devicePixelRatio || 1) < 1;
    sides.forEach(({ canvas: layer }, n) => {
      context.save();
      context.beginPath();
      context.rect(n ? cut : 0, 0, n ? width - cut : cut, height);
      context.clip();
      context.drawImage(layer, 0, 0, width, height);
      context.restore();
    });
    const side = Math.max(scale, 9);
    const [x, y] = [(cell.column + 0.5) * scale - side / 2, (cell.row + 0.5) * scale - side / 2];
    outline(context, x, y, side, side, { colour: '#22272e', line: 1.6 });
    grip.place(split);
    sides.forEach((at, n) => { tags[n].textContent = model.get(at.side); });
    tags[0].style.opacity = split * width < 90 ? 0 : 1;
    tags[1].style.opacity = (1 - split) * width < 90 ? 0 : 1;
    say(reading.show(cell));
  });
  const redo = () => { sides.forEach((side) => { side.stale = true; }); draw(); };
  const recolour = () => {
    palette = paletteOf(root);
    grounds = groundsOf(data, rgbOf(palette.paper));
    redo();
  };
  const fit = () => {
    if (!column.clientWidth) return; // not on the page yet, where there are neither sizes nor colours
    if (!palette) recolour();
    width = Math.max(1, Math.min(column.clientWidth, (560 * data.width) / data.height));
    height = (width * data.height) / data.width;
    stage.style.width = `${width}px`;
    draw();
  };

  const size = { rows: () => data.height, columns: () => data.width };
  const go = (to) => { home = to; cell = to; draw(); };
  const pin = (to) => { go(to); keep('pixel', [to.row, to.column]); };
  pointCells(stage, { ...size, over: (at) => { cell = at ?? home; draw(); }, press: pin });
  stage.addEventListener('click', () => canvas.focus({ preventScroll: true }));
  canvas.addEventListener('keydown', (event) => leap(event, data, cell, go));
  walkCells(canvas, { ...size, get: () => cell, set: go, press: pin });

  const classes = classList(model, data, {
    toggled: (hidden) => keep('hidden', hidden),
    over: (k) => { spot = k; redo(); },
  });
  const choices = ['left', 'right'].map((side) => segments(side, layers.map((name) => ({ value: name, label: name })),
    model.get(side), (name) => keep(side, name)));
  const opacity = slider('colour', { min: 0, max: 1, step: 0.05, value: model.get('opacity'), words: (v) => `${Math.round(100 * v)} %` },
    (value) => { model.set('opacity', value); });
  opacity.input.addEventListener('change', () => model.save_changes());
  const only = data.labels && toggle('only errors', model.get('only_errors'), (on) => keep('only_errors', on));
  root.append(
    node('div', { class: 'row' }, ...choices.map((choice) => choice.element)),
    node('div', { class: 'row second' }, opacity.element, only && only.element),
    node('div', { class: 'sides' }, column, node('div', { class: 'panel' }, reading.element, classes.element)),
  );

  const follow = {
    left: () => choices[0].set(model.get('left')), right: () => choices[1].set(model.get('right')), hidden: classes.show,
    opacity: () => opacity.set(model.get('opacity')), only_errors: () => only && only.set(model.get('only_errors')), wipe: () => {},
  };
  const answers = Object.entries(follow).map(([name, set]) => {
    const answer = () => { set(); if (name === 'wipe') draw(); else redo(); };
    model.on(`change:${name}`, answer);
    return [name, answer];
  });
  const unwatch = onTheme(() => { if (palette) recolour(); });
  const watch = new ResizeObserver(fit);
  watch.observe(column);
  fit();
  return () => { unwatch(); watch.disconnect(); answers.forEach(([name, answer]) => model.off(`change:${name}`, answer)); };
}
