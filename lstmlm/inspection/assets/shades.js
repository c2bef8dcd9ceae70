'use strict';
// Which class of the style sheet a character gets: by its surprisal, or by what a unit held after it.

const SURPRISAL_LEVELS = [1, 1.75, 2.5, 3.25, 4.25, 5.5, 7]; // nats: from each on one shade darker
const UNIT_LEVELS = [0.15, 0.35, 0.6, 0.85]; // of a number between -1 and 1

function countLevels(levels, value) {
  return levels.filter((level) => value >= level).length;
}

// A character of several bytes costs what its bytes cost together.
function surprisalShade(tape, i) {
  let nats = tape.surprisals[i] ?? 0;
  for (let k = i - 1; k >= 0 && tape.pieces[k] === ''; k--) nats += tape.surprisals[k] ?? 0;
  const level = countLevels(SURPRISAL_LEVELS, nats);
  return level ? `s${level}` : '';
}

// `index` is the place of the unit in the memories.
function unitShade(tape, i, index) {
  const value = (tape.memories[i]?.[index] ?? 0) / 127, level = countLevels(UNIT_LEVELS, Math.abs(value));
  return level ? `${value < 0 ? 'n' : 'p'}${level}` : '';
}

// How many nats a character costs on average, as a person reads it; null where there is none.
function meanSurprisal(tape, own) {
  let [count, nats] = [0, 0];
  tape.surprisals.forEach((surprisal, i) => {
    if (surprisal === null || tape.own[i] !== own) return;
    count++;
    nats += surprisal;
  });
  return count ? {count, mean: nats / count} : null;
}
