# Copyright (c) 2026, livemig contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run all of ansible-test's sanity tests on a clean copy. `python -m tests.tools.sanity [ARGUMENT ...]`

ansible-test wants a real directory `ansible_collections/NAMESPACE/NAME`, not a symlink; it writes to `~/.ansible` and
downloads a program to bootstrap pip. So it gets a copy, a home of its own, and that program from the pip wheel.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.tools.export import ROOT, export

COPY = ROOT / ".cache" / "sanity" / "ansible_collections" / "livemig" / "libvirt"
HOME = ROOT / ".cache" / "sanity" / "home"
SKIPPED = re.compile(r"^WARNING: .*(?:[Ss]kip|[Rr]equired program).*", re.MULTILINE)
STARTED = re.compile(r"^Running sanity test \"([\w-]+)\"", re.MULTILINE)

# Stands in for get-pip.py, which ansible-test calls with the arguments of get-pip.py.
GET_PIP = """\
import sys
wheel = {wheel!r}
sys.path.insert(0, wheel)
args = [wheel if a.startswith("pip==") else a for a in sys.argv[1:] if a not in ("--no-setuptools", "--no-wheel")]
from pip._internal.cli.main import main
sys.exit(main(["install", "--no-index", *args]))
"""


def pip(*arguments: str) -> str:
    """Standard output of pip."""
    command = [sys.executable, "-m", "pip", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def seed_pip() -> None:
    """Put the pip version that ansible-test asks for, and its bootstrap program, where ansible-test looks for it."""
    spec = importlib.util.find_spec("ansible_test")
    (package,) = (spec and spec.submodule_search_locations) or [""]
    source = Path(package, "_internal", "python_requirements.py")
    match = re.search(r"pip='([0-9.]+)'", source.read_text(encoding="utf-8"))
    if match is None:
        sys.exit(f"{source} names no pip version; expected pip='...'. Remedy: adapt seed_pip() to this ansible-core")
    version = match[1]
    cache = HOME / ".ansible" / "test" / "cache"
    wheel = cache / f"pip-{version}-py3-none-any.whl"
    if not wheel.exists():
        cache.mkdir(parents=True, exist_ok=True)
        pip("download", "-qq", "--no-deps", "--dest", str(cache), f"pip=={version}")
    program = cache / f"get_pip_{version.replace('.', '_')}.py"
    program.write_text(GET_PIP.format(wheel=str(wheel)), encoding="utf-8")


def copy_pip_settings() -> None:
    """Write pip's settings of this machine to the private home: ansible-test passes no PIP_* variable on."""
    settings = {"quiet": "2"}
    for line in pip("config", "list").splitlines():
        key, value = line.split("=", 1)
        scope, name = key.rsplit(".", 1)
        # A variable beats the files, and pip lists variables (`:env:`) first.
        if scope in (":env:", "global", "install", "download"):
            settings.setdefault(name, str(ast.literal_eval(value)).replace("\n", "\n    "))
    target = HOME / ".config" / "pip" / "pip.conf"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch(mode=0o600)
    target.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))


def ansible_test(*arguments: str) -> tuple[int, str]:
    """Exit code and output (both streams, shown as well) of `ansible-test sanity` on the copy."""
    command = ["ansible-test", "sanity", "--color", "no", *arguments]
    environment = {**os.environ, "HOME": str(HOME)}
    environment.pop("PYTHONPATH", None)
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=COPY, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    output = ""
    for line in process.stdout or ():
        print(line, end="", flush=True)
        output += line
    return process.wait(), output


def expected_tests() -> set[str]:
    """Names of all tests that ansible-test knows."""
    environment = {**os.environ, "HOME": str(HOME)}
    command = ["ansible-test", "sanity", "--list-tests"]
    listing = subprocess.run(
        command, cwd=COPY, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return set(listing.stdout.split())


def main(arguments: list[str]) -> int:
    """Return 0 when every test ran and passed. The arguments go to ansible-test, for instance `--test pylint`."""
    export(COPY)
    # Without a repository of its own the copy counts as part of the checkout's, where `.cache` is ignored: ansible-test
    # then finds no file, skips every test and reports success.
    subprocess.run(["git", "init", "--quiet", str(COPY)], check=True)
    seed_pip()
    copy_pip_settings()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    code, output = ansible_test("--local", "--python", version, *arguments)
    complaints = [str(path.relative_to(COPY)) for path in COPY.glob("tests/sanity/ignore*.txt")] + SKIPPED.findall(
        output
    )
    if not arguments:
        missing = expected_tests() - set(STARTED.findall(output))
        complaints += [f"{name} did not run" for name in sorted(missing)]
    if complaints:
        print("sanity: not everything was tested:\n  " + "\n  ".join(complaints))
    return 1 if code or complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
