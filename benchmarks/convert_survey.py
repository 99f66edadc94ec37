"""Convert every CNN of torchvision, and one of each family of timm, and measure whether they compute the same.

    python benchmarks/convert_survey.py [--limit N] [--family NAME] [--results FILE.jsonl]

Random weights, nothing is fetched. Each network is converted with `--pool keep` in float32 as its library initialises
it, and in float64 behind norms with the statistics of the images (untrained norms let the signal fade, so that any
conversion would look exact); then in float32 with its pools as convolutions, which `strict` accepts where nothing is
left. The images are the smallest
of SIZES that the network takes. The last column compares multiply-accumulates with `--pool keep`.

Results are appended to FILE as one line of JSON a network; networks that are in it are not run again, so that the
survey can be interrupted. The table on stdout is made of the whole file. Needs timm.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from torch import Tensor, nn

import spdbuild

SIZES = (64, 96, 128, 224, 256, 288, 299, 331, 384)
BATCH = 2
#: Bytes that a conversion takes for each parameter, with the copy and its new weights.
BYTES = 24
#: Families of torchvision that are no CNNs.
TRANSFORMERS = ("vision_transformer", "swin_transformer")
#: Of the table.
COLUMNS = ("library", "family", "networks", "pixels", "replaced", "kept", "float32", "float64", "strict", "MACs")
#: One network of timm a line.
TIMM = Path(__file__).with_name("timm_families.txt")


@dataclass
class Result:
    """What became of one network.

    replaced, kept: strided layers, with pools kept. left: why some cannot be converted.
    error32, error64: relative error of the outputs. rounding32: that of the network itself in float32 against float64.
    varies: how much the outputs of two images differ, in float64, relative to the greatest output.
    failure: why it could not be surveyed; empty if it was.
    """

    library: str
    family: str
    name: str
    size: int = 0
    replaced: int = 0
    kept: int = 0
    left: tuple[str, ...] = ()
    error32: float | None = None
    rounding32: float | None = None
    error64: float | None = None
    varies: float | None = None
    cost: float | None = None
    failure: str = ""


def networks() -> Iterator[tuple[Result, Callable[[], nn.Module]]]:
    """Every network of the survey, with what builds it."""
    for name in torchvision.models.list_models(module=torchvision.models):
        builder = torchvision.models.get_model_builder(name)
        family = builder.__module__.rpartition(".")[2]
        options: dict[str, Any] = {"init_weights": True} if family in ("inception", "googlenet") else {}
        if family not in TRANSFORMERS:
            yield Result("torchvision", family, name), lambda builder=builder, options=options: builder(**options)
    for name in (line for line in TIMM.read_text().splitlines() if not line.startswith("#")):
        yield Result("timm", name, name), lambda name=name: timm.create_model(name)


def survey(result: Result, build: Callable[[], nn.Module]) -> None:
    """Fill in `result`."""
    torch.manual_seed(0)
    model = build().eval()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if (needed := BYTES * parameters + 2**30) > (free := free_memory()):
        raise MemoryError(f"needs {needed / 2**30:.0f} GiB of memory, {free / 2**30:.0f} are free")
    x = images(model)
    result.size = x.shape[-1]
    _, report = spdbuild.convert_module(model, x, pool="keep")
    result.replaced, result.kept, result.error32 = len(report.replaced), len(report.kept), report.error
    result.cost = report.after.macs / report.before.macs
    _, report = spdbuild.convert_module(model, x)
    result.left = tuple(f"{count}x {why}" for why, count in Counter(entry.why for entry in report.left).items())
    if not result.left:
        spdbuild.convert_module(model, x, strict=True)
    single = outputs(model, x)
    model, x = model.double(), x.double()
    result.rounding32 = relative(single - outputs(model, x), single)
    set_statistics(model, x)
    first, second = outputs(model, x)
    result.varies = relative(first - second, torch.stack((first, second)))
    _, report = spdbuild.convert_module(model, x, pool="keep")
    result.error64 = report.error


def outputs(model: nn.Module, x: Tensor) -> Tensor:
    """What the network gives for the images, in double precision."""
    with torch.no_grad():
        result: Tensor = model(x)
    return result.double()


def relative(difference: Tensor, of: Tensor) -> float:
    return float(difference.abs().max() / of.abs().max())


def images(model: nn.Module) -> Tensor:
    """Random images of the smallest size that the network takes."""
    failure: Exception | None = None
    for size in SIZES:
        x = torch.randn(BATCH, 3, size, size)
        try:
            with torch.no_grad():
                model(x)
            return x
        except (RuntimeError, AssertionError, ValueError) as error:
            failure = error
    raise RuntimeError(f"takes no image of {', '.join(map(str, SIZES))} pixels: {failure}")


def set_statistics(model: nn.Module, x: Tensor) -> None:
    """Give norms the mean and variance of these images; the rest of the network is in evaluation."""
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        model(x)
    model.eval()


def free_memory() -> int:
    """Bytes that the machine can still give out."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def run(results: Path, limit: int | None, family: str | None) -> None:
    """Survey the networks that are not yet in the file."""
    done = {(result.library, result.name) for result in read(results)}
    left = [(r, build) for r, build in networks() if (r.library, r.name) not in done and family in (None, r.family)]
    for result, build in left[:limit]:
        start = time.monotonic()
        # A network that takes the process down is then in the file as one that did.
        append(results, Result(result.library, result.family, result.name, failure="the process ended while it ran"))
        try:
            survey(result, build)
        except Exception as error:  # the survey goes on whatever a network does, and says what it was
            result.failure = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        append(results, result)
        gc.collect()
        print(f"{result.library}:{result.name} {time.monotonic() - start:.0f} s {result.failure}", file=sys.stderr)


