# SPDX-License-Identifier: GPL-3.0-or-later

"""What a way makes libvirt be asked for: every row of the two tables, and nothing that excludes itself."""

from __future__ import annotations

import itertools
import typing as t

import pytest

from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import request
from ansible_collections.livemig.libvirt.plugins.module_utils._model.api import LivemigError, plain_way
from ansible_collections.livemig.libvirt.plugins.module_utils._preflight.api import registry
from tests.unit.migrate.test_migrate import move

COPY: dict[str, t.Any] = {"copy_storage": "all", "copy_disks": ["vda"]}
PLAIN = {"LIVE", "PEER2PEER", "PERSIST_DEST", "UNDEFINE_SOURCE"}


def way(persistent: bool = True, **changes: t.Any) -> t.Any:
    return move(persistent=persistent, way={**plain_way(), **changes})


def names(moved: t.Any, tls: str = "off") -> set[str]:
    return {name.replace("VIR_MIGRATE_", "") for name in request.flag_names(moved, tls)}


def sent(moved: t.Any, tls: str = "off") -> dict[str, t.Any]:
    return {k: v for k, v in request.parameters(moved, {}, tls).items() if k != "migrate_uri"}


@pytest.mark.parametrize(
    ("changes", "more", "parameters"),
    [
        ({}, set(), {}),
        ({"parallel": 3}, {"PARALLEL"}, {"parallel.connections": 3}),
        ({"parallel": 2, "zerocopy": True}, {"PARALLEL", "ZEROCOPY"}, {"parallel.connections": 2}),
        ({"compression": ["xbzrle"]}, {"COMPRESSED"}, {"compression": ["xbzrle"]}),
        ({"bandwidth_mib_s": 100}, set(), {"bandwidth": 100}),
        ({"auto_converge": True}, {"AUTO_CONVERGE"}, {}),
        ({"postcopy": True}, {"POSTCOPY"}, {}),
        ({"abort_on_error": True}, {"ABORT_ON_ERROR"}, {}),
        ({"unsafe": True}, {"UNSAFE"}, {}),
        (COPY, {"NON_SHARED_DISK"}, {"migrate_disks": ["vda"]}),
        ({**COPY, "copy_storage": "inc"}, {"NON_SHARED_INC"}, {"migrate_disks": ["vda"]}),
        (
            {**COPY, "synchronous_writes": True, "disks_port": 50000},
            {"NON_SHARED_DISK", "NON_SHARED_SYNCHRONOUS_WRITES"},
            {"migrate_disks": ["vda"], "disks_port": 50000},
        ),
        (
            {**COPY, "disks_uri": "tcp://198.51.100.2"},
            {"NON_SHARED_DISK"},
            {"migrate_disks": ["vda"], "disks_uri": "tcp://198.51.100.2"},
        ),
        ({"listen_address": "198.51.100.2"}, set(), {"listen_address": "198.51.100.2"}),
        ({"tls_destination": "hv2.example.com"}, set(), {}),
        ({"state": "paused"}, set(), {}),
    ],
)
def test_what_an_option_adds(changes: dict[str, t.Any], more: set[str], parameters: dict[str, t.Any]) -> None:
    assert (names(way(**changes)), sent(way(**changes))) == (PLAIN | more, parameters)


def test_every_row_is_sent_by_some_way() -> None:
    everything = {name for changes in MANY for name in names(way(**changes), "required" if "tls" in changes else "off")}
    assert {row.name.replace("VIR_MIGRATE_", "") for row in request.FLAGS} <= everything


MANY: tuple[dict[str, t.Any], ...] = (
    {"parallel": 2, "zerocopy": True, "auto_converge": True},
    {"postcopy": True, "abort_on_error": True, "unsafe": True, "compression": ["xbzrle"]},
    {**COPY, "synchronous_writes": True},
    {**COPY, "copy_storage": "inc"},
    {"state": "shutoff"},
    {"state": "shutoff", "tls_destination": "x"},
    {"tls": True},
)


def test_tls_is_a_flag_with_a_name_of_its_own() -> None:
    named = way(tls_destination="hv2.example.com")
    assert names(named, "required") == PLAIN | {"TLS"}
    assert sent(named, "required") == {"tls.destination": "hv2.example.com"}


def test_an_empty_list_of_disks_copies_nothing() -> None:
    empty = way(copy_storage="all", synchronous_writes=True, disks_uri="tcp://198.51.100.2", disks_port=1)
    assert (names(empty), sent(empty)) == (PLAIN, {})


