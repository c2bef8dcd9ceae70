'use strict';
// What a person can do: each event of the page becomes a call of Page.

function listen(page) {
  const on = (id, event, action) => page.element(id).addEventListener(event, action);
  on('controls', 'submit', (event) => {
    event.preventDefault();
    page.go();
  });
  on('prompt', 'input', () => page.setWords());
  on('prompt', 'keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    page.go();
  });
  on('stop', 'click', () => page.stop());
  on('another', 'click', () => page.another());
  on('here', 'click', () => page.go());
  on('text', 'click', (event) => {
    const position = getSelection().isCollapsed ? page.text.positionAt(event.clientX, event.clientY) : null;
    if (position !== null) page.moveTo(position);
  });
  on('text', 'keydown', (event) => pressKey(page, event));
  on('layer', 'change', () => page.reshade());
  on('shading', 'change', () => page.reshade());
  on('unit', 'input', () => page.reshade());
  addEventListener('resize', () => page.refresh());
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    page.layers.readColors();
    page.refresh();
  });
}

// A key in the text: it moves the mark, or does what a button does.
function pressKey(page, event) {
  const to = findPlace(page, event);
  if (to !== null) page.moveTo(to, true);
  else if (event.key === 'Enter' || event.key === ' ') page.go();
  else if (event.key === 'Escape') page.stop();
  else return;
  event.preventDefault();
}
