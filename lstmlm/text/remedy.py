"""What a user can do about files that are no text, or not in the encoding that was asked for: hints, each tried."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lstmlm.system.errors import BadInput
from lstmlm.system.shell_words import quote_word
from lstmlm.text.files import read_head
from lstmlm.text.folder import Listing, find_fixed_part, shorten_names
from lstmlm.text.kinds import name_kind
from lstmlm.text.likely_encoding import SAMPLE, count_stray_bytes, decode_start, guess_encoding

FOR_ICONV = {"utf-16-le": "utf-16le", "utf-16-be": "utf-16be", "shift_jis": "shift_jis"}  # where it has another name


def refuse_other_kinds(listing: Listing, given: Path, what: str, encoding: str) -> None:
    """BadInput if a file is no text; several are named together, with the pattern that leaves them out.

    `given` is the path that names the files, `what` the setting or option by which the user gave it.
    """
    kinds: dict[Path, tuple[str, str]] = {}
    alone, has_zeros = len(listing.files) == 1, encoding.startswith(("utf-16", "utf-32"))
    for file in listing.files:
        if known := name_kind(head := read_head(file, what)):
            kinds[file] = known
        elif 0 in head and not has_zeros and decode_start(head, encoding) and (guess := guess_encoding(head)):
            kinds[file] = f"not {encoding.upper()}", f"it is {guess}"
        elif not alone and decode_start(head, encoding) is None:
            kinds[file] = f"not {encoding.upper()}", "convert them"
        elif not alone and 0 in head and not has_zeros:
            kinds[file] = "with NUL bytes", "leave them out"
    if not kinds:
        return
    if alone and (known := name_kind(read_head(file := listing.files[0], what))):
        raise BadInput(f"{what}: {file} is {known[0]}: {known[1]}{suggest_bytes(what)}")
    good = [file for file in listing.files if file not in kinds]
    if pattern := find_pattern(given, good, list(kinds)):
        bad = [file.with_name(f"{file.name} ({kind})") for file, (kind, _) in kinds.items()]
        several = f"{len(bad):,} of {len(listing.files):,} files are no text in {encoding.upper()}"
        raise BadInput(f"{what}: {several}: {shorten_names(bad)}: leave them out with {spell(what, pattern)}")
    first, (kind, remedy) = next(iter(kinds.items()))
    if name_kind(read_head(first, what)) is None:
        remedy = suggest_encoding(what, first, read_head(first, what), encoding)
    names = str(first) if alone else shorten_names(list(kinds))
    raise BadInput(f"{what}: {names} {'is' if len(kinds) == 1 else 'are'} {kind}: {remedy}")


def find_pattern(given: Path, good: Sequence[Path], bad: Sequence[Path]) -> str | None:
    """The pattern, by the ending of names, of most good files and of none that is bad; None if there is none."""
    endings = Counter(file.suffix for file in good)
    for ending, _ in endings.most_common():
        if ending and not any(file.suffix == ending for file in bad):
            folder = given if given.is_dir() else find_fixed_part(str(given))
            deep = any(file.parent != folder for file in good)
            return str(folder / ("**/*" if deep else "*")) + ending
    return None


def suggest_encoding(what: str, name: Path | str, data: bytes, encoding: str, at: int = 0) -> str:
    """What to do about a file that is not in this encoding, where `data` has a byte, number `at`, that is not."""
    begin = data.rfind(b"\n", 0, at - SAMPLE // 2) + 1 if at > SAMPLE // 2 else 0
    sample = data[begin : begin + SAMPLE]
    guess = guess_encoding(sample)
    stray, characters = count_stray_bytes(sample)
    in_shell = quote_word(str(name))
    if encoding == "utf-8" and characters > 2 * stray:
        drop = f"iconv -c -f utf-8 -t utf-8 {in_shell} > clean.txt"
        return f"it is UTF-8 but for {stray} stray bytes near there: drop them with {drop}{suggest_bytes(what)}"
    if what == "data.path":
        if guess is None:
            return "its encoding is not known, or it is no text: take its bytes as they are with data.vocab=byte"
        return f"it is {guess}: name its encoding, data.encoding={guess.encoding}{suggest_bytes(what)}"
    whose = "data.path" if what.startswith("data.") else "the run's own text"
    told = f"convert it to {encoding.upper()}, the encoding of {whose}"
    if guess is None:
        return told
    source, target = (FOR_ICONV.get(one, one.replace("_", "-")) for one in (guess.encoding, encoding))
    return f"it is {guess}: {told}: iconv -f {source} -t {target} {in_shell} > converted.txt"


def suggest_bytes(what: str) -> str:
    """The end of a hint: only a run can take bytes."""
    return ", or take its bytes as they are with data.vocab=byte" if what.startswith("data.") else ""


def spell(what: str, value: str) -> str:
    """How a user gives a value by this setting, option or argument."""
    if what.startswith("--"):
        return f"{what} {quote_word(value)}"
    return f"{what}={quote_word(value)}" if "." in what else quote_word(value)
