"""Batch norms folded into the convolutions before them, for a network that only runs forward.

In eval mode a batch norm is one product and one sum per channel, which the convolution before it
can do for nothing; by itself it is another pass over all of its outputs.
"""

from typing import Any

from torch import fx, nn
from torch.nn.utils import fuse_conv_bn_eval

UNTRACEABLE = (fx.proxy.TraceError, TypeError, RuntimeError, NotImplementedError)
"""What tracing raises on a network whose path depends on its input."""


def folded(network: nn.Module) -> nn.Module:
    """The network in eval mode with as few batch norms as can be; the same function of its inputs,
    but for rounding. One that cannot be traced comes back as it is.
    """
    network.eval()
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return network
    try:
        traced = fx.symbolic_trace(network)
    except UNTRACEABLE:
        return network
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        norm, before = modules.get(str(node.target)), _convolution_before(node, modules)
        if isinstance(norm, nn.BatchNorm2d) and before is not None:
            path = str(before.target)
            convolution = modules[path]
            assert isinstance(convolution, nn.Conv2d), "as _convolution_before says"
            traced.set_submodule(path, fuse_conv_bn_eval(convolution, norm))
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _convolution_before(node: fx.Node, modules: dict[str, Any]) -> fx.Node | None:
    """The node of a convolution whose outputs go to this node and to nothing else."""
    if node.op != "call_module" or not node.args or not isinstance(node.args[0], fx.Node):
        return None
    before = node.args[0]
    is_convolution = before.op == "call_module" and type(modules[str(before.target)]) is nn.Conv2d
    return before if is_convolution and len(before.users) == 1 else None
