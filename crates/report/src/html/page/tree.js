// The tree: only the rows that can be seen are in the document.

let nodes = [];      // processes, and machines where there are several
let order = [];      // all of them, each before those below it
let below = [];      // how many are below a node
let place = [];      // where a node is in `order`
let list = [];       // those that can be seen now
let row = [];        // where a node is in `list`, or −1
const closed = new Set();
let kept = null;     // which nodes a filter keeps, and which of them it is about
let picked = -1;
const view = { from: 0, to: 1 };
const whole = { from: 0, to: 1 };

function plant() {
  nodes = processes.slice();
  const real = runs.filter(run => run.from <= run.to);
  // Machines that were recorded at the same time share a clock; others begin together.
  const latest = Math.max(...real.map(run => run.unix + run.from / 1e4));
  const together = real.length < 2 || real.every(run => run.unix + run.to / 1e4 >= latest);
  const earliest = Math.min(...real.map(run => run.unix + run.from / 1e4));
  for (const run of real) {
    run.shift = together && real.length > 1 ? (run.unix - earliest) * 1e4 : -run.from;
    whole.from = Math.min(whole.from, run.from + run.shift);
    whole.to = Math.max(whole.to, run.to + run.shift);
  }
  if (real.length > 0) whole.from = Math.min(...real.map(run => run.from + run.shift));
  if (!(whole.to > whole.from)) whole.to = whole.from + 10;
  else whole.to = Math.max(...real.map(run => run.to + run.shift), whole.from + 10);
  const room = (whole.to - whole.from) * .015;
  whole.from -= room; whole.to += room;
  Object.assign(view, whole);

  const roots = real.length > 1 ? [] : processes.filter(process => !process.up);
  if (real.length > 1) {
    for (const run of real) {
      run.node = { kind: 'run', run, label: run.machine || run.command || '(a machine without a name)', kids: [], rows: [], from: run.from, to: run.to, by: new Set() };
      nodes.push(run.node);
      roots.push(run.node);
    }
  }
  for (const process of processes) (process.up ?? process.run.node)?.kids.push(process);
  nodes.forEach((node, n) => { node.n = n; node.shift = node.run.shift; });

  // Depth first, without recursion: trees can be ten thousand deep.
  below = new Int32Array(nodes.length);
  place = new Int32Array(nodes.length);
  order = [];
  const rank = (siblings, level, up) => siblings.forEach((node, at) => { node.level = level; node.position = at + 1; node.siblings = siblings.length; node.above = up; });
  rank(roots, 1, null);
  const stack = roots.slice().reverse();
  while (stack.length > 0) {
    const node = stack.pop();
    place[node.n] = order.length;
    order.push(node.n);
    rank(node.kids, node.level + 1, node);
    for (let at = node.kids.length - 1; at >= 0; at -= 1) stack.push(node.kids[at]);
  }
  for (let at = order.length - 1; at >= 0; at -= 1) {
    const node = nodes[order[at]];
    if (node.above) below[node.above.n] += below[node.n] + 1;
  }
}

/** Finds out which nodes can be seen. */
function grow() {
  list = [];
  row = new Int32Array(nodes.length).fill(-1);
  for (let at = 0; at < order.length; at += 1) {
    const n = order[at];
    if (kept && !kept[n]) continue;
    row[n] = list.length;
    list.push(n);
    if (closed.has(n)) at += below[n];
  }
  const empty = $('empty');
  empty.hidden = list.length > 0;
  empty.textContent = processes.length === 0 ? 'No process was recorded.' : 'No process is of this kind.';
  $('tree').hidden = list.length === 0;
  if (picked < 0 || row[picked] < 0) picked = list[0] ?? -1;
  draw();
}

let height = 28;
let live = new Map();   // the rows in the document, by node
let printing = false;

