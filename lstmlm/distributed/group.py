"""The processes of one run, connected: orders, bytes, gradients and carried state go between them.

Only tensors are exchanged: nothing is pickled. L = num_layers, B = batch_size of the run, H = num_hiddens.
"""

import contextlib
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from enum import IntEnum
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # documented, but not in __all__

from lstmlm.distributed.attempt import agree_on_attempt
from lstmlm.distributed.place import Place
from lstmlm.model.rnn_model import State
from lstmlm.system.errors import EnvironmentFault, LstmlmError, ReportedElsewhere

START_TIMEOUT = 300.0  # seconds for all processes to come, and until the settings of a run are known


class Kind(IntEnum):
    """What rank 0 orders."""

    WAIT = 0  # it does something else
    PREPARE = 1  # a run, whose description follows
    BEGIN = 2  # where the checkpoint was taken that follows
    STEP = 3  # an optimizer step, at the rate `value`
    GATHER = 4  # the carried state is gathered
    END = 5  # with the exit code `value`


class Order(NamedTuple):
    kind: Kind
    value: float
    stop: int  # the exit code that a signal to one of the processes asks for, 0: none
    busy: bool  # is a process still preparing?


class Group:
    """This process's connection to the others. EnvironmentFault, or ReportedElsewhere, if one of them is lost."""

    def __init__(self, place: Place) -> None:
        self.place, self.timeout, self.is_lost = place, START_TIMEOUT, False
        self.buffer: Tensor | None = None  # all gradients, the loss and the weight, one after the other
        wait, serves = timedelta(seconds=START_TIMEOUT), not place.has_agent and place.rank == 0
        handler = signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own would act when the others have come
        try:
            server = TCPStore(place.host, place.port, is_master=serves, timeout=wait, wait_for_workers=False)
            name = agree_on_attempt(server, place.rank, place.size, START_TIMEOUT)
            self.store = PrefixStore(f"lstmlm/{name}", server)
            dist.init_process_group("gloo", store=self.store, rank=place.rank, world_size=place.size, timeout=wait)
        except RuntimeError as error:
            raise EnvironmentFault(
                f"torchrun: the {place.size} processes do not find each other at {place.host}:{place.port} "
                f"({describe(error)}): see that all of them were started"
            ) from None
        finally:
            signal.signal(signal.SIGINT, handler)
        self.processes: dist.ProcessGroup | None = None  # None: those of init_process_group

    def set_limit(self, timeout: float, device: str) -> None:
        """From now on a process that does not answer for so many seconds is lost. Called by all of them."""
        self.timeout, self.buffer = timeout, None
        backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
        with self.watched():
            self.processes = dist.new_group(backend=backend, timeout=timedelta(seconds=timeout))

    # Orders

    def exchange(self, kind: Kind = Kind.WAIT, value: float = 0.0, stop: int = 0, busy: bool = False) -> Order:
        """Rank 0 gives an order, the others receive it; a request to stop, and that one is busy, go to all."""
        message = torch.tensor([kind, value, stop, busy], dtype=torch.float64)
        with self.watched():
            dist.all_reduce(message, dist.ReduceOp.MAX, self.processes)
        number, value, stop_code, is_busy = message.tolist()
        return Order(Kind(int(number)), value, int(stop_code), bool(is_busy))

    @contextlib.contextmanager
    def busy(self, get_stop: Callable[[], int]) -> Iterator[None]:
        """Answer, in a thread, that this process is busy, for the block; not for rank 0.

        If rank 0 ends the run meanwhile, the process ends at once.
        """
        finished, faults = threading.Event(), list[LstmlmError]()

        def answer() -> None:
            is_busy = True
            try:
                while is_busy:
                    is_busy = not finished.is_set()
                    order = self.exchange(stop=get_stop(), busy=is_busy)
                    if order.kind is Kind.END:
                        os._exit(int(order.value))
            except LstmlmError as fault:
                faults.append(fault)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield
        finally:
            finished.set()
            thread.join()
        if faults:
            raise faults[0]

    # Data

    def send(self, data: bytes) -> None:
        """From rank 0 to the others, which call `receive`."""
        with self.watched():
            dist.broadcast(torch.tensor([len(data)]), 0, self.processes)
            dist.broadcast(torch.frombuffer(bytearray(data), dtype=torch.uint8), 0, self.processes)

    def receive(self) -> bytes:
        length = torch.zeros(1, dtype=torch.int64)
        with self.watched():
            dist.broadcast(length, 0, self.processes)
            data = torch.empty(int(length), dtype=torch.uint8)
            dist.broadcast(data, 0, self.processes)
        return data.numpy().tobytes()

    def average(
        self, params: Sequence[nn.Parameter], loss: Tensor, num_targets: int | None = None
    ) -> tuple[Tensor, int | None]:
        """What ranks.py asks for.

        All go in one message: on a fast network the number of messages is what costs. The gradients are then views of
        the buffer, until the next step sets them to none.
        """
        parts = [param.grad.reshape(-1) for param in params if param.grad is not None]
        if self.buffer is None:
            self.buffer = torch.empty(2 + sum(part.numel() for part in parts), dtype=loss.dtype, device=loss.device)
        weight = loss.new_full((1,), 1 if num_targets is None else num_targets)
        torch.cat([*parts, loss.reshape(1), weight], out=self.buffer)
        if num_targets == 0:
            self.buffer.zero_()  # the mean over nothing is not a number
        elif num_targets is not None:
            self.buffer[:-1] *= num_targets
        with self.watched():
            dist.all_reduce(self.buffer, group=self.processes)
        total = self.buffer[-1].clone()
        self.buffer /= total
        start = 0
        for param in params:
            if param.grad is not None:
                param.grad = self.buffer[start : start + param.numel()].view_as(param)
                start += param.numel()
        return self.buffer[-2].clone(), None if num_targets is None else int(total)

    def gather(self, own: State) -> State | None:
        """On rank 0 the state of all lanes, each part (L, B, H), from the own lanes of each process; else None."""
        sent = torch.stack(own).cpu()
        received = [torch.empty_like(sent) for _ in range(self.place.size)] if self.place.rank == 0 else None
        with self.watched():
            dist.gather(sent, received, 0, self.processes)
        return None if received is None else tuple(torch.cat(received, 2).to(own[0].device))

    # Losses

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Turn an error of the block into one that says what became of the others."""
        try:
            yield
        except RuntimeError as error:
            self.is_lost = True
            if not self.claim_report():
                raise ReportedElsewhere from None
            if "time" in describe(error).lower():
                raise EnvironmentFault(
                    f"rank_timeout: a process has not answered rank {self.place.rank} for {self.timeout:g} s: "
                    "resume the run, or give it a longer rank_timeout"
                ) from error
            raise EnvironmentFault(
                f"torchrun: rank {self.place.rank} has lost another process of the run ({describe(error)}): resume the "
                "run"
            ) from error

    def claim_report(self) -> bool:
        """Is this process the first to report why the run ends?"""
        try:
            return self.store.add("reported", 1) == 1
        except RuntimeError:  # there is nobody to ask
            return True

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()


def describe(error: RuntimeError) -> str:
    """The first sentence of an error, without the place in the source of gloo that it begins with."""
    first = (str(error).strip().splitlines() or [""])[0]
    return re.sub(r"^\[[^\]]*\.(cc|cpp|h):\d+\] ", "", first).split(". ")[0][:100]
