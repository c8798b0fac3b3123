"""From a name to a verified file to a network that is ready to predict.

manifest.py   `weights.json`: the one list of weights, and the rules for its entries
verify.py     sha256 and size of a file, and the memory of files that were checked
hub.py        the Hugging Face Hub: cache first, pinned commit, one clear line when it fails
download.py   the few published files that live on a plain web server
find.py       find_weights: name, path, run folder or hf:// address -> verified file
load.py       load_model: the same -> ColorModel
foreign.py    other projects' checkpoints: the safe way through torch.load
publish.py    a run -> safetensors, config and model card, on the Hub or in a folder
export.py     ONNX, held to torch on photographs
"""

from recolor_cli.weights.find import WeightsFile, find_weights
from recolor_cli.weights.load import load_model
from recolor_cli.weights.manifest import Entry, Manifest, read_manifest

__all__ = ["Entry", "Manifest", "WeightsFile", "find_weights", "load_model", "read_manifest"]
