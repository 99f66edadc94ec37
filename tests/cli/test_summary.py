"""`spdbuild summary`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import spdbuild

TOTALS = "8 nodes, 510 parameters, 11.600 kMACs, 23.200 kFLOPs, activations 4.3 kB (fp32), peak 2.0 kB"
CONVENTION = "MACs: multiply-accumulates of convolutions and linear layers, nothing else; FLOPs = 2 x MACs; one sample."
TABLE = f"""\
layer            op               output  params     MACs   share
stem             (2 layers)       4x8x8      116  6.912 k  59.6 %
  conv           conv2d           4x8x8      108  6.912 k  59.6 %
  norm           batch_norm       4x8x8        8
relu             relu             4x8x8
down             (2 layers)       8x4x4      304  4.608 k  39.7 %
  conv           conv2d           8x4x4      288  4.608 k  39.7 %
  norm           batch_norm       8x4x4       16
pool             max_pool         8x2x2
global_avg_pool  global_avg_pool  8
head             linear           10          90       80   0.7 %

{CONVENTION}
{TOTALS}
"""
MARKDOWN = f"""\
| layer | op | output | params | MACs | share |
| --- | --- | --- | ---: | ---: | ---: |
| stem | (2 layers) | 4x8x8 | 116 | 6.912 k | 59.6 % |
| relu | relu | 4x8x8 |  |  |  |
| down | (2 layers) | 8x4x4 | 304 | 4.608 k | 39.7 % |
| pool | max_pool | 8x2x2 |  |  |  |
| global_avg_pool | global_avg_pool | 8 |  |  |  |
| head | linear | 10 | 90 | 80 | 0.7 % |

{CONVENTION}

{TOTALS}
"""
CSV = """\
name,op,inputs,output,params,macs,flops,share
stem.conv,conv2d,image,4x8x8,108,6912,13824,0.595862
stem.norm,batch_norm,stem.conv,4x8x8,8,0,0,0.000000
relu,relu,stem.norm,4x8x8,0,0,0,0.000000
down.conv,conv2d,relu,8x4x4,288,4608,9216,0.397241
down.norm,batch_norm,down.conv,8x4x4,16,0,0,0.000000
pool,max_pool,down.norm,8x2x2,0,0,0,0.000000
global_avg_pool,global_avg_pool,pool,8,0,0,0,0.000000
head,linear,global_avg_pool,10,90,80,160,0.006897
"""


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], TABLE), (["--markdown", "--depth", "1"], MARKDOWN), (["--csv"], CSV)],
    ids=["table", "markdown", "csv"],
)
def test_the_whole_output(run, tiny: Path, options: list[str], expected: str):
    result = run("summary", tiny, *options)
    assert (result.exit_code, result.stdout, result.stderr) == (0, expected, "")


def test_json_is_one_document_with_the_keys_of_the_contract(run):
    result = run("summary", "resnet50", "--json")
    document = json.loads(result.stdout)
    assert result.stderr == ""
    assert document["name"] == "resnet50"
    assert document["input"] == [3, 224, 224]
    # torchvision's num_params, and the count of fvcore, torchinfo and ptflops without norms and pools.
    assert (document["params"], document["trainable_params"]) == (25_557_032, 25_557_032)
    assert (document["macs"], document["flops"]) == (4_089_184_256, 8_178_368_512)
    assert document["layers"][0] == {
        "name": "stem.conv",
        "op": "conv2d",
        "inputs": ["image"],
        "shape": [64, 112, 112],
        "params": 9408,
        "macs": 118_013_952,
    }


def test_the_last_line_has_the_totals(run):
    last = run("summary", "resnet50").stdout.splitlines()[-1]
    assert last.startswith("174 nodes, 25,557,032 parameters, 4.089 GMACs, 8.178 GFLOPs, activations ")


def test_a_deeper_tree_shows_the_layers_in_blocks_of_blocks(run):
    lines = run("summary", "resnet50", "--depth", "3").stdout.splitlines()
    assert "stage1           (32 layers)      256x56x56      215,808  667.943 M  16.3 %" in lines
    assert any(line.startswith("  first ") for line in lines)
    assert any(line.startswith("    reduce ") for line in lines)


def test_variant_var_and_input_choose_the_network(run):
    arguments = ["yolov5", "--variant", "n", "--var", "classes=4", "--input", "3,320,320"]
    document = json.loads(run("summary", *arguments, "--json").stdout)
    assert document["input"] == [3, 320, 320]
    # Each of three 1x1 heads has 3 * (80 - 4) outputs less, behind 64, 128 and 256 channels.
    assert document["params"] == 1_872_157 - 228 * (64 + 128 + 256 + 3)


def test_a_variant_must_be_chosen(run):
    result = run("summary", "yolov5")
    assert result.exit_code == 2
    assert "yolov5 has the variants n, s, m, l, x, and none was chosen" in result.stderr
    assert "hint: choose one, for example --variant n" in result.stderr


def test_python_gives_the_same_counts(run, tiny: Path):
    assert json.loads(run("summary", tiny, "--json").stdout) == spdbuild.summary(tiny).to_dict()


@pytest.mark.parametrize(
    ("forms", "message"),
    [
        (["--json", "--csv"], "--csv and --json do not go together: give one of them"),
        (["--markdown", "--csv"], "--markdown and --csv do not go together: give one of them"),
    ],
    ids=["with JSON", "with Markdown"],
)
def test_one_form_is_printed(run, tiny: Path, forms: list[str], message: str):
    result = run("summary", tiny, *forms)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
