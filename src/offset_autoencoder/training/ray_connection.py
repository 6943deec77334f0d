"""The connection to a Ray cluster, and what it has to be like: reachable, and closed to others."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import ipaddress
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from offset_autoencoder.cores import available_cores
from offset_autoencoder.errors import InputError, message_of, native_messages_held
from offset_autoencoder.paths import CUSTOM

README = "see examples/ray/README.md"
_ADDRESS = "RAY_ADDRESS"
_TLS = "RAY_USE_TLS"
_CONNECT_SECONDS = 10.0
_SETTINGS_FRAME = b"\4"
_A_REQUEST = "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo"


@contextlib.contextmanager
def connected() -> Iterator[Any]:
    """Connect Ray to the cluster of ``RAY_ADDRESS``, or to a local one, while the block runs.

    Raises:
        InputError: where ray is not installed, or there is no such cluster.
    """
    address = os.environ.get(_ADDRESS, "").strip()
    is_local = address in ("", "local")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else Ray warns of its change
    if is_local:  # nobody else has the token, and Ray listens at 127.0.0.1 alone
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    else:
        _check_address(address)
    try:
        import ray
    except ImportError:
        mend = 'in a clone of the project: pip install ".[ray]"'
        raise InputError("params.yaml: executor", "ray is not installed", mend) from None
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if is_local:
        options |= {"address": "local", "num_cpus": available_cores(), "include_dashboard": False}
    else:
        custom = importlib.util.find_spec(CUSTOM.name)
        sources = [
            Path(__file__).parents[1],
            *((custom and custom.submodule_search_locations) or ()),
        ]
        modules = [str(folder) for folder in sources]
        options |= {"address": address, "runtime_env": {"py_modules": modules}}
    try:
        with native_messages_held(shows_after_failure=False):  # what matters is raised, too
            ray.init(**options)
    except Exception as error:  # ConnectionError, RuntimeError, AuthenticationError, of gRPC, ...
        what = f"no connection to the cluster: {message_of(error)[:200]}"
        mend = f"is it running, with the token that this has? ray status says so; {README}"
        raise InputError(_ADDRESS if not is_local else "ray", what, mend) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not port.isdecimal():
        what = f"is {address!r}, expected HOST:PORT of the cluster's head, or auto"
        mend = "join the cluster on this machine: ray start --address=HOST:PORT"
        raise InputError(_ADDRESS, what, mend)
    try:
        place = host.strip("[]"), int(port)
        with socket.create_connection(place, _CONNECT_SECONDS) as connection:
            # Ray's own attempts take minutes. What speaks HTTP/2 begins with its settings.
            if _TLS not in os.environ and connection.recv(4)[3:] != _SETTINGS_FRAME:
                raise OSError("what listens there is no Ray")
    except (OSError, OverflowError) as error:
        mend = f"start it there: ray start --head; {README}"
        what = f"no cluster answers at {address}: {message_of(error)}"
        raise InputError(_ADDRESS, what, mend) from None


def refuse_if_open(ray: Any) -> None:
    """Refuse a cluster that anybody who reaches its ports can use.

    Raises:
        InputError: where it has a node that is not on loopback, and asks for no token.
    """
    hosts = [node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]]
    outer = [host for host in hosts if not _is_loopback(host)]
    if outer and _answers_anybody(ray.get_runtime_context().gcs_address):
        what = f"the cluster asks for no token: who reaches {outer[0]} can run code on its nodes"
        mend = f"start it, and this, with RAY_AUTH_MODE=token and a token; {README}"
        raise InputError(_ADDRESS, what, mend)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which others may resolve to another address
        return False


@functools.cache
def _answers_anybody(address: str) -> bool:
    """True if the head of a cluster answers a request without a token.

    It decides for all nodes: one that sends no token itself cannot join a head that asks for it.
    Under TLS, who has no certificate cannot even ask.
    """
    if os.environ.get(_TLS) == "1":
        return False
    import grpc

    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(_A_REQUEST)(b"", timeout=_CONNECT_SECONDS)
        except grpc.RpcError as error:
            return bool(error.code() != grpc.StatusCode.UNAUTHENTICATED)
    return True
