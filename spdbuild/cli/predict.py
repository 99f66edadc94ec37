"""`spdbuild predict`: what a trained model sees in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command("predict", epilog="Example: spdbuild predict runs/quickstart photo.png folder/ --json")
@click.argument("run")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--weights", type=click.Path(path_type=Path), help="File of weights in place of the run's best.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key of the recipe.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON on stdout.")
def command(
    run: str, sources: tuple[Path, ...], weights: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Show SOURCES, image files and folders of them, to the model of RUN."""
    from spdbuild.training.predict import predict

    found = predict(run, sources, overrides, weights=weights)
    if as_json:
        import json

        click.echo(json.dumps([entry.to_dict() for entry in found]))
        return
    for entry in found:
        click.echo(f"{entry.file}: {', '.join(map(_text, entry.found)) or 'nothing'}")


def _text(prediction: dict[str, Any]) -> str:
    box = " at " + " ".join(f"{edge:.0f}" for edge in prediction["box"]) if "box" in prediction else ""
    return f"{prediction['class']} {prediction['score']:.3f}{box}"
