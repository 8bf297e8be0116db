# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for libvirt-python where it is not installed: its numbers and its error, nothing that acts.

The numbers are libvirt's public ABI (include/libvirt/libvirt-domain.h, virterror.h); tests/integration compares them
with the real module in the lab. What acts, connections and domains, comes from each test.
"""

from __future__ import annotations

import types
import typing as t

CONSTANTS = {
    "VIR_MIGRATE_LIVE": 1,
    "VIR_MIGRATE_PEER2PEER": 2,
    "VIR_MIGRATE_PERSIST_DEST": 8,
    "VIR_MIGRATE_UNDEFINE_SOURCE": 16,
    "VIR_MIGRATE_TLS": 65536,
    "VIR_DOMAIN_RUNNING": 1,
    "VIR_DOMAIN_BLOCKED": 2,
    "VIR_DOMAIN_EVENT_ID_LIFECYCLE": 0,
    "VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION": 20,
    "VIR_DOMAIN_EVENT_ID_JOB_COMPLETED": 21,
    "VIR_DOMAIN_EVENT_DEFINED": 0,
    "VIR_DOMAIN_EVENT_STARTED": 2,
    "VIR_DOMAIN_EVENT_SUSPENDED": 3,
    "VIR_DOMAIN_EVENT_RESUMED": 4,
    "VIR_DOMAIN_EVENT_STOPPED": 5,
    "VIR_DOMAIN_EVENT_DEFINED_ADDED": 0,
    "VIR_DOMAIN_EVENT_DEFINED_UPDATED": 1,
    "VIR_DOMAIN_EVENT_STARTED_MIGRATED": 1,
    "VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED": 1,
    "VIR_DOMAIN_EVENT_RESUMED_MIGRATED": 1,
    "VIR_DOMAIN_EVENT_STOPPED_MIGRATED": 3,
    "VIR_DOMAIN_EVENT_STOPPED_FAILED": 5,
    "VIR_DOMAIN_METADATA_ELEMENT": 2,
    "VIR_DOMAIN_XML_SECURE": 1,
    "VIR_DOMAIN_XML_INACTIVE": 2,
    "VIR_DOMAIN_XML_MIGRATABLE": 8,
    "VIR_CONNECT_LIST_SECRETS_EPHEMERAL": 1,
    "VIR_CONNECT_LIST_DOMAINS_ACTIVE": 1,
    "VIR_CONNECT_LIST_DOMAINS_PERSISTENT": 4,
    "VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE": 256,
    "VIR_CONNECT_LIST_DOMAINS_AUTOSTART": 1024,
    "VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT": 4096,
    "VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT": 16384,
    "VIR_DOMAIN_STATS_STATE": 1,
    "VIR_DOMAIN_STATS_BLOCK": 32,
    "VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE": 1,
    "VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT": 536870912,
    "VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE": 1,
    "VIR_ERR_NO_SUPPORT": 3,
    "VIR_ERR_OPERATION_INVALID": 55,
    "VIR_ERR_NO_DOMAIN": 42,
    "VIR_ERR_NO_SECRET": 66,
    "VIR_ERR_NO_STORAGE_POOL": 49,
    "VIR_ERR_NO_STORAGE_VOL": 50,
    "VIR_ERR_OPERATION_FAILED": 9,
    "VIR_ERR_NO_DOMAIN_METADATA": 80,
    "VIR_ERR_CPU_INCOMPATIBLE": 91,
}


class libvirtError(Exception):
    def __init__(self, message: str, code: int = CONSTANTS["VIR_ERR_OPERATION_FAILED"]) -> None:
        super().__init__(message)
        self._code = code

    def get_error_code(self) -> int:
        return self._code


def module() -> types.ModuleType:
    made: t.Any = types.ModuleType("libvirt")
    made.__dict__.update(CONSTANTS)
    made.libvirtError = libvirtError
    return t.cast(types.ModuleType, made)
