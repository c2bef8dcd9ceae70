'use strict';
// The place to which a key moves the mark, or null.
function findPlace({tape, text}, {key, ctrlKey, altKey}) {
  const {position, length, pieces} = tape, isSpace = (i) => /^\s*$/.test(pieces[i]);
  if (key === 'Home' || key === 'End') return key === 'Home' ? 1 : length;
  if (key === 'ArrowUp' || key === 'ArrowDown') {
    const {x, top, bottom} = text.placeOf(position), half = (bottom - top) / 2;
    return text.positionAt(x, key === 'ArrowUp' ? top - half : bottom + half) ?? position;
  }
  const by = {ArrowLeft: -1, ArrowRight: 1}[key];
  if (!by) return null;
  let to = position + by;
  if (ctrlKey || altKey) while (to > 1 && to < length && (isSpace(to - 1) || !isSpace(to))) to += by; // to a word's end
  return to;
}
