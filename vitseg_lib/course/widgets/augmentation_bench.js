// The augmentation bench: what is chosen, the steps that follow from it, and a control for every parameter.
// `chosen` is { ratio, down, right, flipped, contrastFirst, brightness, contrast, saturation, hue, tried }.

const AMOUNTS = { brightness: 0, contrast: 1, saturation: 1, hue: 0 }; // those that change nothing
const PLAIN = {
  ratio: 1, down: 0.5, right: 0.5, flipped: false, contrastFirst: true, tried: [],
  ...Object.fromEntries(Object.entries(AMOUNTS).map(([name, amount]) => [name, { amount, on: false }])),
};
const signed = (value) => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(0)}`;
const times = (value) => `× ${value.toFixed(2)}`;
const COINS = {
  brightness: { min: -32, max: 32, step: 1, words: signed },
  contrast: { min: 0.5, max: 1.5, step: 0.01, words: times },
  saturation: { min: 0.5, max: 1.5, step: 0.01, words: times },
  hue: { min: -18, max: 17, step: 1, words: signed }, // of 180 steps around the circle
};

/** The pair as it was read. */
function readPair(model) {
  const [height, width] = model.get('size');
  const rgb = arrayOf(model.get('image'), Uint8Array);
  const data = new Uint8ClampedArray(4 * height * width).fill(255);
  for (let i = 0, at = 0; i < rgb.length; i += 3, at += 4) data.set(rgb.subarray(i, i + 3), at);
  const mask = { height, width, data: arrayOf(model.get('labels'), Uint8Array) };
  return { key: '', image: { height, width, data }, mask };
}

/** The changes of colour that are on, in the order in which they are made: [[name, amount], …]. */
function changesOf(chosen) {
  const middle = ['saturation', 'hue'];
  const order = ['brightness', ...(chosen.contrastFirst ? ['contrast', ...middle] : [...middle, 'contrast'])];
  return order.filter((name) => chosen[name].on).map((name) => [name, chosen[name].amount]);
}

/** What is chosen, in the library's terms; `room` is how far the window can go down and right. */
function parametersOf(chosen, { mask }, { crop, scale }) {
  const size = sizeAt(chosen.ratio, mask, scale);
  const room = size.map((side) => Math.max(side - crop, 0));
  const box = boxAt(Math.round(chosen.down * room[0]), Math.round(chosen.right * room[1]), ...size, crop);
  return { ratio: chosen.ratio, size, room, box, flipped: chosen.flipped, adjustments: changesOf(chosen) };
}

/** Take all steps; those that come out as they did `last` time are not taken again. */
function takeSteps(read, { crop, mean }, { size, box, flipped, adjustments }, last) {
  const steps = { read };
  let from = read;
  const step = (name, parameters, image, mask) => {
    const key = `${from.key}|${JSON.stringify(parameters)}`;
    from = last[name]?.key === key ? last[name] : { key, image: image(from.image), mask: mask(from.mask) };
    steps[name] = from;
  };
  const both = (name, parameters, take) => step(name, parameters, take, take);
  const recoloured = (image) => adjustments.reduce((made, [name, amount]) => ADJUST[name](made, amount), image);
  const [grey] = new Uint32Array(new Uint8ClampedArray([...mean, 255]).buffer); // what 0 is after normalising
  step('resize', size, (image) => resizeImage(image, ...size), (mask) => resizeMask(mask, ...size));
  both('crop', box, (picture) => cropPicture(picture, box));
  both('flip', flipped, (picture) => (flipped ? flipPicture(picture) : picture));
  step('colour', adjustments, recoloured, (mask) => mask);
  both('normalise', mean, (picture) => picture);
  step('pad', crop, (image) => padPicture(image, crop, grey), (mask) => padPicture(mask, crop, IGNORED));
  return steps;
}

/** A group of controls under the name of their step. */
function group(name, odds, ...controls) {
  const legend = node('legend', {}, node('span', { class: 'caps' }, name), node('span', { class: 'note' }, odds));
  return node('fieldset', {}, legend, ...controls);
}

/** The controls: `show(chosen, parameters)` sets them, and `change(fields)` is called when one is moved. */
function controlPanel(pipeline, change, current) {
  const { ratio_range: [low, high], cat_max_ratio: most } = pipeline;
  const ratio = slider('Ratio', {
    min: Math.min(low, 0.5), max: Math.max(high, 2), step: 0.01, value: 1, words: (r) => r.toFixed(2),
  }, (value) => change({ ratio: value, tried: [] }));
  const places = ['Row', 'Column'].map((name, i) => slider(name, { min: 0, max: 1, step: 1, value: 0 }, (value) => {
    const { room } = current().parameters;
    change({ [['down', 'right'][i]]: value / Math.max(room[i], 1), tried: [] });
  }));
  const flipped = toggle('mirrored', false, (on) => change({ flipped: on }));
  const coins = Object.entries(COINS).map(([name, options]) => {
    const set = (fields) => change({ [name]: { ...current().chosen[name], ...fields } });
    const coin = toggle(name, false, (on) => set({ on }));
    const amount = slider(name, { ...options, value: AMOUNTS[name] }, (value) => set({ amount: value, on: true }));
    return { name, coin, amount, element: node('div', { class: 'coin' }, coin.element, amount.element) };
  });
  const orders = [[true, 'before'], [false, 'after']]
    .map(([value, label]) => ({ value, label, title: `${label} saturation and hue` }));
  const order = segments('Contrast', orders, true, (contrastFirst) => change({ contrastFirst }));
  order.element.append(node('span', { class: 'note' }, 'saturation and hue'));
  const element = node('div', { class: 'controls' },
    group('Resize', `drawn from ${low} to ${high}`, ratio.element),
    group('Crop', most < 1 ? `drawn until no class fills ${percent(most)}` : 'drawn anywhere',
      ...places.map((place) => place.element)),
    group('Flip', 'on in one of two', flipped.element),
    group('Colour', pipeline.photometric ? 'each on in one of two' : 'left alone by this pipeline',
      ...coins.map((coin) => coin.element), order.element));
  // One live line says what changed; a draw would have every slider announce itself.
  for (const words of element.querySelectorAll('output')) words.setAttribute('aria-live', 'off');
  const show = (chosen, { box, room }) => {
    ratio.set(chosen.ratio);
    places.forEach((place, i) => {
      place.input.max = room[i];
      place.input.setAttribute('aria-disabled', room[i] === 0); // truly disabled, it would lose the focus and the key R
      place.set(box[i]);
    });
    flipped.set(chosen.flipped);
    for (const { name, coin, amount, element: line } of coins) {
      coin.set(chosen[name].on);
      amount.set(chosen[name].amount);
      line.classList.toggle('off', !chosen[name].on);
    }
    order.set(chosen.contrastFirst);
  };
  return { element, show };
}

/** An image's red, green and blue without the fourth byte: Uint8Array (3 × height × width). */
function rgbBytes({ data }) {
  return Uint8Array.from({ length: (data.length / 4) * 3 }, (_, i) => data[4 * Math.floor(i / 3) + (i % 3)]);
}

function render({ model, el }) {
  const { root, say } = card(model, el);
  root.setAttribute('data-lm-suppress-shortcuts', 'true'); // JupyterLab has an R of its own
  root.classList.add('bench');
  const [read, pipeline, table] = [readPair(model), model.get('pipeline'), maskTable(model.get('colours'))];
  let seed = model.get('seed');
  let chosen = drawParameters(read.mask, pipeline, seed);
  let [steps, layer] = [{}, 'image'];
  const parameters = () => parametersOf(chosen, read, pipeline);

  const send = calmly(() => {
    const { room, ...chosenParameters } = parameters();
    model.set('parameters', chosenParameters);
    model.save_changes();
  }, 200);
  const draw = oncePerFrame(() => {
    const now = parameters();
    steps = takeSteps(read, pipeline, now, steps);
    strip.show(steps, now);
    stage.show(steps, now, chosen.tried, layer);
    panel.show(chosen, now);
    say(`Window at row ${now.box[0]}, column ${now.box[1]}. ${rule.show(steps, chosen.tried)}.`);
    count.textContent = `draw ${seed}`;
  });
  const change = (fields) => {
    chosen = { ...chosen, ...fields };
    draw();
    send();
  };
  const drawSeed = (next) => {
    seed = Math.max(0, next);
    model.set('seed', seed);
    change(drawParameters(read.mask, pipeline, seed));
  };
  const move = (...corner) => {
    const [down, right] = parameters().room.map((room, i) => corner[i] / Math.max(room, 1));
    change({ down, right, tried: [] });
  };

  const button = (words, press, attributes) => node('button', { type: 'button', onclick: press, ...attributes }, words);
  const again = button('Draw again', () => drawSeed(seed + 1), { 'aria-keyshortcuts': 'r', class: 'again' });
  again.append(node('kbd', { 'aria-hidden': 'true' }, 'R'));
  const back = button('Back', () => drawSeed(seed - 1));
  const count = node('span', { class: 'note drawn' });
  const plain = button('No changes', () => change(PLAIN));
  const ratio = Math.max(pipeline.ratio_range[1], 2);
  const largest = sizeAt(ratio, read.mask, pipeline.scale).map((side) => Math.max(side, pipeline.crop));
  const strip = stepStrip(pipeline, table);
  const stage = windowStage(pipeline.crop, { largest, ratio }, table, {
    move, room: () => parameters().room, corner: () => parameters().box,
  });
  const rule = verdict(pipeline, model.get('names'), model.get('colours'));
  const panel = controlPanel(pipeline, change, () => ({ chosen, parameters: parameters() }));
  const layers = segments('Resized', [{ value: 'image', label: 'image' }, { value: 'mask', label: 'mask' }], layer,
    (value) => { layer = value; draw(); });
  const hint = node('p', { class: 'note' }, 'Drag the window, or move it with the arrow keys.');
  const head = node('div', { class: 'row head' }, node('p', { class: 'title' }, 'One image, changed at random'));
  head.append(count, back, plain, again);
  const left = node('div', {}, node('div', { class: 'row' }, layers.element, hint), stage.element, rule.element);
  root.append(head, strip.element, rule.legend, node('div', { class: 'lower' }, left, panel.element));
  root.addEventListener('keydown', (event) => {
    if (event.key.toLowerCase() !== 'r' || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    drawSeed(seed + 1);
  }, true); // before a slider, which keeps its keys to itself
  const fromKernel = () => { if (model.get('seed') !== seed) drawSeed(model.get('seed')); };
  model.on('change:seed', fromKernel);
  // The arrays after a step, for whoever checks them: RGB and labels, row by row.
  root.result = (name = 'pad') => {
    const { image, mask } = takeSteps(read, pipeline, parameters(), steps)[name];
    return { size: [mask.height, mask.width], image: rgbBytes(image), labels: mask.data, parameters: parameters() };
  };
  root.drawn = (number) => drawParameters(read.mask, pipeline, number);
  change({});
  return () => model.off('change:seed', fromKernel);
}
