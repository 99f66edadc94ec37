"""`spdbuild doctor`: what is installed, and what this machine can do."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING

import click

from spdbuild import __version__
from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import json_option
from spdbuild.training.folder.environment import installed_version
from spdbuild.wording.tables import Table

if TYPE_CHECKING:
    import torch

_REQUIREMENT = re.compile(r"""([\w.-]+).*?extra == ['"]([\w-]+)['"]""")
#: Extras for people who change spdbuild, not for those who use it.
_INTERNAL = ("dev",)


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Report versions, extras, devices, threads, and whether bf16 is fast here."""
    facts = {"versions": dict(_versions()), "extras": dict(_extras()), "machine": dict(_machine())}
    if as_json:
        print_json(facts)
        return
    table = Table(("", "", ""))
    for title, entries in facts.items():
        for name, value in entries.items():
            table.add(title, name, value)
            title = ""
    click.echo(table.plain().lstrip("\n"), nl=False)


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    yield "spdbuild", __version__
    for name in ("torch", "torchvision", "numpy", "pillow", "pycocotools", "safetensors"):
        yield name, metadata.version(name)


def _extras() -> Iterator[tuple[str, str]]:
    """The packages of each extra: their version, or how to get them."""
    try:
        requirements = metadata.requires("spdbuild") or ()
    except metadata.PackageNotFoundError:
        yield "spdbuild", "runs from a folder and is not installed, so what its extras are is not known"
        return
    for requirement in requirements:
        found = _REQUIREMENT.match(requirement)
        if found and found[2] not in _INTERNAL:
            yield found[1], installed_version(found[1]) or f"missing; pip install 'spdbuild[{found[2]}]'"


def _machine() -> Iterator[tuple[str, str]]:
    import torch

    yield "system", platform.platform()
    yield "cpu", f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads"
    yield "bf16 on the cpu", _bf16(torch.device("cpu"))
    for index in range(torch.cuda.device_count()):
        device = torch.device("cuda", index)
        properties = torch.cuda.get_device_properties(device)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        yield str(device), f"{properties.name}, {memory}; bf16: {_bf16(device)}"
    if torch.backends.mps.is_available():
        yield "mps", "available"
    if not torch.cuda.is_available():
        yield "cuda", "no device" if torch.version.cuda else "torch was built without it"


def _bf16(device: torch.device) -> str:
    from spdbuild.training.precision import choose_precision

    return "fast" if choose_precision("auto", device) == "bf16" else "slow or not there: fp32 is the default"
