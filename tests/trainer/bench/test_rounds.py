"""Sides in turns, what is counted, and the one form of every measurement."""

import json

from trainer.bench.rounds import as_text, in_turns, ratio, result, spread


def test_the_first_round_is_left_out_and_every_other_one_goes_backwards() -> None:
    asked: list[str] = []

    def side(name: str):
        def turn() -> float:
            asked.append(name)
            return float(len(asked))

        return turn

    found = in_turns({"a": side("a"), "b": side("b")}, rounds=3)
    assert "".join(asked) == "ab" + "ab" + "ba" + "ab"
    assert found == {"a": [3, 6, 7], "b": [4, 5, 8]}


def test_the_ratio_is_the_median_over_the_rounds() -> None:
    """The ratio of the medians would be 2."""
    assert ratio([1.0, 4.0, 9.0], [2.0, 1.0, 3.0]) == {"median": 3.0, "min": 0.5, "max": 4.0}


def test_a_measurement_says_what_it_is_of_and_what_is_not_measured() -> None:
    rows = {"ours": {"images/s": spread([1000.0, 3.0, 20.0]), "ratio": spread([2.0])}, "b": {"images/s": spread([9.0])}}
    content = result("peers", rows, rounds=3, gpu={}, batch_size=128)
    assert json.loads(json.dumps(content)) == content
    header, ours, other, _, below = as_text(content).splitlines()
    assert header.split() == ["peers", "images/s", "ratio"]
    assert ours.split() == ["ours", "20.0", "(3.00", "to", "1,000)", "2.00"]
    assert other.split() == ["b", "9.00", "-"]
    assert below.startswith("3 rounds, batch_size 128 (") and "torch" in below and "AVX512-BF16" in below
    assert "CUDA" not in below and "gpu" not in content["machine"]


def test_a_measurement_on_a_gpu_names_it_with_its_libraries() -> None:
    """Before: it named the processor beside it alone."""
    gpu = {"gpu": "NVIDIA H200", "cuda": "13.0", "cudnn": "91000", "capability": "9.0"}
    content = result("step", {"a": {"images/s": spread([1.0])}}, rounds=3, gpu=gpu)
    assert content["machine"].items() >= gpu.items()
    assert "(NVIDIA H200 with CUDA 13.0 and cuDNN 91000, beside " in as_text(content)
