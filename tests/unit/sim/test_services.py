# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services whose scripts lie in /usr/local/etc/rc.d, as rc.subr(8) of FreeBSD 13.2 treats them (its source)."""

from __future__ import annotations

import pytest
from ansible_collections.routed_ipsec.vti.tests.sim.files import Result
from ansible_collections.routed_ipsec.vti.tests.sim.freebsd import FreeBSD

NAME = "routed_ipsec_monitor"
SCRIPT = f"/usr/local/etc/rc.d/{NAME}"
TEXT = """#!/bin/sh

# PROVIDE: routed_ipsec_monitor
# REQUIRE: NETWORKING strongswan
# KEYWORD: shutdown

. /etc/rc.subr

name="routed_ipsec_monitor"
desc="Gateway monitor"
rcvar="${name}_enable"

load_rc_config $name

: ${routed_ipsec_monitor_enable:="NO"}
: ${routed_ipsec_monitor_config:="/usr/local/etc/routed_ipsec/monitor.conf"}

pidfile="/var/run/${name}.pid"
command="/usr/sbin/daemon"
command_args="-r -P ${pidfile} /usr/local/bin/python3 --config ${routed_ipsec_monitor_config}"
required_files="${routed_ipsec_monitor_config}"
extra_commands="reload"

run_rc_command "$1"
"""
CONFIG = "/usr/local/etc/routed_ipsec/monitor.conf"
ENABLED = f'{NAME}_enable="YES"\n'


@pytest.fixture
def host() -> FreeBSD:
    made = FreeBSD("a", {"vtnet0": ["192.0.2.2/24"]})
    made.files.put(SCRIPT, TEXT, 0o555)
    made.files[CONFIG] = "{}"
    return made


def service(host: FreeBSD, *words: str) -> Result:
    return host.run(["service", NAME, *words])


def cannot(directive: str) -> Result:
    hint = f"Set {NAME}_enable to YES in /etc/rc.conf or use 'one{directive}' instead of '{directive}'."
    return Result(0, f"Cannot '{directive}' {NAME}. {hint}\n")


def test_without_being_enabled_it_does_nothing_but_says_so(host: FreeBSD) -> None:
    for directive in ("start", "stop", "restart", "status", "reload"):
        assert service(host, directive) == cannot(directive)
    assert service(host, "enabled") == Result(1)
    assert service(host, "quietstart") == Result(0)
    assert service(host, "onestatus") == Result(1, f"{NAME} is not running.\n")


def test_one_acts_all_the_same(host: FreeBSD) -> None:
    assert service(host, "onestart") == Result(0, f"Starting {NAME}.\n")
    assert service(host, "onestart") == Result(1, "", f"{NAME} already running?  (pid=702).\n")
    assert service(host, "onestatus") == Result(0, f"{NAME} is running as pid 702.\n")
    assert service(host, "status") == cannot("status")
    assert service(host, "onereload") == Result(0)
    assert service(host, "onerestart") == Result(
        0, f"Stopping {NAME}.\nWaiting for PIDS: 702.\nStarting {NAME}.\n"
    )  # fmt: skip
    assert service(host, "stop").rc == 0  # what runs is stopped, enabled or not
    gone = f"{NAME} not running? (check /var/run/{NAME}.pid).\n"
    assert service(host, "onestop") == Result(1, "", gone)
    assert service(host, "onerestart") == Result(0, f"Starting {NAME}.\n", gone)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/rc.conf", "/etc/rc.conf.local", f"/etc/rc.conf.d/{NAME}", f"/etc/rc.conf.d/{NAME}/any",
        f"/usr/local/etc/rc.conf.d/{NAME}", f"/usr/local/etc/rc.conf.d/{NAME}/any",
    ],
)  # fmt: skip
def test_where_it_is_enabled(host: FreeBSD, path: str) -> None:
    """Then it starts at boot; what ran before is gone with the reboot."""
    service(host, "onestart")
    host.reboot()
    assert service(host, "onestatus").rc == 1
    host.files[path] = host.files.get(path, "") + ENABLED
    assert service(host, "enabled") == Result(0)
    assert service(host, "start").rc == 0
    host.reboot()
    assert service(host, "status").rc == 0
    assert SCRIPT in host.run(["service", "-e"]).stdout.splitlines()
    host.files["/usr/local/etc/rc.conf.d/" + NAME + "/zz"] = f"{NAME}_enable=no\n"
    if "/usr/local" not in path or path.endswith("any"):  # the last file read decides
        assert service(host, "enabled") == Result(1)


