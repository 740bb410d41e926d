"""Every published row can be asked for: its settings are a valid config that says what the row says."""

from collections import Counter
from importlib.resources import files

import pytest
import yaml

from trainer.config import load_config
from trainer.published import PublishedRow, rows, runs_of
from trainer.training.network_arguments import complete_parts

ROWS = rows()


def test_all_rows_are_there() -> None:
    numeric = [row for row in ROWS if "qualitative" not in row.printed]
    assert (len(ROWS), len(numeric)) == (150, 130)
    assert len({row.experiment for row in ROWS}) == 39


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.experiment}-{number}" for number, row in enumerate(ROWS)])
def test_each_row_is_a_config(row: PublishedRow) -> None:
    for words in runs_of(row):
        assert max(Counter(word.partition("=")[0] for word in words).values(), default=0) <= 1, words
        config = load_config(words, recipe="none", complete=complete_parts).config
        said = row.settings
        if isinstance(said.get("lr"), float):
            assert config.optimizer.lr == said["lr"]
        if said.get("epochs"):
            assert config.train.epochs == said["epochs"]
        if said.get("scheduler") not in (None, "none"):
            assert config.schedule.name == said["scheduler"]
        if said.get("activation"):
            assert config.model.arguments["act"] == said["activation"]


def test_a_row_that_bundles_networks_and_rates_is_a_run_for_each() -> None:
    bands = next(row for row in ROWS if row.experiment == "dfbc-s3-landscape")
    rates = ("0.001", "0.002", "0.0001", "0.0005")
    assert [[word for word in words if "lr=" in word] for words in runs_of(bands)] == [
        [f"optimizer.lr={r}"] for r in rates
    ]


@pytest.mark.parametrize(
    ("experiment", "words"),
    [
        ("44da-s3-no-bn", ["model.name=handmade_mlp", "model.order=['linear', 'act', 'dropout']"]),
        ("44da-s4-no-dropout", ["model.name=handmade_mlp", "model.order=['linear', 'norm', 'act']"]),
        ("44da-s2-baseline", ["augment.crop.padding=0", "augment.flip.mode=none", "model.norm_momentum=0.1"]),
        ("f2d6-s1.8-best", ["model.stem=[3, 3, 3]", "augment.erasing.name=random", "schedule.name=cosine"]),
        ("b35c-t7-models", ["schedule.min_factor=1e-05", "data.std=[0.247, 0.2435, 0.2616]", "model.name=lenet5"]),
        ("44da-b2-augmentation", ["augment.flip.mode=random", "augment.color_jitter.hue=0.1"]),
    ],
)  # fmt: skip
def test_some_rows_in_our_words(experiment: str, words: list[str]) -> None:
    first = next(row for row in ROWS if row.experiment == experiment)
    (run,) = runs_of(first)
    assert set(words) <= set(run)


@pytest.mark.parametrize("name", ["published.yaml", "report/published/authors.yaml"])
def test_no_key_is_given_twice_because_yaml_would_take_the_last_one(name: str) -> None:
    tree = yaml.compose((files("trainer") / name).read_text(encoding="utf-8"))
    pending, twice = [tree], []
    while pending:
        node = pending.pop()
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value]
            twice += [f"line {node.start_mark.line + 1}: {key}" for key in keys if keys.count(key) > 1]
            pending += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            pending += node.value
    assert not twice
