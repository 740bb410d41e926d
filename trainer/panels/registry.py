"""All panels, by name."""

from typing import Any

from trainer.config.explain import did_you_mean
from trainer.errors import ConfigError
from trainer.panels.panel import Column, Panel, Preset
from trainer.panels.rows_curves import ablation, accuracy_time_size, confusion, curves, rates
from trainer.panels.rows_inspect import layer_rows, of_inspected_runs, reliability_rows
from trainer.panels.rows_plan import smallest_differences
from trainer.panels.rows_probes import along_the_gradient, cosines, mean_with_extremes, run_band, shifts
from trainer.panels.rows_surface import lines, planes


def _text(meaning: str) -> Column:
    return Column("text", meaning)


def _number(meaning: str) -> Column:
    return Column("number", meaning)


_GROUP, _RUN = _text("configuration, with its number of runs"), _text("run")
_STEP, _EPOCH = _number("training step, from 0"), _number("finished epochs")
_SPREAD = {"low": _number("lowest of the group's runs"), "high": _number("highest of the group's runs")}
_ALONG = {"low": _number("lowest along the gradient, mean over the group's runs"),
          "high": _number("highest along the gradient, mean over the group's runs")}  # fmt: skip
_ORDER = _number("its place in the network, from 0")
_SIBLINGS = "runs at two or more learning rates, trained with probe.drift.every=1"
_WALK, _SHIFT = "a run trained with probe.walk.every=30", "a run trained with probe.shift.every=30"
_NOISE = "a run trained with probe.noise.every=30"
_INSPECTED = "a run that `trainer inspect` was used on"
_MEAN_AND_RANGE = "Mean over a configuration's runs, with the lowest and highest run."
_RATES = "Lowest, mean and highest over the learning rates, smoothed. One band per seed."
_LOG = {"type": "log", "nice": False}


def _stacked(*columns: str) -> Preset:
    fields = {"step": "step", "lineKey": "lineKey", "lineVal": "lineVal"}
    return Preset("wandb/lineseries/v0", fields, {"xname": "training step"}, columns)


def _curves(name: str, title: str, metric: str, meaning: str, axis: str, scale: float = 1) -> Panel:
    columns = {"group": _GROUP, "split": _text("training, validation or test"), "epoch": _EPOCH,
               metric: _number(meaning), **_SPREAD}  # fmt: skip
    fields = {"step": "epoch", "lineKey": "split", "lineVal": metric}
    return Panel(
        name,
        1,
        title,
        _MEAN_AND_RANGE,
        columns,
        curves(metric, scale=scale),
        "one finished epoch",
        Preset("wandb/lineseries/v0", fields, {"xname": "epoch"}),
        template="curves",
        parameters={"value": f"${{field:{metric}}}", "axis": axis},
    )


def _run_band(name: str, title: str, key: str, unit: str, axis: str, scale: dict[str, Any], about: str = "") -> Panel:
    columns = {column: _number(f"{value} over the learning rates{unit}")
               for column, value in {"low": "lowest", "mean": "mean", "high": "highest"}.items()}  # fmt: skip
    return Panel(
        name,
        1,
        title,
        about + _RATES,
        {"group": _text("configuration, learning rate apart"), "seed": _number("seed"), "step": _STEP, **columns},
        run_band(key),
        _SIBLINGS,
        template="run_band",
        parameters={"axis": axis, "scale": scale},
    )


def _shift(name: str, measure: str, about: str, legend: str, scale: dict[str, Any]) -> Panel:
    fields = {"step": "step", "lineKey": "layer", "lineVal": "shift"}
    return Panel(
        name,
        1,
        f"Internal covariate shift by layer: {measure}",
        about,
        {"group": _GROUP, "layer": _text("layer"), "order": _ORDER, "step": _STEP,
         "shift": _number(f"{measure}, mean over the group's runs")},
        shifts("shift_l2" if name == "shift" else name),
        _SHIFT,
        Preset("wandb/lineseries/v0", fields, {"xname": "training step"}),
        template="shift",
        parameters={"legend": legend, "scale": {**scale, "scheme": "viridis"}},
    )  # fmt: skip


