// What is sought, and what is shown only.

let hits = null;       // the nodes a search found
let found = [];        // the same in the order of the tree
let sought = '';

/** Whether a text of a row, or a line of one, has what is sought. */
function holds(it, query, says = text => text.toLowerCase().includes(query)) {
  return it.some((cell, at) => at > 0 && (typeof cell === 'string' ? says(cell) : Array.isArray(cell) && cell.some(line => typeof line === 'string' && says(line))));
}

function search() {
  const query = $('query').value.trim().toLowerCase();
  sought = query;
  hits = query === '' ? null : new Set();
  if (hits) {
    const seen = new Map();
    const says = text => {
      let yes = seen.get(text);
      if (yes === undefined) { yes = text.toLowerCase().includes(query); seen.set(text, yes); }
      return yes;
    };
    const holdsIt = it => holds(it, query, says);
    const digits = /^\d+$/.test(query);
    for (const process of processes) {
      if (says(process.label) || digits && String(process.pid) === query || process.rows.some(it => holdsIt(it)
        || digits && (it[0] === 'T' || it[0] === 'Q') && String(it[3]) === query || it.calls?.some(holdsIt))
        || [...process.by].some(driver => says(driver.name))) hits.add(process.n);
    }
  }
  collect();
  if (found.length > 0) { if (!hits.has(picked)) step(1, true); else tell(); }
  drawSoon();
}

function collect() {
  found = hits === null ? [] : [...hits].filter(n => !kept || kept[n]).sort((a, b) => place[a] - place[b]);
  tell();
}

function tell() {
  const at = found.indexOf(picked);
  $('found').textContent = hits === null ? '' : found.length === 0 ? 'nothing' : at < 0 ? number(found.length) : `${number(at + 1)} of ${number(found.length)}`;
  $('next').disabled = $('previous').disabled = found.length === 0;
}

/** Goes to the next result, or the one before. */
function step(by, near) {
  if (found.length === 0) return;
  const here = picked < 0 ? -1 : place[picked];
  let at = found.indexOf(picked);
  if (at >= 0) at = (at + by + found.length) % found.length;
  else {
    at = found.findIndex(n => place[n] > here);
    if (at < 0) at = 0;
    if (by < 0) at = (at - 1 + found.length) % found.length;
  }
  if (near && hits.has(picked)) return;
  const behind = document.scrollingElement.scrollTop;
  reveal(found[at]);
  if (near) document.scrollingElement.scrollTop = behind;
  tell();
}

const pressed = new Set();
const kinds = [
  ['refused', 'Refused', it => it.refused !== null || it.ended !== null],
  ['findings', 'Findings', it => it.findings > 0],
  ['doubt', 'Would not have happened', it => it.doubt !== null],
];

/** Shows the filters, and keeps what they are about, with what is above it. */
function chips() {
  const bar = $('chips');
  const focus = document.activeElement?.dataset?.chip;
  bar.replaceChildren();
  const chip = (key, label, size) => {
    if (size === 0) return;
    const element = button('', '', () => { if (!pressed.delete(key)) pressed.add(key); chips(); grow(); collect(); });
    element.append(name(label), ` ${number(size)}`);
    element.dataset.chip = key;
    element.setAttribute('aria-pressed', pressed.has(key));
    bar.append(element);
    if (key === focus) element.focus();
  };
  for (const [key, label, test] of kinds) chip(key, label, processes.reduce((sum, it) => sum + (test(it) ? 1 : 0), 0));
  // With one driver all of these would be its own.
  if (drivers.length > 1) drivers.slice(0, 12).forEach(driver => chip(`driver ${driver.number}`, driver.name, driver.touched));
  kept = null;
  if (pressed.size === 0) return;
  kept = new Uint8Array(nodes.length);
  const states = kinds.filter(([key]) => pressed.has(key));
  const whose = drivers.filter(driver => pressed.has(`driver ${driver.number}`));
  for (const process of processes) {
    if (states.length > 0 && !states.some(([, , test]) => test(process))) continue;
    if (whose.length > 0 && !whose.some(driver => process.by.has(driver))) continue;
    kept[process.n] = 2;
    for (let up = process.above; up && !kept[up.n]; up = up.above) kept[up.n] = 1;
  }
}
