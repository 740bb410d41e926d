"""Pictures and numbers of an inspection, sent to the W&B run that they belong to."""

from typing import Any

from trainer.config.sink import WandbSink as Config
from trainer.inspect.inspection import Inspection
from trainer.panels.registry import panel
from trainer.panels.rows_inspect import layer_rows, reliability_rows
from trainer.protocols import Record, RunInfo
from trainer.runs.checkpoint import load_checkpoint
from trainer.runs.folder import config_hash, read_summary
from trainer.runs.provenance import command_line, provenance
from trainer.sinks.tables import panel_table


def send(inspection: Inspection, numbers: dict[str, Any]) -> str | None:
    """Log everything written as `inspect/NAME`: on the run's own page, or as a new run if it was trained without W&B.

    What cannot be sent is a line on stderr. Return the command that sends it later.
    """
    from trainer.sinks.wandb import WandbSink  # wandb is imported only if it is used

    network = inspection.network
    path = network.path / "checkpoint.pt" if network.path.is_dir() else network.path
    memory = load_checkpoint(path).get("sinks", {}).get("wandb", {})
    config = _for_this(network.config.sink.wandb)
    # These take the place of the folder's, which may be those of an earlier inspection.
    rows = {"reliability": reliability_rows(numbers, network.run), "layer_statistics": layer_rows(numbers, network.run)}
    tables = [panel_table(panel(name), filled, config.panels) for name, filled in rows.items() if filled]
    sink = WandbSink(config, tables)
    info = provenance(
        **network.compute.description,
        ranks=1,
        command=command_line(),
        seed=network.config.seed,
        gpu=network.compute.gpu,
    )
    plain = network.config.model_dump(mode="json")
    name = network.folder.resolve().name  # also of other weights than those of its end
    sink.start(RunInfo(name, network.folder, plain, config_hash(network.config), info, bool(memory), memory))
    summary = read_summary(network.folder)
    pictures = {f"inspect/{file.stem}": file for file in inspection.written if file.suffix == ".png"}
    error = numbers["calibration"]["expected_calibration_error"]
    metrics = {"inspect/accuracy": numbers["accuracy"], "inspect/calibration_error": error}
    known = {key: value for key, value in metrics.items() if value is not None}
    sink.log(Record(summary.get("epoch", 0.0), summary.get("step", 0), known, pictures))
    return sink.finish(summary.get("status", "finished"), summary)


def _for_this(config: Config) -> Config:
    """Return the config to send with: never disabled, since the user asks for it, and without the checkpoint."""
    return config.model_copy(update={"checkpoint": False, **({"mode": "auto"} if config.mode == "disabled" else {})})
