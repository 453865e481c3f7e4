// Keys and pointers, and the beginning of it all.

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
