"""Pictures and numbers of an inspection into the W&B run that they belong to."""

from trainer.config.sink import WandbSink as Config
from trainer.inspect.inspection import Inspection
from trainer.protocols import Record, RunInfo
from trainer.runs.checkpoint import load_checkpoint
from trainer.runs.folder import config_hash, read_summary
from trainer.runs.provenance import command_line, provenance


def send(look: Inspection, numbers: dict[str, object]) -> str | None:
    """Log everything written as `inspect/NAME`: on the run's own page where it was trained with W&B, else as a new run
    of its name. What cannot be sent is a line on stderr; returns the command that sends it later."""
    from trainer.sinks.wandb import WandbSink  # wandb is imported where it is wanted

    subject = look.subject
    path = subject.path / "checkpoint.pt" if subject.path.is_dir() else subject.path
    state = load_checkpoint(path)
    memory = state.get("sinks", {}).get("wandb", {})
    config = subject.config.sink.wandb
    sink = WandbSink(_for_this(config))
    sink.inspected = look.folder / "inspect.json"
    info = provenance(**subject.compute.description, command=command_line(), seed=subject.config.seed)
    plain = subject.config.model_dump(mode="json")
    sink.start(RunInfo(subject.name, subject.folder, plain, config_hash(subject.config), info, bool(memory), memory))
    summary = read_summary(subject.folder)
    pictures = {f"inspect/{file.stem}": file for file in look.written if file.suffix == ".png"}
    metrics = {
        f"inspect/{key}": value
        for key, value in (("accuracy", numbers["accuracy"]), ("calibration_error", _error(numbers)))
        if isinstance(value, float)
    }
    sink.log(Record(summary.get("epoch", 0.0), summary.get("step", 0), metrics, pictures))
    return sink.finish(summary.get("status", "finished"), summary)


def _for_this(config: Config) -> Config:
    """Asked for by hand, so also where training was not mirrored; the checkpoint is not sent again."""
    return config.model_copy(update={"checkpoint": False, **({"mode": "auto"} if config.mode == "disabled" else {})})


def _error(numbers: dict[str, object]) -> object:
    found = numbers["calibration"]
    return found["expected_calibration_error"] if isinstance(found, dict) else None
