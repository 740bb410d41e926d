"""All panels, by name."""

from trainer.config.explain import did_you_mean
from trainer.errors import ConfigError
from trainer.panels.panel import Column, Panel, Preset
from trainer.panels.rows_curves import ablation, accuracy_time_size, confusion, curves, rates
from trainer.panels.rows_inspect import INSPECTED
from trainer.panels.rows_probes import along_the_gradient, cosines, mean_with_extremes, run_band, shifts
from trainer.panels.rows_surface import lines, planes


def _text(meaning: str) -> Column:
    return Column("text", meaning)


def _number(meaning: str) -> Column:
    return Column("number", meaning)


_GROUP = _text("runs that are the same but for their seed")
_STEP, _EPOCH = _number("training step, from 0"), _number("epochs done")
_SPREAD = {"low": _number("lowest over the group's runs"), "high": _number("highest over the group's runs")}
_ALONG = {"low": _number("least along the gradient, mean over the group's runs"),
          "high": _number("greatest along the gradient, mean over the group's runs")}  # fmt: skip
_BETWEEN = {"group": _text("all but rate and seed"), "seed": _number("seed"), "step": _STEP}
_SIBLINGS = "runs of two or more rates, trained with probe.drift.every=1"
_WALK, _SHIFT = "a run trained with probe.walk.every=30", "a run trained with probe.shift.every=30"
_LINES = {"step": "step", "lineKey": "lineKey", "lineVal": "lineVal"}


def _stacked(*lines: str) -> Preset:
    return Preset("wandb/lineseries/v0", _LINES, {"xname": "training step"}, lines)


