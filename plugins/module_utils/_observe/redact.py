# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must not be shown of a text that libvirt, QEMU or a tool has written: pure.

Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re

HIDDEN = "***"

_NAMES = r"(?:\w+[-_])?(?:password|passwd|passphrase|token|cookie)|secret|data|iv|key"
# Pattern -> what takes its place. Names of secrets (key-secret, password-secret, "file" of the master key) stay: they
# tell nothing, and one must see them to understand an error.
_TABLE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        # A private key, also one whose end or beginning is cut off.
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN),
        (r"\A(?:(?!-----BEGIN ).)*-----END [A-Z ]*PRIVATE KEY-----", HIDDEN),
        (rf"""('(?:{_NAMES})'\s*:\s*)'(?:[^'\\]|\\.)*'""", rf"\1'{HIDDEN}'"),
        # -object {"qom-type":"secret","data":"...","iv":"..."}, and QMP inside another text.
        (rf"""("(?:{_NAMES})"\s*:\s*)"(?:[^"\\]|\\.)*\"""", rf'\1"{HIDDEN}"'),
        (rf"""(\\"(?:{_NAMES})\\"\s*:\s*)\\"(?:(?!\\").)*\\\"""", rf'\1\\"{HIDDEN}\\"'),
        # rbd:...:key=..., in which a colon ends the value.
        (r"""(:key)=[^\s,:;'"]+""", rf"\1={HIDDEN}"),
        # -object secret,data=..., in which a doubled comma is one of the value's; passwd='...' of a definition.
        (rf"""(?<![\w:-])({_NAMES})=(?:'[^']*'|"[^"]*"|(?:,,|[^\s,'"])+)""", rf"\1={HIDDEN}"),
        # <secret>...</secret>, <passphrase>...</passphrase>; an empty element has nothing to hide.
        (r"<(secret|passphrase|password)\b([^>/]*)>[^<]+</", rf"<\1\2>{HIDDEN}</"),
        # https://user:password@server
        (r"(://[^/\s:@]*):[^/\s@]+@", rf"\1:{HIDDEN}@"),
        (r"(authorization:\s*\w+)\s+\S+", rf"\1 {HIDDEN}"),
    )
)


def redacted(text: str) -> str:
    """``text`` without passwords, keys and the data of secrets."""
    for pattern, replacement in _TABLE:
        text = pattern.sub(replacement, text)
    return text
