// Everything that was recorded of one process.

const first = 300;   // how many rows of a list are shown at once

function goto(process) {
  return button('link', name(`${process.label} (${process.pid})`), () => { reveal(process.n); openDetail(true); });
}

/** A list that begins short. */
function long(parent, items, most, build, what) {
  const more = (from) => {
    items.slice(from, from + most).forEach(item => parent.append(build(item)));
    const rest = items.length - from - most;
    if (rest <= 0) return;
    const next = button('link more', `Show ${number(Math.min(rest, 500))} more of ${number(items.length)} ${what}`, () => { host.remove(); most = 500; more(from + shown); });
    const shown = most;
    const host = parent.matches('ul, ol') ? make('li', '', next) : next;
    parent.append(host);
  };
  more(0);
  return parent;
}

function stackOf(lines) {
  if (!lines) return null;
  return make('pre', '', lines.map((line, level) => `${level === 0 ? 'at   ' : 'from '}${line}`).join('\n'));
}

const calls = it => it.calls ? make('small', '', it.calls.map(call =>
  `${driverName(drivers[call[1]])}${call[3] > 0 ? ` ${nanoseconds(call[3])}` : ' was told'}${call[4] ? `, ${brief(call[4])}` : ''}`).join(' · ')) : null;

/** One line of what was recorded of a process. */
function entry(node, it) {
  const when = make('time', '', it[1] === node.from ? '0' : span(it[1] - node.from));
  when.title = moment(node.run, it[1], true);
  const said = [];
  switch (it[0]) {
    case 'P': said.push(['Created', 'Was there before', 'Cloned', 'First heard of'][it[2]]); break;
    case 'X': said.push(`Exited with ${it[3]}`); break;
    case 'T': said.push(`Thread ${it[3]} created`); break;
    case 'Q': said.push(`Thread ${it[3]} exited`); break;
    case 'I': {
      const image = make('bdi', '', it[3] ? fileName(it[3]) : 'an image without a name');
      if (it[3]) image.title = it[3];
      const where = [it[4] === '0x0' ? null : it[4], it[5] ? bytes(it[5]) : null, it[6]].filter(Boolean).join(', ');
      said.push(image, where ? make('span', 'soft', ` ${where}`) : null);
      break;
    }
    case 'V': said.push(make('span', 'bad', `Refused by ${driverName(drivers[it[4]])} with ${it[3]}`)); break;
    case 'K': said.push(make('span', 'bad', `Terminated by ${driverName(drivers[it[4]])} with ${it[3]}`)); break;
    case 'O': said.push(make('span', 'soft', `${driverName(drivers[it[3]])} `), make('bdi', 'says', it[4])); break;
    case 'F': said.push(make('span', it[5] ? 'bad' : 'warn', `${it[4]} `), name(it[6])); break;
    case 'S': said.push(make('span', 'bad', `STOP ${it[4]} `), name(it[5])); break;
  }
  return make('li', sought !== '' && holds(it, sought) ? 'hit' : '', when, make('div', '', ...said, calls(it)));
}

