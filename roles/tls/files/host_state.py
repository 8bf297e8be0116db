# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What TLS looks like on this host, as one JSON document. Reads only; private keys never leave the host.

``host_state.py state QEMU_DIR``  files, settings, daemon, and the certificate that the port serves
``host_state.py jobs``            jobs that a restart of the daemon would break
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import json
import os
import pwd
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from typing import Any, Callable

TIMEOUT_S = 5
JOBS_TIMEOUT_S = 20
DEFAULT_PORT = 16514
LIBVIRT_PAIRS = (
    ("/etc/pki/libvirt/servercert.pem", "/etc/pki/libvirt/private/serverkey.pem"),
    ("/etc/pki/libvirt/clientcert.pem", "/etc/pki/libvirt/private/clientkey.pem"),
)
# what the role writes: a setting that points elsewhere would leave the new files unused
EXPECTED_SETTINGS = {
    "key_file": "/etc/pki/libvirt/private/serverkey.pem",
    "cert_file": "/etc/pki/libvirt/servercert.pem",
    "ca_file": "/etc/pki/CA/cacert.pem",
    "tls_no_verify_certificate": "0",
}
UNITS = tuple(
    f"{name}.{kind}"
    for name, kinds in {
        "libvirtd": ("service", "socket"),
        "libvirtd-tls": ("socket",),
        "virtqemud": ("service", "socket"),
        "virtproxyd": ("service", "socket"),
        "virtproxyd-tls": ("socket",),
    }.items()
    for kind in kinds
)
_SETTING = re.compile(r"^\s*(\w+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s#]+))")


def parse_settings(text: str) -> dict[str, str]:
    """Return the plain settings of a libvirt configuration file or a shell fragment; the last one wins."""
    found = {}
    for line in text.splitlines():
        match = _SETTING.match(line)
        if match:
            found[match.group(1)] = next(group for group in match.groups()[1:] if group is not None)
    return found


def parse_units(text: str) -> dict[str, dict[str, str]]:
    """Return the output of ``systemctl show`` by unit."""
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]
    return {block["Id"]: block for block in blocks if "Id" in block}


