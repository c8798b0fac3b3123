"""The few published files that live on a plain web server, pinned by sha256 all the same.

Kept in `<recolor cache>/weights/<sha256>/`. A download that breaks off, also with its process,
goes on where it stopped if the server can; a lock keeps two processes from doing it twice.
"""

from __future__ import annotations

import http.client
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock
from huggingface_hub import constants
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from recolor_cli.errors import OutputError, WeightsError
from recolor_cli.weights.manifest import Entry
from recolor_cli.weights.verify import cache_folder, find_difference

Progress = Callable[[str], None]

TIMEOUT_S = 10.0  # without a single byte
ATTEMPTS = 5  # in a row without progress
PIECE = 2**18


def stored_path(entry: Entry) -> Path:
    """Where our own cache keeps the file of an entry, whether or not it is there."""
    return cache_folder() / "weights" / entry.sha256 / Path(entry.file).name


def fetch_url(
    entry: Entry, *, offline: bool, progress: Progress | None, again: str | None = None
) -> Path:
    """The verified file of an entry with source "url"; one that is here needs no request.

    Args:
        entry: what is wanted, and what it must be.
        offline: make no request.
        progress: receives a line before a download.
        again: what to type to try once more; by default `recolor models pull` with its name.

    Raises:
        WeightsError: it is not here and cannot be had, or is not what its pin says.
    """
    path = stored_path(entry)
    if not path.is_file():
        again = again or f"recolor models pull {entry.name}"
        if offline or constants.HF_HUB_OFFLINE:
            raise WeightsError(
                f"the weights '{entry.name}' are not on this machine, and downloads are off; run "
                f"'{again}' with a network, or bring the file with '{again} --from FILE'"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):
                if not path.is_file():  # another process may have brought it meanwhile
                    _download(entry, path, again, progress)
        except OSError as error:
            raise WeightsError(
                f"cannot store '{entry.name}' in '{path.parent}': {error.strerror or error}"
            ) from None
    check_stored(entry, path)
    return path


def store_file(entry: Entry, source: Path) -> Path:
    """Verify a file that the user brought and keep a copy under the entry's name.

    Raises:
        WeightsError: it is not the file that the entry pins.
        OutputError: it cannot be copied.
    """
    if difference := find_difference(source, entry.sha256, entry.bytes, remember=False):
        raise WeightsError(f"'{source}' is not the file of '{entry.name}': {difference}")
    path = stored_path(entry)
    part = path.with_name(f"{path.name}.copy")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, part)
        part.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from None
    check_stored(entry, path)
    return path


def check_stored(entry: Entry, path: Path) -> None:
    """Compare a stored file with its pin; a wrong one is removed.

    Raises:
        WeightsError: it differs.
    """
    if difference := find_difference(path, entry.sha256, entry.bytes):
        path.unlink(missing_ok=True)
        raise WeightsError(
            f"the downloaded file of '{entry.name}' is not what it should be: {difference}; it was "
            f"removed; 'recolor models pull {entry.name}' fetches it again"
        )


def _download(entry: Entry, path: Path, again: str, progress: Progress | None) -> None:
    assert entry.url is not None
    host = urlsplit(entry.url).netloc
    if progress:
        shown = f", {entry.bytes / 1e6:.0f} MB" if entry.bytes else ""
        progress(f"fetching '{entry.name}' from {host}{shown} (licence {entry.license})")
    part = path.with_name(f"{path.name}.part")
    attempt = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _fetch_rest(entry.url, part, entry.bytes, show=progress is not None)
            break
        except urllib.error.HTTPError as error:
            if error.code == 416:  # the rest is not there: what we have is not a beginning of it
                part.unlink(missing_ok=True)
            elif error.code not in (408, 429, 500, 502, 503, 504):
                raise WeightsError(f"{host} answers {error.code} for '{entry.url}'") from None
            reason = f"answers {error.code}"
        except urllib.error.URLError as error:
            raise WeightsError(
                f"cannot get '{entry.name}' from {host} ({error.reason}); with a network, '{again}'"
            ) from None
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
        moved = part.exists() and part.stat().st_size > before
        attempt = 0 if moved else attempt + 1
        if attempt == ATTEMPTS:
            raise WeightsError(
                f"the download of '{entry.name}' from {host} broke off ({reason}); "
                f"'{again}' goes on with it"
            )
        time.sleep(min(attempt, 3))
    part.replace(path)


def _fetch_rest(url: str, part: Path, size: int | None, *, show: bool) -> None:
    """Append what is missing; start again if the server cannot resume."""
    have = part.stat().st_size if part.exists() else 0
    if size is not None and have == size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        resumed = response.status == 206
        length = response.headers.get("Content-Length")
        expected = (have if resumed else 0) + int(length) if length else None
        if size is not None and expected not in (None, size):
            raise WeightsError(
                f"{urlsplit(url).netloc} offers {expected} bytes for '{url}', "
                f"and it must have {size}"
            )
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(
                total=expected,
                initial=have if resumed else 0,
                unit="B",
                unit_scale=True,
                desc=part.stem,
                disable=not (show and sys.stderr.isatty()),
            ) as bar,
        ):
            while piece := response.read(PIECE):
                file.write(piece)
                bar.update(len(piece))
                if size is not None and file.tell() > size:
                    raise WeightsError(f"'{url}' sends more than the {size} bytes it must have")
        if expected is not None and part.stat().st_size < expected:
            raise http.client.IncompleteRead(b"", expected - part.stat().st_size)
