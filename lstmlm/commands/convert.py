"""`convert`: a checkpoint from the weights of another program."""

import argparse
import shlex
from pathlib import Path

from lstmlm.system.errors import BadInput


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--from-torch",
        metavar="FILE.pt",
        required=True,
        help="a state_dict, from torch.save, of an nn.LSTM (or nn.GRU, nn.RNN), an nn.Linear and maybe an nn.Embedding",
    )
    command.add_argument(
        "--vocab", metavar="FILE", help="its characters in the order of their ids: a JSON list, or a text of them alone"
    )
    command.add_argument("--out", metavar="FILE.safetensors", help="the checkpoint (default: beside FILE.pt)")


def run(args: argparse.Namespace) -> None:
    source = Path(args.from_torch)
    out = Path(args.out) if args.out else source.with_suffix(".safetensors")
    if out.exists():
        raise BadInput(f"--out: {out} is there already: choose another name with --out FILE.safetensors")
    from lstmlm.checkpoints import checkpoint
    from lstmlm.checkpoints.from_torch import (
        UNKNOWN_NATS,
        add_unknown_symbol,
        describe_conversion,
        extract_weights,
        infer_model_config,
        read_vocabulary,
    )
    from lstmlm.checkpoints.torch_file import read_state
    from lstmlm.settings.overrides import compose_settings
    from lstmlm.text.vocab import UNK

    state, source_hash = read_state(source)
    weights = extract_weights(state)
    size = len(weights["b_q"])
    if args.vocab is None:
        raise BadInput(f"--vocab: a torch file does not say which characters its {size} ids are: give --vocab FILE")
    vocab = read_vocabulary(Path(args.vocab), size)
    added = vocab[0] != UNK
    if added:
        vocab, weights = [UNK, *vocab], add_unknown_symbol(weights)
    model = infer_model_config(weights).to_record()
    settings = [f"model.{key}={value}" for key, value in model.items() if key != "vocab_size" and value is not None]
    config = compose_settings(["backend=nn", f"data.name={checkpoint.CONVERTED}", *settings])
    checkpoint.save_checkpoint(out, weights, describe_conversion(config, weights, vocab, source, source_hash))
    try:
        checkpoint.load_checkpoint(out)  # as any other: what could not be read again is not left behind
    except BadInput:
        out.unlink()
        raise

    inputs = "one-hot inputs" if model["embedding_dim"] is None else f"an embedding of {model['embedding_dim']}"
    print(f"{out}: {model['cell'].upper()}, {model['num_layers']} x {model['num_hiddens']} hidden units, {inputs}")
    if model["cell"] == "rnn":
        print("taken to use tanh: the state_dict of an nn.RNN does not say")
    if added:
        print(
            f"added {UNK} as id 0: a character that the {size} lack is read as nothing and costs {UNKNOWN_NATS:g} nats"
        )
    print(f"next: python -m lstmlm generate {shlex.quote(str(out))} --length 500")