PANELS = (
    Panel(
        "learning_curves",
        1,
        "Accuracy by epoch",
        "Mean over a group's runs, and from its lowest to its highest.",
        {"group": _GROUP, "split": _text("training, validation or test"), "epoch": _EPOCH,
         "accuracy": _number("mean (%)"), **_SPREAD},
        curves("accuracy", scale=100),
        "one finished epoch",
        Preset("wandb/lineseries/v0", {"step": "epoch", "lineKey": "split", "lineVal": "accuracy"}, {"xname": "epoch"}),
    ),
    Panel(
        "loss_curves",
        1,
        "Loss by epoch",
        "Mean over a group's runs, and from its lowest to its highest.",
        {"group": _GROUP, "split": _text("training, validation or test"), "epoch": _EPOCH,
         "loss": _number("mean over images and runs (nats)"), **_SPREAD},
        curves("loss"),
        "one finished epoch",
        Preset("wandb/lineseries/v0", {"step": "epoch", "lineKey": "split", "lineVal": "loss"}, {"xname": "epoch"}),
    ),
    Panel(
        "rate_curve",
        1,
        "Learning rate",
        "As the run logged it.",
        {"group": _GROUP, "run": _text("run"), "epoch": _EPOCH, "rate": _number("learning rate")},
        rates,
        "one finished epoch",
        Preset("wandb/line/v0", {"x": "epoch", "y": "rate"}, {}),
    ),
    Panel(
        "ablation",
        1,
        "Test accuracy, seed by seed",
        "Each run, their mean with one sample standard deviation either way, and what the report printed.",
        {"group": _text("configuration, with its number of runs"), "order": _number("place, the best first"),
         "kind": _text("one seed, mean or published"), "accuracy": _number("test accuracy (%)"),
         "low": _number("mean - standard deviation (%)"), "high": _number("mean + standard deviation (%)")},
        ablation,
        "finished runs",
    ),
    Panel(
        "loss_band",
        1,
        "Training loss from step to step, between learning rates",
        "Lowest, mean and highest of runs that differ in their rate alone, smoothed; a band a seed.",
        {**_BETWEEN, "low": _number("lowest over rates (nats)"), "mean": _number("mean over rates (nats)"),
         "high": _number("highest over rates (nats)")},
        run_band("runs/loss"),
        _SIBLINGS,
    ),
    Panel(
        "gradient_distance_band",
        1,
        "Distance of gradients from step to step, between learning rates",
        "Lowest, mean and highest of runs that differ in their rate alone, smoothed; a band a seed.",
        {**_BETWEEN, "low": _number("lowest L2 distance over rates"), "mean": _number("mean over rates"),
         "high": _number("highest over rates")},
        run_band("runs/grad_distance"),
        _SIBLINGS,
    ),
    Panel(
        "run_beta_band",
        1,
        "Effective beta from step to step, between learning rates",
        "Change of the gradient per length of the step: lowest, mean and highest over rates, smoothed; a band a seed.",
        {**_BETWEEN, "low": _number("lowest over rates"), "mean": _number("mean over rates"),
         "high": _number("highest over rates: the report's")},
        run_band("runs/beta"),
        _SIBLINGS,
    ),
    Panel(
        "loss_variation",
        1,
        "Loss along the gradient",
        "Least to greatest on the way down one batch's gradient; line: at the step's weights. Means over the runs.",
        {"group": _GROUP, "step": _STEP, **_ALONG,
         "mean": _number("loss at the step's weights (nats), mean over the group's runs")},
        along_the_gradient("probe/loss_min", "probe/loss_max", "probe/loss"),
        _WALK,
        _stacked("low", "mean", "high"),
    ),
    Panel(
        "gradient_predictiveness",
        1,
        "How far the gradient moves along itself",
        "Least to greatest distance to the step's gradient, on the way down it. Means over a group's runs.",
        {"group": _GROUP, "step": _STEP, **_ALONG},
        along_the_gradient("probe/grad_l2_min", "probe/grad_l2_max"),
        _WALK,
        _stacked("low", "high"),
    ),
    Panel(
        "beta",
        1,
        "Effective beta-smoothness along the gradient",
        "Greatest change of the gradient per distance walked; mean over a group's runs, and from lowest to highest.",
        {"group": _GROUP, "step": _STEP, "mean": _number("mean over the group's runs"), **_SPREAD},
        mean_with_extremes("probe/beta"),
        _WALK,
        Preset("wandb/line/v0", {"x": "step", "y": "mean"}, {}),
    ),
    Panel(
        "gradient_cosine",
        1,
        "Cosine of gradients",
        "Least and greatest along one batch's gradient; and of successive steps, smoothed. Means over a group's runs.",
        {"group": _GROUP, "measure": _text("along the gradient, or from step to step"), "step": _STEP, **_ALONG},
        cosines,
        _WALK,
        _stacked("low", "high"),
    ),
    Panel(
        "shift",
        1,
        "Internal covariate shift of each layer: distance",
        "L2 distance of a layer's gradient before and after the layers below it have made their update.",
        {"group": _GROUP, "layer": _text("layer"), "order": _number("its place in the network, from 0"), "step": _STEP,
         "shift": _number("distance, mean over the group's runs")},
        shifts("shift_l2"),
        _SHIFT,
        Preset("wandb/lineseries/v0", {"step": "step", "lineKey": "layer", "lineVal": "shift"},
               {"xname": "training step"}),
    ),
    Panel(
        "shift_cosine",
        1,
        "Internal covariate shift of each layer: cosine",
        "Cosine of a layer's gradients before and after the layers below it have made their update.",
        {"group": _GROUP, "layer": _text("layer"), "order": _number("its place in the network, from 0"), "step": _STEP,
         "shift": _number("cosine, mean over the group's runs")},
        shifts("shift_cosine"),
        _SHIFT,
        Preset("wandb/lineseries/v0", {"step": "step", "lineKey": "layer", "lineVal": "shift"},
               {"xname": "training step"}),
    ),
    Panel(
        "confusion_matrix",
        1,
        "What is taken for what",
        "Test images by their class and the network's; shades are shares of the true class.",
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
        "Loss on the way out from the trained weights",
        "Each filter of the random direction is as long as the network's (Li et al. 2018); 0: the trained network.",
        {"group": _text("run, and what else tells its lines apart"),
         "alpha": _number("distance, in norms of the filters"), "loss": _number("mean loss (nats)")},
        lines,
        "`trainer landscape surface RUN --dims 1`",
    ),
    Panel(
        "surface_2d",
        1,
        "Loss around the trained weights",
        "Each shade is a tenth of all cells; cross: the trained network; dots: its weights on the way of training.",
        {"surface": _text("run and plane"), "kind": _text("cell, path or network"),
         "alpha": _number("along the first direction; of a cell, its left edge"),
         "alpha_end": _number("a cell's right edge"), "beta": _number("along the second; of a cell, its lower edge"),
         "beta_end": _number("a cell's upper edge"), "loss": _number("mean loss (nats)"),
         "band": _text("the tenth of all cells that it is in, from least to greatest loss"), "epoch": _EPOCH},
        planes,
        "`trainer landscape surface RUN`",
    ),
    Panel(
        "accuracy_time_size",
        1,
        "Accuracy against training time and size",
        "Each dot is a run; its area tells the number of parameters.",
        {"group": _GROUP, "run": _text("run"), "seconds": _number("training time (s)"),
         "parameters": _number("parameters (millions)"), "accuracy": _number("test accuracy (%)")},
        accuracy_time_size,
        "finished runs",
    ),
    *INSPECTED,
)  # fmt: skip


def panel(name: str) -> Panel:
    """Raises ConfigError for a name that there is not, with the nearest."""
    for each in PANELS:
        if each.name == name:
            return each
    raise ConfigError(f"no panel is called {name!r}{did_you_mean(name, [each.name for each in PANELS])}")