def test_a_definition_moves_without_anything_of_a_guest() -> None:
    assert names(way(state="shutoff"), "required") == (PLAIN - {"LIVE"}) | {"OFFLINE"}


def test_a_move_without_a_way_goes_the_plain_one() -> None:
    old: t.Any = {name: value for name, value in way().items() if name != "way"}
    assert (names(old), sent(old)) == (PLAIN, {})


@pytest.mark.parametrize(
    ("changes", "tls", "check"),
    [
        ({"zerocopy": True}, "off", "flags_zerocopy_requirements"),
        ({"zerocopy": True, "parallel": 2}, "required", "flags_zerocopy_requirements"),
        ({"zerocopy": True, "parallel": 2, "compression": ["zstd"]}, "off", "flags_zerocopy_requirements"),
        ({"postcopy": True, "state": "paused"}, "off", "flags_postcopy_requires_live"),
        ({"postcopy": True, "state": "shutoff"}, "off", "flags_postcopy_requires_live"),
        ({"state": "shutoff", **COPY}, "off", "flags_offline_combination"),
        ({"state": "shutoff", "persistent": False}, "off", "flags_offline_combination"),
    ],
)
def test_what_excludes_itself_is_not_sent(changes: dict[str, t.Any], tls: str, check: str) -> None:
    with pytest.raises(LivemigError, match=check):
        request.flags(way(**changes), tls)


def test_whatever_the_way_no_refused_combination_is_sent() -> None:
    """Every way of these options, with TLS and without: an error, or flags of which no row is broken."""
    options: dict[str, tuple[t.Any, ...]] = {
        "state": ("running", "paused", "shutoff"),
        "parallel": (0, 2),
        "zerocopy": (False, True),
        "compression": ([], ["zstd"]),
        "postcopy": (False, True),
        "copy_storage": ("none", "all", "inc"),
        "copy_disks": ([], ["vda"]),
        "synchronous_writes": (False, True),
    }
    tried = 0
    for values in itertools.product(*options.values()):
        for tls in ("required", "off"):
            try:
                found = names(way(**dict(zip(options, values, strict=True))), tls)
            except LivemigError:
                continue
            tried += 1
            assert not {"NON_SHARED_DISK", "NON_SHARED_INC"} <= found
            copies = not {"NON_SHARED_DISK", "NON_SHARED_INC"}.isdisjoint(found)
            assert copies or "NON_SHARED_SYNCHRONOUS_WRITES" not in found
            assert "ZEROCOPY" not in found or ("PARALLEL" in found and not found & {"TLS", "COMPRESSED"})
            assert "POSTCOPY" not in found or ("LIVE" in found and values[0] == "running")
            assert "OFFLINE" not in found or ("PERSIST_DEST" in found and not copies)
            assert "TUNNELLED" not in found
    assert tried > 100


def test_every_refusal_names_a_check() -> None:
    assert {refusal.check for refusal in request.REFUSED} <= set(registry())


@pytest.mark.parametrize(
    ("changes", "tls", "version", "said"),
    [
        (
            {"parallel": 2},
            "off",
            5_001_000,
            "VIR_MIGRATE_PARALLEL for domain web1: libvirt of hv2 is 5.1.0; expected 5.2",
        ),
        ({"parallel": 2, "zerocopy": True}, "off", 8_004_000, "VIR_MIGRATE_ZEROCOPY .* expected 8.5.0 or newer"),
        ({**COPY, "synchronous_writes": True}, "off", 7_010_000, "SYNCHRONOUS_WRITES .* expected 8.0.0"),
        ({**COPY, "disks_uri": "tcp://x"}, "off", 6_007_000, "disks_uri .* expected 6.8.0"),
        ({"tls_destination": "x"}, "required", 5_010_000, "tls.destination .* expected 6.0.0"),
    ],
)
def test_a_version_that_does_not_know_it(changes: dict[str, t.Any], tls: str, version: int, said: str) -> None:
    with pytest.raises(LivemigError, match=said):
        request.require_versions(way(**changes), tls, {"hv1": 11_003_000, "hv2": version})
    request.require_versions(way(**changes), tls, {"hv1": 9_000_000, "hv2": 9_000_000})


def test_the_flags_are_libvirts_numbers() -> None:
    assert request.flags(way(parallel=2), "required") == sum(
        getattr(_libvirt.libvirt, f"VIR_MIGRATE_{name}") for name in PLAIN | {"PARALLEL", "TLS"}
    )
