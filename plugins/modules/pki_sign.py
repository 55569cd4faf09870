#!/usr/bin/python
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation of the action plugin pki_sign; everything it does it does on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pki_sign
short_description: Sign a gateway's certificate on the controller
version_added: 0.1.0
author:
  - routed_ipsec.vti contributors (@routed-ipsec)
description:
  - Keeps a certificate authority in a directory of the controller, made when it is missing, and signs certificates and
    a revocation list with it. The role P(routed_ipsec.vti.pki#role) puts them in place.
  - The files are readable by their owner alone. The private key of a site is not needed here.
options:
  directory:
    description: Directory of the CA on the controller.
    type: path
    required: true
  site:
    description: The name by which the site's certificates can be revoked.
    type: str
    required: true
  identities:
    description: Identities of the site in IKE. The first one is the subject's common name, all are alternative names.
    type: list
    elements: str
    required: true
  public_key:
    description: The site's public key (PEM). In check mode it may be empty.
    type: str
    default: ""
  certificate:
    description: The certificate (PEM) that the site has; it stays as long as it will do.
    type: str
    default: ""
  ca_name:
    description: Common name of a CA that is to be made.
    type: str
    default: routed_ipsec.vti CA
  ca_days:
    description: For how many days a new CA certificate is valid.
    type: int
    default: 3650
  days:
    description: For how many days a new certificate is valid.
    type: int
    default: 825
  crl_days:
    description: For how many days a new revocation list is valid.
    type: int
    default: 365
  renew_before:
    description: What is valid for fewer days than this is made anew.
    type: int
    default: 30
  revoked:
    description:
      - Sites, or serial numbers in hexadecimal, whose certificates are revoked. That is for good, also when they are no
        longer listed. A site listed here gets no certificate.
    type: list
    elements: str
    default: []
  passphrase_variable:
    description: Name of the variable with the passphrase of the CA's key. It is needed when something is to be signed.
    type: str
    default: pki_ca_passphrase
  plain:
    description: Whether the CA's key may be stored without a passphrase.
    type: bool
    default: false
attributes:
  action_group:
    description: Use C(group/routed_ipsec.vti.vti) in C(module_defaults) to set defaults for the whole group.
    support: full
    membership: [routed_ipsec.vti.vti]
  check_mode:
    description: Can run in check mode and return what would change, without changing anything.
    support: full
  diff_mode:
    description: Returns details on what has changed.
    support: none
"""

EXAMPLES = r"""
- name: Sign the certificate of a gateway
  routed_ipsec.vti.pki_sign:
    directory: "{{ playbook_dir }}/vti_pki"
    site: branch1
    identities: [branch1]
    public_key: "{{ public_key.stdout }}"
  register: signed
  vars:
    pki_ca_passphrase: "{{ vault_pki_ca_passphrase }}"
"""

RETURN = r"""
ca:
  description: Certificate of the CA; empty in check mode as long as there is none.
  returned: success
  type: str
certificate:
  description: The site's certificate; empty for a site that is revoked. In check mode the one that it has.
  returned: success
  type: str
crl:
  description: The revocation list.
  returned: success
  type: str
reason:
  description: Why the site needs another certificate, or null.
  returned: success
  type: str
  sample: there is none
revoked:
  description: Whether the site is revoked.
  returned: success
  type: bool
  sample: false
"""