def append(path: Path, result: Result) -> None:
    with path.open("a") as file:
        file.write(json.dumps(asdict(result)) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[Result]:
    """The last result of each network."""
    lines = path.read_text().splitlines() if path.exists() else []
    found = [Result(**json.loads(line)) for line in lines]
    return list({(result.library, result.name): result for result in found}.values())


def table(results: list[Result]) -> str:
    """Markdown: one row a family, what was left, and what failed."""
    families: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        families.setdefault((result.library, result.family), []).append(result)
    done = [result for result in results if not result.failure]
    lines = [
        f"{len(results)} networks of {len(families)} families, of which {len(results) - len(done)} failed.",
        f"Greatest error: float32 {worst(done, 'error32')}, float64 {worst(done, 'error64')}.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|--" * len(COLUMNS) + "|",
        *(row(library, family, members) for (library, family), members in families.items()),
        *section("Strided layers that cannot be converted", {r.name: "; ".join(r.left) for r in done if r.left}),
        *section("Above 1e-5 in float32, and the error of the unconverted network against float64", rounding(done)),
        *section("Failed", {r.name: r.failure for r in results if r.failure}),
    ]
    return "\n".join(lines)


def row(library: str, family: str, members: list[Result]) -> str:
    done = [result for result in members if not result.failure]
    strict = f"{sum(not result.left for result in done)} of {len(done)}"
    cells = [library, family, str(len(members)), span(r.size for r in done), span(r.replaced for r in done)]
    cells += [span(r.kept for r in done), worst(done, "error32"), worst(done, "error64"), strict]
    return "| " + " | ".join([*cells, span(f"{r.cost:.2f}x" for r in done)]) + " |"


def rounding(results: list[Result]) -> dict[str, str]:
    high = [result for result in results if (result.error32 or 0) > 1e-5]
    return {result.name: f"{result.error32:.0e}, itself {result.rounding32:.0e}" for result in high}


def span(values: Iterator[Any]) -> str:
    ordered = sorted(set(values))
    return "–".join(map(str, dict.fromkeys((ordered[0], ordered[-1])))) if ordered else ""


def worst(results: list[Result], name: str) -> str:
    errors = [getattr(result, name) for result in results if getattr(result, name) is not None]
    return f"{max(errors):.0e}" if errors else ""


def section(title: str, entries: dict[str, str]) -> list[str]:
    return ["", f"{title}:", "", *(f"- {name}: {text}" for name, text in entries.items())] if entries else []


def main() -> None:
    parser = argparse.ArgumentParser(description="Convert CNNs of torchvision and timm, and compare what they compute.")
    parser.add_argument("--limit", type=int, help="so many networks, then stop")
    parser.add_argument("--family", help="only this family")
    parser.add_argument("--results", type=Path, default=Path("convert_survey.jsonl"), help="file of results so far")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run(arguments.results, arguments.limit, arguments.family)
    print(table(read(arguments.results)))


if __name__ == "__main__":
    main()
