# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long a guest's network was gone, as seen from the lab's witness: UDP packets that the guest sends back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

from tests.lab import enter

EVERY_S = 0.002
# argv: address, seconds between packets. Sends until its input is closed and the guest has answered after that, 10 s at
# most, then prints what was lost.
PROBER = """\
import json, socket, sys, threading, time
address, every = sys.argv[1], float(sys.argv[2])
probe = socket.socket(type=socket.SOCK_DGRAM)
probe.connect((address, 7))
probe.settimeout(1.0)
sent, answered, over, newest, mark = [], set(), threading.Event(), -1, 0

def receive():
    global newest
    while not over.is_set():
        try:
            newest = int.from_bytes(probe.recv(64), "big")
            answered.add(newest)
        except (TimeoutError, ConnectionError):
            pass

def stop():
    global mark
    sys.stdin.read()
    mark, end = len(sent), time.monotonic() + 10
    while newest < mark and time.monotonic() < end:
        time.sleep(0.01)
    over.set()

threads = [threading.Thread(target=receive), threading.Thread(target=stop)]
for thread in threads:
    thread.start()
due, told = time.monotonic(), False
while not over.is_set():
    try:
        probe.send(len(sent).to_bytes(4, "big"))
    except ConnectionError:
        pass
    sent.append(time.monotonic())
    if len(sent) * every >= 0.5 and not told:
        told = True
        print("ready", flush=True)
    due += every
    time.sleep(max(0.0, due - time.monotonic()))
for thread in threads:
    thread.join()
last, longest, began = sent[min(answered)], 0.0, sent[min(answered)]
for number in sorted(answered):
    if sent[number] - last > longest:
        longest, began = sent[number] - last, last
    last = sent[number]
if newest < mark:
    sys.exit("it did not answer any more")
ago = time.monotonic() - began
print(json.dumps({"blackout_ms": longest * 1000, "ago_ms": ago * 1000, "sent": len(sent), "answered": len(answered)}))
"""


class Watched:
    """``with Watched(address) as watched: ...``, and then ``watched.blackout_ms``.

    The longest time between the sending of two packets that came back: too long by at most two intervals (4 ms).
    ``every_s``: a guest that is slowed down cannot answer as many, and loses what does not fit into its buffers.
    ``prefix``: the words that put a command where the guest can be reached; the lab's witness without it.
    """

    blackout_ms: float
    ago_ms: float
    """How long before the end of the block it began."""

    def __init__(self, address: str, every_s: float = EVERY_S, prefix: Sequence[str] | None = None) -> None:
        where = enter.prefix("witness") if prefix is None else prefix
        words = [*where, "python3", "-c", PROBER, address, str(every_s)]
        self._prober = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Watched:
        assert self._prober.stdout is not None and self._prober.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_error: object) -> None:
        said, _none = self._prober.communicate(timeout=30)
        found = json.loads(said)
        self.blackout_ms, self.ago_ms = float(found["blackout_ms"]), float(found["ago_ms"])
