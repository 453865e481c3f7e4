// A bar for each process, from its creation to its exit, and what happened meanwhile.

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
