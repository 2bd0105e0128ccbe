"""Builds a network from its plans and loads the weights of a verified checkpoint."""

from pathlib import Path

import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from totalmap.engine.checkpoints import read_weights
from totalmap.engine.nnunet_plans import Plans
from totalmap.errors import ModelError

# plans.json names classes to import; only these packages are allowed.
TRUSTED_PACKAGES = ("dynamic_network_architectures.", "torch.nn.")


def load_network(plans: Plans, checkpoint: Path) -> torch.nn.Module:
    """Returns the network in evaluation mode, float32, on the CPU.

    Raises:
        ModelError: The checkpoint can't be read, names code, or does not fit the plans.
    """
    architecture = plans.architecture
    names = [architecture.network_class] + [
        str(architecture.arguments[name])
        for name in architecture.arguments_to_import
        if architecture.arguments[name] is not None
    ]
    foreign = [name for name in names if not name.startswith(TRUSTED_PACKAGES)]
    if foreign:
        raise ModelError(f"plans.json beside {checkpoint} names a foreign class: {foreign[0]}")
    with torch.device("meta"):  # allocates and initialises no weights
        network: torch.nn.Module = get_network_from_plans(
            architecture.network_class,
            dict(architecture.arguments),
            architecture.arguments_to_import,
            input_channels=1,
            output_channels=plans.heads,
            allow_init=False,
            deep_supervision=False,
        )
    try:
        weights = {name: value.float() for name, value in read_weights(checkpoint).items()}
        network.load_state_dict(weights, assign=True)
    except (AttributeError, KeyError, RuntimeError, TypeError, EOFError, OSError) as error:
        raise ModelError(f"{checkpoint} does not fit its plans.json: {error}") from error
    return network.eval()
