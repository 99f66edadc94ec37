"""How long it takes to learn what a network costs: spdbuild beside `import torch`, torchinfo and fvcore.

    python benchmarks/startup.py

Each number is the quickest of some processes, which take turns so that all meet the same load. The counts of ResNet-50
at 224 x 224 follow: torchinfo adds norms and biases, fvcore norms and pools. These two are left out where they are not
installed: pip install torchinfo fvcore.
"""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

ROUNDS = 5
RECIPES = Path(__file__).parents[1] / "recipes"
BASELINE = "import torch"
MODEL = "import torch, torchvision; model = torchvision.models.resnet50(); x = torch.zeros(1, 3, 224, 224)\n"
COMMANDS = {
    BASELINE: ["-c", "import torch"],
    "spdbuild --help": ["-m", "spdbuild", "--help"],
    "spdbuild summary resnet50": ["-m", "spdbuild", "summary", "resnet50"],
    "spdbuild summary yolov5 --variant l": ["-m", "spdbuild", "summary", "yolov5", "--variant", "l"],
    "spdbuild convert resnet50": ["-m", "spdbuild", "convert", "resnet50"],
    "spdbuild check recipes/quickstart.yaml": ["-m", "spdbuild", "check", str(RECIPES / "quickstart.yaml")],
    "spdbuild diff resnet50 resnet18": ["-m", "spdbuild", "diff", "resnet50", "resnet18"],
}
#: Programs that print the multiply-accumulates of ResNet-50.
COUNTERS = {
    "spdbuild": "import spdbuild; print(spdbuild.summary('resnet50').macs)",
    "torchinfo": MODEL + "import torchinfo; print(torchinfo.summary(model, input_data=x, verbose=0).total_mult_adds)",
    "fvcore": MODEL + "from fvcore.nn import FlopCountAnalysis\n"
    "print(int(FlopCountAnalysis(model.eval(), x).unsupported_ops_warnings(False).total()))",
}


def main() -> None:
    """Print a table of times and their ratios, and the counts."""
    counters = {name: ["-c", code] for name, code in COUNTERS.items() if find_spec(name)}
    seconds = quickest(COMMANDS | counters)
    print(f"{'process':40} {'seconds':>8} {f'{BASELINE} = 1':>17}")
    for name, best in seconds.items():
        print(f"{name:40} {best:8.2f} {best / seconds[BASELINE]:17.3f}")
    print("\nmultiply-accumulates of resnet50")
    for name in COUNTERS:
        print(f"{name:40} {int(output(counters[name])):,}" if name in counters else f"{name:40} not installed")


def quickest(processes: dict[str, list[str]]) -> dict[str, float]:
    """Seconds of the quickest round of each process."""
    best = dict.fromkeys(processes, float("inf"))
    for _ in range(ROUNDS):
        for name, arguments in processes.items():
            start = time.perf_counter()
            output(arguments)
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def output(arguments: list[str]) -> str:
    """What a Python process prints."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
