"""Name, path or address -> verified file -> network that is ready to predict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recolor_cli.errors import RecolorError, WeightsError
from recolor_cli.weights.find import Progress, find_weights

if TYPE_CHECKING:
    import torch

    from recolor_cli.checkpoints import ColorModel


def load_model(
    name_or_path: str = "default",
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    offline: bool = False,
    progress: Progress | None = None,
) -> ColorModel:
    """Find, verify, build.

    Args:
        name_or_path: as for `find_weights`.
        device: where the network goes.
        dtype: of its parameters; None keeps float32.
        offline: make no request.
        progress: see `find_weights`.

    Raises:
        WeightsError: the weights are missing, or are not what they should be.
        MissingExtraError: a foreign network needs a package that is not installed.
        RecolorError: the device has no memory for it.
    """
    found = find_weights(name_or_path, offline=offline, progress=progress)
    # torch is imported only now: a name that does not exist is answered at once.
    from recolor_cli.checkpoints import load_weights
    from recolor_cli.devices import is_out_of_memory

    if found.entry is not None and found.entry.foreign:
        from recolor_cli.weights.foreign import load_foreign

        model = load_foreign(found.path, found.entry)
    else:
        model = load_weights(found.path, name=found.name)
        if model.sha256 != found.sha256:  # the bytes that were loaded, not those checked before
            raise WeightsError(
                f"'{found.path}' changed while it was read: its sha256 is {model.sha256}, "
                f"and should be {found.sha256}"
            )
        entry = found.entry
        if entry is not None and model.card.network != entry.network:
            raise WeightsError(
                f"'{found.path}' is for the network '{model.card.network}', and weights.json says "
                f"'{entry.network}'"
            )
    try:
        return model.to(device, dtype)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise RecolorError(
            f"no memory on '{device}' for the weights; end what else is on it, or type --device cpu"
        ) from error
