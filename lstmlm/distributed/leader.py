"""Rank 0 of several processes: it evaluates, logs and saves, and orders what the others do.

A thread tells the others every second that rank 0 is there while it does something else: an evaluation may take longer
than the time after which a process that does not answer is lost. L = num_layers, B = batch_size, H = num_hiddens.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import safetensors.torch
from torch import Tensor, nn

from lstmlm.checkpoints.checkpoint import Checkpoint, collect_versions
from lstmlm.distributed.group import Group, Kind, Order
from lstmlm.distributed.place import Place
from lstmlm.model.rnn_model import State
from lstmlm.system.errors import LstmlmError, ReportedElsewhere
from lstmlm.system.json_text import encode_json
from lstmlm.system.signals import StopRequest
from lstmlm.text.lanes import Share

PULSE = 1.0  # seconds between two signs of life
BUSY = 0.02  # seconds between two questions whether the others have prepared


class Leader:
    """The other ranks as the training loop of rank 0 sees them (ranks.py)."""

    def __init__(self, place: Place) -> None:
        self.place, self.share = place, Share(place.rank, place.size)
        self.group: Group | None = None
        self.stop: StopRequest | None = None
        self.fault: LstmlmError | None = None  # how the others were lost
        self.one_at_a_time, self.over = threading.Lock(), threading.Event()
        self.pulse = threading.Thread(target=self.show_life, daemon=True)

    def connect(self) -> None:
        if self.group is None:
            self.group = Group(self.place)
            self.pulse.start()

    def announce(self, description: dict[str, Any], device: str, timeout: float) -> None:
        group = self.connected()
        with self.one_at_a_time:
            self.order(Kind.PREPARE)
            group.send(encode_json({**description, "device": device, "versions": collect_versions()}).encode())
            group.set_limit(timeout, device)

    def begin(self, start: Checkpoint, stop: StopRequest) -> None:
        group, self.stop = self.connected(), stop
        with self.one_at_a_time:
            while self.order(Kind.WAIT).busy:
                self.over.wait(BUSY)
            self.order(Kind.BEGIN)
            group.send(encode_json(start.record).encode())
            group.send(safetensors.torch.save({name: t.cpu().contiguous() for name, t in start.tensors.items()}))

    @contextlib.contextmanager
    def step(self, lr: float) -> Iterator[None]:
        with self.one_at_a_time:
            self.order(Kind.STEP, lr)
            try:
                yield
            except BaseException:  # the others are in the middle of the step: no order reaches them
                self.fault = ReportedElsewhere()
                raise

    def average(
        self, params: Sequence[nn.Parameter], loss: Tensor, num_targets: int | None = None
    ) -> tuple[Tensor, int | None]:
        return self.connected().average(params, loss, num_targets)

    def gather(self, own: State | None) -> State | None:
        if own is None:
            return None
        with self.one_at_a_time:
            self.order(Kind.GATHER)
            return self.connected().gather(own)

    def end(self, exit_code: int) -> None:
        """Let the others end with this exit code, if they can be reached."""
        self.over.set()
        if self.group is None and exit_code > 128:
            return  # a signal, which torchrun passes on to all processes: the others have ended
        with contextlib.suppress(LstmlmError):
            self.connect()
            group = self.connected()
            with self.one_at_a_time:
                if self.fault is None and not group.is_lost:
                    self.order(Kind.END, exit_code)
                else:
                    group.claim_report()  # so that the others do not report that this process has gone
            group.close()

    def connected(self) -> Group:
        assert self.group is not None, "connect comes first"
        return self.group

    def order(self, kind: Kind, value: float = 0.0) -> Order:
        """Give an order, under the lock."""
        if self.fault is not None:
            raise self.fault
        order = self.connected().exchange(kind, value)
        if order.stop and self.stop is not None:
            self.stop.ask(order.stop)
        return order

    def show_life(self) -> None:
        while not self.over.wait(PULSE):
            with self.one_at_a_time:
                try:
                    self.order(Kind.WAIT)
                except LstmlmError as fault:
                    self.fault = fault
                    return
