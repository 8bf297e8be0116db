# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bench's hosts are, and what the product's own checks have against post-copy between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import plain_way
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight import api as preflight
from tests.lab import api
from tests.lab.hosts import host

Row = dict[str, Any]
_VERSIONS = {"libvirt": "libvirt_version", "QEMU": "qemu_version"}


def gathered(pair: Sequence[str], here: str, guest: str) -> Row:
    """``hosts`` (name -> program -> version) and ``obstacles``, for a guest on ``here``, from real snapshots."""
    snapshots = {name: api.host_snapshot(name) for name in pair}
    (domain,) = (entry for entry in api.domain_snapshots(here) if entry["name"] == guest)
    return {
        "hosts": {name: versions(snapshot) for name, snapshot in snapshots.items()},
        "obstacles": obstacles(domain, [snapshots[name] for name in pair]),
    }


def versions(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """As libvirt counts: major × 1000000 + minor × 1000 + release."""
    return {name: dotted(snapshot[key]) for name, key in _VERSIONS.items()}


def dotted(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def obstacles(domain: Any, pair: Sequence[Any]) -> list[str]:
    """On the way there, and on the way back: the guest of the bench goes to and fro."""
    uris = {snapshot["name"]: f"qemu+tls://{host(snapshot['name']).address}/system" for snapshot in pair}
    policy = {"tls": "required", "uris": uris}
    found = []
    for source, destination in (pair, pair[::-1]):
        there: Any = {**domain, "host": source["name"]}
        found += preflight.postcopy_obstacles(there, source, destination, plain_way(), policy)
    return list(dict.fromkeys(found))
