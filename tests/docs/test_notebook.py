"""docs/notebook.ipynb: its cells run in order in an empty folder, and nothing that a machine printed is committed."""

import ast
import builtins
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import trainer
from trainer import load_config

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def code_cells() -> list[dict[str, Any]]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_it_is_valid_and_has_no_output_of_a_machine() -> None:
    content = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(content)
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code_cells())
    assert content.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def test_its_names_exist_and_its_settings_are_valid() -> None:
    """Every name is imported or assigned in a cell above, and what is imported from the trainer is there."""
    known = {*dir(builtins)}
    for cell in code_cells():
        tree = ast.parse("".join(cell["source"]))
        for node in ast.walk(tree):
            match node:
                case ast.ImportFrom(module=module, names=names):
                    known |= {each.name for each in names}
                    assert module != "trainer" or all(hasattr(trainer, each.name) for each in names)
                case ast.Name(id=name, ctx=ast.Store()):
                    known.add(name)
                case _:
                    pass
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        assert used <= known, used - known
    (dicts,) = [node for cell in code_cells() for node in ast.walk(ast.parse("".join(cell["source"])))
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)]  # fmt: skip
    assert load_config(ast.literal_eval(dicts.value)).data.name == "shapes10"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter's packages
def test_it_trains_sweeps_and_draws(tmp_path: Path) -> None:
    content = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(content, timeout=1200, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    cells = {"".join(cell["source"]): cell["outputs"] for cell in content.cells if cell["cell_type"] == "code"}

    def shown(source: str) -> dict[str, Any]:
        (result,) = [each["data"] for each in cells[source] if each["output_type"] == "execute_result"]
        return result

    (first,) = [source for source in cells if "train(load_config" in source]
    assert shown(first)["text/plain"].startswith("('finished', 0.")
    (sweep,) = [source for source in cells if "run_sweep(" in source and "import" not in source]
    assert shown(sweep)["text/plain"] == "True"
    assert "est accuracy" in shown('report = write_report("rates")\nreport')["text/markdown"]
    for source in cells:
        if source.rpartition("\n")[2].startswith("charts["):
            assert shown(source)["image/svg+xml"].startswith("<svg")
    assert (tmp_path / "runs" / "rates" / "report").is_dir()
