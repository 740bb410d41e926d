"""One of the ranks of a run on several devices. torch.distributed connects them: gloo on CPUs, NCCL on GPUs."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from trainer.config.train import Train
from trainer.errors import ConfigError, UserError, first_line
from trainer.seeds import generator, random_state, seed_shared, set_random_state
from trainer.signals import SECONDS_TO_SAVE, end_when_closed
from trainer.training.launched import Launched, launched
from trainer.training.ranks import ALONE, Backward, RankLostError, Ranks, Seen
from trainer.training.spawned import HelpOut, Meeting, end_after_others, open_store, start, there

T = TypeVar("T")

_LOSS, _CORRECT, _STOP, _TIME, _WORDS = range(5)  # what is summed beside the gradient
_SECONDS_TO_TELL = 10  # between a lost connection and the news of how the process at its other end has ended


def ranks_of(config: Train) -> Ranks:
    """Return the ranks of a run, seen from this process. Raises ConfigError if torchrun started another number."""
    here = launched()
    if here and config.devices not in (1, here.size):
        raise ConfigError(f"train.devices: {config.devices}: torchrun has started {here.size} processes; leave one out")
    if here:
        return Several(here, by_torchrun=True)
    return Several(Launched(0, config.devices, 0, config.devices)) if config.devices > 1 else ALONE


class Several(Ranks):
    """One of several processes."""

    def __init__(self, place: Launched, *, by_torchrun: bool = False, store: Any = None) -> None:
        self.rank, self.size = place.rank, place.size
        self.local_rank, self.local_size = place.local_rank, place.local_size
        self._by_torchrun = by_torchrun
        self._store: Any = store
        self._others: Any = None  # processes that this one has started
        self._stop: Callable[[], bool] = lambda: False
        self._time_is_over = False
        self._heard = [False, False]  # of a stop, of the time

    # Begin and end

    @contextlib.contextmanager
    def started(self, help_out: HelpOut, /) -> Iterator[None]:
        if self._by_torchrun:
            try:
                yield
            finally:
                self.leave()
            return
        before = torch.get_num_threads()
        self._store = open_store(self.size)
        meeting = Meeting(self.size, self._store.port, max(1, before // self.size))
        torch.set_num_threads(meeting.threads)
        self._others = start(help_out, meeting)
        try:
            yield
            self.leave()
            until = time.monotonic() + SECONDS_TO_SAVE
            for process in self._others.processes:
                process.join(max(0.0, until - time.monotonic()))
        finally:
            for process in self._others.processes:
                process.kill()  # has no effect on one that has ended
                process.join()
            self.leave()
            self._others = self._store = None
            torch.set_num_threads(before)

    def share(self, plan: T) -> T:
        import torch.distributed as dist

        if self._store is not None:  # all ranks are on this machine
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        with _telling():
            self._wait_for_others()
            if self._store is None:
                dist.init_process_group(backend)
            else:
                dist.init_process_group(backend, store=self._store, rank=self.rank, world_size=self.size)
        return self.of_first(plan)

    def dismiss(self) -> None:
        if self._by_torchrun:
            self.share(None)
            self.leave()

    def leave(self) -> None:
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()

    def _wait_for_others(self) -> None:
        """Wait for the processes that this one has started. Raises RankLostError if one ends before it is there."""
        if self._others:
            for rank in range(1, self.size):
                while not self._store.check([there(rank)]):
                    if exited := self._look_for_dead():
                        raise RankLostError(exited)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        if self._others is None:
            yield
            return
        over = threading.Event()
        threading.Thread(target=end_after_others, args=(self._others.processes, over), daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def why_lost(self, error: RankLostError) -> str:
        until = time.monotonic() + _SECONDS_TO_TELL
        while self._others and self._others.sentinels and time.monotonic() < until:
            if exited := self._look_for_dead():
                return exited
        return str(error)

    def _look_for_dead(self) -> str | None:
        from torch.multiprocessing.spawn import ProcessExitedException

        try:
            self._others.join(timeout=0.1, grace_period=0.1)
        except ProcessExitedException as error:
            rank = f"rank {error.error_index + 1}"
            if error.signal_name is None:
                raise UserError(f"{rank} ended with exit code {error.exit_code}; what it says is above") from error
            return f"{rank} was killed by {error.signal_name}"
        return None

    # A step

    def take(self, model: nn.Module, *, seed: int) -> None:
        if self.rank:  # rank 0 draws what one process would draw
            seed_shared(generator(seed, "rank", self.rank).initial_seed())
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._norms = _running_statistics(model)
        self._flat, self._places = _flat_like([*self._trained, *self._norms], more=_WORDS)
        self._words = self._flat[-_WORDS:]
        self._said = self._words.new_zeros(2)

    def part(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor.tensor_split(self.size)[self.rank] for tensor in tensors)

    def whole(self, part: Tensor, count: int, /) -> Tensor:
        full = part.new_zeros(count, *part.shape[1:])
        self.part(full)[0].copy_(part)
        return all_sum(full)

    @torch.no_grad()
    def backward(self, backward: Backward, seen: Seen) -> Tensor:
        mine = self._words.new_zeros(2)

        def add(loss: Tensor, correct: Tensor) -> None:
            mine.add_(torch.stack([loss.detach(), correct.to(loss.dtype)]))

        with torch.enable_grad():
            objective = backward(add)
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self._trained]
        torch._foreach_copy_(self._places, [*gradients, *self._norms])  # pyright: ignore[reportPrivateImportUsage]
        self._words[:_STOP] = mine
        self._words[_STOP].fill_(float(self._stop()))
        self._words[_TIME].fill_(float(self._time_is_over and self.rank == 0))
        all_sum(self._flat)
        torch._foreach_copy_([*gradients, *self._norms], self._places)  # pyright: ignore[reportPrivateImportUsage]
        if self._norms:
            torch._foreach_div_(self._norms, self.size)  # pyright: ignore[reportPrivateImportUsage]
        self._said += self._words[_STOP:]
        seen(self._words[_LOSS], self._words[_CORRECT])
        return objective

    def share_of(self, penalty: Callable[[], Tensor] | None) -> Callable[[], Tensor] | None:
        return penalty and (lambda: penalty() / self.size)

    @torch.no_grad()
    def average_norms(self, model: nn.Module) -> None:
        for statistic in _running_statistics(model):
            all_sum(statistic).div_(self.size)

    def agreed(self, stop_requested: Callable[[], bool]) -> Callable[[], bool]:
        self._stop = stop_requested
        return lambda: self._heard[0]

    def first_says(self, time_is_over: bool) -> bool:
        self._time_is_over = time_is_over
        return self._heard[1]

    def look(self) -> None:
        self._heard = [said > 0 for said in self._said.tolist()]

    # What all know

    def of_first(self, value: T) -> T:
        import torch.distributed as dist

        boxes = [value]
        with _telling():
            dist.broadcast_object_list(boxes, src=0, device=torch.device("cpu"))
        return boxes[0]

    def random_states(self, device: torch.device) -> Any:
        return self._of_all(random_state(device))

    def set_random_states(self, states: Any, device: torch.device) -> None:
        if isinstance(states, list) and len(states) == self.size:  # else of no step yet: they are as at the start
            set_random_state(states[self.rank], device)

    def refuse_drift(self, model: nn.Module) -> None:
        ours = {name: int(_bits(tensor)) for name, tensor in model.state_dict().items()}
        for rank, theirs in enumerate(self._of_all(ours)):
            if drifted := [name for name in ours if ours[name] != theirs[name]]:
                raise RuntimeError(
                    f"ranks {self.rank} and {rank} have drifted apart: {', '.join(drifted[:3])}. Does an own part draw "
                    "numbers by itself, or a layer keep statistics not called running_mean and running_var?"
                )

    def _of_all(self, value: T) -> list[T]:
        import torch.distributed as dist

        values: list[Any] = [None] * self.size
        with _telling():
            dist.all_gather_object(values, value)
        return values


def joined(index: int, meeting: Meeting) -> Several:
    """Return the ranks, seen from the process number `index` of those that rank 0 has started. It ends with rank 0."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal is for rank 0
    parent = multiprocessing.parent_process()
    assert parent
    end_when_closed(parent.sentinel)
    torch.set_num_threads(meeting.threads)
    store = open_store(meeting.size, at=meeting.port)
    store.set(there(index + 1), "")
    return Several(Launched(index + 1, meeting.size, index + 1, meeting.size), store=store)


