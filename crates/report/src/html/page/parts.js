// What stands above the tree and below it.

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
  const processCount = n ? n.created + n.present + n.cloned + n.unseen : processes.length;
  const all = [
    [processCount, 'process', 'processes'],
    [n ? n.refused : matters.refusals.length, 'refused', 'refused', 'bad'],
    [n ? n.errors + n.warnings : matters.findings.length, 'finding', 'findings', n && !n.errors ? 'warn' : 'bad'],
  ];
  if (n) {
    all.unshift([n.events, 'event', 'events']);
    // What there is none of in most runs is not there at all.
    all.splice(2, 0, ...[[n.images, 'image', 'images'], [n.threads, 'thread', 'threads']].filter(([value]) => value > 0));
    all.push(...[
      [n.doubted, 'process would not have happened', 'processes would not have happened'], [n.differences, 'difference', 'differences', 'bad'],
      [n.leaks, 'leak', 'leaks', 'warn'], [n.stops, 'stop', 'stops', 'bad'],
    ].filter(([value]) => value > 0));
  }
  for (const [value, one, several, colour] of all) {
    $('counts').append(make('div', '', make('dt', '', value === 1 ? one : several), make('dd', value > 0 ? colour : '', number(value))));
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
    const only = group.length === 1 ? group[0] : null;
    const card = make('div', 'matter is-warn', make('p', '', make('b', '', name(driverName(group[0].driver))), ` left ${count(sum(group, 'count'), ...group[0].words)}`,
      only ? ': ' : null, only ? name(only.which) : null, size ? make('span', 'soft', `, ${bytes(size)}`) : null, only ? on(only.run) : null));
    if (only) return card;
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
    add(timed ? 'Time in routines' : 'Notices (times were not recorded)', table([['Driver'], ['Told of'], ['Notices', 1], ['Total', 1], ['p50', 1], ['p99', 1], ['Longest', 1]],
      n.calls.map(([driver, what, calls, total, half, most, longest]) => [name(of(driver)), kind[what], number(calls), cell(total), cell(half), cell(most), cell(longest)])));
  }
  if (n.uncounted.length > 0) add('Counted, not recorded one by one', table([['Driver'], ['Told of'], ['Notices', 1]], n.uncounted.map(([driver, what, calls]) => [name(of(driver)), what, number(calls)])));
  if (n.pool.length > 0) add('Pool', table([['Driver'], ['Pool'], ['Allocations', 1], ['Most at a time', 1]], n.pool.map(([driver, which, value, most]) => [name(of(driver)), which, number(value), bytes(most)])));
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
