// Reads the rows of the page (rows.rs says what is in them).

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
