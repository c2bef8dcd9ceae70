'use strict';
// The text on the page: runs of characters of one shade, in a block for each line, and the mark between two characters.

class TextView {
  constructor(element, mark) {
    this.element = element;
    this.mark = mark;
    this.shadeOf = () => '';
    this.clear();
  }

  clear() {
    this.runs = []; // spans, each with `start`, its first offset in the text (UTF-16), and `shade`
    this.ends = []; // the offset after each character of the tape
    this.rest = null; // bytes after the text that are no character yet
    this.element.replaceChildren();
  }

  get length() {
    return this.ends.at(-1) ?? 0;
  }

  // Show the tape, of which the first `kept` characters stand there already.
  show(tape, kept) {
    this.showRest('');
    this.truncate(kept);
    for (let i = this.ends.length; i < tape.length; i++) this.append(tape.pieces[i], this.shadeOf(i));
  }

  // What follows the text where it stops; it goes as the text goes on.
  showRest(rest) {
    this.rest?.remove();
    this.rest = null;
    if (!rest) return;
    const last = this.runs.at(-1);
    this.rest = document.createElement(!last || last.firstChild.data.endsWith('\n') ? 'div' : 'span');
    this.rest.start = this.length;
    this.rest.append(rest);
    (this.rest.tagName === 'DIV' ? this.element : last.parentNode).append(this.rest);
  }

  append(piece, shade) {
    const start = this.length;
    this.ends.push(start + piece.length);
    if (!piece) return;
    const last = this.runs.at(-1), endsLine = last?.firstChild.data.endsWith('\n');
    if (last && !endsLine && last.shade === shade) {
      last.firstChild.appendData(piece);
      return;
    }
    if (!last || endsLine) this.element.append(document.createElement('div'));
    const run = document.createElement('span');
    run.className = run.shade = shade;
    run.start = start;
    run.append(document.createTextNode(piece));
    this.element.lastChild.append(run);
    this.runs.push(run);
  }

  truncate(count) {
    if (count >= this.ends.length) return;
    this.ends.length = count;
    while (this.runs.length && this.runs.at(-1).start >= this.length) {
      const run = this.runs.pop(), line = run.parentNode;
      run.remove();
      if (!line.firstChild) line.remove();
    }
    const last = this.runs.at(-1)?.firstChild;
    if (last) last.data = last.data.slice(0, this.length - last.parentNode.start);
  }

  // The number of characters before a point on the screen; null outside of the text.
  positionAt(x, y) {
    let node, offset;
    if (document.caretPositionFromPoint) {
      const found = document.caretPositionFromPoint(x, y);
      [node, offset] = [found?.offsetNode, found?.offset];
    } else {
      const found = document.caretRangeFromPoint(x, y);
      [node, offset] = [found?.startContainer, found?.startOffset];
    }
    return this.positionIn(node, offset);
  }

  // The number of characters before a place in a node; null outside of the text.
  positionIn(node, offset) {
    if (node?.nodeType !== Node.TEXT_NODE || !this.element.contains(node)) return null;
    const {start} = node.parentNode, end = start + node.data.length - (node.data.endsWith('\n') ? 1 : 0);
    return this.positionOf(Math.min(start + offset, end));
  }

  // The characters that it takes to fill the text up to an offset; at least the first.
  positionOf(offset) {
    return Math.min(lowerBound(this.ends, offset) + 1, this.ends.length);
  }

  // {x, top, bottom} of the place after `position` characters, on the screen.
  placeOf(position) {
    const offset = this.ends[position - 1] ?? 0;
    const run = this.runs[Math.max(lowerBound(this.runs, offset + 1, (one) => one.start) - 1, 0)];
    if (!run) {
      const {left, top} = this.element.getBoundingClientRect();
      return {x: left, top, bottom: top + LINE_HEIGHT};
    }
    const text = run.firstChild, inside = offset - run.start, range = document.createRange();
    if (inside === text.length && text.data.endsWith('\n')) { // on a line that has no character yet
      const line = run.parentNode, {left, right, bottom} = line.getBoundingClientRect();
      const x = getComputedStyle(line).direction === 'rtl' ? right : left;
      return {x, top: bottom, bottom: bottom + LINE_HEIGHT};
    }
    range.setStart(text, inside);
    const {x, top, bottom} = range.getBoundingClientRect();
    return {x, top, bottom};
  }

  // Put the mark after `position` characters; null takes it away.
  moveMark(position) {
    this.mark.hidden = position === null;
    if (position === null) return;
    const {x, top, bottom} = this.placeOf(position), frame = this.mark.offsetParent.getBoundingClientRect();
    const {scrollLeft, scrollTop} = this.mark.offsetParent;
    this.mark.style.left = `${x - frame.left + scrollLeft}px`;
    this.mark.style.top = `${top - frame.top + scrollTop}px`;
    this.mark.style.height = `${bottom - top}px`;
  }
}

const LINE_HEIGHT = 32; // about that of the style sheet, for a line that has no character

// The first index of a rising list whose value is `least` or more; `key` gives an element's value.
function lowerBound(list, least, key = (value) => value) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) < least) low = middle + 1;
    else high = middle;
  }
  return low;
}
