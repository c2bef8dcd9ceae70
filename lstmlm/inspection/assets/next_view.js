'use strict';
// The most probable next characters as bars, each a button that writes its character.

const SHOWN = 10;

class NextView {
  constructor(list, choose) {
    this.rows = Array.from({length: SHOWN}, () => {
      const item = document.createElement('li'), button = document.createElement('button');
      const [glyph, track, fill, believed, percent] = ['glyph', 'track', 'fill', 'believed', 'percent'].map((name) => {
        const part = document.createElement('span');
        part.className = name;
        return part;
      });
      track.append(fill, believed);
      button.type = 'button';
      button.append(glyph, track, percent);
      button.addEventListener('click', () => choose(Number(button.value)));
      item.append(button);
      list.append(item);
      return {item, button, glyph, fill, believed, percent};
    });
  }

  // What is drawn from (V, up to a factor), what the model itself believes (V), and the id that came next, if any did.
  show(alphabet, drawn, believed, taken) {
    const total = drawn.reduce((a, b) => a + b), ids = largest(drawn, believed, alphabet.unk);
    this.rows.forEach((row, rank) => {
      const id = ids[rank];
      row.item.hidden = id === undefined;
      if (id === undefined) return;
      const {text, name} = alphabet.glyph(id), share = drawn[id] / total;
      row.button.value = id;
      row.glyph.textContent = text;
      row.glyph.classList.toggle('word', text.length > 2);
      row.percent.textContent = formatPercent(share);
      row.fill.style.transform = `scaleX(${share})`;
      row.believed.style.left = `${100 * believed[id]}%`;
      row.button.classList.toggle('taken', id === taken);
      row.button.classList.toggle('out', share === 0);
      row.button.setAttribute('aria-label', `${name}, ${formatPercent(share)}${id === taken ? ', came next' : ''}: write it`);
    });
  }
}

// The ids of the SHOWN characters that are drawn most often, and then those that the model believes in most.
function largest(drawn, believed, unk) {
  const better = (a, b) => drawn[b] - drawn[a] || believed[b] - believed[a] || a - b, best = [];
  for (let id = 0; id < drawn.length; id++) {
    if (id === unk || (best.length === SHOWN && better(best.at(-1), id) < 0)) continue;
    best.push(id);
    best.sort(better);
    best.length = Math.min(best.length, SHOWN);
  }
  return best;
}

function formatPercent(share) {
  return share > 0 && share < 0.001 ? '<0.1 %' : `${(100 * share).toFixed(share >= 0.0995 ? 0 : 1)} %`;
}
