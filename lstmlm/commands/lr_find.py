"""`lr_find`: propose a learning rate for settings of train.py."""

import argparse
import json
from pathlib import Path

from lstmlm.commands import options
from lstmlm.runs.launch import MEMORY_ADVICE
from lstmlm.system.errors import BadInput, advise_on_memory
from lstmlm.system.shell_words import join_words


def add_options(command: argparse.ArgumentParser) -> None:
    options.add_overrides(command)
    command.add_argument("--steps", type=int, default=200, help="at most so many steps of training (default: 200)")
    command.add_argument("--png", action=options.PathAction, metavar="FILE", help="draw the loss against the rate")
    options.add_json(command)


@advise_on_memory(MEMORY_ADVICE)
def run(args: argparse.Namespace) -> None:
    if args.steps < 100:
        raise BadInput(f"--steps: must be 100 or more, got {args.steps}: the rate would rise too fast")
    from lstmlm.runs.inherit import inherit_settings
    from lstmlm.settings.overrides import compose_settings
    from lstmlm.settings.run_settings import compose_run

    config = compose_settings(args.overrides)
    config = inherit_settings(config, compose_run(args.overrides).typed)

    from lstmlm.runs.assemble import build_model, make_generator, make_recipe, make_streams
    from lstmlm.runs.prepare import add_start, prepare
    from lstmlm.runs.threads import choose_threads
    from lstmlm.system.plotting import import_pyplot
    from lstmlm.training.lr_range_test import draw_range_test, run_range_test
    from lstmlm.training.optim import build_optimizer

    if args.png:
        import_pyplot()  # fails before the test, not after it
    prepared, train = add_start(prepare(config)), config.train
    streams = make_streams(prepared)
    prepared, _ = choose_threads(prepared, streams)
    model = build_model(config, prepared.corpus.vocab, prepared.device, prepared.start)
    test = run_range_test(
        model,
        build_optimizer(model, train.optimizer, train.lr, train.weight_decay),
        streams,
        make_generator(config.seed, "data order"),
        make_recipe(config),
        args.steps,
    )
    if args.png:
        draw_range_test(test, Path(args.png))
    words = [word for word in args.overrides if not word.startswith("train.lr=")]
    command = join_words(["python", "-m", "lstmlm", "train", *words, f"train.lr={test.proposal:g}"])
    lowest, steepest = test.rates[test.lowest], test.rates[test.steepest]
    if args.json:
        found = {"lr": test.proposal, "lowest": lowest, "steepest": steepest, "command": command}
        print(json.dumps(found | {"rates": test.rates, "losses": test.losses}))
        return
    print(f"{len(test.rates)} steps of {train.optimizer} at rates from {test.rates[0]:g} to {test.rates[-1]:.2g}")
    print(f"the loss falls fastest at {steepest:.2g}, and is lowest, {min(test.losses):.2f} nats, at {lowest:.2g}")
    print(f"proposed: train.lr={test.proposal:g}, halfway between them by their logarithms; right to a few times")
    print(f"next: {command}")
