// The time axis, which all bars share.

let ticks = [];
const steps = [];
for (let power = 1; power < 1e8; power *= 10) steps.push(power, power * 2, power * 5);
steps.splice(steps.findIndex(step => step > 1e7));
for (const seconds of [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400]) if (seconds > 1) steps.push(seconds * 1e7);
for (let days = 1; days < 1e7; days *= 10) steps.push(days * 1728e9, days * 432e10, days * 864e10);

function axis() {
  const element = $('axis');
  // Bars end where the scroll bar begins.
  element.style.marginRight = `${$('tree').offsetWidth - $('tree').clientWidth}px`;
  const width = element.clientWidth;
  const range = view.to - view.from;
  const least = range * 96 / Math.max(width, 96);
  let step = steps.find(step => step >= least);
  step ??= least;
  ticks = [];
  for (let at = Math.ceil(view.from / step) * step; at <= view.to && ticks.length < 60; at += step) ticks.push({ at });
  const run = runs.find(it => it.from <= it.to);
  $('range').textContent = run ? `${moment(run, Math.max(view.from, 0) - run.shift, range < 1e7)} · ${span(Math.round(range))}` : '';
  element.replaceChildren(...ticks.map(({ at }) => {
    const label = make('span', '', at === 0 ? '0' : label0(at, step));
    label.style.left = `${across(at) * 100}%`;
    return label;
  }));
}

/** A tick's label: as many units as tell it from the next. */
function label0(at, step) {
  if (at < 0) return `−${label0(-at, step)}`;
  const plain = value => String(Number(value.toFixed(3)));
  if (at < 6e8) {
    if (at >= 1e7) return `${plain(at / 1e7) === '0' ? 0 : Number((at / 1e7).toFixed(7))} s`;
    if (at >= 1e4) return `${Number((at / 1e4).toFixed(4))} ms`;
    return `${Number((at / 10).toFixed(1))} µs`;
  }
  const seconds = at / 1e7;
  const parts = [[Math.floor(seconds / 86400), 'd'], [Math.floor(seconds / 3600) % 24, 'h'], [Math.floor(seconds / 60) % 60, 'min'],
    [Number((seconds % 60).toFixed(Math.max(0, Math.min(7, Math.ceil(7 - Math.log10(step)))))), 's']];
  return parts.filter(([value]) => value > 0).map(([value, unit]) => `${value} ${unit}`).join(' ');
}

function zoom(factor, around = .5) {
  const at = view.from + (view.to - view.from) * around;
  const full = whole.to - whole.from;
  const range = Math.max(10, Math.min(full, (view.to - view.from) * factor));
  show(at - range * around, at + range * (1 - around));
}

function show(from, to) {
  const range = Math.min(to - from, whole.to - whole.from);
  view.from = Math.max(whole.from, Math.min(whole.to - range, from));
  view.to = view.from + range;
  draw();
}

function pan(part) {
  const by = (view.to - view.from) * part;
  show(view.from + by, view.to + by);
}

function fit(node) {
  if (!node) return;
  const from = node.from + node.shift, to = (node.to ?? (node.refused ? node.from : node.run.to)) + node.shift;
  const room = Math.max(50, (to - from) * .08);
  show(from - room, to + room);
}
