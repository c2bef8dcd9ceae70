"""`convert`: a checkpoint from the weights of another program."""

import argparse
from pathlib import Path

from lstmlm.commands import options
from lstmlm.system.shell_words import quote_word


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--from-torch",
        action=options.PathAction,
        metavar="FILE.pt",
        required=True,
        help="a state_dict, from torch.save, of an nn.LSTM (or nn.GRU, nn.RNN), an nn.Linear and maybe an nn.Embedding",
    )
    command.add_argument(
        "--vocab",
        action=options.PathAction,
        metavar="FILE",
        help="its characters in the order of their ids: a JSON list, or a text of them alone",
    )
    what = "the checkpoint (default: beside FILE.pt)"
    command.add_argument("--out", action=options.PathAction, metavar="FILE.safetensors", help=what)


def run(args: argparse.Namespace) -> None:
    source = Path(args.from_torch)
    out = Path(args.out) if args.out else source.with_suffix(".safetensors")
    from lstmlm.checkpoints.from_torch import UNKNOWN_NATS, convert_torch_file
    from lstmlm.settings.overrides import compose_settings
    from lstmlm.text.vocab import UNK

    vocab = None if args.vocab is None else Path(args.vocab)
    converted = convert_torch_file(source, vocab, out, compose_settings([]))
    model, size = converted.model, converted.num_symbols
    inputs = "one-hot inputs" if model.embedding_dim is None else f"an embedding of {model.embedding_dim}"
    print(f"{out}: {model.cell.upper()}, {model.num_layers} x {model.num_hiddens} hidden units, {inputs}")
    if model.cell == "rnn":
        print("taken to use tanh: the state_dict of an nn.RNN does not say")
    if converted.added_unknown:
        print(
            f"added {UNK} as id 0: a character that the {size} lack is read as nothing and costs {UNKNOWN_NATS:g} nats"
        )
    print(f"next: python -m lstmlm generate {quote_word(str(out))} --length 500")
