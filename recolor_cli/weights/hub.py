"""The Hugging Face Hub: its own cache first, a pinned commit, one clear line when it fails.

The client checks neither content nor sha256, waits half a minute before it says that there is no
network, and follows whatever commit the server names. So: look into the cache without any request;
then ask once, with a short timeout, and compare commit and size with the pin before anything long;
then let the client download (it resumes a cut connection within one call, and starts again in a
new process); then hash. HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_OFFLINE and proxies are the client's
own and work as everywhere.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm.auto import tqdm  # type: ignore[import-untyped]

from recolor_cli.errors import WeightsError
from recolor_cli.weights.manifest import Entry, is_commit
from recolor_cli.weights.verify import find_difference

Progress = Callable[[str], None]

ASK_TIMEOUT_S = 5.0  # for the first answer; a server that is there needs well under one
ATTEMPTS = 3  # at the download itself, when the server breaks off or says 5xx
BUSY = (408, 429, 500, 502, 503, 504)


def _network_errors() -> tuple[type[BaseException], ...]:
    """What the client raises without a connection: its HTTP library changed twice."""
    names = [name for name in ("httpx2", "httpx") if find_spec(name)]
    return (OSError, *(import_module(name).HTTPError for name in names))


NETWORK_ERRORS = _network_errors()
ASK_ERRORS: tuple[type[BaseException], ...] = (FileMetadataError, *NETWORK_ERRORS)
DOWNLOAD_ERRORS: tuple[type[BaseException], ...] = (RuntimeError, *NETWORK_ERRORS)  # xet: Runtime


def find_cached(repo_id: str, revision: str, file: str) -> Path | None:
    """The cached file, unverified, without any request; None if it is not there.

    Args:
        repo_id: owner/name.
        revision: a commit; or a branch, as it was when it was last asked for.
        file: path in the repository.

    Raises:
        WeightsError: the entry is a link that leads out of the cache.
    """
    found = try_to_load_from_cache(repo_id, file, revision=revision)
    if not isinstance(found, str):
        return None
    path, cache = Path(found), Path(constants.HF_HUB_CACHE)
    if not path.resolve().is_relative_to(cache.resolve()):
        raise WeightsError(
            f"the cached file '{path}' is a link out of the cache, to '{path.resolve()}'; remove it"
        )
    return path


def fetch_pinned(entry: Entry, *, offline: bool, progress: Progress | None) -> Path:
    """The verified file of an entry with source "hub"; a cached one needs no request.

    Raises:
        WeightsError: it is not here and cannot be had, or is not what its pin says.
    """
    assert entry.repo_id is not None
    assert entry.revision is not None
    path = find_cached(entry.repo_id, entry.revision, entry.file)
    if path is None:
        again = f"recolor models pull {entry.name}"
        if offline or constants.HF_HUB_OFFLINE:
            raise WeightsError(
                f"the weights '{entry.name}' are not on this machine, and downloads are off; run "
                f"'{again}' with a network, or bring the file with '{again} --from FILE'"
            )
        commit, size = _ask(entry.repo_id, entry.revision, entry.file, again, progress)
        if commit not in (None, entry.revision):
            raise WeightsError(
                f"{_host()} answers with commit {commit} of '{entry.repo_id}', and "
                f"'{entry.name}' is pinned to {entry.revision}; check HF_ENDPOINT"
            )
        if size is not None and entry.bytes not in (None, size):
            raise WeightsError(
                f"{_host()} offers {size} bytes for '{entry.name}', and it must have "
                f"{entry.bytes}; nothing was downloaded; check HF_ENDPOINT"
            )
        if progress:
            shown = f", {entry.bytes / 1e6:.0f} MB" if entry.bytes else ""
            progress(
                f"fetching '{entry.name}' from {_host()}/{entry.repo_id}{shown} "
                f"(licence {entry.license})"
            )
        path = _download(entry.repo_id, entry.revision, entry.file, again, progress)
    if difference := find_difference(path, entry.sha256, entry.bytes):
        remove_cached(path, damaged=_difference_from_name(path) is not None)
        raise WeightsError(
            f"the downloaded file of '{entry.name}' is not what it should be: {difference}; it was "
            f"removed; 'recolor models pull {entry.name}' fetches it again"
        )
    return path


def fetch_unpinned(
    repo_id: str, revision: str, file: str, *, offline: bool, progress: Progress | None
) -> Path:
    """A file of any repository; a branch or tag is resolved to a commit, which is said.

    The cache calls a large file by its sha256, as the server told it: that much can be verified.

    Raises:
        WeightsError: it is not here and cannot be had, or is not what its server said.
    """
    what = (repo_id, revision, file)
    path = _find_or_fetch(*what, offline=offline, progress=progress)
    difference = _difference_from_name(path)
    if difference and not (offline or constants.HF_HUB_OFFLINE):
        remove_cached(path, damaged=True)
        if progress:
            progress(f"the cached file '{path}' is damaged ({difference}); fetching it again")
        path = _find_or_fetch(*what, offline=offline, progress=progress)
        difference = _difference_from_name(path)
    if difference:
        remove_cached(path, damaged=True)
        raise WeightsError(
            f"the file of 'hf://{repo_id}/{file}@{revision}' is not what its server said: "
            f"{difference}; it was removed; with a network, the same command fetches it again"
        )
    return path


def _difference_from_name(path: Path) -> str | None:
    sha256 = path.resolve().name
    return find_difference(path, sha256, None) if re.fullmatch(r"[0-9a-f]{64}", sha256) else None


def _find_or_fetch(
    repo_id: str, revision: str, file: str, *, offline: bool, progress: Progress | None
) -> Path:
    address = f"hf://{repo_id}/{file}"
    if is_commit(revision) and (path := find_cached(repo_id, revision, file)):
        return path
    again = f"recolor models pull {address}@{revision}"
    if offline or constants.HF_HUB_OFFLINE:
        cached = find_cached(repo_id, revision, file)
        if cached is None:
            raise WeightsError(
                f"'{address}@{revision}' is not on this machine, and downloads are off; run "
                f"'{again}' with a network"
            )
        _say_commit(address, revision, _commit_of(cached), progress)
        return cached
    commit, _ = _ask(repo_id, revision, file, again, progress)
    if is_commit(revision) and commit not in (None, revision):
        raise WeightsError(
            f"{_host()} answers with commit {commit} for '{address}@{revision}'; check HF_ENDPOINT"
        )
    if progress and not (commit and find_cached(repo_id, commit, file)):
        progress(f"fetching '{address}@{revision}' from {_host()}")
    # By its name and not by `commit`: the client notes which commit the name stood for, and the
    # note serves --offline. It downloads nothing that is there.
    path = _download(repo_id, revision, file, again, progress)
    _say_commit(address, revision, _commit_of(path), progress)
    return path


def remove_cached(path: Path, *, damaged: bool = False) -> None:
    """Remove a cached file: the link, and the content if no other link leads to it.

    Args:
        path: as of `find_cached`.
        damaged: whether the content goes in any case: the client would take it again as it is.

    Raises:
        WeightsError: it cannot be removed.
    """
    content = path.resolve()
    repository = Path(constants.HF_HUB_CACHE, _parts_in_cache(path)[0])
    try:
        path.unlink(missing_ok=True)
        others = (p for p in (repository / "snapshots").rglob("*") if p.is_symlink())
        if content.parent == (repository / "blobs").resolve() and (
            damaged or all(other.resolve() != content for other in others)
        ):
            content.unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError(f"cannot remove '{path}': {error.strerror}") from None


def _ask(
    repo_id: str, revision: str, file: str, again: str, progress: Progress | None
) -> tuple[str | None, int | None]:
    """One request: commit and size of the file; (None, None) from a server that is busy."""
    what = f"'{repo_id}/{file}@{revision}'"
    try:
        with _quiet_client():
            url = hf_hub_url(repo_id, file, revision=revision)
            found = get_hf_file_metadata(url, timeout=ASK_TIMEOUT_S)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in BUSY:
            if progress:
                progress(f"{_host()} answers {status}; trying again")
            return None, None
        raise _refusal(error, what, again) from None
    except HFValidationError as error:
        raise WeightsError(f"{what} is no address on the Hub: {_first_line(error)}") from None
    except ASK_ERRORS as error:
        raise _unreachable(error, what, again) from None
    if not is_commit(found.commit_hash):  # it becomes the name of a folder
        raise WeightsError(
            f"{_host()} does not name the commit of {what}, so it is no Hub; check HF_ENDPOINT"
        )
    if not (found.etag and re.fullmatch(r"[\w.-]{1,200}", found.etag) and ".." not in found.etag):
        # and this the name of a file
        raise WeightsError(f"{_host()} sends a wrong ETag for {what}; check HF_ENDPOINT")
    return found.commit_hash, found.size


def _download(
    repo_id: str, revision: str, file: str, again: str, progress: Progress | None
) -> Path:
    what = f"'{repo_id}/{file}@{revision}'"
    bar: Any = None if progress and sys.stderr.isatty() else _Silent  # None: the client's own
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _quiet_client():
                hf_hub_download(repo_id, file, revision=revision, tqdm_class=bar)
            break
        except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as error:
            raise _refusal(error, what, again) from None
        except HfHubHTTPError as error:
            if error.response.status_code not in BUSY or attempt == ATTEMPTS:
                raise _refusal(error, what, again) from None
        except LocalEntryNotFoundError as error:  # the client has tried for half a minute
            cause = error.__cause__
            if isinstance(cause, HfHubHTTPError):
                raise _refusal(cause, what, again) from None
            raise _unreachable(cause or error, what, again) from None
        except DOWNLOAD_ERRORS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise WeightsError(
                    f"cannot store {what} in '{constants.HF_HUB_CACHE}': {error.strerror}"
                ) from None
            if attempt == ATTEMPTS:
                raise _unreachable(error, what, again) from None
        if progress:
            progress(f"the download of {what} broke off; trying again")
        time.sleep(attempt)
    path = find_cached(repo_id, revision, file)
    if path is None:
        raise WeightsError(
            f"{what} was downloaded, but is not in the cache '{constants.HF_HUB_CACHE}'; "
            f"'{again}' fetches it again"
        )
    return path


def _refusal(error: HfHubHTTPError, what: str, again: str) -> WeightsError:
    """The server answered, and the answer is no."""
    status = error.response.status_code
    if isinstance(error, GatedRepoError) or status in (401, 403):
        return WeightsError(
            f"{_host()} does not let you have {what} ({status}); "
            f"set HF_TOKEN to a token that may read it, then '{again}'"
        )
    if isinstance(error, RevisionNotFoundError):
        return WeightsError(f"{_host()} has no such revision of the repository: {what}")
    if isinstance(error, EntryNotFoundError):
        return WeightsError(f"{_host()} has the repository, but not the file: {what}")
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return WeightsError(
            f"{_host()} has no repository for {what}, or it is private ({status}); "
            "check HF_ENDPOINT and HF_TOKEN"
        )
    return WeightsError(f"{_host()} answers {status} for {what}; try '{again}' later")


def _unreachable(error: BaseException, what: str, again: str) -> WeightsError:
    if isinstance(error, OfflineModeIsEnabled):
        return WeightsError(
            f"{what} is not on this machine, and downloads are off (HF_HUB_OFFLINE)"
        )
    reason = _first_line(error)
    return WeightsError(
        f"cannot get {what} from {_host()} ({reason}); the default weights need no network; "
        f"with a network, '{again}'"
    )


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:160]


def _say_commit(address: str, revision: str, commit: str, progress: Progress | None) -> None:
    if progress and not is_commit(revision):
        progress(
            f"warning: '{revision}' is a moving name; it is commit {commit} now; "
            f"pin it with '{address}@{commit}'"
        )


def _commit_of(cached: Path) -> str:
    return _parts_in_cache(cached)[2]


def _parts_in_cache(cached: Path) -> tuple[str, ...]:
    """The repository's folder, "snapshots", the commit, and the parts of the file's name."""
    return cached.relative_to(constants.HF_HUB_CACHE).parts


def _host() -> str:
    return urlsplit(constants.ENDPOINT).netloc or f"HF_ENDPOINT={constants.ENDPOINT!r}"


@contextmanager
def _quiet_client() -> Iterator[None]:
    """Keep the client's log lines away; what matters in them becomes our one line."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Silent(tqdm):  # type: ignore[misc]
    """A progress bar that shows nothing, for callers that did not ask for one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("name", None)
        super().__init__(*args, **{**kwargs, "disable": True})
