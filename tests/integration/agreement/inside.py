# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that run inside a host: starting the guests, and the try, which is the product's own migration."""

from __future__ import annotations

# {"guests": [{"name", "xml", "transient", "disk"}]} -> {name: error} of those that did not start
START = """\
import os, subprocess
import libvirt

def main(given):
    libvirt.registerErrorHandler(lambda *words: None, None)
    connection, errors = libvirt.open("qemu:///system"), {}
    for guest in given["guests"]:
        if guest["disk"] and not os.path.exists(guest["disk"]):
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", guest["disk"], "64M"], check=True)
        try:
            if guest["transient"]:
                connection.createXML(guest["xml"])
            else:
                connection.defineXML(guest["xml"]).create()
        except libvirt.libvirtError as error:
            errors[guest["name"]] = str(error)
    return errors
"""

# {"move", "tls", "timeout_s", "flags": [name], "parameters": {}} -> the product's outcome. Nothing is put in the place
# of the product's own code but the refusal, which is what is to be overridden, and what the case asks for besides.
TRY = """\
from ansible_collections.livemig.libvirt.plugins.module_utils import _libvirt
from ansible_collections.livemig.libvirt.plugins.module_utils._migrate import api, one

def main(given):
    extra = 0
    for name in given["flags"]:
        extra |= getattr(_libvirt.libvirt, name)
    flags, parameters = one.flags, one.parameters
    one.last_look = lambda *what: []
    one.flags = lambda move, tls: flags(move, tls) | extra
    one.parameters = lambda *what: {**parameters(*what), **given["parameters"]}
    _libvirt.start_event_loop()
    options = api.Options(given["tls"], given["timeout_s"])
    run = ([given["move"]], options, 1, _libvirt.connect, api.Records(), "agreement")
    return api.migrate("qemu:///system", *run)[0]
"""

# {"names", "files"}: ends and forgets these domains, whatever state they are in, and removes the files.
FORGET = """\
import contextlib, os
import libvirt

def main(given):
    libvirt.registerErrorHandler(lambda *words: None, None)
    connection = libvirt.open("qemu:///system")
    flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    flags |= libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    for domain in connection.listAllDomains():
        if domain.name() in given["names"]:
            # a transient one is gone once it has ended
            for step in (domain.abortJob, domain.destroy, lambda: domain.undefineFlags(flags)):
                with contextlib.suppress(libvirt.libvirtError):
                    step()
    left = [domain.name() for domain in connection.listAllDomains() if domain.name() in given["names"]]
    for path in given["files"]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    return left
"""

# {"names"} -> {name: {"state": libvirt's number, "persistent": bool, "defined": bool}} of those that are known here
KNOWN = """\
import libvirt

def main(given):
    libvirt.registerErrorHandler(lambda *words: None, None)
    connection, found = libvirt.open("qemu:///system"), {}
    for domain in connection.listAllDomains():
        if domain.name() in given["names"]:
            found[domain.name()] = {"state": domain.state()[0], "persistent": bool(domain.isPersistent())}
    return found
"""

# {"addresses"} -> {address: whether its UDP port 7 answers within ten tries}
ECHO = """\
import json, socket, sys

answers = {}
for address in json.load(sys.stdin):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.3)
        answers[address] = False
        for attempt in range(10):
            word = f"{address} {attempt}".encode()
            try:
                asking.sendto(word, (address, 7))
                if asking.recv(100) == word:
                    answers[address] = True
                    break
            except OSError:
                pass
json.dump(answers, sys.stdout)
"""
