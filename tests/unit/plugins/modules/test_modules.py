# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules through their main(), on a simulated FreeBSD host."""

from __future__ import annotations

import importlib
import json

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core import converge
from ansible_collections.routed_ipsec.vti.tests.unit.simulated import SimulatedSystem, pair, snapshot

MODULES = "ansible_collections.routed_ipsec.vti.plugins.modules"
SECRET = "correct horse battery staple"
ENCODED = "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ"
LIFE = [
    ("ipsec_phase1", {"name": "hq", "local_addrs": ["192.0.2.2"], "remote_addrs": ["192.0.2.1"], "psk": SECRET}),
    (
        "ipsec_vti_phase2",
        {"name": "hq", "phase1": "hq", "local_address": "10.6.106.2/30", "remote_address": "10.6.106.1"},
    ),
    ("interface_assign", {"phase2": "hq", "name": "VTI_HQ"}),
    ("static_route", {"name": "lan", "network": "10.1.0.0/24", "gateway": "VTI_HQ_VTIV4"}),
    ("filter_mode", {"mode": "if_ipsec"}),
]


GATEWAY = {
    "address": "10.6.106.1",
    "interface": "ipsec1",
    "automatic": True,
    "monitor": "10.6.106.1",
    "status": None,
    "latency_ms": None,
    "stddev_ms": None,
    "loss_percent": None,
}


@pytest.fixture
def host():
    return pair()[1]


@pytest.fixture
def run(host, monkeypatch, capfd):
    def run_module(module_name, /, **options):
        module = importlib.import_module(f"{MODULES}.{module_name}")
        target = module if module_name == "vti_info" else converge
        monkeypatch.setattr(target, "HostSystem", lambda: SimulatedSystem(host))
        with patch_module_args(options), pytest.raises(SystemExit):
            module.main()
        out, err = capfd.readouterr()
        for text in (out, err):
            assert SECRET not in text
            assert ENCODED not in text
        return json.loads(out)

    return run_module


def test_every_module_predicts_does_rests_and_undoes(run, host):
    untouched = snapshot(host)
    for name, options in LIFE:
        before = snapshot(host)
        predicted = run(name, **options, _ansible_check_mode=True, _ansible_diff=True)
        assert snapshot(host) == before, name
        done = run(name, **options, _ansible_diff=True)
        assert done["changed"]
        assert done["steps"] == predicted["steps"] != []
        assert done["diff"] == predicted["diff"]
        again = run(name, **options)
        assert again["changed"] is False
        assert again["steps"] == []
        assert set(again) == set(done)
    for name, options in reversed(LIFE):
        assert run(name, **options, state="absent")["changed"], name
        assert run(name, **options, state="absent")["changed"] is False, name
    left = snapshot(host)
    assert {part: left[part] for part in ("files", "modes", "routes", "connections", "secrets")} == {
        part: untouched[part] for part in ("files", "modes", "routes", "connections", "secrets")
    }


WHOLE = [
    *LIFE[:2],
    ("gateway", {"name": "WAN_GW", "interface": "vtnet0", "address": "192.0.2.254", "monitor_disable": True}),
    ("default_gateway", {"ipv4": "WAN_GW", "ipv6": "none"}),
    *LIFE[2:3],
    ("gateway_group", {"name": "TO_HQ", "members": [{"gateway": "VTI_HQ_VTIV4"}]}),
    ("static_route", {"name": "lan", "network": "10.1.0.0/24", "gateway": "TO_HQ"}),
    ("policy_route", {"name": "guests", "interface": "vtnet1", "gateway": "VTI_HQ_VTIV4"}),
    *LIFE[4:],
]


def test_check_mode_predicts_a_whole_play_though_nothing_exists_yet(run, host):
    """What the action plugin does: each module is given what those before it have predicted."""
    host.files["/usr/local/bin/dpinger"] = ""
    before = snapshot(host)
    predictions: list[dict] = []
    predicted = []
    for name, options in WHOLE:
        result = run(name, **options, _predicted=predictions, _ansible_check_mode=True, _ansible_diff=True)
        assert not result.get("failed"), (name, result)
        predictions = [*predictions, result["_predicted"]]
        predicted.append(result)
    assert SECRET not in json.dumps(predictions)
    assert snapshot(host) == before
    for (name, options), expected in zip(WHOLE, predicted, strict=True):
        result = run(name, **options, _ansible_diff=True)
        assert result["steps"] == expected["steps"] != [], name
        assert "_predicted" not in result
        if name != "ipsec_phase1":
            assert result["diff"] == expected["diff"], name


