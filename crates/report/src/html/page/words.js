// Small things: elements whose texts are only ever texts, and quantities as people read them.

const $ = id => document.getElementById(id);

/** An element with a class and what is in it. */
function make(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content.filter(it => it !== null && it !== undefined));
  return element;
}

/** A name from outside, which cannot reorder what is around it. */
const name = text => make('bdi', '', text);

function button(className, text, act) {
  const element = make('button', className, text);
  element.type = 'button';
  element.addEventListener('click', act);
  return element;
}

const number = value => Number(value).toLocaleString('en-US');
const count = (value, one, several) => `${number(value)} ${value === 1 ? one : several}`;

/** Three digits and a unit. */
function digits(value, unit) {
  const shown = value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
  return `${shown} ${unit}`;
}

function nanoseconds(value) {
  if (value < 1e3) return `${value} ns`;
  if (value < 999.5e3) return digits(value / 1e3, 'µs');
  if (value < 999.5e6) return digits(value / 1e6, 'ms');
  return digits(value / 1e9, 's');
}

/** A span of 100 ns units as people say it: the two largest units. */
function span(ticks) {
  if (ticks < 0) return `−${span(-ticks)}`;
  const seconds = ticks / 1e7;
  if (seconds < 59.995) return ticks === 0 ? '0' : nanoseconds(ticks * 100);
  const whole = Math.round(seconds);
  const parts = [[Math.floor(whole / 86400), 'd'], [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'], [whole % 60, 's']];
  const first = parts.findIndex(([value]) => value > 0);
  return parts.slice(first, first + 2).filter(([value]) => value > 0).map(([value, unit]) => `${value} ${unit}`).join(' ');
}

function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${value < 10 && value % 1 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** A moment, by a run's clock, to the second or nearer. */
function moment(run, ticks, nearer) {
  const date = new Date(run.unix + ticks / 1e4);
  if (Number.isNaN(date.getTime())) return span(ticks);
  const text = date.toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, nearer ? 23 : 19)} UTC`;
}

const fileName = path => path.slice(Math.max(path.lastIndexOf('\\'), path.lastIndexOf('/')) + 1) || path;
