"""Does a text look like a list of short lines in order? Its end is then another text than its beginning."""

import itertools
from statistics import median

from lstmlm.text.corpus import Corpus

READ = 20_000  # characters of the training part that are looked at
FEWEST, LONGEST = 100, 60  # different lines, and characters of the median line
IN_ORDER = 0.95  # of the pairs of neighbouring lines


def advise_on_sorted_list(corpus: Corpus) -> str | None:
    """A line of advice for a sorted list that is read as one stream; None for any other text."""
    if corpus.vocab.boundary is not None or corpus.vocab.unk is None:
        return None
    lines = corpus.vocab.decode(corpus.ids["train"][:READ]).split("\n")[:-1]
    if len(set(lines)) < FEWEST or not 0 < median(map(len, lines)) <= LONGEST:
        return None
    pairs = list(itertools.pairwise(line.casefold() for line in lines))
    if sum(before <= after for before, after in pairs) < IN_ORDER * len(pairs):
        return None
    return (
        "a sorted list: its held-out end begins with other letters than train: data.documents=line shuffles its lines"
    )
