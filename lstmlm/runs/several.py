"""A run of several processes: rank 0 is the program that one process is, and the others follow it."""

import json
import logging
import signal
from collections.abc import Callable

import safetensors.torch
import torch

from lstmlm.checkpoints.checkpoint import Checkpoint, collect_versions
from lstmlm.checkpoints.record import Record
from lstmlm.distributed.group import Group, Kind, Order
from lstmlm.distributed.leader import Leader
from lstmlm.distributed.place import Place
from lstmlm.runs.assemble import build_learner, make_generator, make_recipe, make_streams
from lstmlm.runs.prepare import Prepared, prepare
from lstmlm.settings.check import config_from_flat
from lstmlm.system.dotted import flatten
from lstmlm.system.errors import EnvironmentFault, LstmlmError, ReportedElsewhere, make_streams_safe, run_to_exit_code
from lstmlm.system.machine import keep_memory
from lstmlm.system.signals import StopRequest
from lstmlm.text.identity import explain_other_parts
from lstmlm.text.lanes import Share
from lstmlm.training.follower import Follower

MUST_MATCH = ("lstmlm", "torch")  # versions


def lead(place: Place, train: Callable[[Leader], int]) -> int:
    """Rank 0: train, let the others end, and return the exit code."""
    choose_gpu(place)
    leader, code = Leader(place), 1
    try:
        code = train(leader)
    finally:
        # The others may end before this process, and torchrun would stop it
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        leader.end(code)
    return code


def follow(place: Place) -> int:
    """Another rank: carry out what rank 0 orders, and return the exit code of rank 0. Nothing is printed or written but
    the line of a fault that no other process has reported.
    """
    make_streams_safe()
    logging.getLogger("lstmlm").handlers = [logging.NullHandler()]
    logging.getLogger("lstmlm").propagate = False
    choose_gpu(place)
    groups, codes = list[Group](), [0]
    if code := run_to_exit_code(lambda: groups.append(Group(place))):
        return code
    with StopRequest(hangup=True) as stop:
        codes.append(run_to_exit_code(lambda: codes.append(follow_orders(groups[0], stop))))
    return stop.exit_code if stop.exit_code and codes[-1] else max(codes)


def follow_orders(group: Group, stop: StopRequest) -> int:
    """Follow rank 0 from run to run to the end; the exit code."""
    try:
        order = group.exchange(stop=stop.exit_code or 0)
        while order.kind is not Kind.END:
            is_new = order.kind is Kind.PREPARE
            order = follow_run(group, stop) if is_new else group.exchange(stop=stop.exit_code or 0)
        return int(order.value)
    except Exception as fault:
        if isinstance(fault, ReportedElsewhere) or stop.exit_code or not (group.is_lost or group.claim_report()):
            raise ReportedElsewhere from None
        if isinstance(fault, LstmlmError) and not group.is_lost:
            fault.args = (f"rank {group.place.rank}: {fault}",)
        raise
    finally:
        group.close()


def follow_run(group: Group, stop: StopRequest) -> Order:
    """Prepare the run that rank 0 describes, and follow its training; returns the first order after it."""
    description = json.loads(group.receive())
    config = config_from_flat(flatten(description["config"]))
    group.set_limit(config.rank_timeout, description["device"])
    with group.busy(lambda: stop.exit_code or 0):
        follower = prepare_follower(description, group)
    while (order := group.exchange(stop=stop.exit_code or 0)).kind is Kind.WAIT:
        pass
    if order.kind is not Kind.BEGIN:
        return order
    record: Record = json.loads(group.receive())
    follower.begin(Checkpoint(safetensors.torch.load(group.receive()), record))
    return follower.follow(stop)


def prepare_follower(description: Record, group: Group) -> Follower:
    """Read the text and build the model of the run that rank 0 describes; a fault if they are not the same here."""
    place, config = group.place, config_from_flat(flatten(description["config"]))
    versions = collect_versions()
    for name in MUST_MATCH:
        if versions[name] != (there := description["versions"][name]):
            raise EnvironmentFault(f"{name} is {versions[name]} here, {there} on rank 0: install the same version")
    keep_memory()
    torch.set_num_threads(int(config.threads))
    prepared = prepare(config, place.size)
    check_same_run(description, prepared)
    if prepared.device.type == "cuda" and place.local_rank >= (count := torch.cuda.device_count()):
        raise EnvironmentFault(
            f"device: there are {count} GPUs on this machine: start {count} processes, or device=cpu"
        )
    share = Share(place.rank, place.size)
    learner = build_learner(prepared, share, averages=False)  # rank 0 keeps the average
    generator = make_generator(config.seed, "data order")
    return Follower(learner, make_streams(prepared, share), generator, make_recipe(config), group)


def check_same_run(description: Record, prepared: Prepared) -> None:
    """EnvironmentFault if the text or the device is not that of rank 0."""
    origin = prepared.corpus.origin
    if origin.sha256 != description["data"]["sha256"]:
        raise EnvironmentFault(f"{origin.path} is not the text of rank 0, its SHA-256 differs: give both the same file")
    if why := explain_other_parts(description["data"], description["vocab"], prepared.corpus):
        raise EnvironmentFault(f"{why}: rank 0 has others")
    if prepared.device.type != description["device"]:
        raise EnvironmentFault(
            f"device: {prepared.device.type} here, {description['device']} on rank 0: give device=cpu, or start as many"
            " processes on a machine as it has GPUs"
        )


def choose_gpu(place: Place) -> None:
    """Each process of a machine has a GPU of its own, where there is one."""
    if place.local_rank < torch.cuda.device_count():
        torch.cuda.set_device(place.local_rank)
