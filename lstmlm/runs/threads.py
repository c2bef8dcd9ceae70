"""The number of CPU threads of a run, and the speed with it."""

import logging
from dataclasses import replace

import torch

from lstmlm.runs.announcement import announce_threads
from lstmlm.runs.assemble import build_model, make_recipe
from lstmlm.runs.prepare import Prepared
from lstmlm.runs.time_estimate import Speed, measure_seconds_per_char
from lstmlm.system.machine import count_cores
from lstmlm.text.batches import Streams
from lstmlm.training.thread_tuning import choose_fewest_threads, list_thread_counts, measure_step_times

log = logging.getLogger("lstmlm")


def choose_threads(prepared: Prepared, streams: Streams) -> tuple[Prepared, Speed]:
    """Replace threads=auto by a number, which is measured, logged and set; the speed with it is returned too.

    On another device than the CPU the number is 1. A few steps of a second model are made, which is not kept.
    """
    config = prepared.config
    model = build_model(config, prepared.corpus.vocab, prepared.device)
    X, Y = next(iter(streams.epoch(torch.Generator().manual_seed(0))))
    if config.threads != "auto":
        counts = [int(config.threads)]
    else:
        counts = list_thread_counts(count_cores()) if prepared.device.type == "cpu" else [1]
    if len(counts) > 1:
        log.info("trying %s threads ...", ", ".join(map(str, counts)))
    recipe, spans = make_recipe(config), streams.find_spans(X, Y)
    times = measure_step_times(model, X, Y, config.train.optimizer, recipe, counts, spans)
    threads = choose_fewest_threads(times)
    if config.threads == "auto":
        announce_threads(threads, times, [count for count in counts if count not in times])
    torch.set_num_threads(threads)
    per_char = measure_seconds_per_char(model, max(prepared.corpus.pieces("val"), key=len))
    return replace(prepared, config=replace(config, threads=threads)), Speed(times[threads], per_char)
