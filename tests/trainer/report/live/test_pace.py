"""A thread that is kept below a share of a core."""

from trainer.report.live.pace import Pace


class Machine:
    """Time that passes only by work and by sleep."""

    now = 0.0
    used = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.used += seconds


def paced(machine: Machine, share: float) -> Pace:
    return Pace(share, clock=lambda: machine.now, used=lambda: machine.used, sleep=machine.sleep)


def test_a_flood_gets_its_share_and_no_more() -> None:
    machine = Machine()
    pace = paced(machine, share=0.01)
    while machine.now < 1000:
        pace.wait()
        machine.work(0.0005)
    assert 0.009 < (machine.used - 0.5) / machine.now < 0.0105


def test_a_reader_never_waits() -> None:
    machine = Machine()
    pace = paced(machine, share=0.01)
    for _ in range(1000):
        pace.wait()
        machine.work(0.0005)
        machine.now += 0.2
    assert abs(machine.now - machine.used - 200) < 1e-6


def test_no_single_wait_is_long() -> None:
    machine = Machine()
    pace = paced(machine, share=0.01)
    machine.work(100)
    pace.wait()
    assert abs(machine.now - 100.25) < 1e-9
