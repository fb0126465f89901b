// What the augmentation bench shows: the row of steps, the window on the resized pair, what the crop's rule says.
// `parameters` are those of `parametersOf` in augmentation_bench.js, `steps` its steps by name: { key, image, mask }.

const STEPS = ['read', 'resize', 'crop', 'flip', 'colour', 'normalise', 'pad'];
const percent = (fraction) => (fraction > 0 && fraction < 0.005 ? '< 1 %' : `${(100 * fraction).toFixed(0)} %`);
const finely = (fraction) => `${(100 * fraction).toFixed(1)} %`; // 74.6 is below 75
const part = (fraction) => `${100 * fraction}%`;

/** 256 RGBA words, a class each; what has no class stays clear, so that the hatching behind shows. */
function maskTable(colours) {
  const words = new Uint32Array(256);
  colours.forEach(([red, green, blue], k) => { words[k] = (255 << 24) | (blue << 16) | (green << 8) | red; });
  return words;
}

/** Put a picture on a canvas of as many dots as it has pixels; the page's style makes it as large as it is shown. */
function paint(canvas, picture, table = null) {
  const { height, width, data } = picture;
  if (canvas.height !== height || canvas.width !== width) Object.assign(canvas, { height, width });
  const words = table && new Uint32Array(data.length);
  for (let i = 0; table && i < data.length; i += 1) words[i] = table[data[i]];
  const bytes = table ? new Uint8ClampedArray(words.buffer) : data;
  canvas.getContext('2d').putImageData(new ImageData(bytes, width, height), 0, 0);
}

/** A picture that is soon painted: one larger than a tile can show is made smaller, by the pipeline's own rules. */
function tileOf(picture, resize, most = 512) {
  const shrink = most / Math.max(picture.height, picture.width, most);
  return resize(picture, ...[picture.height, picture.width].map((side) => Math.ceil(shrink * side)));
}

/** Lay an element over the box [top, left, bottom, right] of a background of [high, wide] pixels. */
function place(element, [top, left, bottom, right], [high, wide]) {
  const parts = { top: top / high, left: left / wide, height: (bottom - top) / high, width: (right - left) / wide };
  for (const [name, fraction] of Object.entries(parts)) element.style[name] = part(fraction);
}

/** The least and the largest number that normalising makes of an image, in words. */
function rangeOf({ data }, { mean, std }) {
  const ends = mean.map((middle, channel) => {
    let [least, most] = [255, 0];
    for (let i = channel; i < data.length; i += 4) {
      if (data[i] < least) least = data[i];
      if (data[i] > most) most = data[i];
    }
    return [least, most].map((value) => (value - middle) / std[channel]);
  }).flat();
  return `${Math.min(...ends).toFixed(1)} to ${Math.max(...ends).toFixed(1)}`.replaceAll('-', '−');
}

/** What each step did, in a few words. */
function stepWords(steps, { ratio, box, flipped, adjustments }, pipeline) {
  return {
    read: 'as it was',
    resize: `r = ${ratio.toFixed(2)}`,
    crop: `at ${box[0]}, ${box[1]}`,
    flip: flipped ? 'mirrored' : 'not mirrored',
    colour: adjustments.length === 1 ? '1 change' : `${adjustments.length || 'no'} changes`,
    normalise: rangeOf(steps.normalise.image, pipeline),
    pad: steps.pad.mask.data.length > steps.crop.mask.data.length ? 'filled up' : 'nothing to fill',
  };
}

/** The row of steps: `show` paints what changed. From the crop on, all are drawn in the scale of the crop's side. */
function stepStrip(pipeline, table) {
  const tiles = STEPS.map((name) => {
    const [image, mask] = [0, 1].map(() => node('canvas', { 'aria-hidden': 'true' }));
    const [size, did] = [node('span', { class: 'size' }), node('span', { class: 'note' })];
    const words = node('figcaption', {}, node('span', { class: 'caps' }, name), size, did);
    const boxes = [image, mask].map((canvas) => node('div', { class: 'picture' }, canvas));
    return { name, image, mask, size, did, shown: {}, element: node('figure', { 'data-step': name }, words, ...boxes) };
  });
  const fit = (canvas, { height, width }, side) => {
    Object.assign(canvas.style, { height: part(height / side), width: part(width / side) });
  };
  const show = (steps, parameters) => {
    const words = stepWords(steps, parameters, pipeline);
    for (const { name, image, mask, size, did, shown } of tiles) {
      const step = steps[name];
      const { height, width } = step.mask;
      const side = Math.max(height, width, name === 'read' || name === 'resize' ? 0 : pipeline.crop);
      size.textContent = `${height}×${width}`;
      did.textContent = words[name];
      if (shown.image !== step.image) paint(image, tileOf(step.image, resizeImage));
      if (shown.mask !== step.mask) paint(mask, tileOf(step.mask, resizeMask), table);
      for (const canvas of [image, mask]) fit(canvas, step.mask, side);
      Object.assign(shown, step);
    }
  };
  return { element: node('div', { class: 'strip' }, ...tiles.map(({ element }) => element)), show };
}

/** The resized pair under the window, in one scale: the ground has the `largest` [height, width], which `limit` gives.
 * `move(top, left)` is called as the window is dragged or walked, `room()` is how far it can go, `corner()` where it
 * is. */
