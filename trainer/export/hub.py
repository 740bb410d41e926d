"""A folder for the Hugging Face Hub: model card, config.json, model.safetensors, and the text of an own network.

Nothing is uploaded, and no network is used.
"""

from pathlib import Path

from trainer.export import safetensors, timm
from trainer.export.card import card_of
from trainer.export.network import ExportedNetwork
from trainer.export.seeds import seeds_of
from trainer.files import disk_errors, folder_written_whole, write_json, write_whole


def write_hub_folder(network: ExportedNetwork, path: Path) -> float:
    """Write the folder and return the largest difference of a logit. Raises ExportError, DiskError."""
    with disk_errors(path), folder_written_whole(path) as folder:
        if own := network.own:
            write_json(folder / "config.json", network.description(), indent=2)
            write_whole(folder / "model.safetensors", safetensors.body_of(network))
            if own.module is None:
                write_whole(folder / f"{network.module}.py", own.text.encode())
            answer = safetensors.answer_of(network, folder / "model.safetensors")
        else:
            timm.write_files(network, folder)
            answer = timm.answer_of(network, folder)
        largest = network.difference(answer)
        seeds = seeds_of(network.folder) if network.summary else None
        write_whole(folder / "README.md", card_of(network, seeds, largest).encode())
        return largest
