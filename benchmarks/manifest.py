"""What does the manifest cost for each photograph, and to read again?

    python benchmarks/manifest.py [--photos 100000]

Appends the two lines that a finished photograph has, as the driver of a cluster does, and reads
the manifest back as the next run does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from recolor_cli.colorize.manifest import FOLDER, Manifest, Stamp


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=100_000)
    photos = parser.parse_args().photos
    stamp = Stamp(5_000_000, 1_700_000_000_000_000_000, "0123456789abcdef" * 4)
    facts = {"confidence": 0.5, "seconds": 0.4, "size": [4000, 3000]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / FOLDER).mkdir()
        manifest = Manifest(folder)
        manifest.open()
        used, begun = time.process_time(), time.perf_counter()
        for number in range(photos):
            key = f"box-{number // 1000:04}/scan-{number:07}.jpg"
            source = Path("/archive/scans") / key
            for event in ("writing", "done"):
                manifest.append(
                    event,  # type: ignore[arg-type]
                    key,
                    settings="0123456789abcdef",
                    source=source,
                    input=stamp,
                    output=stamp,
                    more=facts if event == "done" else None,
                )
        seconds, cpu = time.perf_counter() - begun, time.process_time() - used
        manifest.close()
        size = sum(path.stat().st_size for path in (folder / FOLDER).iterdir() if path.is_file())
        used = time.process_time()
        count = len(list(Manifest(folder)))
        reading = time.process_time() - used
    assert count == photos
    print(f"{photos} photographs, {size / photos:.0f} bytes each")
    print(f"append: {cpu / photos * 1e6:.0f} us of processor time each, {seconds:.1f} s in all")
    print(f"read:   {reading / photos * 1e6:.0f} us of processor time each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
