# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs inside a host that wait for a moment of a migration and act in libvirt's own callback."""

from __future__ import annotations

# argv: domain, event, command. Prints "ready" once it listens, and "fired" right before the command.
TRIGGER = """\
import subprocess, sys, threading
import libvirt

open("/proc/self/comm", "w").write("lm-trigger")
wanted, event, command = sys.argv[1:]
done = threading.Event()

def fire(domain):
    if domain.name() == wanted and not done.is_set():
        done.set()
        print("fired", flush=True)
        if command:
            null = subprocess.DEVNULL
            subprocess.run(["sh", "-c", command], stdin=null, stdout=null, stderr=null)
        print("acted", flush=True)

libvirt.registerErrorHandler(lambda *words: None, None)
libvirt.virEventRegisterDefaultImpl()
connection = libvirt.open("qemu:///system")
register = connection.domainEventRegisterAny
if event == "metadata":
    register(None, libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, lambda c, d, kind, uri, o: fire(d), None)
elif event == "iteration":
    register(None, libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, lambda c, d, number, o: fire(d), None)
else:
    name, detail = event.split("/")
    number = getattr(libvirt, "VIR_DOMAIN_EVENT_" + name)
    reason = getattr(libvirt, "VIR_DOMAIN_EVENT_" + name + "_" + detail)

    def lifecycle(_connection, domain, event, detail, _opaque):
        if (event, detail) == (number, reason):
            fire(domain)

    register(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle, None)
print("ready", flush=True)
while not done.is_set():
    libvirt.virEventRunDefaultImpl()
"""
