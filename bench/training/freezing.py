"""Making a model obey its rules: what has gradients, what is in training mode, what decays.

Freezing stops gradients only. In training mode a frozen batch norm would still move its running
statistics, and stochastic depth would still drop frozen blocks; so a frozen sub-tree is also put
in eval mode, and this is re-applied after every change of mode.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

BatchNorm = nn.modules.batchnorm._BatchNorm
"""Batch norm of any number of dimensions."""

UNDECAYED = (
    "class_token",
    "pos_embedding",
    "relative_position_bias_table",
    "layer_scale",
    "logit_scale",
)
"""Parameters of two and more dimensions that take no weight decay, as biases and norms do."""

ParamGroups = list[dict[str, Any]]


def freeze(model: nn.Module, scales: Mapping[str, float]) -> None:
    """Stop gradients to every parameter whose scale is zero, and allow all others."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(scales[name] > 0)
        parameter.grad = None


def set_train_mode(model: nn.Module) -> None:
    """Training mode where every parameter below learns; eval mode everywhere else.

    A module of which only a part learns is itself in eval mode, and its children are asked.
    """
    model.eval()
    _train_learning_parts(model)


def _train_learning_parts(module: nn.Module) -> None:
    learning = [parameter.requires_grad for parameter in module.parameters()]
    if learning and all(learning):
        module.train()
    elif any(learning):
        for child in module.children():
            _train_learning_parts(child)


def param_groups(
    model: nn.Module, scales: Mapping[str, float], lr: float, weight_decay: float
) -> ParamGroups:
    """The trainable parameters grouped by part (head, backbone), rate and decay, for an optimiser.

    Biases, norms and embeddings take no weight decay (He et al. 2019, arXiv:1812.01187, 3.1).
    `first_name` is that of a group's first parameter. Parts have groups of their own also at equal
    rates, so that the groups of all phases that train the same parameters are the same.
    """
    groups: dict[tuple[str, float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if scales[name] > 0:
            spared = parameter.ndim <= 1 or name.rpartition(".")[2] in UNDECAYED
            group = groups.setdefault(
                (name.partition(".")[0], scales[name], spared),
                {
                    "params": [],
                    "first_name": name,
                    "lr": lr * scales[name],
                    "weight_decay": 0.0 if spared else weight_decay,
                },
            )
            group["params"].append(parameter)
    return list(groups.values())


def batch_norms(model: nn.Module) -> list[BatchNorm]:
    """Every batch norm of the model."""
    return [module for module in model.modules() if isinstance(module, BatchNorm)]


def trained_norms(model: nn.Module) -> list[BatchNorm]:
    """The batch norms in training mode: those whose running statistics move."""
    return [norm for norm in batch_norms(model) if norm.training]
