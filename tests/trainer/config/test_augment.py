"""The section augment: what is out of range is refused."""

import pytest
from pydantic import ValidationError

from trainer.config.augment import (
    Augment,
)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"erasing": {"name": "random", "scale": [0.4, 0.2]}}, "scale"),
        ({"erasing": {"name": "random", "scale": [0.4, 1.2]}}, "scale"),
        ({"erasing": {"name": "random", "ratio": [0.0, 1.0]}}, "ratio"),
        ({"erasing": {"name": "random", "probability": 1.5}}, "probability"),
        ({"erasing": {"name": "cutout", "size": 0}}, "size"),
        ({"erasing": {"name": "cutout", "scale": [0.1, 0.2]}}, "scale"),
        ({"color_jitter": {"hue": 0.6}}, "hue"),
        ({"color_jitter": {"contrast": -0.1}}, "contrast"),
        ({"mix": {"name": "mixup", "alpha": 0}}, "alpha"),
        ({"mix": {"name": "none", "alpha": 1}}, "alpha"),
        ({"auto": {"name": "rand_augment", "magnitude": 31}}, "magnitude"),
        ({"auto": {"name": "rand_augment", "num_ops": 0}}, "num_ops"),
        ({"auto": {"name": "trivial_augment_wide", "magnitude": 3}}, "magnitude"),
    ],
)
def test_what_is_out_of_range_is_refused_under_its_key(settings: dict[str, object], key: str) -> None:
    with pytest.raises(ValidationError) as error:
        Augment.model_validate(settings)
    assert key in error.value.errors()[0]["loc"]
