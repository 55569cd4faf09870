# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kernel must have: loaded now and at boot, and told of before anything is touched when it is missing."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import VtiError
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.steps import Result
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.filter_mode import freebsd as filter_mode
from ansible_collections.routed_ipsec.vti.plugins.module_utils._resources.site.observe import observe
from ansible_collections.routed_ipsec.vti.tests.sim import kernel
from ansible_collections.routed_ipsec.vti.tests.unit.freebsd.runs import PHASE1, PHASE2, ROOT, hosts, site
from ansible_collections.routed_ipsec.vti.tests.unit.plugins.module_utils._formats.transcripts import load
from ansible_collections.routed_ipsec.vti.tests.unit.simulated import SimulatedSystem, run, snapshot

GATEWAY = ROOT / "roles" / "gateway"
LOADER = ("ipsec_load", "if_enc_load")


def without(monkeypatch, *names: str) -> SimulatedSystem:
    """A host whose kernel has no such modules."""
    monkeypatch.setattr(kernel, "_MODULES", {k: v for k, v in kernel._MODULES.items() if k not in names})
    return SimulatedSystem(hosts()[1])


def test_a_kernel_without_ipsec_is_told_before_anything_is_touched(monkeypatch):
    system = without(monkeypatch, "ipsec", "if_enc")
    before = snapshot(system.host)
    with pytest.raises(VtiError, match=r"^kernel: no ipsec in this kernel .*No such file.*host is as it was before$"):
        run(system, "site", **site([PHASE2]))
    assert snapshot(system.host) == before
    assert system.applied == ["kldload -n ipsec"]


def test_so_it_is_by_every_module_that_makes_an_interface(monkeypatch):
    system = without(monkeypatch, "ipsec")
    run(system, "phase1", **PHASE1)
    before = snapshot(system.host)
    with pytest.raises(VtiError, match=r"^kernel: no ipsec"):
        run(system, "phase2", **PHASE2)
    assert snapshot(system.host) == before


def test_a_kernel_without_if_enc_is_told_by_filter_mode_alone(monkeypatch):
    system = without(monkeypatch, "if_enc")
    run(system, "site", **site([PHASE2]))
    before = snapshot(system.host)
    with pytest.raises(VtiError, match=r"^kernel: no if_enc"):
        run(system, "filter_mode", mode="enc")
    assert snapshot(system.host) == before


def test_modules_are_loaded_once():
    system = SimulatedSystem(hosts()[1])
    steps = run(system, "site", **site([PHASE2], filter_mode={"mode": "enc"}))
    assert [step for step in steps if "kldload" in step] == ["kldload -n ipsec", "kldload -n if_enc"] == steps[:2]
    steps = run(system, "site", **site([PHASE2], filter_mode={"mode": "if_ipsec"}))
    assert not [step for step in steps if "kldload" in step]


def test_what_needs_no_interface_loads_nothing():
    system = SimulatedSystem(hosts()[1])
    assert not [step for step in run(system, "phase1", **PHASE1) if "kldload" in step]
    route = {"name": "nowhere", "network": "10.9.0.0/16", "blackhole": True}
    assert not [step for step in run(system, "static_route", **route) if "kldload" in step]


def test_a_module_built_into_the_kernel_is_as_good():
    (step,) = filter_mode.modules("ipsec")
    recorded = load("net/007")
    assert step.failure(Result(recorded.rc, recorded.stdout, recorded.stderr)) is None
    missing = load("ipsec-up/013")
    assert step.failure(Result(missing.rc, missing.stdout, missing.stderr)).startswith("kernel: no ipsec")
    assert step.failure(Result(0, "", "")) is None


def test_a_filter_mode_loads_the_modules_at_boot():
    system = SimulatedSystem(hosts()[1])
    run(system, "filter_mode", mode="enc")
    assert "".join(f'{name}="YES"\n' for name in LOADER) in system.host.files["/boot/loader.conf.d/routed_ipsec.conf"]
    system.host.reboot()
    assert observe(system).facts.modules_loaded
    assert run(system, "filter_mode", mode="enc") == []


def test_sysctls_of_a_module_that_is_not_loaded_are_its_defaults():
    system = SimulatedSystem(hosts()[1])
    host = observe(system)
    assert not host.facts.modules_loaded
    assert host.realized.kernel.describe()["net.enc.out.ipsec_bpf_mask"] == "3"
    assert host.realized.kernel.describe()["enc0"] == "absent"


# -- the role --


def role(path: str):
    return yaml.safe_load((GATEWAY / path).read_text(encoding="utf-8"))


def test_the_role_loads_the_modules_at_boot():
    files = role("vars/system_FreeBSD.yml")["__gateway_boot_files"]
    (loader,) = [file for file in files if file["path"].startswith("/boot/loader.conf.d/")]
    assert loader["lines"] == [f'{name}="YES"' for name in LOADER]


def test_the_role_has_the_newest_sa_used_now_and_at_boot():
    assert "'net.key.preferred_oldsa': '0'" in role("vars/system_FreeBSD.yml")["__gateway_sysctls"]
    (block,) = [task for task in role("tasks/boot.yml") if "ansible.builtin.blockinfile" in task]
    assert block["ansible.builtin.blockinfile"]["block"] == "net.key.preferred_oldsa=0"
    commands = [task["ansible.builtin.command"]["argv"] for task in role("tasks/kernel.yml")]
    # The sysctl is the module's.
    assert commands.index(["kldload", "-n", "ipsec"]) < commands.index(["sysctl", "{{ item.key }}={{ item.value }}"])


def test_the_role_keeps_strongswan_from_installing_routes():
    started, again = role("vars/main.yml")["__gateway_strongswan_files"]
    assert "'install_routes': 'no'" in started["settings"]
    assert "install_routes" not in again["settings"]
