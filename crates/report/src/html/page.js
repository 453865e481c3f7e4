'use strict';
// Reads the rows of this page (rows.rs says what is in them) and draws them. Nothing here makes markup of a text:
// what drivers and processes are called is only ever the text of a node.

(() => {
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

  // ---- Quantities -----------------------------------------------------------------------------------------------

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

  // ---- Reading --------------------------------------------------------------------------------------------------

  const runs = [];       // one for each machine, or one
  const drivers = [];    // in the order of their rows
  const processes = [];  // in the order of theirs
  const matters = { stops: [], failed: [], findings: [], refusals: [], ends: [], differences: [], leaks: [], warnings: [] };
  const remarks = [];    // notes, registrations, lines of nobody
  let totals = null;
  let cut = false;

  /** The rows of a block; of one that was cut short, those that are whole. */
  function rowsOf(text) {
    const lines = text.trim().split('\n');
    try {
      return JSON.parse(`[${lines.join(',')}]`);
    } catch {
      cut = true;
      lines.pop();
      try { return JSON.parse(`[${lines.join(',')}]`); } catch { return []; }
    }
  }

  // Which rows have no time in their second place.
  const timeless = new Set(['R', 'D', 'N']);

  function read() {
    const texts = [];
    const decode = cell => {
      if (cell.charCodeAt(0) === 126) {
        if (cell.charCodeAt(1) !== 126) return texts[Number(cell.slice(1))] ?? '';
        cell = cell.slice(1);
      }
      texts.push(cell);
      return cell;
    };
    let run = null;
    let clock = 0;
    let last = null;   // the row that calls of routines belong to
    const begin = () => { run = { machine: '', profile: '', version: '', command: '', unix: 0, ended: false, from: Infinity, to: -Infinity, shift: 0, ids: new Map() }; runs.push(run); clock = 0; };
    for (const block of document.querySelectorAll('script.rows')) {
      for (const row of rowsOf(block.textContent)) {
        for (let at = 1; at < row.length; at += 1) {
          if (typeof row[at] === 'string') row[at] = decode(row[at]);
        }
        if (row[0] === 'R') {
          // What was said before the first machine is its own.
          if (runs.length !== 1 || run.ended || run.profile !== '' || processes.length > 0) begin();
          clock = 0;
          Object.assign(run, { unix: row[1] + row[2] / 1e4, version: row[3], profile: row[4], machine: row[5], command: row[6] });
          continue;
        }
        if (row[0] === 'D') {
          drivers.push({ name: row[1], path: row[2], base: row[3], size: row[4], missing: row[5] ?? [], starts: [], number: drivers.length, touched: 0 });
          continue;
        }
        if (run === null) begin();
        if (!timeless.has(row[0])) { clock += row[1]; row[1] = clock; }
        last = take(row, run, last);
      }
      block.textContent = '';
    }
    try { totals = JSON.parse($('totals').textContent); } catch { cut = true; }
  }

  /** Puts a row where it belongs; the row that calls of routines belong to from here on. */
  function take(row, run, last) {
    const at = row[1];
    const process = processes[row[2]];
    const driver = drivers[row[3]];
    switch (row[0]) {
      case 'P': {
        const [, , origin, pid, parent, ppid, creator, called, image, line, remark] = row;
        const up = processes[parent];
        const own = { kind: 'process', n: processes.length, run, origin, pid, ppid, creator, line, remark, up,
          image: image ?? (up && origin === 2 ? up.image : null), from: at, to: null, status: null, rows: [row], kids: [],
          refused: null, ended: null, became: null, doubt: null, findings: 0, worst: 0, says: 0, by: new Set() };
        own.label = called ?? (pid === 0 ? 'kernel' : pid === 4 ? 'System' : '?');
        processes.push(own);
        // An id that comes again says that the process which had it is gone: a clone that runs a program, mostly.
        const before = run.ids.get(pid);
        if (before && before.to === null) { before.to = at; before.became = own; }
        run.ids.set(pid, own);
        reach(run, at);
        return row;
      }
      case 'X': case 'T': case 'Q': case 'I':
        if (!process) return null;
        process.rows.push(row);
        if (row[0] === 'X' && process.to === null) { process.to = at; process.status = row[3]; }
        reach(run, at);
        return row;
      case 'N':
        if (last) (last.calls ??= []).push(row);
        return last;
      case 'V': case 'K':
        if (process) {
          process.rows.push(row);
          const by = row[4] === null ? null : drivers[row[4]];
          const what = { process, status: row[3], driver: by };
          if (row[0] === 'V') { process.refused = what; matters.refusals.push(what); }
          else { process.ended = what; matters.ends.push(what); }
          touch(process, by);
        }
        return last;
      case 'O':
        if (process) { process.rows.push(row); process.says += 1; }
        else remarks.push({ text: row[4], driver, run, at });
        return last;
      case 'F': {
        const [, , , , rule, error, message, bugCheck, stack] = row;
        matters.findings.push({ process, driver, rule, error, message, bugCheck, stack, run, at });
        if (process) {
          process.rows.push(row);
          process.findings += 1;
          process.worst = Math.max(process.worst, error ? 2 : 1);
          touch(process, driver);
        }
        return last;
      }
      case 'S': {
        const [, , , , title, message, parameters, stack, registers] = row;
        matters.stops.push({ process, driver, title, message, parameters, stack, registers, run, at });
        if (process) { process.rows.push(row); process.findings += 1; process.worst = 3; touch(process, driver); }
        return last;
      }
      case 'B':
        if (process && !process.doubt) process.doubt = { at, because: row[3] === null ? null : processes[row[3]], late: at > process.from };
        return last;
      case 'E': {
        const of = drivers[row[2]];
        of?.starts.push({ status: row[3], good: row[4], elapsed: row[5], run });
        if (of && !row[4]) matters.failed.push({ driver: of, status: row[3], run });
        return last;
      }
      case 'G':
        if (row[4]) remarks.push({ text: row[3], driver: drivers[row[2]], run, at });
        else matters.warnings.push({ text: row[3], driver: drivers[row[2]], run });
        return last;
      case 'U':
        remarks.push({ text: row[3] === null ? 'stays loaded: it has no DriverUnload' : `was unloaded; DriverUnload took ${nanoseconds(row[3])}`, driver: drivers[row[2]], run, at });
        return last;
      case 'L': matters.leaks.push({ driver: drivers[row[2]], words: [row[3], row[4]], which: row[5], count: row[6], bytes: row[7], run }); return last;
      case 'M': matters.differences.push({ process, change: row[3], text: row[4], run }); return last;
      case 'W':
        if (row[2] === 'warning') matters.warnings.push({ text: row[3], run });
        else remarks.push({ text: row[3], run, at });
        return last;
      case 'C': run.outcome = { text: row[2], good: row[3] }; return last;
      case 'Z': run.ended = true; return last;
      default: return last;
    }
  }

  function reach(run, at) {
    if (at < run.from) run.from = at;
    if (at > run.to) run.to = at;
  }

  function touch(process, driver) {
    if (driver && !process.by.has(driver)) { process.by.add(driver); driver.touched += 1; }
  }

  // ---- The tree -------------------------------------------------------------------------------------------------

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
        run.node = { kind: 'run', run, label: run.machine || run.command || 'a machine', kids: [], rows: [], from: run.from, to: run.to, by: new Set() };
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

  // ---- Bars -----------------------------------------------------------------------------------------------------

  let colours = {};
  function dye() {
    const style = getComputedStyle(document.documentElement);
    for (const it of ['bar', 'bar-soft', 'mark', 'bad', 'warn', 'doubt', 'line', 'soft', 'raised']) colours[it] = style.getPropertyValue(`--${it}`).trim();
    height = parseFloat(style.getPropertyValue('--row')) || 28;
  }

  /** Where a time is, as a part of the axis. */
  const across = at => (at - view.from) / (view.to - view.from);

  function bar(node, canvas) {
    const width = canvas.clientWidth, tall = canvas.clientHeight, ratio = devicePixelRatio || 1;
    if (width === 0) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(tall * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(tall * ratio);
    }
    const ink = canvas.getContext('2d');
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    ink.clearRect(0, 0, width, tall);
    const x = at => Math.max(-20, Math.min(width + 20, across(at + node.shift) * width));
    ink.fillStyle = colours.line;
    for (const { at } of ticks) ink.fillRect(Math.round(across(at) * width), 0, .5, tall);
    const middle = Math.round(tall / 2);
    const thick = tall < 20 ? 6 : 8;
    const top = middle - thick / 2;
    if (node.kind === 'run') {
      ink.fillStyle = colours['bar-soft'];
      ink.fillRect(x(node.from), middle - 1, Math.max(2, x(node.to) - x(node.from)), 2);
      return;
    }
    const from = node.origin === 1 || node.origin === 3 ? x(node.run.from) : x(node.from);
    const to = node.to !== null ? x(node.to) : node.refused ? from : x(node.run.to);
    const unreal = node.doubt ? Math.max(from, x(node.doubt.at)) : node.refused ? from : to;
    if (unreal > from || !(node.doubt || node.refused)) {
      ink.fillStyle = colours['bar-soft'];
      ink.fillRect(from, top, Math.max(2, unreal - from), thick);
      ink.fillStyle = colours.bar;
      ink.fillRect(from, top, 1.5, thick);
      if (node.to !== null) ink.fillRect(to - 1.5, top, 1.5, thick);
    }
    if (node.doubt || node.refused) hatch(ink, unreal, top, Math.max(2, to - unreal), thick, width, node.doubt ? colours.doubt : colours.bad);
    // Marks: no more than one of a kind on each pixel.
    let image = -9, thread = -9;
    for (const it of node.rows) {
      const at = x(it[1]);
      if (at < 0 || at > width) continue;
      if (it[0] === 'I' && at - image >= 1) { image = at; ink.fillStyle = colours.mark; ink.fillRect(at - .5, top + 1.5, 1, thick - 3); }
      if ((it[0] === 'T' || it[0] === 'Q') && at - thread >= 2) { thread = at; ink.fillStyle = colours.bar; ink.fillRect(at - .75, top + thick + 1, 1.5, 2); }
    }
    for (const it of node.rows) {
      const at = x(it[1]);
      if (at < -8 || at > width + 8) continue;
      if (it[0] === 'F' || it[0] === 'S') diamond(ink, at, middle, it[0] === 'S' || it[5] ? colours.bad : colours.warn);
      if (it[0] === 'V' || it[0] === 'K') cross(ink, at, middle);
    }
  }

  /** What would not have been. */
  function hatch(ink, from, top, long, thick, width, colour) {
    ink.save();
    ink.beginPath();
    ink.rect(from, top, long, thick);
    ink.clip();
    ink.strokeStyle = colour;
    ink.lineWidth = 1.2;
    for (let at = Math.max(from, 0) - thick; at < Math.min(from + long, width); at += 4) {
      ink.beginPath(); ink.moveTo(at, top + thick); ink.lineTo(at + thick, top); ink.stroke();
    }
    ink.restore();
    ink.strokeStyle = colour;
    ink.lineWidth = 1;
    ink.strokeRect(from + .5, top + .5, Math.max(1, long - 1), thick - 1);
  }

  function diamond(ink, x, y, colour) {
    ink.fillStyle = colour;
    ink.strokeStyle = colours.raised;
    ink.lineWidth = 1.5;
    ink.beginPath(); ink.moveTo(x, y - 6); ink.lineTo(x + 6, y); ink.lineTo(x, y + 6); ink.lineTo(x - 6, y); ink.closePath();
    ink.stroke(); ink.fill();
  }

  function cross(ink, x, y) {
    for (const [colour, wide] of [[colours.raised, 5], [colours.bad, 2.2]]) {
      ink.strokeStyle = colour; ink.lineWidth = wide;
      ink.beginPath(); ink.moveTo(x - 5, y - 5); ink.lineTo(x + 5, y + 5); ink.moveTo(x + 5, y - 5); ink.lineTo(x - 5, y + 5); ink.stroke();
    }
  }

  // ---- The axis -------------------------------------------------------------------------------------------------

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

  // ---- Details --------------------------------------------------------------------------------------------------

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

  // ---- Search and filters ---------------------------------------------------------------------------------------

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

  // ---- What is above and below the tree -------------------------------------------------------------------------

  function header() {
    const start = runs[0];
    const machines = runs.length;
    const title = $('title');
    if (!start) title.append('Nothing was recorded');
    else if (machines > 1) title.append(make('span', 'lead', 'Replay of '), `${number(machines)} machines`);
    else if (start.command) title.append(make('code', '', name(start.command)));
    else title.append(make('span', 'lead', 'Replay of '), name(start.machine || 'a recorded machine'));
    document.title = `${title.textContent} — Callboard`;
    const facts = [];
    if (drivers.length > 0) facts.push(drivers.slice(0, 6).map(driver => driver.name).join(', ') + (drivers.length > 6 ? ` and ${drivers.length - 6} more` : ''));
    if (start?.profile) facts.push(`as ${[...new Set(runs.map(run => run.profile))].join(', ')}`);
    if (start && Number.isFinite(start.from)) facts.push(moment(start, start.from));
    if (start && machines === 1 && start.to >= start.from) facts.push(`over ${span(start.to - start.from)}`);
    if (start?.outcome) facts.push(`the command ${start.outcome.text}`);
    $('facts').textContent = facts.join('  ·  ');
    if (cut || runs.some(run => !run.ended)) {
      $('cut').hidden = false;
      $('cut').textContent = cut ? 'This page was cut short: what is here was recorded before that.' : 'The run was cut short: its end was not recorded.';
    }
    const n = totals?.numbers;
    const all = n ? [
      ['events', n.events], ['processes', n.created + n.present + n.cloned + n.unseen], ['images', n.images], ['threads', n.threads],
      ['refused', n.refused, 'bad'], ['findings', n.errors + n.warnings, n.errors ? 'bad' : 'warn'], ['would not have happened', n.doubted], ['differences', n.differences, 'bad'],
      ['leaks', n.leaks, 'warn'], ['stops', n.stops, 'bad'],
    ] : [['processes', processes.length], ['refused', matters.refusals.length, 'bad'], ['findings', matters.findings.length, 'bad']];
    for (const [term, value, colour] of all) {
      if (value === 0 && !['refused', 'findings', 'events', 'processes'].includes(term)) continue;
      $('counts').append(make('div', '', make('dt', '', term), make('dd', value > 0 ? colour : '', number(value))));
    }
  }

  const on = run => runs.length > 1 && run?.machine ? make('span', 'soft', ' on ', name(run.machine)) : null;

  function trouble() {
    const part = $('matters');
    const group = (title, element) => part.append(make('div', 'group', make('h3', '', title), element));
    for (const stop of matters.stops.slice(0, 50)) {
      const where = [stop.driver ? `in ${stop.driver.name}, ` : '', `at ${span(stop.at - (Number.isFinite(stop.run.from) ? stop.run.from : 0))}`].join('');
      const card = make('div', 'matter is-bad', make('p', '', make('b', 'bad', 'STOP ', name(stop.title))), make('p', 'what', name(stop.message)),
        make('p', 'soft', where, stop.process ? ', in ' : null, stop.process ? goto(stop.process) : null, on(stop.run)));
      if (stop.parameters) card.append(make('pre', '', stop.parameters.map((line, at) => `parameter ${at + 1}  ${line}`).join('\n')));
      card.append(stackOf(stop.stack) ?? '');
      if (stop.registers) card.append(make('details', '', make('summary', '', 'Registers'), make('pre', '', stop.registers.join('\n'))));
      part.append(make('div', 'group', card));
    }
    if (matters.failed.length > 0) {
      group(count(matters.failed.length, 'driver did not start', 'drivers did not start'), long(make('ul', 'lines'), matters.failed, 10, it =>
        make('li', '', name(it.driver.name), `: DriverEntry returned ${it.status}`, on(it.run)), 'drivers'));
    }
    if (matters.findings.length > 0) group(`${count(matters.findings.length, 'finding', 'findings')}`, findings());
    if (matters.refusals.length > 0) group(count(matters.refusals.length, 'process refused', 'processes refused'), verdicts(matters.refusals, 'refused'));
    if (matters.ends.length > 0) group(count(matters.ends.length, 'process terminated', 'processes terminated'), verdicts(matters.ends, 'terminated'));
    if (matters.differences.length > 0) {
      group(`${count(matters.differences.length, 'difference', 'differences')} to what it is compared with`, long(make('ul', 'lines'), matters.differences, 20, it =>
        make('li', it.change.endsWith('_gone') ? 'is-gone' : '', name(it.text), it.process ? ' · ' : null, it.process ? goto(it.process) : null, on(it.run)), 'differences'));
    }
    if (matters.leaks.length > 0) {
      group(count(matters.leaks.length, 'leak', 'leaks'), leaks());
    }
    const missing = drivers.filter(driver => driver.missing.length > 0);
    const warnings = [...matters.warnings, ...missing.map(driver => ({ driver, text: `has imports that nobody implements: ${driver.missing.join(', ')}` }))];
    if (warnings.length > 0) {
      group(count(warnings.length, 'warning', 'warnings'), long(make('ul', 'lines is-warn'), warnings, 10, it =>
        make('li', '', it.driver ? name(`${it.driver.name} `) : null, name(it.text), on(it.run)), 'warnings'));
    }
    part.prepend(part.childElementCount > 0 ? make('h2', '', 'What matters')
      : make('p', 'well', cut ? 'Up to here nothing was refused and nothing was found.' : 'Nothing was refused, nothing was found, nothing was left behind.'));
  }

  /** Findings of a rule by a driver are one: what it says, and everywhere it was found. */
  function findings() {
    const groups = new Map();
    for (const it of matters.findings) {
      const key = `${it.rule}\n${it.driver?.number}\n${it.error}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(it);
    }
    const sorted = [...groups.values()].sort((a, b) => b[0].error - a[0].error || b.length - a.length);
    return long(make('div'), sorted, 8, all => {
      const it = all[0];
      const card = make('div', `matter is-${it.error ? 'bad' : 'warn'}`);
      card.append(make('p', '', make('b', `rule ${it.error ? 'bad' : 'warn'}`, name(it.rule)), ` ${it.error ? 'error' : 'warning'} in `,
        make('b', '', name(driverName(it.driver))), all.length > 1 ? make('span', 'soft', ` · ${number(all.length)} times`) : null));
      card.append(make('p', 'what', name(it.message)));
      if (it.bugCheck) card.append(make('p', 'soft', `Windows would stop with ${it.bugCheck}.`));
      const places = all.filter(other => other.process);
      if (all.length === 1) {
        if (it.process) card.append(make('p', '', make('span', 'soft', 'in '), goto(it.process), on(it.run)));
      } else {
        const where = make('ul');
        const more = make('details', '', make('summary', '', `${places.length > 0 ? 'First in ' : ''}`, places[0] ? name(`${places[0].process.label} (${places[0].process.pid})`) : 'Everywhere', ` · all ${number(all.length)}`), where);
        more.addEventListener('toggle', () => {
          if (where.childElementCount === 0) long(where, all, 25, other => make('li', '', other.process ? goto(other.process) : 'in no process', make('span', 'soft', ` ${span(other.at - (Number.isFinite(other.run.from) ? other.run.from : 0))} `), other.message === it.message ? null : name(other.message)), 'findings');
        }, { once: true });
        card.append(more);
      }
      if (it.stack) card.append(make('details', '', make('summary', '', 'Stack'), stackOf(it.stack)));
      return card;
    }, 'rules');
  }

  /** Things of a kind that a driver left behind are one entry. */
  function leaks() {
    const groups = new Map();
    for (const it of matters.leaks) {
      const key = `${it.driver?.number}\n${it.words[0]}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(it);
    }
    const sum = (group, what) => group.reduce((sum, it) => sum + it[what], 0);
    const which = it => make('li', '', it.count > 1 ? `${number(it.count)} of ` : null, name(it.which), it.bytes ? make('span', 'soft', `, ${bytes(it.bytes)}`) : null, on(it.run));
    return long(make('div'), [...groups.values()], 20, group => {
      const size = sum(group, 'bytes');
      const card = make('div', 'matter is-warn', make('p', '', make('b', '', name(driverName(group[0].driver))), ` left ${count(sum(group, 'count'), ...group[0].words)}`,
        size ? make('span', 'soft', `, ${bytes(size)}`) : null));
      const list = make('ul', 'soft');
      if (group.length <= 4) card.append(long(list, group, 4, which, 'leaks'));
      else card.append(make('details', '', make('summary', '', 'Which'), long(list, group, 50, which, 'leaks')));
      return card;
    }, 'kinds');
  }

  /** Processes that a driver treated alike are one entry. */
  function verdicts(all, verb) {
    const groups = new Map();
    for (const it of all) {
      const key = `${it.driver?.number}\n${it.status}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(it);
    }
    return long(make('div'), [...groups.values()], 8, group => make('div', 'matter is-bad',
      make('p', '', make('b', '', name(driverName(group[0].driver))), ` ${verb} with `, make('b', 'bad', brief(group[0].status)),
        make('span', 'soft', group[0].status.slice(brief(group[0].status).length)), group.length > 1 ? make('span', 'soft', ` · ${number(group.length)} times`) : null),
      long(make('div', 'kin'), group, 24, it => make('span', '', goto(it.process), on(it.process.run)), 'processes')), 'verdicts');
  }

  function table(heads, rows) {
    const body = make('tbody');
    for (const cells of rows) body.append(make('tr', '', ...cells.map((cell, at) => make('td', heads[at][1] ? 'number' : '', cell))));
    const head = make('tr', '', ...heads.map(([text, isNumber]) => { const cell = make('th', isNumber ? 'number' : '', text); cell.scope = 'col'; return cell; }));
    const wide = make('div', 'wide', make('table', '', make('thead', '', head), body));
    wide.tabIndex = 0;
    wide.setAttribute('role', 'group');
    wide.setAttribute('aria-label', 'Table');
    return wide;
  }

  function driverPart() {
    const part = $('drivers');
    if (drivers.length === 0) { part.hidden = true; return; }
    part.append(make('h2', '', drivers.length === 1 ? 'Driver' : 'Drivers'));
    const cards = make('div', 'cards');
    long(cards, drivers, 24, driver => {
      const bad = driver.starts.filter(it => !it.good);
      const start = driver.starts[0];
      const text = !start ? 'DriverEntry did not return' : bad.length > 0 && driver.starts.length > 1 ? `did not start on ${bad.length} of ${driver.starts.length} machines`
        : `DriverEntry returned ${start.status}${start.elapsed ? ` after ${nanoseconds(start.elapsed)}` : ''}`;
      return make('div', 'matter', make('p', '', make('b', '', name(driver.name)), make('span', 'soft', driver.size ? ` ${bytes(driver.size)} at ${driver.base}` : '')),
        driver.path ? make('p', 'soft mono', name(driver.path)) : null, make('p', bad.length > 0 ? 'bad' : 'soft', text));
    }, 'drivers');
    part.append(cards);
    const n = totals?.numbers;
    if (!n) return;
    const tables = make('div', 'tables');
    const add = (title, element) => tables.append(make('div', '', make('h3', '', title), element));
    const kind = { Create: 'process creation', Exit: 'process exit', ThreadCreate: 'thread creation', ThreadExit: 'thread exit', Image: 'image' };
    const of = at => at === null ? 'the kernel' : driverName(drivers[at]);
    if (n.calls.length > 0) {
      const timed = n.calls.some(call => call[3] > 0);
      const cell = value => timed ? nanoseconds(value) : '–';
      add(timed ? 'Time in routines' : 'Notices (times were not recorded)', table([['Driver'], ['Told of'], ['Notices', 1], ['Total', 1], ['Half took at most', 1], ['99 % at most', 1], ['Longest', 1]],
        n.calls.map(([driver, what, calls, total, half, most, longest]) => [name(of(driver)), kind[what], number(calls), cell(total), cell(half), cell(most), cell(longest)])));
    }
    if (n.uncounted.length > 0) add('Counted, not recorded one by one', table([['Driver'], ['Told of'], ['Notices', 1]], n.uncounted.map(([driver, what, calls]) => [name(of(driver)), what, number(calls)])));
    if (n.refusals.length > 0) add('Refusals by status', table([['Driver'], ['Status'], ['Processes', 1]], n.refusals.map(([driver, status, value]) => [name(of(driver)), status, number(value)])));
    if (n.rules.length > 0) add('Findings by rule', table([['Rule'], ['Severity'], ['Driver'], ['Findings', 1]], n.rules.map(([rule, severity, driver, value]) => [name(rule), severity, name(of(driver)), number(value)])));
    part.append(tables);
  }

  function notesPart() {
    const part = $('notes');
    const left = totals?.left;
    const out = left ? [[left.processes, 'of processes'], [left.images, 'of images'], [left.threads, 'of threads'], [left.lines, 'of lines and notes'], [left.matters, 'of what matters']].filter(([value]) => value > 0) : [];
    if (out.length > 0) {
      const all = out.reduce((sum, [value]) => sum + value, 0);
      part.append(make('h2', '', 'Left out'), make('p', '', `${count(all, 'row', 'rows')} had no room on this page: ${out.map(([value, what]) => `${number(value)} ${what}`).join(', ')}. All counts above are of the whole run; --format ndjson holds everything.`));
    }
    if (remarks.length > 0) {
      const list = long(make('ol', 'log'), remarks, 100, it => {
        const when = make('time', '', Number.isFinite(it.run.from) ? span(it.at - it.run.from) : '');
        return make('li', '', when, make('div', '', it.driver ? name(`${it.driver.name} `) : null, name(it.text), on(it.run)));
      }, 'notes');
      const more = make('details', '', make('summary', '', `${count(remarks.length, 'note', 'notes')}: registrations, lines outside of processes, and the like`), list);
      part.append(more);
    }
    $('foot').textContent = `Callboard ${runs[0]?.version ?? ''}. This file holds command lines and file names of the machine it was made from. It loads nothing and sends nothing.`;
  }

  function legend() {
    const items = [['bar-soft', 'alive'], ['mark', 'image mapped'], ['bar', 'thread'], ['finding', 'finding'], ['cross', 'refused or terminated'], ['doubt', 'would not have happened']];
    const has = { finding: matters.findings.length + matters.stops.length, cross: matters.refusals.length + matters.ends.length, doubt: processes.some(it => it.doubt) };
    for (const [key, text] of items) {
      if (has[key] !== undefined && !has[key]) continue;
      const canvas = make('canvas');
      $('legend').append(make('span', '', canvas, text));
      const ratio = devicePixelRatio || 1;
      canvas.width = 34 * ratio; canvas.height = 16 * ratio;
      const ink = canvas.getContext('2d');
      ink.scale(ratio, ratio);
      if (key !== 'doubt') { ink.fillStyle = colours['bar-soft']; ink.fillRect(1, 4, 32, 8); }
      if (key === 'bar-soft') { ink.fillStyle = colours.bar; ink.fillRect(1, 4, 1.5, 8); ink.fillRect(31.5, 4, 1.5, 8); }
      if (key === 'mark') { ink.fillStyle = colours.mark; [9, 13, 20].forEach(x => ink.fillRect(x, 5.5, 1, 5)); }
      if (key === 'bar') { ink.fillStyle = colours.bar; [9, 15, 24].forEach(x => ink.fillRect(x, 13, 1.5, 2)); }
      if (key === 'finding') diamond(ink, 17, 8, colours.bad);
      if (key === 'cross') cross(ink, 17, 8);
      if (key === 'doubt') hatch(ink, 1, 4, 32, 8, 34, colours.doubt);
    }
  }

  // ---- Keys and pointers ----------------------------------------------------------------------------------------

  const keys = [['/', 'search'], ['n  N', 'next and previous result'], ['↑ ↓', 'move in the tree'], ['← →', 'close and open, parent and first child'],
    ['Home End PgUp PgDn', 'far moves'], ['Enter', 'details of the selected process'], ['Esc', 'back to the tree, out of a search'],
    ['+ −', 'zoom the time axis'], ['z', 'zoom to the selected process'], ['0', 'the whole run'], ['[ ]', 'earlier, later'], ['*', 'open everything'], ['?', 'these keys']];

  function help() {
    const dialog = $('help');
    if (dialog.childElementCount === 0) {
      const listed = make('dl');
      for (const [key, what] of keys) listed.append(make('dt', '', make('kbd', '', key)), make('dd', '', what));
      dialog.append(make('h2', '', 'Keys'), listed, button('', 'Close', () => dialog.close()));
    }
    dialog.showModal();
  }

  function treeKey(event) {
    const node = nodes[picked];
    if (!node || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = row[picked];
    const page = Math.max(1, Math.floor($('tree').clientHeight / height) - 1);
    const move = to => pick(list[Math.max(0, Math.min(list.length - 1, to))]);
    switch (event.key) {
      case 'ArrowDown': move(at + 1); break;
      case 'ArrowUp': move(at - 1); break;
      case 'PageDown': move(at + page); break;
      case 'PageUp': move(at - page); break;
      case 'Home': move(0); break;
      case 'End': move(list.length - 1); break;
      case 'ArrowRight':
        if (node.kids.length > 0 && closed.has(picked)) toggle(picked);
        else if (nodes[list[at + 1]]?.above === node) move(at + 1);
        break;
      case 'ArrowLeft':
        if (node.kids.length > 0 && !closed.has(picked)) toggle(picked);
        else if (node.above) pick(node.above.n);
        break;
      case '*': closed.clear(); grow(); pick(picked); break;
      case 'Enter': case ' ': openDetail(true); break;
      default: return;
    }
    event.preventDefault();
  }

  function toggle(n) {
    if (!closed.delete(n)) closed.add(n);
    // What is selected cannot be inside of what is closed.
    for (let up = nodes[picked]?.above; up; up = up.above) if (up.n === n && closed.has(n)) picked = n;
    grow();
  }

  function pageKey(event) {
    const typing = event.target === $('query');
    if ($('help').open) return;
    if (event.key === 'Escape') {
      if (typing) { if ($('query').value) { $('query').value = ''; search(); } else $('tree').focus(); }
      else if (!$('detail').hidden) closeDetail();
      else $('tree').focus();
      event.preventDefault();
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    switch (event.key) {
      case '/': $('query').focus(); $('query').select(); break;
      case '?': help(); break;
      case 'n': step(1); break;
      case 'N': step(-1); break;
      case '+': case '=': zoom(.5); break;
      case '-': case '−': zoom(2); break;
      case '0': show(whole.from, whole.to); break;
      case 'z': fit(nodes[picked]); break;
      case '[': pan(-.25); break;
      case ']': pan(.25); break;
      default: return;
    }
    event.preventDefault();
  }

  function listen() {
    const tree = $('tree');
    tree.addEventListener('keydown', treeKey);
    document.addEventListener('keydown', pageKey);
    tree.addEventListener('scroll', drawSoon, { passive: true });
    tree.addEventListener('click', event => {
      const element = event.target.closest('.row');
      if (!element) return;
      const n = Number(element.id.slice(1));
      picked = n;
      if (event.target.classList.contains('twist') && nodes[n].kids.length > 0) toggle(n);
      else { pick(n); openDetail(false); }
    });
    for (const element of [tree, $('axis')]) {
      element.addEventListener('wheel', event => {
        if (!event.ctrlKey) return;
        event.preventDefault();
        const box = $('axis').getBoundingClientRect();
        zoom(event.deltaY > 0 ? 1.25 : .8, Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)));
      }, { passive: false });
    }
    let drag = null;
    const axisBox = $('axis');
    const part = event => { const box = axisBox.getBoundingClientRect(); return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)); };
    axisBox.addEventListener('pointerdown', event => { drag = { from: part(event), mark: make('span', 'reach') }; axisBox.append(drag.mark); axisBox.setPointerCapture(event.pointerId); });
    axisBox.addEventListener('pointermove', event => {
      if (!drag) return;
      drag.to = part(event);
      drag.mark.style.left = `${Math.min(drag.from, drag.to) * 100}%`;
      drag.mark.style.width = `${Math.abs(drag.to - drag.from) * 100}%`;
    });
    axisBox.addEventListener('pointerup', () => {
      if (!drag) return;
      const { from, to = from, mark } = drag;
      drag = null;
      mark.remove();
      const range = view.to - view.from;
      if (Math.abs(to - from) > .01) show(view.from + range * Math.min(from, to), view.from + range * Math.max(from, to));
    });
    axisBox.addEventListener('pointercancel', () => { drag?.mark.remove(); drag = null; });
    axisBox.addEventListener('dblclick', () => show(whole.from, whole.to));
    $('in').addEventListener('click', () => zoom(.5));
    $('out').addEventListener('click', () => zoom(2));
    $('fit').addEventListener('click', () => fit(nodes[picked]));
    $('all').addEventListener('click', () => show(whole.from, whole.to));
    $('keys').addEventListener('click', help);
    $('search').addEventListener('submit', event => { event.preventDefault(); if (sought !== $('query').value.trim().toLowerCase()) search(); else step(1); });
    $('query').addEventListener('keydown', event => { if (event.key === 'Enter' && event.shiftKey) { event.preventDefault(); step(-1); } });
    $('previous').addEventListener('click', () => step(-1));
    let timer = 0;
    $('query').addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(search, 120); });
    const again = () => { dye(); live.forEach(element => element.remove()); live.clear(); draw(); };
    new ResizeObserver(() => { dye(); drawSoon(); }).observe(tree);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { again(); $('legend').replaceChildren(); legend(); });
    matchMedia('(max-width: 640px)').addEventListener('change', again);
    addEventListener('beforeprint', () => { printing = true; live.forEach(element => element.remove()); live.clear(); draw(); });
    addEventListener('afterprint', () => { printing = false; again(); });
  }

  document.addEventListener('DOMContentLoaded', () => {
    const began = performance.now();
    read();
    plant();
    $('page').hidden = false;
    dye();
    header();
    trouble();
    driverPart();
    notesPart();
    legend();
    chips();
    listen();
    grow();
    tell();
    // For those who measure.
    document.documentElement.dataset.ready = Math.round(performance.now() - began);
  });
})();