def test_without_what_went_before_check_mode_knows_no_gateway(run):
    name, options = LIFE[3]
    result = run(name, **options, _predicted=[], _ansible_check_mode=True)
    assert result["msg"].startswith("gateway: ")


def test_the_automatic_gateway_is_returned(run):
    for name, options in LIFE[:2]:
        run(name, **options)
    assert run("ipsec_vti_phase2", **LIFE[1][1])["interface"] == "ipsec1"
    result = run("interface_assign", **LIFE[2][1])
    assert result["gateways"] == {"VTI_HQ_VTIV4": GATEWAY}
    assert run("interface_assign", interface="ipsec1")["name"] == "VTI_HQ"


def test_a_changed_secret_shows_as_changed_and_not_itself(run):
    name, options = LIFE[0]
    run(name, **options)
    result = run(name, **{**options, "psk": "another one"}, _ansible_diff=True)
    text = json.dumps(result)
    assert "another one" not in text
    assert result["diff"]["before"]["phase1"]["hq"]["psk"] == "(old secret)"
    assert result["diff"]["after"]["phase1"]["hq"]["psk"] == "(new secret)"


def test_a_secret_left_out_stays(run):
    name, options = LIFE[0]
    run(name, **options)
    kept = {key: value for key, value in options.items() if key != "psk"}
    assert run(name, **kept)["changed"] is False


def test_check_mode_on_a_host_without_daemon_predicts_and_warns(run, host, monkeypatch):
    warned: list[str] = []
    monkeypatch.setattr("ansible.module_utils.basic.AnsibleModule.warn", lambda _module, text: warned.append(text))
    host.run(["service", "strongswan", "stop"])
    result = run(*LIFE[0][:1], **LIFE[0][1], _ansible_check_mode=True)
    assert result["changed"]
    assert len(warned) == 1
    assert "start strongSwan first" in warned[0]
    failed = run(*LIFE[0][:1], **LIFE[0][1])
    assert failed["failed"]
    assert failed["msg"].startswith("charon: ")


def test_a_bad_option_is_reported(run):
    result = run("ipsec_phase1", **{**LIFE[0][1], "proposals": ["nonsense"]})
    assert result["failed"]
    assert result["msg"].startswith("proposals: ")


def test_the_whole_gateway_and_what_is_told_of_it(run):
    site = {
        "phase1": [LIFE[0][1]],
        "phase2": [LIFE[1][1]],
        "assignments": [LIFE[2][1]],
        "static_routes": [LIFE[3][1]],
        "filter_mode": LIFE[4][1],
        "purge": True,
    }
    assert run("vti_info")["tunnels"] == []
    result = run("vti_site", **site)
    assert result["gateways"] == {"VTI_HQ_VTIV4": GATEWAY}
    told = run("vti_info", lookup=["10.1.0.7", "192.0.2.1"])
    for option in ("phase1", "phase2", "assignments", "static_routes"):
        for given, found in zip(site[option], told[option], strict=True):
            expected = {key: value for key, value in given.items() if key not in ("psk", "phase2")}
            assert expected.items() <= found.items()
    assert "psk" not in told["phase1"][0]
    assert told["filter_mode"]["mode"] == "if_ipsec"
    assert told["lookups"]["10.1.0.7"] == {"interface": "ipsec1", "gateway": "10.6.106.1"}
    assert told["charon"] == {"running": True, "reason": None}
    assert [tunnel["interface"] for tunnel in told["tunnels"]] == ["ipsec1"]
    assert run("vti_info", lookup=["nonsense"])["msg"].startswith("lookup: ")


@pytest.mark.parametrize(
    "name",
    ["ipsec_phase1", "ipsec_vti_phase2", "interface_assign", "static_route", "filter_mode", "vti_site", "vti_info"],
)
def test_what_is_returned_is_documented(run, name):
    documented = set(yaml.safe_load(importlib.import_module(f"{MODULES}.{name}").RETURN))
    for module, options in LIFE:
        if module == name:
            result = run(name, **options)
            break
        run(module, **options)
    else:
        result = run(name)
    returned = set(result) - {"changed", "diff", "invocation", "warnings", "deprecations"}
    assert returned == documented - {"undone", "not_undone"}