def test_enabling_it_writes_where_it_was_set(host: FreeBSD) -> None:
    own = f"/etc/rc.conf.d/{NAME}"
    host.files[own] = ENABLED
    assert service(host, "disable") == Result(0, f"{NAME} disabled in {own}\n")
    assert host.files[own] == f'{NAME}_enable="NO"\n'
    assert service(host, "enable") == Result(0, f"{NAME} enabled in {own}\n")
    assert service(host, "delete") == Result(0, f"{NAME}_enable deleted in {own}\n")
    assert service(host, "enable") == Result(0, f"{NAME} enabled in /etc/rc.conf\n")


def test_what_it_needs_must_be_there(host: FreeBSD) -> None:
    del host.files[CONFIG]
    told = f"{SCRIPT}: WARNING: {CONFIG} is not readable.\n"
    failed = f"{SCRIPT}: WARNING: failed precmd routine for {NAME}\n"
    assert service(host, "onestart") == Result(1, "", told + failed)
    assert service(host, "forcestart") == Result(0, f"Starting {NAME}.\n", told)
    host.files["/etc/rc.conf"] += f'{NAME}_config="/etc/other.conf"\n{ENABLED}'
    assert service(host, "restart").stderr == told.replace(CONFIG, "/etc/other.conf") + failed


def test_what_it_says_about_itself(host: FreeBSD) -> None:
    described = f'# {NAME} : Gateway monitor\n#\n{NAME}_enable="NO"\n#   (default: "")\n\n'
    assert service(host, "rcvar") == Result(0, described)
    assert service(host, "describe") == Result(0, "Gateway monitor\n")
    assert service(host, "extracommands") == Result(0, "reload\n")
    usual = "start|stop|restart|rcvar|enable|disable|delete|enabled|describe|extracommands"
    usage = f"Usage: {SCRIPT} [fast|force|one|quiet]({usual}|reload|status|poll)\n"
    assert service(host, "nosuch") == Result(1, "", f"{SCRIPT}: unknown directive 'nosuch'.\n{usage}")


def test_a_value_that_is_neither_yes_nor_no(host: FreeBSD) -> None:
    host.files["/etc/rc.conf"] += f"{NAME}_enable=maybe\n"
    assert service(host, "enabled").stderr == (
        f"{SCRIPT}: WARNING: ${NAME}_enable is not set properly - see rc.conf(5).\n"
    )
    host.reboot()
    assert service(host, "onestatus").rc == 1


def test_a_script_that_is_not_executable_is_none(host: FreeBSD) -> None:
    host.files.put(SCRIPT, TEXT, 0o644)
    host.files[f"/etc/rc.conf.d/{NAME}"] = ENABLED
    assert service(host, "start").rc == 1
    assert service(host, "start").stdout.startswith(f"{NAME} does not exist in /etc/rc.d or the local startup\n")
    host.reboot()
    assert host.state["services"] == {}


def test_a_script_that_is_not_for_boot(host: FreeBSD) -> None:
    host.files.put(SCRIPT, TEXT.replace("KEYWORD: shutdown", "KEYWORD: shutdown nostart"), 0o555)
    host.files[f"/etc/rc.conf.d/{NAME}"] = ENABLED
    host.reboot()
    assert service(host, "status").rc == 1