function windowStage(crop, { largest, ratio: limit }, table, { move, room, corner }) {
  const [filling, canvas, tried] = ['div', 'canvas', 'div'].map((tag) => node(tag, { 'aria-hidden': 'true' }));
  filling.className = 'filling';
  tried.className = 'tries';
  const note = node('span', { class: 'note' }, `up to r = ${limit}`);
  canvas.classList.toggle('squares', Math.max(...largest) <= 480);
  const frame = node('div', { class: 'window', role: 'application', 'aria-label': 'Window: arrow keys move it' });
  const ratio = largest[1] / largest[0];
  const element = node('div', { class: 'stage', style: `aspect-ratio: ${ratio}; max-width: ${340 * ratio}px` });
  element.append(note, filling, canvas, tried, frame);
  const set = (row, column) => move(...[row, column].map((at, i) => Math.max(0, Math.min(room()[i], Math.round(at)))));
  walkCells(frame, {
    rows: () => room()[0] + 1,
    columns: () => room()[1] + 1,
    get: () => ({ row: corner()[0], column: corner()[1] }),
    set: ({ row, column }) => set(row, column),
  });
  let grip = null; // where in the window the pointer holds it
  const pixelAt = (event) => {
    const { left, top, width } = element.getBoundingClientRect();
    return [event.clientY - top, event.clientX - left].map((at) => (at * largest[1]) / width);
  };
  element.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    element.setPointerCapture(event.pointerId);
    frame.focus({ preventScroll: true });
    const inside = pixelAt(event).map((at, i) => at - corner()[i]);
    grip = inside.every((at) => at >= 0 && at < crop) ? inside : [crop / 2, crop / 2];
    drag(event);
  });
  const drag = (event) => { if (grip) set(...pixelAt(event).map((at, i) => at - grip[i])); };
  element.addEventListener('pointermove', drag);
  for (const end of ['pointerup', 'pointercancel']) element.addEventListener(end, () => { grip = null; });

  let shown = null;
  const show = ({ resize }, { box, size }, windows, layer) => {
    if (shown !== resize[layer]) paint(canvas, resize[layer], layer === 'mask' ? table : null);
    shown = resize[layer];
    note.hidden = size[0] > 0.85 * largest[0]; // it would not fit
    place(canvas, [0, 0, ...size], largest);
    place(frame, [box[0], box[1], box[0] + crop, box[1] + crop], largest);
    place(filling, [box[0], box[1], box[0] + crop, box[1] + crop], largest);
    tried.replaceChildren(...windows.filter(({ refused }) => refused).map((draw, i) => {
      const outlined = node('div', { class: 'tried' }, node('span', {}, String(i + 1)));
      place(outlined, draw.box, largest);
      return outlined;
    }));
  };
  return { element, show };
}

/** A bar with its words: `show(fraction, colour, words)`; `mark` is a fraction to stay below. */
function fractionBar(label, mark = null) {
  const [fill, description] = [node('div', { class: 'fill' }), node('span', { class: 'description' })];
  const limit = mark && node('div', { class: 'mark', style: `left: ${part(mark)}` }, node('span', {}, String(mark)));
  const bar = node('div', { class: 'bar', 'aria-hidden': 'true' }, fill, limit);
  const show = (fraction, colour, words) => {
    Object.assign(fill.style, { width: part(fraction), background: colour });
    description.textContent = words;
  };
  return { element: node('div', { class: 'measure' }, node('span', { class: 'caps' }, label), bar, description), show };
}

/** What the rule says of the crop, how much is ignored, and the windows as they were drawn. */
function verdict(pipeline, names, colours) {
  const { cat_max_ratio: most } = pipeline;
  const name = (label) => names[label] ?? 'nothing labelled';
  const colour = (label) => (colours[label] ? `rgb(${colours[label]})` : 'none');
  const swatch = (label) => {
    const hatched = label === IGNORED && 'hatched';
    return node('i', { class: hatched, style: `background-color: ${colour(label)}` });
  };
  const [largest, ignored] = [fractionBar('Largest class', most), fractionBar('Ignored')];
  const [draws, legend] = [node('ol', { class: 'draws' }), node('ul', { class: 'legend' })];
  const itemOf = ({ label, fraction, refused }, i) => {
    const end = refused ? 'refused' : i === 10 ? 'taken unchecked' : 'taken';
    const words = `${name(label)} ${finely(fraction)} ${end}`;
    return node('li', { class: refused ? 'refused' : 'taken' }, `${i + 1}`, swatch(label), words);
  };
  const entry = ([label, count], total) => {
    const known = label === IGNORED ? 'ignored' : name(label);
    return node('li', {}, swatch(label), `${known} ${percent(count / total)}`);
  };
  const show = ({ crop, pad }, windows) => {
    const [inside, whole] = [commonest(crop.mask), commonest(pad.mask)];
    const total = pad.mask.data.length;
    const padding = total - crop.mask.data.length;
    const rule = inside.fraction < most ? `below ${percent(most)}: will do` : `${percent(most)} or more: a dull window`;
    const words = `${name(inside.label)} ${finely(inside.fraction)}, ${rule}`;
    largest.show(inside.fraction, colour(inside.label), words);
    const parts = `${padding} of padding, ${inside.ignored} not labelled, of ${total} pixels`;
    ignored.show(whole.ignored / total, 'var(--muted)', `${percent(whole.ignored / total)}: ${parts}`);
    draws.replaceChildren(...(windows.length ? windows.map(itemOf) : [node('li', {}, 'placed by hand')]));
    const classes = [...whole.counts.entries()].sort((a, b) => b[1] - a[1]).concat([[IGNORED, whole.ignored]]);
    legend.replaceChildren(...classes.filter(([, count]) => count).map((pair) => entry(pair, total)));
    return words;
  };
  const windows = node('div', { class: 'measure windows' }, node('span', { class: 'caps' }, 'Windows drawn'), draws);
  return { element: node('div', {}, largest.element, ignored.element, windows), legend, show };
}
