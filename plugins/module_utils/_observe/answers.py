# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The second pass: answering preflight's questions about domains that live elsewhere.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re
import typing as t

from .._libvirt import Connect, Connection, error_text, libvirt
from .._model.api import Answer, LivemigError, Question
from . import (
    answers_copy,
    answers_host,
    answers_net,
    answers_qemu,
    answers_security,
    answers_storage,
    boot_files,
    files,
    fill,
)
from .area import Ask, Host
from .collector import UNREADABLE, reason
from .xml import parse

# virCPUCompareResult
_UNKNOWN = re.compile(r"unknown CPU (?P<kind>model|feature):? '?(?P<name>[\w.-]+)", re.IGNORECASE)
_COMPARE = {-1: "error", 0: "incompatible", 1: "identical", 2: "superset"}


def answers(connection: Connection, connect: Connect, questions: t.Iterable[Question]) -> dict[str, Answer]:
    """Question key -> answer. A question that could not be asked is answered with ``error``, its reason."""
    host = Host(connection, connect)
    return {question["key"]: _answer(host, question) for question in questions}


def _answer(host: Host, question: Question) -> Answer:
    ask = ASKS.get(question["ask"])
    if ask is None:
        return {"error": f"this version cannot answer {question['ask']!r}"}
    try:
        return ask(host, question)
    except UNREADABLE as error:
        return {"error": reason(error)}


def _path(host: Host, question: Question) -> Answer:
    declared = host.once("declared", files.declared)
    return t.cast(Answer, files.path_identity(question["path"], declared))


def compare_cpu(host: Host, question: Question) -> Answer:
    """Whether this hypervisor provides the guest's CPU: identical, superset or incompatible, and why not."""
    arguments = (question["emulator"], question["arch"], question["machine"], question["virt_type"])
    flags = libvirt.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE
    try:
        result = host.connection.compareHypervisorCPU(*arguments, question["cpu_xml"], flags)
    except libvirt.libvirtError as error:
        text = error_text(error)
        if error.get_error_code() != libvirt.VIR_ERR_CPU_INCOMPATIBLE and not knows_not(text, question["cpu_xml"]):
            raise
        return {"result": "incompatible", "reason": text}
    return {"result": _COMPARE.get(result, str(result)), "reason": ""}


def knows_not(text: str, cpu_xml: str) -> bool:
    """Whether the error says that libvirt here knows the CPU's model not, or a feature that the guest has.

    It looks at features that are required first. One that is only switched off may be left out of what is sent.
    """
    found = _UNKNOWN.search(text)
    if found is None or found["kind"].lower() == "model":
        return found is not None
    features = parse(cpu_xml).findall("feature")
    wanted = {feature.get("name") for feature in features if feature.get("policy", "require") in ("require", "force")}
    return found["name"] in wanted


def peer(host: Host, question: Question) -> Answer:
    """Whether the daemon here, as the user that runs it, can open the destination as peer-to-peer migration will."""
    try:
        connection = host.connect(question["uri"])
    except LivemigError as error:
        return {"ok": False, "reason": str(error.value)}
    try:
        return {"ok": True, "uuid": parse(connection.getCapabilities()).findtext("host/uuid")}
    finally:
        connection.close()


TABLES: tuple[t.Mapping[str, Ask], ...] = (
    {"cpu": compare_cpu, "path": _path, "peer": peer},
    answers_copy.ASKS,
    answers_host.ASKS,
    answers_net.ASKS,
    answers_qemu.ASKS,
    answers_security.ASKS,
    answers_storage.ASKS,
    boot_files.ASKS,
    fill.ASKS,
)
ASKS: t.Mapping[str, Ask] = {name: ask for table in TABLES for name, ask in table.items()}
"""What can be asked -> who answers it."""