def choose_daemon(units: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Tell which daemon answers remote connections, and how it is made to listen.

    ``socket``: a socket unit of systemd. ``listen``: the daemon's own ``--listen``, on hosts without systemd or
    where its socket is masked (the traditional mode, libvirtd(8)).
    """

    def level(name: str) -> int:
        parts = [units.get(f"{name}.{kind}", {}) for kind in ("service", "socket")]
        active = any(part.get("ActiveState") in ("active", "activating", "reloading") for part in parts)
        enabled = any(part.get("UnitFileState") == "enabled" for part in parts)
        loaded = any(part.get("LoadState") == "loaded" for part in parts)
        return 3 if active else 2 if enabled else 1 if loaded else 0

    # virtqemud has no TCP socket of its own; virtproxyd listens for it (virtqemud(8))
    modular = max(level("virtqemud"), level("virtproxyd")) > level("libvirtd")
    name = "virtproxyd" if modular else "libvirtd"
    tls = units.get(f"{name}-tls.socket", {})
    by_socket = units.get(f"{name}.socket", {}).get("LoadState") == "loaded" and tls.get("LoadState") == "loaded"
    return {
        "name": name,
        "mode": "socket" if by_socket else "listen",
        "tls_socket_active": tls.get("ActiveState") == "active",
        "tls_socket_enabled": tls.get("UnitFileState") == "enabled",
    }


def qemu_dir(settings: dict[str, str], exists: Callable[[str], bool]) -> str:
    """Return the folder QEMU takes the certificates of a migration from (libvirt, ``qemu_conf.c``)."""
    if "migrate_tls_x509_cert_dir" in settings:
        return settings["migrate_tls_x509_cert_dir"]
    if exists("/etc/pki/libvirt-migrate"):
        return "/etc/pki/libvirt-migrate"
    return settings.get("default_tls_x509_cert_dir", "/etc/pki/qemu")


def qemu_identity(settings: dict[str, str]) -> dict[str, str]:
    """Return user and group of QEMU: from qemu.conf, else from the names that distributions use."""
    candidates = [settings["user"].lstrip("+")] if "user" in settings else ["libvirt-qemu", "qemu"]
    account = next((found for found in map(_account, candidates) if found is not None), None)
    user = account.pw_name if account else "root"
    if "group" in settings:
        return {"user": user, "group": settings["group"].lstrip("+")}
    with contextlib.suppress(KeyError):
        # Debian: the user's first group is kvm, which others are in too; the group of its own name is narrower
        return {"user": user, "group": grp.getgrnam(user).gr_name}
    return {"user": user, "group": grp.getgrgid(account.pw_gid).gr_name if account else "root"}


def conflicts(settings: dict[str, str], path: str, found_dir: str, wanted_dir: str) -> list[dict[str, str]]:
    """Return settings because of which the files of the role would not be used."""
    found = [
        {"what": f"{key} in {path}", "value": settings[key], "expected": expected}
        for key, expected in EXPECTED_SETTINGS.items()
        if settings.get(key, expected) != expected
    ]
    if os.path.normpath(found_dir) != os.path.normpath(wanted_dir):
        found.append({"what": "QEMU's folder for migration certificates", "value": found_dir, "expected": wanted_dir})
    return found


def pair_state(certificate: str, key: str) -> dict[str, str]:
    """Return a certificate's text and whether the key beside it belongs to it."""
    text = read(certificate)
    state = {"path": certificate, "text": text, "key": "unknown"}
    if not os.path.exists(key):
        state["key"] = "missing"
    elif text:
        state["key"] = "matches" if _loads(certificate, key) else "mismatch"
    return state


def served(address: str, port: int) -> dict[str, Any]:
    """Connect as libvirt's client would and return the SHA-256 of the certificate that the port shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(OSError, ssl.SSLError):
        context.load_cert_chain("/etc/pki/libvirt/clientcert.pem", "/etc/pki/libvirt/private/clientkey.pem")
    answer: dict[str, Any] = {"address": address, "port": port, "answers": False, "sha256": None}
    answer.update(accepts_own_certificate=False, error=None)
    try:
        with socket.create_connection((address, port), TIMEOUT_S) as plain:
            answer["answers"] = True
            with context.wrap_socket(plain) as channel:
                answer["sha256"] = hashlib.sha256(channel.getpeercert(True) or b"").hexdigest()
                # libvirt sends one byte once it has verified the client, and logs an error if we leave before
                answer["accepts_own_certificate"] = channel.recv(1) == b"\x01"
                channel.unwrap().close()
    except OSError as error:
        answer["error"] = str(error)
    return answer


def jobs() -> dict[str, Any]:
    """Return the domains with a job, or why that could not be found out. A daemon that is not there has no jobs."""
    answer: dict[str, Any] = {"jobs": [], "error": f"libvirt did not answer within {JOBS_TIMEOUT_S} s"}
    worker = threading.Thread(target=_collect_jobs, args=(answer,), daemon=True)
    worker.start()
    worker.join(JOBS_TIMEOUT_S)
    return dict(answer)


def _collect_jobs(answer: dict[str, Any]) -> None:
    try:
        import libvirt
    except ImportError as error:
        answer["error"] = str(error)
        return
    operations = {
        value: name[len("VIR_DOMAIN_JOB_OPERATION_") :].lower().replace("_", " ")
        for name, value in vars(libvirt).items()
        if name.startswith("VIR_DOMAIN_JOB_OPERATION_") and not name.endswith("_STR")
    }
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    try:
        connection = libvirt.open("qemu:///system")
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            operation = _operation(libvirt, domain, operations)
            if operation is not None:
                answer["jobs"].append({"domain": domain.name(), "operation": operation})
        answer["error"] = None
    except libvirt.libvirtError as error:
        absent = error.get_error_code() == libvirt.VIR_ERR_SYSTEM_ERROR and re.search(
            "Connection refused|No such file", str(error)
        )
        answer["error"] = None if absent else str(error)


def _operation(libvirt: Any, domain: Any, operations: dict[int, str]) -> str | None:
    try:
        stats = domain.jobStats()
    except libvirt.libvirtError as error:
        # The destination of a migration refuses the question (qemu_driver.c: "migration statistics are available only
        # on the source host"). Only a domain that went away meanwhile has no job any more.
        with contextlib.suppress(libvirt.libvirtError):
            if domain.isActive():
                return "incoming migration" if "source host" in str(error) else f"unknown job ({error})"
        return None
    if stats.get("type", 0) == libvirt.VIR_DOMAIN_JOB_NONE:
        return None
    return operations.get(stats.get("operation", -1), "unknown job")


def _account(name: str) -> pwd.struct_passwd | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
    return None


def _loads(certificate: str, key: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError):
        return False
    return True


def read(path: str) -> str:
    """Return a file's text, empty if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def _units() -> dict[str, dict[str, str]]:
    if not os.path.isdir("/run/systemd/system"):
        return {}
    command = ["systemctl", "show", "-p", "Id,LoadState,ActiveState,UnitFileState", *UNITS]
    return parse_units(subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout)


def state(wanted_dir: str) -> dict[str, Any]:
    """Return everything the role decides upon."""
    daemon = choose_daemon(_units())
    conf = f"/etc/libvirt/{daemon['name']}.conf"
    environment = next(
        (
            path
            for path in (f"/etc/default/{daemon['name']}", f"/etc/sysconfig/{daemon['name']}")
            if os.path.exists(path)
        ),
        f"/etc/default/{daemon['name']}",
    )
    settings, qemu = parse_settings(read(conf)), parse_settings(read("/etc/libvirt/qemu.conf"))
    variable = f"{daemon['name'].upper()}_ARGS"
    address = settings.get("listen_addr", "127.0.0.1")
    port = int(settings.get("tls_port", DEFAULT_PORT)) if daemon["mode"] == "listen" else DEFAULT_PORT
    daemon.update(
        conf=conf,
        environment=environment,
        variable=variable,
        arguments=parse_settings(read(environment)).get(variable, ""),
        virt_admin=shutil.which("virt-admin") is not None,
        systemd=os.path.isdir("/run/systemd/system"),
        pid_file=f"/run/{daemon['name']}.pid",
    )
    qemu_pairs = [(f"{wanted_dir}/{end}-cert.pem", f"{wanted_dir}/{end}-key.pem") for end in ("server", "client")]
    return {
        "daemon": daemon,
        "qemu": qemu_identity(qemu),
        "conflicts": conflicts(settings, conf, qemu_dir(qemu, os.path.isdir), wanted_dir),
        "installed": {
            "libvirt": [pair_state(*pair) for pair in LIBVIRT_PAIRS],
            "qemu": [pair_state(*pair) for pair in qemu_pairs],
        },
        "served": served("127.0.0.1" if address in ("0.0.0.0", "::") else address, port),
    }


if __name__ == "__main__":
    print(json.dumps(jobs() if sys.argv[1] == "jobs" else state(sys.argv[2])))
    # a thread that still waits for libvirt would keep the interpreter from ending
    sys.stdout.flush()
    os._exit(0)
