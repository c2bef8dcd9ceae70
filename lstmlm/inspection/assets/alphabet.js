'use strict';
// Characters to ids and back, as in lstmlm/text/vocab.py; and how a character is shown where it stands alone.

// What is typed for one another
const ALIKE = [
  "'\u2018\u2019\u201a\u201b\u2032`\u00b4",
  '"\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb',
  '-\u2010\u2011\u2012\u2013\u2014\u2015\u2212',
  ' \u00a0\u2002\u2003\u2009\u202f\t\n\r',
];

// A vocabulary of characters: token k has id k, and id 0 is <unk>.
class CharacterAlphabet {
  constructor(tokens) {
    this.tokens = tokens;
    this.unk = 0;
    this.ids = new Map(tokens.map((token, id) => [token, id]));
    this.ids.delete(tokens[0]); // <unk> cannot be typed
  }

  // {ids, replaced, missing} of a text: a character that the vocabulary lacks is replaced by its nearest, or left out.
  encode(text) {
    const ids = [], replaced = new Map(), missing = new Set();
    for (const char of text) {
      if (this.ids.has(char)) {
        ids.push(this.ids.get(char));
        continue;
      }
      const near = this.nearest(char);
      if (near === undefined) {
        missing.add(char);
      } else {
        replaced.set(char, near);
        ids.push(this.ids.get(near));
      }
    }
    return {ids, replaced, missing};
  }

  nearest(char) {
    const alike = ALIKE.filter((group) => group.includes(char)).flatMap((group) => [...group]);
    const plain = char.normalize('NFKD').replace(/\p{M}/gu, '');
    const others = [plain, char.toLowerCase(), char.toUpperCase(), plain.toLowerCase(), plain.toUpperCase()];
    return [...alike, ...others].find((other) => this.ids.has(other));
  }

  // A function from the next id of a text to what it adds; its `rest` tells what is held back at the end.
  decoder() {
    return Object.assign((id) => this.tokens[id], {rest: () => ''});
  }

  glyph(id) {
    return showAlone(this.tokens[id]);
  }
}

// The 256 bytes are their own ids; a text is read and shown as UTF-8.
class ByteAlphabet {
  constructor() {
    this.unk = null;
  }

  encode(text) {
    return {ids: Array.from(new TextEncoder().encode(text)), replaced: new Map(), missing: new Set()};
  }

  // A byte that is no UTF-8 becomes a lone surrogate, as in Python's `surrogateescape`.
  decoder() {
    let held = []; // the bytes of a character that is not whole yet
    const escape = (bytes) => bytes.map((byte) => String.fromCharCode(0xdc00 + byte)).join('');
    const decode = (byte) => {
      if (held.length && !mayContinue(held, byte)) {
        const broken = escape(held);
        held = [];
        return broken + (this.begin(byte, held) ?? escape([byte]));
      }
      if (!held.length) return this.begin(byte, held) ?? escape([byte]);
      held.push(byte);
      if (held.length < lengthOfCharacter(held[0])) return '';
      const whole = new TextDecoder().decode(Uint8Array.from(held));
      held = [];
      return whole;
    };
    return Object.assign(decode, {rest: () => escape(held)});
  }

  // What a first byte adds: itself, nothing yet (it is then held), or undefined if no character begins so.
  begin(byte, held) {
    if (byte < 0x80) return String.fromCharCode(byte);
    if (!lengthOfCharacter(byte)) return undefined;
    held.push(byte);
    return '';
  }

  glyph(id) {
    if (id < 0x80) return showAlone(String.fromCharCode(id));
    const hex = id.toString(16).toUpperCase();
    return {text: hex, name: `byte ${hex}`};
  }
}

// Bytes of a character of UTF-8 by its first byte; 0 if no character begins with it.
function lengthOfCharacter(first) {
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

function mayContinue([first, ...more], byte) {
  const [least, most] = more.length ? [0x80, 0xbf] : SECOND_BYTES[first] ?? [0x80, 0xbf];
  return byte >= least && byte <= most;
}

// What may come second after these; after all others 80 to BF
const SECOND_BYTES = {0xe0: [0xa0, 0xbf], 0xed: [0x80, 0x9f], 0xf0: [0x90, 0xbf], 0xf4: [0x80, 0x8f]};

const NAMES = {'\n': ['↵', 'line end'], ' ': ['space', 'space'], '\t': ['tab', 'tab'], '\r': ['CR', 'carriage return']};

// {text, name}: a character as a label, and in words. What cannot be seen is shown by its code.
function showAlone(char) {
  if (char in NAMES) return {text: NAMES[char][0], name: NAMES[char][1]};
  const code = char.codePointAt(0).toString(16).toUpperCase().padStart(4, '0');
  if (/^\p{M}/u.test(char)) return {text: '\u25cc' + char, name: `mark U+${code}`}; // on a dotted circle
  if (/^[\p{C}\p{Z}]/u.test(char)) return {text: code, name: `U+${code}`};
  return {text: char, name: char};
}

function makeAlphabet(model) {
  return model.vocab === 'bytes' ? new ByteAlphabet() : new CharacterAlphabet(model.vocab);
}
