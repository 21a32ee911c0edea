"""The arithmetic and the wording of the benchmark table, on numbers that were not measured."""

import pytest

from bench import roofline, runner
from bench.case import Case
from bench.roofline import LARGEST, SMALLEST, Roofline
from bench.runner import Row, measure
from bench.table import cells, duration, markdown, number, ratio


@pytest.fixture
def machine() -> Roofline:
    """20 GB/s from memory, 80 GB/s from the cache, 100 GFLOP/s."""
    sizes = {SMALLEST << i: 80e9 if SMALLEST << i < 1 << 24 else 20e9 for i in range(10)}
    return Roofline("cpu", 2, gemm=100e9, read=dict(sizes), copy=dict.fromkeys(sizes, 15e9))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "SAMPLE", 1e-5)


def case(run: object = None, **changes: object) -> Case:
    nothing = {"run": run or (lambda: None), "check": lambda: None}
    return Case(**({"op": "op", "name": "n=1", "bytes": 1e6, "flops": 1e6} | nothing | changes))


def fail() -> None:
    raise ValueError("no such thing\nand a page more")


def test_footprints_are_powers_of_two_within_limits() -> None:
    assert roofline.rounded(0) == SMALLEST
    assert roofline.rounded(3 << 20) == 2 << 20
    assert roofline.rounded(3.1 * (1 << 20)) == 4 << 20
    assert roofline.rounded(1e12) == LARGEST


def test_the_larger_bound_counts_and_is_named(machine: Roofline) -> None:
    assert machine.bound(2e9, 1e9) == (0.1, "memory")
    assert machine.bound(2e9, 50e9) == (0.5, "arithmetic")
    least, name = machine.bound(8e6, 0)  # fits the cache
    assert (least, name) == (pytest.approx(1e-4), "memory")


def test_a_small_footprint_is_never_slower_than_memory(machine: Roofline) -> None:
    machine.read[SMALLEST] = machine.copy[SMALLEST] = 1e9  # something else was running
    assert machine.bandwidth(SMALLEST) == 20e9


def test_measures_in_turns_and_divides(machine: Roofline, quick: None) -> None:
    row = measure(case(alternatives={"same": lambda: None}), machine, min_time=1e-4)
    assert row.error == ""
    assert row.seconds > 0
    assert row.fraction == pytest.approx(1e6 / 80e9 / row.seconds)
    assert row.ratios["same"] == pytest.approx(row.alternatives["same"] / row.seconds)
    assert row.as_dict()["ratios"] == row.ratios


def test_a_failing_alternative_is_a_dash_and_a_note(machine: Roofline, quick: None) -> None:
    row = measure(case(alternatives={"broken": fail}), machine, min_time=1e-4)
    assert row.alternatives == {"broken": None}
    assert "broken -" in cells(row)
    assert "- op, n=1: broken: ValueError: no such thing\n" in markdown([row], {}, {})


def test_a_wrong_answer_is_not_timed(machine: Roofline) -> None:
    row = measure(case(check=fail), machine, min_time=1e-4)
    assert row.seconds == 0
    assert cells(row)[2] == "wrong: ValueError: no such thing"


def test_table_has_one_line_per_row() -> None:
    row = Row("op", "a|b", "2× eager", bytes=4e6, flops=2e9, seconds=1e-3, iqr=1e-4, fraction=0.5, bound="memory")
    row.alternatives = {"eager": 2.5e-3}
    last = markdown([row], {"CPU": "some"}, {"read": "20 GB/s"}).splitlines()[-1]
    assert last == "| op | a\\|b | 1 ms ± 5 % | 4 | 2000 | 50 % (memory) | eager 2.50× | 2× eager |"


def test_numbers_as_people_write_them() -> None:
    assert [duration(t) for t in (2.5, 0.0123, 9.999e-4)] == ["2.5 s", "12.3 ms", "1000 µs"]
    assert [number(x) for x in (1234.5, 12.34, 0.5)] == ["1234", "12.3", "0.5"]
    assert [ratio("a", x) for x in (None, 1.234, 12.34)] == ["a -", "a 1.23×", "a 12×"]