def all_sum(values: Tensor) -> Tensor:
    """Return `values` with those of all ranks added to them, in place. Raises RankLostError."""
    import torch.distributed as dist

    with _telling():
        dist.all_reduce(values)
    return values


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    """Turn an error of a connection to another rank into RankLostError."""
    try:
        yield
    except torch.OutOfMemoryError:  # is a RuntimeError, too
        raise
    except RuntimeError as error:
        raise RankLostError(f"another rank has ended before the run: {first_line(error)}") from error


def _running_statistics(model: nn.Module) -> list[Tensor]:
    """Return the running statistics that each rank moves by its own part."""
    found = [getattr(layer, name, None) for layer in model.modules() for name in ("running_mean", "running_var")]
    return [each for each in found if isinstance(each, Tensor) and each.is_floating_point()]


def _flat_like(tensors: Sequence[Tensor], *, more: int) -> tuple[Tensor, list[Tensor]]:
    """Return one flat tensor of zeros with room for all of these and `more` numbers, and each one's place in it.

    A place has the strides of its tensor, so that a copy is one pass over memory.
    """
    sizes = [tensor.numel() for tensor in tensors]
    exact = torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32
    flat = torch.zeros(sum(sizes) + more, dtype=exact, device=tensors[0].device)
    places: list[Tensor] = []
    start = 0
    for tensor, size in zip(tensors, sizes, strict=True):
        places.append(flat.as_strided(tensor.shape, tensor.stride(), start))
        start += size
    return flat, places


def _bits(tensor: Tensor) -> Tensor:
    """Return a number [] int64 that the bits of a tensor decide, whatever the order in which they are summed."""
    as_integers = {torch.float64: torch.int64, torch.float32: torch.int32, torch.float16: torch.int16}
    as_integers[torch.bfloat16] = torch.int16
    same_bits = tensor.view(as_integers[tensor.dtype]) if tensor.dtype in as_integers else tensor
    return same_bits.sum(dtype=torch.int64)
