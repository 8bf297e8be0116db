# SPDX-License-Identifier: GPL-3.0-or-later
"""One fault after the other in the lab; what was seen of each is written down, and judged by checker.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults.fault import AGAIN, AT, DESTINATION, SOURCE, Fault
from tests.faults.moments import TRIGGER
from tests.lab import api, enter

PLAY_S = 240.0
READY_S, FIRED_S = 30.0, 120.0
WATCH_S = 30.0
TELL = "import socket, sys; socket.socket(type=socket.SOCK_DGRAM).sendto(sys.argv[2].encode(), (sys.argv[1], 7))"
KNOWN = """\
import json, sys, libvirt
libvirt.registerErrorHandler(lambda *words: None, None)
connection = libvirt.open("qemu:///system")
try:
    domain = connection.lookupByName(sys.argv[1])
except libvirt.libvirtError:
    print("null")
    sys.exit()
marks = []
for flags in (1,) * domain.isActive() + (2,) * domain.isPersistent():
    try:
        domain.metadata(2, "urn:livemig:state:1", flags)
        marks.append(flags)
    except libvirt.libvirtError:
        pass
print(json.dumps({"active": bool(domain.isActive()), "persistent": bool(domain.isPersistent()), "marks": marks}))
"""

Record = dict[str, Any]


def run(fault: Fault) -> Record:
    """See checker.py for the keys."""
    return _Run(fault).run()


class _Run:
    def __init__(self, fault: Fault) -> None:
        self.fault, self.guest = fault, f"f-{fault.name}"
        self.hosts = dict(zip((SOURCE, DESTINATION), fault.pair, strict=True))
        self.record: Record = {
            "name": fault.name,
            "what": fault.what,
            "dies": fault.dies,
            "reboots": fault.reboots,
            "stalls": fault.stalls,
            "ends": [self.host(side) for side in fault.ends],
        }
        self._play: subprocess.Popen[str] | None = None
        self._undone = threading.Lock()
        self._to_undo = True

    def host(self, side: str) -> str:
        return self.hosts[side]

    def run(self) -> Record:
        self._started = api.guest_start(self.host(SOURCE), self.guest, **self.fault.guest)
        try:
            self._begin()
            self.record["before"] = api.check([self.guest], seconds=WATCH_S)
            self._disturb()
            self._undo()
            variables = self._variables() if self.fault.then == AGAIN else {}
            self.record["then"] = self._said(self.play(self.fault.then, variables))
            self.record["steady"] = self._said(self.play("recover", {}))
            against = None if self.fault.dies or self.fault.reboots else self.record["before"]
            self.record["after"] = api.check([self.guest], seconds=1 if self.fault.dies else WATCH_S, against=against)
            self.record["known"] = {host: self._known(host) for host in self.fault.pair}
            self.record["kept"] = {host: self._kept(host) for host in self.fault.pair}
        finally:
            self._undo()
            self._clear()
        return self.record

    def _begin(self) -> None:
        speed = f"virsh migrate-setspeed {{guest}} {self.fault.speed_mib_s}"
        self._shell(SOURCE, f"{speed} && virsh dumpxml --inactive {{guest}} > /var/tmp/{{guest}}.xml", check=True)
        for side, command in self.fault.before.items():
            self._shell(side, command, check=True)

    def _variables(self) -> dict[str, Any]:
        return {"livemig_domain": self.guest, "livemig_destination": self.host(DESTINATION)}

    def _disturb(self) -> None:
        """The play, with the fault at its moment."""
        triggers = [self._trigger(*self.fault.first)] if self.fault.first else []
        if self.fault.moment is None:
            self._act(self.fault.act)
        else:
            side, _event = AT[self.fault.moment]
            triggers.append(self._trigger(self.fault.moment, self.fault.act.get(side, "")))
        with tempfile.TemporaryDirectory() as folder:
            self._migrate(triggers, Path(folder))
        for trigger in triggers:
            trigger.kill()
            trigger.wait()

    def _migrate(self, triggers: Sequence[subprocess.Popen[str]], folder: Path) -> None:
        reported = {"livemig_report_dest": str(folder)}
        self._play = self.start("migrate", {**self._variables(), **reported, **self.fault.variables})
        self.record["fired"] = self.fault.moment is None or self._await(self.fault.moment, triggers[-1])
        self.record["play"] = self._said(self._ended(self._play))
        if (written := folder / "outcomes.json").exists():
            self.record["outcomes"] = json.loads(written.read_text(encoding="utf-8"))

    def _trigger(self, moment: str, command: str) -> subprocess.Popen[str]:
        side, event = AT[moment]
        host = self.host(side)
        words = [*enter.prefix(host), "/usr/bin/python3", "-c", TRIGGER, self.guest, event]
        process = subprocess.Popen(
            [*words, command.format(guest=self.guest)],
            stdout=subprocess.PIPE,
            text=True,
            env=enter.environment(host),
            stdin=subprocess.DEVNULL,
        )
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        return process

    def _await(self, moment: str, trigger: subprocess.Popen[str]) -> bool:
        """Until the moment has come, and then what is to happen elsewhere; False where it never came."""
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.append(trigger.stdout.readline()), daemon=True)  # type: ignore[union-attr]
        reader.start()
        reader.join(FIRED_S)
        if said != ["fired\n"]:
            return False
        self._act([side for side in self.fault.act if side != AT[moment][0]])
        if self.fault.call is not None:
            self.fault.call(self)
        if self.fault.undo_after_s is not None:
            threading.Timer(self.fault.undo_after_s, self._undo).start()
        return True

    def _act(self, sides: Iterable[str]) -> None:
        for side in sides:
            if self.fault.act[side]:
                self._shell(side, self.fault.act[side])

    def _shell(self, side: str, command: str, *, check: bool = False) -> None:
        api.exec_on(self.host(side), ["sh", "-c", command.format(guest=self.guest)], timeout_s=60, check=check)

    def tell_guest(self, word: str) -> None:
        """The guest's agent obeys two words: reboot and poweroff."""
        api.exec_on("ctl", ["python3", "-c", TELL, self._started.address, word], check=True)

    def _undo(self) -> None:
        with self._undone:
            if not self._to_undo:
                return
            self._to_undo = False
            for side, command in self.fault.undo.items():
                self._shell(side, command)
            if self.fault.restore is not None:
                self.fault.restore(self)

    def start(self, playbook: str, variables: Mapping[str, Any]) -> subprocess.Popen[str]:
        command = ["ansible-playbook", f"livemig.libvirt.{playbook}", "-e", json.dumps(dict(variables))]
        environment = {**os.environ, **api.ansible_environment(), "ANSIBLE_NOCOLOR": "1"}
        return subprocess.Popen(
            [*enter.prefix("ctl"), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def play(self, playbook: str, variables: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        return self._ended(self.start(playbook, variables))

    def _ended(self, process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
        """A play that hangs is killed, with the module that it waits for, and its fault is not recovered from."""
        try:
            said, _error = process.communicate(timeout=PLAY_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _error = process.communicate()
            self.record["hung"] = True
        return subprocess.CompletedProcess([], process.returncode, said)

    @staticmethod
    def _said(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
        return {"code": done.returncode, "said": done.stdout[-4000:]}

    def kill_play(self) -> None:
        assert self._play is not None
        os.killpg(self._play.pid, signal.SIGKILL)

    def second(self) -> None:
        self.record["second"] = self._said(self.play("migrate", self._variables()))

    def _known(self, host: str) -> Any:
        done = api.exec_on(host, ["/usr/bin/python3", "-c", KNOWN, self.guest], check=True)
        return json.loads(done.stdout)

    def _kept(self, host: str) -> list[str]:
        """What is left of the migration in the host's files, beside the journal."""
        listed = "find /var/lib/livemig/domains -type f 2>/dev/null || true"
        return api.exec_on(host, ["sh", "-c", listed], check=True).stdout.split()

    def _clear(self) -> None:
        api.guest_stop(self.guest)
        for side in self.hosts:
            self._shell(side, "virsh destroy {guest}; virsh undefine {guest}; rm -f /var/tmp/{guest}.xml; true")
        # A fault may have taken a daemon's state with it; a fault after it begins with hosts that answer.
        for host in self.fault.pair:
            end = time.monotonic() + READY_S
            while api.exec_on(host, ["timeout", "5", "virsh", "uri"]).returncode:
                if time.monotonic() > end:
                    raise RuntimeError(f"libvirtd of {host} does not answer after {self.fault.name}")
                time.sleep(0.2)
