# Copyright (c) 2026, livemig contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate
short_description: Judge and issue the TLS certificate of one hypervisor
version_added: 0.1.0
author: livemig contributors (@livemig)
description:
  - Tells whether the certificates that a host has for libvirt's daemon or for QEMU's migration stream can stay, and
    issues a new key and certificate when asked to.
  - The CA is given as PEM texts, or made on the spot and kept in a folder of the controller.
  - Installed certificates are passed as text. The plugin does not touch the managed host; the role
    P(livemig.libvirt.tls#role) reads the files before and copies them afterwards.
  - Keys are ECDSA P-256. Certificates allow server and client, carry names as DNS entries and addresses as IP
    entries of subjectAltName.
requirements:
  - cryptography 42 or newer on the controller
extends_documentation_fragment:
  - livemig.libvirt.attributes
  - livemig.libvirt.attributes.actiongroup_livemig
  - livemig.libvirt.attributes.controller
attributes:
  check_mode:
    support: full
    details:
      - In check mode nothing is issued and no CA is made, even with O(issue=true).
  diff_mode:
    support: full
    details:
      - Certificates are shown as readable lines, keys never.
  idempotent:
    support: partial
    details:
      - With O(issue=true) each run issues a new key and certificate. Ask with O(issue=false) first.
options:
  issue:
    description:
      - With V(false), only tell what is installed and whether it has to be replaced.
      - With V(true), issue a new key and certificate. The result contains the private key; use C(no_log).
    type: bool
    default: false
  names:
    description:
      - Host names and addresses that the certificate has to carry. Each must be valid.
    type: list
    elements: str
    default: []
  optional_names:
    description:
      - Further names and addresses. Those that cannot stand in a certificate, and loopback ones, are left out.
    type: list
    elements: str
    default: []
  common_name:
    description:
      - Common name of the certificate's subject.
      - The default is the inventory name of the host.
    type: str
  organization:
    description:
      - Organization of the certificate's subject.
    type: str
    default: livemig
  days:
    description:
      - Lifetime of a new certificate in days. It never outlives the CA.
    type: int
    default: 365
  renew_before_days:
    description:
      - A certificate with fewer days left is replaced. Must be less than O(days).
    type: int
    default: 60
  ca_cert:
    description:
      - PEM text of the CA certificate. In a bundle, the first one is the one that signs.
      - Without it, the CA in O(ca_dir) is used.
    type: str
  ca_key:
    description:
      - PEM text of the CA's private key, without passphrase. Needed with O(ca_cert) to issue certificates.
    type: str
  ca_dir:
    description:
      - Folder on the controller for a made CA. It is created with mode C(0700) when a certificate is issued.
      - The default is a folder C(livemig-ca) beside the inventory; beside the playbook when there is no inventory
        file. If the inventory is a folder, the CA's is beside that one, since Ansible reads all files in it.
    type: path
  ca_name:
    description:
      - Which CA of O(ca_dir) is meant. Its files are C(NAME-cert.pem) and C(NAME-key.pem).
    type: str
    default: ca
  ca_label:
    description:
      - Start of the common name of a made CA.
    type: str
    default: livemig CA
  ca_days:
    description:
      - Lifetime of a made CA in days.
    type: int
    default: 3650
  installed:
    description:
      - The certificate files of the host that this is about. All of them have to hold the same certificate.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path on the host, used in messages.
        type: str
        required: true
      text:
        description: PEM text of the file, empty when there is none.
        type: str
        default: ''
      key:
        description: What is known of the private key beside it.
        type: str
        choices: [matches, mismatch, missing, unknown]
        default: unknown
  replace_ca:
    description:
      - Replace certificates of another CA by those of a made CA. Without it this is an error, since the folder of
        the made CA may just have been lost. A CA given by O(ca_cert) always replaces.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Ask whether a certificate is good
  livemig.libvirt.certificate:
    optional_names: ["{{ inventory_hostname }}", "{{ ansible_host }}"]
    installed:
      - path: /etc/pki/libvirt/servercert.pem
        text: "{{ servercert.content | b64decode }}"
  register: inspected

- name: Issue another one
  livemig.libvirt.certificate:
    issue: true
    optional_names: ["{{ inventory_hostname }}", "{{ ansible_host }}"]
    installed:
      - path: /etc/pki/libvirt/servercert.pem
        text: "{{ servercert.content | b64decode }}"
  register: issued
  no_log: true
  when: inspected.needed
"""

RETURN = r"""
needed:
  description: Whether a new certificate has to be issued.
  returned: O(issue=false)
  type: bool
reasons:
  description: Why, empty when the installed certificate is good.
  returned: O(issue=false)
  type: list
  elements: dict
  contains:
    code:
      description:
        - One of V(missing), V(unreadable), V(copies_differ), V(key_missing), V(key_mismatch), V(other_ca),
          V(names_missing), V(unfit), V(not_yet_valid), V(expired), V(expiring).
      type: str
    message:
      description: The reason as a sentence.
      type: str
  sample: [{"code": "expiring", "message": "it expires in 12 days, and 60 is the limit for renewal"}]
names:
  description: Names and addresses that the certificate has to carry.
  returned: success
  type: list
  elements: str
days_left:
  description: Whole days until the certificate ends. Negative when it has ended, V(none) when there is none.
  returned: success
  type: int
not_after:
  description: The end of the certificate's validity (ISO 8601).
  returned: success
  type: str
fingerprint:
  description: SHA-256 of the certificate in DER form, in hexadecimal digits.
  returned: success
  type: str
ca_exists:
  description: Whether there is a CA already.
  returned: O(issue=false)
  type: bool
ca_cert:
  description: PEM text that hosts need as their trust anchor, V(none) if there is no CA yet.
  returned: success
  type: str
ca_days_left:
  description: Whole days until the CA certificate ends.
  returned: success
  type: int
ca_made:
  description: Whether the CA was made in this run.
  returned: O(issue=true), not in check mode
  type: bool
certificate:
  description: PEM text of the new certificate.
  returned: O(issue=true), not in check mode
  type: str
key:
  description: PEM text of the new private key.
  returned: O(issue=true), not in check mode
  type: str
"""
