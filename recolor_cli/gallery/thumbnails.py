"""The small copies that a gallery page shows, made once for each result and then kept.

They lie in OUT/.recolor/gallery/; index.json there says which are whole, so copies that a kill cut
short are made again. They follow from the photographs and may be deleted at any time.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2

from recolor_cli.colorize.manifest import FOLDER
from recolor_cli.devices import cores
from recolor_cli.errors import PhotoError
from recolor_cli.gallery.entries import Entry
from recolor_cli.gallery.pictures import VIEWABLE, Look, chroma_of, look_at
from recolor_cli.images.atomic import output_error, write_atomic
from recolor_cli.images.read import read_bytes, read_provenance
from recolor_cli.images.sniff import SNIFF_BYTES, sniff

THUMB_PX = 360  # long side: sharp on a dense screen in tiles of 180 points and more
THUMB_QUALITY = 80
PREVIEW_QUALITY = 90
PICK_PX, PICK_QUALITY = 160, 92  # of the copy that colours are picked from
VERSION = 2  # of the copies; another number makes all of them anew

Facts = dict[str, Any]


class Thumbnails:
    """The copies for one folder of results.

    Args:
        out: The folder of results.
        preview_px: Long side of the copies of photographs that browsers do not show.

    Attributes:
        folder: Where the copies are.
    """

    def __init__(self, out: Path, preview_px: int) -> None:
        self.folder = out / FOLDER / "gallery"
        self._preview_px = preview_px
        self._index: dict[str, Facts] = self._read_index()

    def make(
        self, entries: Sequence[Entry], advance: Callable[[str], None], workers: int | None = None
    ) -> list[Facts]:
        """Make what is missing, remove what no longer belongs to a result.

        Args:
            entries: The photographs.
            advance: Called with each one's key when its copies are there.
            workers: Threads; None is one per core.

        Returns:
            For each entry what the page needs: `id`, `after` and `before` thumbnails, full-size
            copies, `size`, `chroma`, `vivid`, and what the file says of itself.

        Raises:
            OutputError: The copies cannot be written.
        """
        threads = cv2.getNumThreads()
        facts: list[Facts] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            cv2.setNumThreads(1)  # the workers are the threads
            with ThreadPoolExecutor(workers or cores()) as pool:
                for entry, found in zip(entries, pool.map(self._one, entries), strict=True):
                    facts.append(found)
                    advance(entry.key)
            self._write_index(facts)
        except OSError as error:
            raise output_error(self.folder, error) from error
        finally:
            cv2.setNumThreads(threads)
        return facts

    def _one(self, entry: Entry) -> Facts:
        name = self._name(entry)
        known = self._index.get(name)
        if known is not None and all((self.folder / file).is_file() for file in known["files"]):
            return known
        facts: Facts = {"id": name, "files": [], "pages": 1, "problem": ""}
        try:
            before = self._look(read_bytes(entry.source))
        except PhotoError:
            before = None  # moved away since, or never readable: then the entry says why
        if entry.output is not None:
            try:
                before = self._after(entry.output, before, facts)
            except PhotoError as error:
                facts["problem"] = f"the result cannot be shown: {error}"
        if before is not None:
            self._keep(facts, "before", before.shrunk(THUMB_PX), THUMB_QUALITY)
            facts.setdefault("size", before.size)
            if before.format not in VIEWABLE:
                self._keep(facts, "before_full", before, PREVIEW_QUALITY)
        return facts

    def _after(self, output: Path, before: Look | None, facts: Facts) -> Look:
        """The result's copies; gives back what stands before it, made from it if need be."""
        data = read_bytes(output)
        after = self._look(data)
        small = after.shrunk(THUMB_PX)
        self._keep(facts, "after", small, THUMB_QUALITY)
        self._keep_for_picking(facts, small)
        if after.format not in VIEWABLE:
            self._keep(facts, "after_full", after, PREVIEW_QUALITY)
        facts["size"], facts["pages"] = after.size, after.pages
        facts["chroma"], facts["vivid"] = chroma_of(small.pixels)
        provenance = read_provenance(data)
        if provenance is not None:
            facts["model"], facts["weights"] = provenance.model, provenance.weights_sha256
            facts["settings"] = dict(provenance.settings)
        if before is None:
            facts["derived"] = True
            gray = look_at(data, self._preview_px).without_color()
            before = replace(gray, format="none")  # nothing that a page could link
        return before

    def _look(self, data: bytes) -> Look:
        viewable = sniff(data[:SNIFF_BYTES]) in VIEWABLE
        return look_at(data, THUMB_PX if viewable else self._preview_px)

    def _keep(self, facts: Facts, kind: str, look: Look, quality: int) -> None:
        file = f"{facts['id']}.{kind.replace('_', '-')}.jpg"
        (self.folder / file).write_bytes(look.jpeg(quality))
        facts[kind] = file
        facts["files"].append(file)

    def _keep_for_picking(self, facts: Facts, look: Look) -> None:
        """The result as a script: from file:// a page may show pictures, but not read them."""
        picture = base64.b64encode(look.shrunk(PICK_PX).jpeg(PICK_QUALITY)).decode()
        file = f"{facts['id']}.pick.js"
        (self.folder / file).write_text(
            f'pickable("{facts["id"]}", "data:image/jpeg;base64,{picture}");\n', "ascii"
        )
        facts["pick"] = file
        facts["files"].append(file)

    def _name(self, entry: Entry) -> str:
        """Another name whenever anything that the copies show is another."""
        before = entry.line.input.sha256 if entry.line.input else ""
        there = entry.source.exists()
        parts = (VERSION, entry.key, entry.sha256, before, there, self._preview_px)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]

    def _read_index(self) -> dict[str, Facts]:
        try:
            index = json.loads((self.folder / "index.json").read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError:  # damaged: everything in it can be made again
            return {}
        except OSError as error:
            raise output_error(self.folder / "index.json", error) from error
        return index if isinstance(index, dict) else {}

    def _write_index(self, facts: Sequence[Facts]) -> None:
        self._index = {found["id"]: found for found in facts}
        write_atomic(self.folder / "index.json", json.dumps(self._index).encode())
        wanted = {file for found in facts for file in found["files"]}
        for path in self.folder.iterdir():
            if path.suffix in (".jpg", ".js") and path.name not in wanted:
                path.unlink(missing_ok=True)
