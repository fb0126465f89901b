// The training watch: a run's log as plots with one chosen step, its predictions, and the buttons to stop and resume.

const REPLAY_SECONDS = 9;

/** The predictions of a run by step, each under an address of its own. */
function filmOf(model) {
  const bytes = arrayOf(model.get('images'), Uint8Array);
  const frames = model.get('image_ranges').map(([step, from, to]) => (
    { step, address: URL.createObjectURL(new Blob([bytes.slice(from, to)], { type: 'image/png' })) }
  ));
  return { steps: frames.map(({ step }) => step), frames, drop: () => frames.forEach(({ address }) => URL.revokeObjectURL(address)) };
}

/** A plot's heading: its name, what its lines are, and the value at the chosen step. */
function headingOf(name, keys = [], kind = '') {
  const value = node('b');
  const marks = keys.map(([words, style]) => node('span', { class: 'key' }, node('i', { class: style }), words));
  return { element: node('div', { class: 'heading' }, node('span', { class: `caps ${kind}` }, name), value, ...marks), value };
}

function render({ model, el }) {
  const { root, say } = card(model, el);
  root.classList.add('training-watch');
  const alt = root.querySelector('.unseen');
  const keep = (name, value) => { model.set(name, value); model.save_changes(); };
  let series = seriesOf(model);
  let film = filmOf(model);
  let at = model.get('step') || null; // null follows the newest step
  let hover = null;
  let playing = 0;
  let [palette, width, stale] = [null, 0, true];

  const plots = [
    plotOf({
      name: 'loss', height: 176, parts: 4, top: ({ loss, smooth }) => highest(loss, smooth),
      lines: ({ step, loss, smooth }) => [
        { xs: step, ys: loss, colour: 'muted', width: 1, faint: true }, { xs: step, ys: smooth, colour: 'accent', width: 2.2 },
      ],
    }),
    plotOf({
      name: 'learning rate', height: 74, parts: 2, top: ({ rate }) => rate.reduce((most, value) => Math.max(most, value), 0),
      lines: ({ step, rate }) => [{ xs: step, ys: rate, colour: 'cold', width: 2 }],
    }),
    plotOf({
      name: 'mean IoU', height: 138, parts: 3, last: true, top: ({ scores }) => Math.max(10, ...scores.map(([, score]) => score)),
      lines: ({ scores }) => [
        { xs: scores.map(([step]) => step), ys: scores.map(([, score]) => score), colour: 'ink', width: 2, dots: true },
      ],
    }),
  ];
  const headings = [
    headingOf('loss', [['each step', 'raw'], ['smoothed', 'smooth']]), headingOf('learning rate'),
    headingOf('mean IoU of the validation set', [], 'iou'),
  ];
  const charts = node('div', { class: 'charts' }, ...plots.flatMap(({ canvas }, n) => [headings[n].element, canvas]));
  const image = node('img', { class: 'squares', alt: 'no prediction to show yet' });
  const caption = node('figcaption', { class: 'note' });
  const figure = node('figure', {}, image, caption);
  const status = node('span', { class: 'status', role: 'status' });
  const play = node('button', { type: 'button', class: 'play', 'data-lm-suppress-shortcuts': 'true' });
  const scrub = slider('step', { min: 0, max: 0, step: 1, value: 0, words: () => '' }, (i) => { pause(); take(i); });
  const newest = node('button', { type: 'button', 'data-lm-suppress-shortcuts': 'true', onclick: () => { pause(); take(series.count - 1); } }, 'newest');
  const stop = node('button', { type: 'button', onclick: () => { stop.disabled = true; keep('request', 'stop'); } }, 'stop safely');
  const resume = node('button', { type: 'button', onclick: () => { resume.disabled = true; keep('request', 'resume'); } }, 'resume');

  const index = () => {
    if (hover !== null) return Math.max(0, lastAt(series.step, hover));
    return at === null ? series.count - 1 : Math.max(0, lastAt(series.step, at));
  };
  const showFilm = (step) => {
    const { steps, frames } = film;
    const now = lastAt(steps, step);
    figure.hidden = !frames.length;
    figure.classList.toggle('early', now < 0);
    const frame = frames[Math.max(now, 0)];
    if (!frame) return;
    if (image.src !== frame.address) image.src = frame.address;
    image.alt = `what the model predicted at step ${frame.step}`;
    caption.textContent = now < 0 ? `the first prediction comes at step ${frame.step}` : `prediction at step ${frame.step}`;
  };
  const showStep = (i) => {
    const step = series.step[i];
    const evaluated = lastAt(series.scores.map(([when]) => when), step);
    const score = evaluated < 0 ? null : series.scores[evaluated];
    const words = [`${series.loss[i].toFixed(3)}, smoothed ${series.smooth[i].toFixed(3)}`, brief(series.rate[i]),
      score ? `${score[1].toFixed(1)} % at step ${score[0]}` : 'not measured yet'];
    headings.forEach(({ value }, n) => { value.textContent = words[n]; });
    plots.forEach(({ canvas, name }, n) => canvas.setAttribute('aria-label', `${name} by step; at step ${step} ${words[n]}`));
    plots[0].draw(step, series.smooth[i], palette);
    plots[1].draw(step, series.rate[i], palette);
    plots[2].draw(step, null, palette);
    scrub.input.value = i;
    scrub.input.nextElementSibling.textContent = `${step} of ${series.total}`;
    scrub.input.setAttribute('aria-valuetext', `step ${step} of ${series.total}`);
    showFilm(step);
    say(`step ${step}: loss ${words[0]}, learning rate ${words[1]}, mean IoU ${words[2]}`);
  };
  const draw = oncePerFrame(() => {
    if (!width) return;
    if (stale) plots.forEach((plot) => plot.prepare(series, width, palette));
    stale = false;
    if (series.count) { showStep(index()); return; }
    headings.forEach(({ value }) => { value.textContent = '–'; });
    plots.forEach((plot) => plot.draw(null, null, palette));
    figure.hidden = true;
  });

  /** Choose the step at an index of the log; the last one follows the newest. */
  const take = (i) => {
    at = i >= series.count - 1 ? null : series.step[i];
    hover = null;
    draw();
  };
  const pause = () => {
    cancelAnimationFrame(playing);
    playing = 0;
    play.textContent = '▶ play';
    play.setAttribute('aria-label', 'Play the run from this step');
  };
  const start = () => {
    let position = at === null ? 0 : index();
    let before = performance.now();
    play.textContent = '❚❚ pause';
    play.setAttribute('aria-label', 'Pause');
    const on = (now) => {
      position += (Math.max(now - before, 0) / 1000) * (series.count / REPLAY_SECONDS);
      before = now;
      take(Math.floor(position));
      if (position >= series.count - 1) pause();
      else playing = requestAnimationFrame(on);
    };
    playing = requestAnimationFrame(on);
  };
  play.addEventListener('click', () => { if (playing) pause(); else if (series.count) start(); });
  scrub.input.addEventListener('change', () => keep('step', at ?? 0));
  for (const { canvas, stepAt } of plots) {
    canvas.addEventListener('pointermove', (event) => { hover = stepAt(event.clientX, series.total); draw(); });
    canvas.addEventListener('pointerleave', () => { hover = null; draw(); });
    canvas.addEventListener('click', (event) => {
      pause();
      take(Math.max(0, lastAt(series.step, stepAt(event.clientX, series.total))));
      keep('step', at ?? 0);
    });
  }

  const readState = () => {
    const [controls, running] = [model.get('controls'), model.get('running')];
    status.textContent = model.get('status');
    status.classList.toggle('running', running);
    stop.hidden = !controls || !running;
    resume.hidden = !controls || running || model.get('status') === 'finished';
    if (!model.get('request')) { stop.disabled = false; resume.disabled = false; }
    alt.textContent = model.get('alt');
  };
  const readSeries = () => {
    series = seriesOf(model);
    scrub.input.max = Math.max(0, series.count - 1);
    [play, scrub.input, newest].forEach((control) => { control.disabled = !series.count; });
    stale = true;
    draw();
  };
  const readFilm = () => {
    film.drop();
    film = filmOf(model);
    draw();
  };
  root.append(
    node('div', { class: 'row top' }, node('p', { class: 'title' }, model.get('name')), status,
      node('span', { class: 'buttons' }, stop, resume)),
    node('div', { class: 'watch' }, charts, figure),
    node('div', { class: 'row transport' }, play, scrub.element, newest),
  );
  const answers = [
    ...['history', 'recent', 'scores', 'total'].map((name) => [name, readSeries]), ['image_ranges', readFilm],
    ...['status', 'running', 'controls', 'request', 'alt'].map((name) => [name, readState]),
    ['step', () => { at = model.get('step') || null; draw(); }],
  ];
  answers.forEach(([name, answer]) => model.on(`change:${name}`, answer));
  const unwatch = onTheme(() => { palette = palette && paletteOf(root); stale = true; draw(); });
  const watch = new ResizeObserver(() => {
    width = Math.floor(charts.clientWidth); // 0 until it is on the page, where the colours are
    palette = width ? paletteOf(root) : null;
    stale = true;
    draw();
  });
  watch.observe(charts);
  pause();
  readState();
  readSeries();
  showFilm(0);
  return () => {
    pause();
    unwatch();
    watch.disconnect();
    film.drop();
    answers.forEach(([name, answer]) => model.off(`change:${name}`, answer));
  };
}
