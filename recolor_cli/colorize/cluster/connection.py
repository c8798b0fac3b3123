"""How recolor comes to a Ray cluster: the extra, the address, and silence.

Ray sends no usage statistics from here, starts no dashboard, and what it prints stays off stdout.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from recolor_cli.errors import MissingExtraError, UsageError
from recolor_cli.ranges import cluster_door

ADDRESS_TIMEOUT_S = 5.0
# The door call of HTTP/2, with empty settings: every gRPC server answers with settings of its own.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS = 4


def is_installed() -> bool:
    """Whether Ray is there."""
    return find_spec("ray") is not None


def import_ray() -> ModuleType:
    """Import Ray, with its usage statistics off.

    Raises:
        MissingExtraError: It is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change
    try:
        return import_module("ray")
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise MissingExtraError(
            "--cluster needs the package 'ray'; pip install 'recolor-cli[cluster]'"
        ) from None


def connect(address: str, cores: int, store_bytes: int) -> Any:
    """Join a cluster, as a driver.

    Args:
        address: HOST:PORT of its head; auto is the one that this machine belongs to; local starts
            one for this run, on this machine only.
        cores: For `local`, how many of this machine's cores it has.
        store_bytes: For `local`, the shared memory for the weights and for what is sent around.

    Returns:
        The module `ray`, connected. `disconnect` ends it.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: No cluster is there.
    """
    ray: Any = import_ray()
    origin = ""
    if address == "auto" and os.environ.get("RAY_ADDRESS"):
        address, origin = os.environ["RAY_ADDRESS"], " (RAY_ADDRESS)"
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
    try:
        with _sigterm_kept():
            if address == "local":
                ray.init(address="local", num_cpus=cores, object_store_memory=store_bytes, **quiet)
            else:
                if address != "auto":
                    check_address(address, origin)
                    host, _, port = address.rpartition(":")
                    if host in ("localhost", "127.0.0.1"):  # by which Ray means the machine's own
                        check_address(f"{ray.util.get_node_ip_address()}:{port}", origin)
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except UsageError:
        raise
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if _wants_token(error):
            raise UsageError(
                f"the cluster {address!r}{origin} wants a token: have RAY_AUTH_MODE=token, and in "
                "~/.ray/auth_token or RAY_AUTH_TOKEN what 'ray get-auth-token' prints on its head"
            ) from error
        if address == "auto":
            raise UsageError(
                "no Ray cluster on this machine; start one with 'ray start --head', or type "
                "--cluster HOST:6379 or --cluster local"
            ) from error
        raise UsageError(
            f"no way into the cluster {address!r}{origin}: {first_line(error)}"
        ) from error
    _keep_off_stdout()
    return ray


def disconnect() -> None:
    """Leave the cluster; workers of this run end."""
    import_ray().shutdown()


def check_address(address: str, origin: str = "") -> None:
    """Find out in seconds what Ray itself takes many minutes to give up on.

    Args:
        address: HOST:PORT.
        origin: Where it comes from, if nobody typed it.

    Raises:
        UsageError: It is no address, or nothing answers there that could be Ray.
    """
    door = cluster_door(address)
    if door is None:
        raise UsageError(
            f"no cluster address {address!r}{origin}; "
            "type auto, local, or HOST:PORT such as 10.0.0.1:6379"
        )
    advice = "start it with 'ray start --head --port=6379', or correct the address"
    try:
        with socket.create_connection(door, ADDRESS_TIMEOUT_S) as line:
            line.settimeout(ADDRESS_TIMEOUT_S)
            line.sendall(_HELLO)
            answer = line.recv(9)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"no cluster answers at {address!r}{origin}: {reason}; {advice}"
        ) from error
    if len(answer) < 4 or answer[3] != _SETTINGS:
        raise UsageError(f"what answers at {address!r}{origin} is no Ray cluster; {advice}")


def _wants_token(error: BaseException | None) -> bool:
    """Whether somewhere behind an error of Ray's is that a token is missing, or wrong."""
    while error is not None:
        if "auth-token" in str(error) or "InvalidAuthToken" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def first_line(error: BaseException) -> str:
    """The first line that an error has, without the dot at its end."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Let SIGTERM do what it did: Ray's own handler ends the process there and then."""
    if threading.current_thread() is not threading.main_thread():
        yield  # then Ray sets none
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _keep_off_stdout() -> None:
    """Drop what Ray prints when a worker dies; it goes to stdout, whatever its options say.

    The same news come as exceptions, and are told there.
    """
    worker: Any = import_module("ray._private.worker")
    worker.print_to_stdstream = lambda *_args, **_options: None
