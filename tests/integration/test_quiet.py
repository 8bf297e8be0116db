# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the moment in which a guest stops and the one in which it runs again the module calls nothing of libvirt's.

Counted by libvirt's own client library in the module's process, whose log has every call with its time; the moments
come from processes of their own that listen on both hosts.
"""

from __future__ import annotations

import datetime
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.bench import migrate
from tests.integration.conftest import place_of
from tests.lab import api, enter

NAME = "quiet1"
LOG = "/var/tmp/livemig-calls.log"
# argv: domain, event of the lifecycle, detail. Prints the time at which it arrived.
LISTENER = """\
import sys, time, libvirt
wanted, event, detail = sys.argv[1:]
number = getattr(libvirt, "VIR_DOMAIN_EVENT_" + event)
reason = getattr(libvirt, "VIR_DOMAIN_EVENT_" + event + "_" + detail)

def arrived(_connection, domain, event, detail, _opaque):
    if domain.name() == wanted and (event, detail) == (number, reason):
        print(time.time(), flush=True)

libvirt.virEventRegisterDefaultImpl()
connection = libvirt.open("qemu:///system")
connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, arrived, None)
print("ready", flush=True)
while True:
    libvirt.virEventRunDefaultImpl()
"""
CALL = re.compile(r"^(?P<at>[\d-]{10} [\d:]{8}\.\d{3})\+0000: \d+: debug : (?P<name>vir(?!Object)\w+):\d+ : ")

# What an event brings with it: they read or count what the client holds, and nobody is asked.
LOCAL = {"virDomainRef", "virDomainFree", "virDomainGetName", "virDomainGetUUID", "virDomainGetUUIDString"}


@pytest.fixture
def talkative(lab: None) -> Iterator[str]:
    api.guest_stop(NAME)
    api.guest_start("hv1", NAME, disk="shared")
    migrate.install()
    yield NAME
    api.guest_stop(NAME)
    api.exec_on("hv1", ["rm", "-f", LOG])


def listen(host: str, event: str, detail: str) -> subprocess.Popen[str]:
    words = [*enter.prefix(host), "/usr/bin/python3", "-c", LISTENER, NAME, event, detail]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=enter.environment(host))
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def moment(process: subprocess.Popen[str]) -> float:
    assert process.stdout is not None
    at = float(process.stdout.readline())
    process.kill()
    process.wait()
    return at


def calls() -> list[tuple[float, str]]:
    """(Unix time, name) of each call of the public API that asks a daemon, in the order of the log."""
    log = api.exec_on("hv1", ["cat", LOG], check=True).stdout
    found = filter(None, map(CALL.match, log.splitlines()))
    return [
        (datetime.datetime.fromisoformat(line["at"]).replace(tzinfo=datetime.UTC).timestamp(), line["name"])
        for line in found
        if line["name"] not in LOCAL
    ]


def test_no_call_between_suspended_and_resumed(talkative: str) -> None:
    stopped, runs = listen("hv1", "SUSPENDED", "MIGRATED"), listen("hv2", "RESUMED", "MIGRATED")
    migrate.arguments([talkative], "hv1", "hv2")
    environment = {"LIBVIRT_LOG_FILTERS": "1:libvirt", "LIBVIRT_LOG_OUTPUTS": f"1:file:{LOG}"}
    migrate.by_module([talkative], "hv1", "hv2", environment)
    begin, end = moment(stopped), moment(runs)
    made = calls()
    names = {name for _at, name in made}
    assert {"virDomainMigrateToURI3", "virDomainGetState", "virDomainLookupByUUIDString"} <= names, names
    # The log's times are whole milliseconds.
    between = [name for at, name in made if begin + 0.001 < at < end - 0.001]
    assert (end > begin, between) == (True, [])
    assert place_of(talkative) == ["hv2"]