PANELS = (
    _curves("learning_curves", "Accuracy by epoch", "accuracy", "mean (%)", "accuracy (%)", scale=100),
    _curves("loss_curves", "Loss by epoch", "loss", "mean over images and runs (nats)", "mean loss of an image (nats)"),
    Panel(
        "rate_curve",
        1,
        "Learning rate",
        "As each run logged it.",
        {"group": _text("configuration"), "run": _RUN, "epoch": _EPOCH, "rate": _number("learning rate")},
        rates,
        "one finished epoch",
        Preset("wandb/line/v0", {"x": "epoch", "y": "rate"}, {}),
    ),
    Panel(
        "ablation",
        1,
        "Test accuracy by configuration",
        "Each seed, the mean ± one standard deviation, and the published figure.",
        {"group": _GROUP, "order": _number("place, the best first"), "kind": _text("one seed, mean or published"),
         "accuracy": _number("test accuracy (%)"), "low": _number("mean - standard deviation (%)"),
         "high": _number("mean + standard deviation (%)")},
        ablation,
        "a finished run",
    ),
    _run_band("loss_band", "Training loss across learning rates", "runs/loss", " (nats)",
              "training loss of a batch (nats)", {"zero": False}),
    _run_band("gradient_distance_band", "Distance between successive gradients across learning rates",
              "runs/grad_distance", " (L2)", "distance of successive gradients, L2 (log)", _LOG),
    _run_band("run_beta_band", "Effective beta of successive steps across learning rates", "runs/beta", "",
              "effective beta of successive steps (log)", _LOG, "Change of the gradient divided by step length. "),
    Panel(
        "loss_variation",
        1,
        "Loss along the gradient",
        "Band: lowest to highest loss along one batch's gradient. Line: loss at the current weights. Means over runs.",
        {"group": _GROUP, "step": _STEP, **_ALONG,
         "mean": _number("loss at the current weights (nats), mean over the group's runs")},
        along_the_gradient("probe/loss_min", "probe/loss_max", "probe/loss"),
        _WALK,
        _stacked("low", "mean", "high"),
        template="walk_band",
        parameters={"axis": "loss along the gradient (nats, log)"},
    ),
    Panel(
        "gradient_predictiveness",
        1,
        "Change of the gradient along itself",
        "Smallest to largest distance to the gradient of the step, along that gradient. Means over runs.",
        {"group": _GROUP, "step": _STEP, **_ALONG},
        along_the_gradient("probe/grad_l2_min", "probe/grad_l2_max"),
        _WALK,
        _stacked("low", "high"),
    ),
    Panel(
        "beta",
        1,
        "Effective beta-smoothness along the gradient",
        f"Largest change of the gradient per distance along it. {_MEAN_AND_RANGE}",
        {"group": _GROUP, "step": _STEP, "mean": _number("mean over the group's runs"), **_SPREAD},
        mean_with_extremes("probe/beta"),
        _WALK,
        Preset("wandb/line/v0", {"x": "step", "y": "mean"}, {}),
        template="walk_band",
        parameters={"axis": "effective beta-smoothness (log)"},
    ),
    Panel(
        "gradient_variance",
        1,
        "Variance of the gradient",
        f"Trace of the covariance of a batch's gradient at the step's weights. {_MEAN_AND_RANGE}",
        {"group": _GROUP, "step": _STEP, "mean": _number("mean over the group's runs"), **_SPREAD},
        mean_with_extremes("probe/grad_variance"),
        _NOISE,
        Preset("wandb/line/v0", {"x": "step", "y": "mean"}, {}),
        template="walk_band",
        parameters={"axis": "variance of the gradient (log)"},
    ),
    Panel(
        "gradient_cosine",
        1,
        "Cosine of gradients",
        "Lowest and highest along one batch's gradient, and between successive steps, smoothed. Means over runs.",
        {"group": _GROUP, "measure": _text("along the gradient, or from step to step"), "step": _STEP, **_ALONG},
        cosines,
        _WALK,
        _stacked("low", "high"),
    ),
    _shift("shift", "distance", "L2 distance between a layer's gradients before and after the layers below it update.",
           "L2 distance (log)", {"type": "log"}),
    _shift("shift_cosine", "cosine", "Cosine of a layer's gradients before and after the layers below it update.",
           "cosine", {"domain": [-1, 1]}),
    Panel(
        "confusion_matrix",
        1,
        "Confusion matrix",
        "Test images by true and predicted class. The shade is the share of the true class.",
        {"actual": _text("true class"), "predicted": _text("predicted class"),
         "actual_order": _number("place of the true class"), "predicted_order": _number("place of the predicted class"),
         "images": _number("images"), "rate": _number("share of the true class (%)")},
        confusion,
        "a run that has ended, of at most 100 classes",
        Preset("wandb/confusion_matrix/v1", {"Actual": "actual", "Predicted": "predicted", "nPredictions": "images"},
               {}),
    ),
    Panel(
        "surface_1d",
        1,
        "Loss along random directions from the trained weights",
        "Each filter of the direction is as long as the network's (Li et al. 2018). 0 is the trained network.",
        {"group": _text("run, and what distinguishes its lines"),
         "alpha": _number("distance, in norms of the filters"), "loss": _number("mean loss (nats)")},
        lines,
        "`trainer landscape surface RUN --dims 1`",
    ),
    Panel(
        "surface_2d",
        1,
        "Loss around the trained weights",
        "Each shade is a tenth of all cells. Cross: the trained network. Dots: its weights during training.",
        {"surface": _text("run and plane"), "kind": _text("cell, path or network"),
         "alpha": _number("along the first direction; of a cell, its left edge"),
         "alpha_end": _number("a cell's right edge"), "beta": _number("along the second; of a cell, its lower edge"),
         "beta_end": _number("a cell's upper edge"), "loss": _number("mean loss (nats)"),
         "band": _text("the tenth of all cells that it is in, from lowest to highest loss"), "epoch": _EPOCH},
        planes,
        "`trainer landscape surface RUN`",
    ),
    Panel(
        "accuracy_time_size",
        1,
        "Accuracy against training time and size",
        "Each dot is a run. Its area shows the number of parameters.",
        {"group": _GROUP, "run": _RUN, "seconds": _number("training time (s)"),
         "parameters": _number("parameters (millions)"), "accuracy": _number("test accuracy (%)")},
        accuracy_time_size,
        "a finished run",
    ),
    Panel(
        "smallest_difference",
        1,
        "Smallest difference that so many seeds find",
        "In points of test accuracy, with 80% power at the noise of these runs. Band: its 95% interval.",
        {"group": _text("what is compared"), "seeds": _number("seeds of each configuration"),
         "difference": _number("smallest true difference that is found in 80% of sweeps"),
         "low": _number("the same at the lower end of the noise's 95% interval"),
         "high": _number("the same at its upper end"), "wanted": _number("difference that is wanted")},
        smallest_differences,
        "two seeds of a configuration",
    ),
    Panel(
        "reliability",
        1,
        "Calibration",
        "Test images by confidence, in 15 bins. On the dashed line, confidence and accuracy are equal.",
        {"group": _RUN, "low": _number("a bin's lower edge (%)"), "high": _number("a bin's upper edge (%)"),
         "share": _number("share of the test images (%)"), "confidence": _number("mean confidence (%)"),
         "accuracy": _number("accuracy (%)")},
        of_inspected_runs(reliability_rows),
        _INSPECTED,
        Preset("wandb/scatter/v0", {"x": "confidence", "y": "accuracy"}, {}),
    ),
    Panel(
        "layer_statistics",
        1,
        "Outputs and weights of each layer",
        "A dead channel is 0 for every image at every pixel, in a layer or up to the next one shown.",
        {"group": _RUN, "layer": _text("layer"), "order": _ORDER,
         "activation_std": _number("standard deviation of the outputs"),
         "dead": _number("dead channels, of it or of what follows up to the next layer shown (%)"),
         "weight_norm": _number("L2 norm of the weights")},
        of_inspected_runs(layer_rows),
        _INSPECTED,
        Preset("wandb/bar/v0", {"label": "layer", "value": "activation_std"}, {}),
    ),
)  # fmt: skip


def panel(name: str) -> Panel:
    """Return the panel of a name. Raises ConfigError with the nearest one if there is none."""
    for known in PANELS:
        if known.name == name:
            return known
    raise ConfigError(f"no panel is called {name!r}{did_you_mean(name, [known.name for known in PANELS])}")
