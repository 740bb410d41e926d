"""Examples at the foot of each command's `--help`."""

_EXAMPLES = {
    "train": (
        "--model fastresnet9 --epochs 10 --name first",
        "--model resnet18 optimizer.name=adamw optimizer.lr=0.001",
        "--resume runs/first",
        "--model vgg_a --dry-run",
    ),
    "evaluate": ("first", "first --tta hflip", "first --also-test cifar10.1 --also-root data/second"),
    "export": ("first --to onnx", "first --to safetensors --out net.safetensors"),
    "lr-find": (
        "--model resnet18",
        "--model vgg_a optimizer.name=adam --to range.svg",
        "--recipe speed94 --steps 200 --json",
    ),
    "preview data": ("--data shapes10", "--data shapes10 augment.erasing.name=random --out erased.png"),
    "preview schedule": ("schedule.name=one_cycle --epochs 30",),
    "preview panel": ("ablation", "beta runs/plain runs/smooth --out beta.svg"),
    "bench accuracy": (
        "--recipe cpu94 --target 0.94 --runs 10",
        "--recipe cpu94 --runs 7 --have cpu94-runs.jsonl.gz seed=3000 --json",
    ),
    "bench step": ("--model resnet18",),
    "bench data": ("--rounds 9",),
    "bench epoch": ("--model resnet18 data.train_size=10112",),
    "bench start": ("--json",),
    "bench sweep": ("--model lenet5 --data shapes10",),
    "bench devices": ("--model resnet18 --devices 2 --devices 4",),
    "bench peers": ("--pytorch-cifar ../pytorch-cifar",),
    "sweep check": ("sweeps/*.yaml", "mine.yaml --json"),
    "sweep run": (
        "sweeps/smoke.yaml",
        "sweeps/lr_scheduler.yaml train.epochs=1",
        "sweeps/loss.yaml --devices cuda:0,cuda:1 --per-device 2",
        "sweeps/handmade.yaml --have docs/results/runs/handmade.jsonl.gz",
        "sweeps/loss.yaml --seeds 5-9 --first loss.name=mse",
        "sweeps/loss.yaml --only loss.name=mse --only loss.name=huber",
        "sweeps/loss.yaml sweeps/activation.yaml --for 1h30m",
        "sweeps/loss.yaml --until decided --margin 0.3",
        "sweeps/loss.yaml --ray auto --per-device 4",
        "--catalogue --for 4h --have docs/results/runs",
    ),
    "sweep plan": (
        "sweeps/lr_scheduler.yaml",
        "sweeps/lr_scheduler.yaml --noise seed_noise --difference 0.5",
        "mine.yaml --noise 0.3 --to plan.html",
        "sweeps/loss.yaml --devices cuda:0,cuda:1 --json",
    ),
    "sweep start": (
        "sweeps/lr_scheduler.yaml --devices cuda:0,cuda:1",
        "sweeps/loss.yaml --until decided --margin 0.3",
    ),
    "sweep submit": (
        "sweeps/lr_scheduler.yaml --slurm --gres gpu:1 --print",
        "sweeps/lr_scheduler.yaml --slurm --array 8 --gres gpu:1 --time 12:00:00",
        "sweeps/lr_scheduler.yaml --slurm --nodes 2 --gres gpu:4 --cpus 32 --per-device 4",
        "ENTITY/PROJECT/ID --slurm --gres gpu:1 --sbatch --account=NAME",
    ),
    "sweep status": ("lr_scheduler", "mine.yaml --have mine.jsonl.gz --json", "ENTITY/PROJECT/ID"),
    "sweep rerun": ("lr_scheduler", "ENTITY/PROJECT/ID --devices cuda:0,cuda:1"),
    "sweep list": ("", "--catalogue", "ENTITY/PROJECT"),
    "sweep copy": ("lr_scheduler mine.yaml",),
    "report": (
        "lr_scheduler",
        "lr_scheduler --serve",
        "lr_scheduler --margin 0.3",
        'lr_scheduler --expect "cosine > constant"',
        "runs/first runs/second --out compared",
        "--from-wandb ENTITY/PROJECT",
        "index",
        "pack runs/lr_scheduler --to docs/results/runs/lr_scheduler.jsonl.gz",
        "docs/results/runs/handmade.jsonl.gz",
    ),
    "compare": ("first second", "first second third --out compared"),
    "inspect": ("first", "first --picture cat --layers features.stem,features.block1", "first second --out both"),
    "landscape surface": ("first", "first --dims 1 --points 41"),
    "landscape hessian": ("first", "first --top 10"),
    "landscape bands": ("runs/bn_landscape_cpu", "runs/bn_landscape_cpu --key runs/beta --out bands.json"),
    "panels list": ("",),
    "panels push": ("--entity ENTITY",),
    "models": ("", "resnet18", "my_nets.py:MyNet"),
    "recipes": ("", "cpu94"),
    "config": ("--model fastresnet9", "--recipe cpu94 optimizer.lr=0.05"),
}


def examples(command: str) -> str:
    """Return the examples of a command, such as `sweep run`, as the text at the foot of its help."""
    lines = (f"  trainer {command} {words}".rstrip() for words in _EXAMPLES[command])
    return "\n".join(["Examples:", "", "\b", *lines])  # \b: click keeps the lines as they are
