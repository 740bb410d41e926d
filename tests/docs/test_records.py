"""The tables and the picture of docs/records.md, from public records and measurements of ours."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from make_records import PICTURE, RECORDS, chart, marks, ours, public, records_page

from trainer.panels.render import as_svg
from trainer.runs.provenance import machine


def measurement(*accuracies: float, seconds: float) -> dict[str, Any]:
    takes = [{"seed": i, "accuracy": each, "seconds": seconds + i} for i, each in enumerate(accuracies)]
    said = "mean test accuracy ...: above 94%, one-sided p 0.0004, level 0.01"
    return {
        "bench": "accuracy",
        "settings": {"target": 0.94, "device": "Xeon, 2 threads", "precision": "bfloat16"},
        "machine": machine({}),
        "findings": [f"cpu94: {said}", f"airbench: {said}"],
        "runs": {"cpu94": takes, "airbench": [{**take, "seconds": 2 * take["seconds"]} for take in takes]},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(RECORDS / "public.yaml", tmp_path)
    return tmp_path


def test_ours_and_the_peer_beside_it_get_rows_and_marks_once_they_can_be_judged(folder: Path) -> None:
    (folder / "cpu94.json").write_text(json.dumps(measurement(0.941, 0.942, 0.943, seconds=599)))
    (folder / "begun.json").write_text(json.dumps(measurement(0.941, 0.942, seconds=1)))
    page = records_page(folder)
    verdict = "Xeon, 2 threads | bfloat16 | above 94%, one-sided p 0.0004, level 0.01 |"
    assert f"| `cpu94` | 94.20 ± 0.10% (n=3) | 600 ± 1 s (n=3) | {verdict}" in page
    assert f"| `airbench` | 94.20 ± 0.10% (n=3) | 1200 ± 2 s (n=3) | {verdict}" in page
    assert "None of ours" not in page and "| fulcrum E1 |" in page
    rows = {row["name"]: row for row in chart([*public(folder), *marks(ours(folder))])["data"]["values"]}
    assert (rows["cpu94"]["seconds"], rows["airbench"]["seconds"]) == (600, 1200)
    assert rows["cpu94"]["accuracy"] == pytest.approx(94.2)
    assert rows["cpu94"]["hardware"] == "Xeon, 2 threads"


def test_seconds_of_each_machine_are_in_the_row_and_a_mark_of_their_own(folder: Path) -> None:
    """They were pooled before. A run that moved between machines has an accuracy only."""
    content = measurement(0.941, 0.942, 0.943, 0.944, 0.945, seconds=599)
    where = ["EPYC, 2 threads", "EPYC, 2 threads", "Xeon, 4 threads", "Xeon, 4 threads", None]
    for take, on in zip(content["runs"]["cpu94"], where, strict=True):
        take["machine"] = on
    del content["settings"]["device"]  # a measurement with runs of archives has several
    for take in content["runs"]["airbench"]:
        take["machine"] = "Xeon, 4 threads"
    content["findings"].append("cpu94 to airbench: 0.5 (0.5 to 0.5) of its seconds in 5 pairs")
    (folder / "cpu94.json").write_text(json.dumps(content))
    seconds = "599.5 ± 0.71 s (n=2)<br>601.5 ± 0.71 s (n=2) | EPYC, 2 threads<br>Xeon, 4 threads | bfloat16"
    assert f"| `cpu94` | 94.30 ± 0.16% (n=5) | {seconds} | above 94%, one-sided p 0.0004, level 0.01 |" in (
        page := records_page(folder)
    )
    assert "public records and 3 measured here" in page
    rows = [row for row in chart(marks(ours(folder)))["data"]["values"] if row["name"] == "cpu94"]
    assert [(row["hardware"], row["seconds"]) for row in rows] == [(where[0], 599.5), (where[2], 601.5)]
    assert {round(row["accuracy"], 9) for row in rows} == {94.3}
    for take in content["runs"]["cpu94"]:
        take["machine"] = None
    (folder / "cpu94.json").write_text(json.dumps(content))
    assert "| `cpu94` | 94.30 ± 0.16% (n=5) | - | - | bfloat16 | above 94%" in records_page(folder)


def test_without_measurements_the_page_says_so(folder: Path) -> None:
    assert ours(folder) == []
    assert "**None of ours is judged yet**, so the picture has none." in records_page(folder)


def test_each_public_record_has_its_source_at_a_revision_and_its_hardware() -> None:
    for each in public():
        assert re.search(r" [0-9a-f]{7}, ", each.source), each
        assert each.hardware and each.by and each.seconds > 0 and 90 < each.accuracy < 100


def test_the_picture_is_drawn_and_has_every_record() -> None:
    drawn = PICTURE.read_text(encoding="utf-8")
    for each in [*public(), *marks(ours())]:
        assert f">{each.name}</text>" in drawn, "run `make docs`"
    assert as_svg(chart(public())).startswith("<svg")
