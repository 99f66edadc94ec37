"""A network in half precision whose inputs and outputs stay float32."""

from __future__ import annotations

from torch import fx

from spdbuild.nn.detection import Detect


def to_half(model: fx.GraphModule) -> None:
    """Let a network hold its weights and compute its layers in float16, in place.

    Anchors stay float32: boxes are decoded in it, because float16 cannot tell neighbouring pixels of a large image
    apart.
    """
    heads = [module for module in model.modules() if isinstance(module, Detect)]
    anchors = [head.anchors for head in heads]
    model.half()
    for head, own in zip(heads, anchors, strict=True):
        head.anchors = own
    for node in model.graph.find_nodes(op="placeholder"):
        with model.graph.inserting_after(node):
            cast = model.graph.call_method("half", (node,))
        node.replace_all_uses_with(cast, delete_user_cb=lambda user, cast=cast: user is not cast)  # type: ignore[misc]
    (output,) = model.graph.find_nodes(op="output")
    with model.graph.inserting_before(output):
        output.args = fx.map_arg(output.args, lambda node: model.graph.call_method("float", (node,)))
    model.recompile()