function draw() {
  const tree = $('tree');
  const full = list.length * height;
  tree.style.setProperty('--full', `${full + 2}px`);
  $('space').style.height = `${full}px`;
  const from = printing ? 0 : Math.max(0, Math.floor(tree.scrollTop / height) - 6);
  const to = printing ? Math.min(list.length, 400) : Math.min(list.length, Math.ceil((tree.scrollTop + tree.clientHeight) / height) + 6);
  axis();
  const wanted = new Set(list.slice(from, to));
  // What is selected stays in the document, as the tree points at it.
  if (picked >= 0 && row[picked] >= 0) wanted.add(picked);
  for (const [n, element] of live) {
    if (!wanted.has(n)) { element.remove(); live.delete(n); }
  }
  for (const n of wanted) {
    let element = live.get(n);
    if (!element) {
      element = build(nodes[n]);
      live.set(n, element);
      $('space').append(element);
    }
    refresh(nodes[n], element);
  }
  if (picked >= 0) tree.setAttribute('aria-activedescendant', `n${picked}`);
  else tree.removeAttribute('aria-activedescendant');
}

let pending = false;
function drawSoon() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; draw(); });
}

const tag = (kind, text, title) => { const element = make('span', `tag is-${kind}`, text); element.title = title ?? text; return element; };
const brief = status => status.replace(/ \(0x[0-9A-F]{8}\)$/, '');
const driverName = driver => driver?.name ?? 'the kernel';

/** All that is to be said about a process in its row, in words. */
function account(node) {
  if (node.kind === 'run') return `${node.label}, ${count(below[node.n], 'process', 'processes')}`;
  const words = [`${node.label}, process ${node.pid}`];
  if (node.refused) words.push(`refused by ${driverName(node.refused.driver)} with ${brief(node.refused.status)}`);
  if (node.ended) words.push(`terminated by ${driverName(node.ended.driver)}`);
  if (node.doubt) words.push('would not have happened');
  if (node.findings) words.push(count(node.findings, 'finding', 'findings'));
  if (node.status && node.status !== '0') words.push(`exited with ${node.status}`);
  return words.join(', ');
}

function build(node) {
  const element = make('div', node.kind === 'run' ? 'row run' : node.doubt && !node.doubt.late ? 'row doubt' : 'row');
  element.id = `n${node.n}`;
  element.setAttribute('role', 'treeitem');
  element.setAttribute('aria-level', node.level);
  element.setAttribute('aria-posinset', node.position);
  element.setAttribute('aria-setsize', node.siblings);
  element.setAttribute('aria-label', account(node));
  const names = make('div', 'names');
  // Very deep trees keep their place on the page; the level is in the details.
  names.style.paddingLeft = `${4 + Math.min(node.level - 1, innerWidth < 700 ? 9 : 16) * (innerWidth < 700 ? 10 : 15)}px`;
  const image = make('bdi', 'image', node.label);
  names.append(make('span', 'twist'), image);
  if (node.kind === 'run') {
    names.append(make('span', 'pid', count(below[node.n], 'process', 'processes')));
  } else {
    names.append(make('span', 'pid', node.pid));
    if (node.refused) names.append(tag('bad', `refused by ${driverName(node.refused.driver)}`, account(node)));
    if (node.ended) names.append(tag('bad', `terminated by ${driverName(node.ended.driver)}`, account(node)));
    if (node.findings) names.append(tag(node.worst > 1 ? 'bad' : 'warn', node.worst === 3 ? 'stop' : count(node.findings, 'finding', 'findings')));
    if (node.doubt && !node.refused) names.append(tag('doubt', node.doubt.late ? 'the rest would not have happened' : 'would not have happened'));
    if (node.line) { const line = make('bdi', 'line', node.line.slice(0, 300)); line.title = node.line.slice(0, 1000); names.append(line); }
  }
  element.append(names, make('canvas'));
  return element;
}

function refresh(node, element) {
  element.style.top = `${row[node.n] * height}px`;
  element.setAttribute('aria-selected', node.n === picked);
  if (node.kids.length > 0) {
    element.setAttribute('aria-expanded', !closed.has(node.n));
    element.querySelector('.twist').textContent = closed.has(node.n) ? '▸' : '▾';
  }
  element.classList.toggle('hit', hits !== null && hits.has(node.n));
  element.classList.toggle('dim', kept !== null && kept[node.n] !== 2);
  bar(node, element.lastChild);
}
