"""Which input becomes which output; everything that must be refused is refused here, before work.

Two inputs never share an output, an output is never an input (also not through links, or through
names that differ only in case on disks that do not care), and OUT is never read as input.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeVar

from recolor_cli.color.hints import Hint
from recolor_cli.colorize.manifest import FOLDER, Manifest
from recolor_cli.errors import OutputError, PhotoError, UsageError
from recolor_cli.images.atomic import PREFIX, mark, output_error
from recolor_cli.images.find import SUFFIXES, Findings, Found, normal, survey
from recolor_cli.images.read import read_provenance
from recolor_cli.images.remote import RemotePath, absolute, as_path, is_remote
from recolor_cli.images.write import output_format, output_name

_BESIDE = (".compare.jpg", ".variants.jpg")  # pictures that lie beside results
LEAST_FREE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """One photograph and its place.

    Attributes:
        source: The input file.
        output: The file to write.
        key: The output's place below OUT, with forward slashes; the manifest knows it by this.
        format: What to write ("jpeg", "png", ...), as the output's name says; None is the input's
            own, found by its content, where the name says nothing.
        variant: Which of several colourings, counted from 1; 0 if there is only the one.
        hints: What is known about its colours; None looks for it as the settings say.
    """

    source: Path
    output: Path
    key: str
    format: str | None
    variant: int = 0
    hints: tuple[Hint, ...] | None = None


@dataclass(frozen=True)
class Plan:
    """All that a command line comes to.

    Attributes:
        targets: What to do, in the order of the inputs; only this shard's.
        folder: OUT as a folder, which keeps a manifest; None if OUT is one file.
        repeated: Inputs that are named twice or are links to others; done once.
        unreadable: Folders that may not be opened, with the reason.
        ignored: How many files in folders are no photographs by their suffix.
    """

    targets: list[Target]
    folder: Path | None
    repeated: list[Path] = field(default_factory=list)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)
    ignored: int = 0


def make_plan(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    format: str = "keep",
    shard: tuple[int, int] = (1, 1),
    variants: int = 0,
) -> Plan:
    """Lay out inputs and outputs.

    Args:
        inputs: Files, folders (their trees are mirrored below `out`) and patterns.
        out: A folder; or, for one input file, a file with a photograph's suffix.
        format: keep, jpg, png, tiff or webp.
        shard: (I, N): keep only part I of N, by a hash of the relative path.
        variants: Colourings of each photograph: scan.jpg becomes scan.variant-1.jpg and so on; 0
            is the one, under the photograph's name.

    Raises:
        UsageError: An input does not exist, two would write one output, or an output is an input.
        OutputError: OUT cannot be what it would have to be.
    """
    if not inputs:
        raise UsageError("no input; name photographs or folders")
    findings = survey(inputs)
    out = as_path(out)
    if _is_file_target(inputs, out, findings):
        target = Target(findings.photos[0].path, out, out.name, format_of_file(out, format))
        targets = _with_variants([target], variants)
        _refuse_inputs_as_outputs(targets)
        return Plan(targets if shard[0] == 1 else [], None)
    if out.exists() and not out.is_dir():
        raise OutputError(f"{str(out)!r} is a file; name a folder for the results")
    photos = _without_results(_outside(findings.photos, out), out, inputs)
    targets = [_target(found, out, format) for found in photos]
    places = _places(targets, insensitive=True)
    insensitive = len(set(places)) < len(places) and ignores_case(out)
    if format == "keep":
        targets = _tell_apart(targets, photos, insensitive)
    all_targets = _with_variants(targets, variants)
    _refuse_collisions(all_targets, insensitive)
    _refuse_inputs_as_outputs(all_targets)
    mine = [t for t, found in zip(targets, photos, strict=True) if in_shard(found.relative, shard)]
    return Plan(
        _with_variants(mine, variants),
        out,
        findings.repeated,
        findings.unreadable if shard[0] == 1 else [],
        len(findings.ignored) if shard[0] == 1 else 0,
    )


def in_shard(relative: PurePath, shard: tuple[int, int]) -> bool:
    """Whether a file belongs to part I of N; each file belongs to exactly one, on every machine."""
    part, parts = shard
    digest = hashlib.sha256(os.fsencode(normal(relative.as_posix()))).digest()
    return int.from_bytes(digest[:8], "big") % parts == part - 1


def check_writable(folder: Path) -> None:
    """Find out before the weights are loaded, and without writing, that OUT cannot be written.

    Raises:
        OutputError: A file is in the way, permissions are missing, or the disk is full.
    """
    if is_remote(folder):  # the first lines of the manifest find it out
        return
    place = folder.absolute()
    while not os.path.lexists(place):
        if place == place.parent:  # on Windows a drive without a disk
            raise output_error(folder, FileNotFoundError(errno.ENOENT, f"there is no {place}"))
        place = place.parent
    if not place.is_dir():
        raise output_error(folder, NotADirectoryError(errno.ENOTDIR, "not a directory"))
    if not os.access(place, os.W_OK | os.X_OK):
        # Asked of the system, because root may write where permissions forbid it.
        read_only = hasattr(os, "statvfs") and os.statvfs(place).f_flag & os.ST_RDONLY
        number = errno.EROFS if read_only else errno.EACCES
        raise output_error(folder, OSError(number, os.strerror(number)))
    if shutil.disk_usage(place).free < LEAST_FREE_BYTES:
        raise output_error(folder, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def ignores_case(folder: Path) -> bool:
    """Whether names that differ only in case are one file in `folder`, which need not exist.

    What lies there tells. The folder's own name does not: it belongs to the folder above, which is
    on another disk where a disk is mounted. In a folder that is empty, or may be written and not
    listed, a file is made, and removed.
    """
    if is_remote(folder):
        return False
    place = folder.absolute()
    while not place.is_dir() and place != place.parent:
        place = place.parent
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            swapped = entry.name.swapcase()
            fleeting = entry.name.startswith(PREFIX)  # gone, maybe, before it is asked after
            if entry.name.isascii() and swapped != entry.name and not fleeting:
                return _is_one(place / entry.name, place / swapped)
    try:
        probe = place / f"{PREFIX}{mark()}-{os.urandom(8).hex()}.part"
        probe.touch(exist_ok=False)
        try:
            return os.path.lexists(place / probe.name.swapcase())
        finally:
            probe.unlink()
    except OSError:  # nothing can be written there
        return False


def _is_one(path: Path, other: Path) -> bool:
    return os.path.lexists(other) and os.path.samestat(os.lstat(path), os.lstat(other))


def _is_file_target(inputs: Sequence[str | Path], out: Path, findings: Findings) -> bool:
    if out.suffix.lower() not in SUFFIXES or out.is_dir():
        return False
    if len(inputs) == 1 and len(findings.photos) == 1 and not as_path(inputs[0]).is_dir():
        return True
    raise UsageError(
        f"{str(out)!r} is the name of one photograph, but there are several inputs or a folder; "
        "name a folder with -o"
    )


def format_of_file(out: Path, format: str) -> str:
    """The format that an output file's name asks for.

    Raises:
        UsageError: It names none, another than `format` does, or one that is not written.
    """
    named = SUFFIXES.get(out.suffix.lower())
    if named is None:
        raise UsageError(f"{str(out)!r} says no format; end it in .jpg, .png, .tif or .webp")
    if output_format(named, format).name != named:
        if format != "keep":
            raise UsageError(f"{str(out)!r} is not {format}; leave out --format, or rename it")
        raise UsageError(f"{named} is not written; name a file that ends in .png")
    return named


def _target(found: Found, out: Path, format: str) -> Target:
    claimed = SUFFIXES.get(found.relative.suffix.lower())
    if claimed is None and format == "keep":  # a name that says nothing keeps saying nothing
        return Target(found.path, out / found.relative, found.relative.as_posix(), None)
    output = output_format(claimed or "jpeg", format)
    relative = output_name(found.relative, output)
    return Target(found.path, out / relative, relative.as_posix(), output.name)


def _outside(photos: list[Found], out: Path) -> list[Found]:
    """Leave out what lies in OUT, if OUT lies in the folder that was named."""
    place = _real(out)
    inside: dict[Path, bool] = {}
    kept = []
    for found in photos:
        root = found.path.parents[len(found.relative.parts) - 1]
        if root not in inside:
            inside[root] = _real(root) in place.parents
        if len(found.relative.parts) > 1 and inside[root]:
            parent = _real(found.path.parent)
            if parent == place or place in parent.parents:
                continue
        kept.append(found)
    return kept


def _without_results(photos: list[Found], out: Path, inputs: Sequence[str | Path]) -> list[Found]:
    """Leave out results among the inputs: with another format, OUT may be the folder of the inputs.

    Only what a folder brings; who names a result as an input wants an answer.
    """
    if not (out / FOLDER).is_dir():
        return photos
    manifest, place = Manifest(out), _real(out)
    named = {absolute(as_path(path)) for path in inputs}
    kept = []
    for found in photos:
        ours, parent = False, _real(found.path.parent)
        if absolute(found.path) not in named and (parent == place or place in parent.parents):
            line = manifest.get((parent / found.path.name).relative_to(place).as_posix())
            ours = line is not None and line.ours and as_path(line.source) != absolute(found.path)
            ours = ours or (found.path.name.endswith(_BESIDE) and _was_made_by_us(found.path))
        if not ours:
            kept.append(found)
    return kept


def _was_made_by_us(path: Path) -> bool:
    try:
        return read_provenance(path) is not None
    except (PhotoError, OSError):
        return False


def _tell_apart(targets: list[Target], photos: list[Found], insensitive: bool) -> list[Target]:
    """Where a bmp is written as png beside another png, its name keeps both: scan.bmp.png."""
    places = _places(targets, insensitive)
    taken = Counter(places)
    told = []
    for target, found, place in zip(targets, photos, places, strict=True):
        if taken[place] > 1 and target.output.suffix != found.path.suffix:
            relative = found.relative.with_name(found.relative.name + target.output.suffix)
            output = target.output.with_name(relative.name)
            target = replace(target, output=output, key=relative.as_posix())
        told.append(target)
    return told


def _with_variants(targets: list[Target], count: int) -> list[Target]:
    return [
        replace(
            target,
            output=variant_name(target.output, number),
            key=str(variant_name(PurePosixPath(target.key), number)),
            variant=number,
        )
        for target in targets
        for number in range(1, count + 1)
    ] or targets


AnyPath = TypeVar("AnyPath", bound=PurePath)


def variant_name(path: AnyPath, number: int) -> AnyPath:
    """The name of a variant: scan.jpg -> scan.variant-2.jpg."""
    return path.with_name(f"{path.stem}.variant-{number}{path.suffix}")


def _refuse_collisions(targets: list[Target], insensitive: bool) -> None:
    taken: dict[str, Target] = {}
    for target, place in zip(targets, _places(targets, insensitive), strict=True):
        other = taken.setdefault(place, target)
        if other is not target:
            raise UsageError(
                f"{str(other.source)!r} and {str(target.source)!r} would both write "
                f"{str(target.output)!r}; rename one, or colour them into different folders"
            )


def _places(targets: list[Target], insensitive: bool) -> list[str]:
    """Where each output really lies: folders in OUT may be links to each other."""
    folders: dict[Path, Path] = {}
    places = []
    for target in targets:
        parent = target.output.parent
        if parent not in folders:
            folders[parent] = _real(parent)
        place = str(folders[parent] / target.output.name)
        if insensitive or sys.platform == "darwin":  # which keeps one name for all normal forms
            place = normal(place)
        places.append(place.casefold() if insensitive else place)
    return places


def _refuse_inputs_as_outputs(targets: list[Target]) -> None:
    """No output may be an input, whatever its name: device and inode tell files apart."""
    outputs = {}
    for target in targets:
        identity = _identity(target.output)
        if identity is not None:
            outputs[identity] = target
    if not outputs:
        return
    for target in targets:
        identity = _identity(target.source)
        if identity is not None and identity in outputs:
            output = outputs[identity].output
            raise UsageError(
                f"{str(output)!r} is the input {str(target.source)!r}; "
                "inputs are never overwritten: choose another -o"
            )


def _real(path: Path) -> Path:
    """The path without links, or the first of an address's names."""
    return path.real() if isinstance(path, RemotePath) else Path(os.path.realpath(path))


def _identity(path: Path) -> object:
    if isinstance(path, RemotePath):
        path = path.real()
        if isinstance(path, RemotePath):
            return str(path)
    try:
        status = path.stat()
    except OSError:
        return None
    if not status.st_ino:  # a disk that does not number its files, as of some clouds
        return os.path.normcase(os.path.realpath(path))
    return status.st_dev, status.st_ino
