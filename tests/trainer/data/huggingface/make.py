"""Write the two folders beside this file, with `datasets` itself (5.2.0), which the trainer does not need.

uv run --with datasets==5.2.0 --with pillow tests/trainer/data/huggingface/make.py
"""

# pyright: reportMissingImports=false

from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
from PIL import Image as Pillow

HERE = Path(__file__).parent


def split(count: int, seed: int) -> Dataset:
    """Draw `count` images of 8x8 pixels, dark ones (0) and bright ones (1) in turn."""
    draw = np.random.default_rng(seed)
    labels = [i % 2 for i in range(count)]
    images = [Pillow.fromarray(draw.integers(136 * k, 136 * k + 120, (8, 8, 3), dtype=np.uint8)) for k in labels]
    features = Features({"img": Image(), "label": ClassLabel(names=["dark", "bright"])})
    return Dataset.from_dict({"img": images, "label": labels}, features=features)


both = DatasetDict({"train": split(12, 0), "test": split(6, 1)})
both.save_to_disk(HERE / "saved")
(HERE / "hub" / "data").mkdir(parents=True, exist_ok=True)
for name, part in both.items():
    part.to_parquet(HERE / "hub" / "data" / f"{name}-00000-of-00001.parquet")