function detail() {
  const pane = $('detail');
  const node = nodes[picked];
  if (!node || pane.hidden) return;
  const close = button('close', '×', closeDetail);
  close.setAttribute('aria-label', 'Close details');
  const title = make('h2', '', name(node.label), ' ', make('span', 'soft', node.kind === 'run' ? '' : node.pid));
  if (node.kind === 'run') {
    pane.replaceChildren(close, title, make('p', 'soft', `${node.run.profile} · ${moment(node.run, node.from)}`),
      make('p', '', count(below[node.n], 'process', 'processes')));
    return;
  }
  const pairs = make('dl', 'pairs');
  const pair = (term, ...what) => pairs.append(make('dt', '', term), make('dd', '', ...what));
  if (node.up) pair('Parent', goto(node.up));
  else if (node.ppid) pair('Parent', `${node.ppid}, not recorded`);
  if (node.creator && node.creator !== node.ppid) pair('Created by', `process ${node.creator}`);
  pair(['Created', 'Present since', 'Cloned', 'First heard of'][node.origin], moment(node.run, node.from, true));
  if (node.became) pair('Became', goto(node.became));
  else if (node.to !== null) {
    pair('Exited', moment(node.run, node.to, true), node.to < node.from ? null : make('span', 'soft', ` after ${span(node.to - node.from)}`));
    if (node.status !== null) pair('Exit status', node.status);
  } else if (!node.refused) pair('Exited', make('span', 'soft', 'not while this was recorded'));
  if (node.level > 16) pair('Level', number(node.level));
  if (node.remark) pair('Remarks', node.remark);
  if (runs.length > 1) pair('Machine', name(node.run.machine || '?'));

  const trouble = make('div', 'group');
  const card = (kind, ...content) => trouble.append(make('div', `matter is-${kind}`, ...content.map(it => make('p', '', ...[it].flat()))));
  if (node.refused) card('bad', `Refused by ${driverName(node.refused.driver)} with ${node.refused.status}.`);
  if (node.ended) card('bad', `Terminated by ${driverName(node.ended.driver)} with ${node.ended.status}.`);
  if (node.doubt) {
    const because = node.doubt.because;
    card('doubt', because && because !== node ? ['Would not have happened, as ', goto(because), ' was refused or terminated.']
      : ['What it is recorded to have done after that would not have happened.']);
  }
  for (const it of node.rows) {
    if (it[0] !== 'F' && it[0] !== 'S') continue;
    const found = make('div', `matter is-${it[0] === 'S' || it[5] ? 'bad' : 'warn'}`);
    found.append(it[0] === 'S' ? make('p', '', make('b', 'bad', `STOP ${it[4]}`))
      : make('p', '', make('b', 'rule', it[4]), ` ${it[5] ? 'error' : 'warning'} in ${driverName(drivers[it[3]])}`));
    found.append(make('p', '', name(it[0] === 'S' ? it[5] : it[6])));
    if (it[0] === 'F' && it[7]) found.append(make('p', 'soft', `Windows would stop with ${it[7]}.`));
    const stack = stackOf(it[0] === 'S' ? it[7] : it[8]);
    if (stack) found.append(make('details', '', make('summary', '', 'Stack'), stack));
    if (trouble.childElementCount < 60) trouble.append(found);
  }

  const images = node.rows.filter(it => it[0] === 'I').length;
  const threads = node.rows.filter(it => it[0] === 'T').length;
  const held = [images ? count(images, 'image', 'images') : null, threads ? count(threads, 'thread', 'threads') : null,
    node.says ? count(node.says, 'line', 'lines') : null].filter(Boolean).join(', ');
  const parts = [close, title, make('p', 'path', name(node.image ?? 'image unknown'))];
  if (node.line) parts.push(make('pre', 'command', name(node.line)));
  parts.push(trouble.childElementCount ? trouble : null, pairs);
  if (node.kids.length > 0) {
    parts.push(make('h3', '', count(node.kids.length, 'child', 'children')), long(make('div', 'kin'), node.kids, 24, goto, 'children'));
  }
  parts.push(make('h3', '', 'In order ', make('span', 'soft', held)));
  parts.push(long(make('ol', 'log'), node.rows, first, it => entry(node, it), 'rows'));
  pane.replaceChildren(...parts.filter(Boolean));
  pane.scrollTop = 0;
}

function openDetail(move) {
  $('detail').hidden = false;
  $('stage').classList.add('open');
  detail();
  draw();
  if (move) $('detail').focus({ preventScroll: true });
}

function closeDetail() {
  $('detail').hidden = true;
  $('stage').classList.remove('open');
  draw();
  $('tree').focus({ preventScroll: true });
}

/** Selects a row that can be seen. */
function pick(n) {
  if (n === undefined || n < 0) return;
  picked = n;
  const tree = $('tree');
  const top = row[n] * height;
  if (top < tree.scrollTop) tree.scrollTop = top;
  else if (top + height > tree.scrollTop + tree.clientHeight) tree.scrollTop = top + height - tree.clientHeight;
  draw();
  detailSoon();
}

let detailTimer = 0;
function detailSoon() {
  clearTimeout(detailTimer);
  detailTimer = setTimeout(detail, 60);
}

/** Selects any process, in the middle of the tree, whatever hides it. */
function reveal(n) {
  if (kept && !kept[n]) { pressed.clear(); chips(); }
  for (let up = nodes[n].above; up; up = up.above) closed.delete(up.n);
  picked = n;
  grow();
  const tree = $('tree');
  tree.scrollTop = row[n] * height - tree.clientHeight / 2;
  const { from, shift } = nodes[n];
  if (from + shift < view.from || from + shift > view.to) show(whole.from, whole.to);
  const box = $('stage').getBoundingClientRect();
  if (box.top < 0 || box.top > innerHeight * .6) $('processes').scrollIntoView({ block: 'start', behavior: 'auto' });
  draw();
  detailSoon();
}
