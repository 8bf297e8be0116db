# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The second pass: answering preflight's questions about domains that live elsewhere.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET

from .._libvirt import Connect, Connection, error_text, libvirt
from .._model.api import Answer, LivemigError, Question
from . import files
from .collector import UNREADABLE

# virCPUCompareResult
_COMPARE = {-1: "error", 0: "incompatible", 1: "identical", 2: "superset"}


def answers(connection: Connection, connect: Connect, questions: t.Iterable[Question]) -> dict[str, Answer]:
    """Question key -> answer. A question that could not be asked is answered with ``error``, its reason."""
    return {question["key"]: _answer(connection, connect, question) for question in questions}


def _answer(connection: Connection, connect: Connect, question: Question) -> Answer:
    asks: dict[str, t.Callable[[], Answer]] = {
        "cpu": lambda: compare_cpu(connection, question),
        "path": lambda: t.cast(Answer, files.path_identity(question["path"], files.declared())),
        "peer": lambda: peer(connect, question["uri"]),
    }
    ask = asks.get(question["ask"])
    if ask is None:
        return {"error": f"this version cannot answer {question['ask']!r}"}
    try:
        return ask()
    except UNREADABLE as error:
        return {"error": error_text(error)}


def compare_cpu(connection: Connection, question: Question) -> Answer:
    """Whether this hypervisor provides the guest's CPU: identical, superset or incompatible, and why not."""
    arguments = (question["emulator"], question["arch"], question["machine"], question["virt_type"])
    flags = libvirt.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE
    try:
        result = connection.compareHypervisorCPU(*arguments, question["cpu_xml"], flags)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_CPU_INCOMPATIBLE:
            raise
        return {"result": "incompatible", "reason": error_text(error)}
    return {"result": _COMPARE.get(result, str(result)), "reason": ""}


def peer(connect: Connect, uri: str) -> Answer:
    """Whether the daemon here, as the user that runs it, can open the destination as peer-to-peer migration will."""
    try:
        connection = connect(uri)
    except LivemigError as error:
        return {"ok": False, "reason": str(error.value)}
    try:
        return {"ok": True, "uuid": ET.fromstring(connection.getCapabilities()).findtext("host/uuid")}
    finally:
        connection.close()
