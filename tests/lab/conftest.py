# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running HQ with two branches, and Ansible towards it.

VTI_LAB_STATE names a lab to use and to leave running; without it one is made and removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t

import pytest

HERE = pathlib.Path(__file__).parent
GATEWAYS = ("hq", "branch1", "branch2")

PREPARE = """
echo 'charon-systemd { install_routes = no }' > /etc/strongswan.d/lab.conf
printf 'net.ipv4.ip_forward = 1\\nnet.ipv6.conf.all.forwarding = 1\\n' > /etc/sysctl.d/90-lab.conf
sysctl -q -p /etc/sysctl.d/90-lab.conf
systemctl enable -q strongswan
systemctl restart strongswan
"""

# What a run may not change unless it says so: files with mode, owner and content, the kernel's state, charon's.
SNAPSHOT = r"""
cd /
for tree in etc/swanctl etc/routed_ipsec etc/systemd/system; do
  [ ! -e $tree ] || find $tree -printf '%p %y %m %u:%g %l\n' | sort
  [ ! -e $tree ] || find $tree -type f -exec sha256sum {} + | sort
done
ip -j -details link show
ip -j address show | sed -E 's/"(valid|preferred)_life_time":[0-9]+,?//g'
ip -j -4 route show table all
ip -j -6 route show table all
swanctl --list-conns 2>&1 || :
"""
POLICIES = "ip xfrm policy | sort"


@dataclasses.dataclass
class Played:
    """All that ansible-playbook printed, and each task's result by host."""

    output: str
    tasks: list[dict[str, dict[str, t.Any]]]

    def __getitem__(self, host: str) -> dict[str, t.Any]:
        """The result of the only task on a host."""
        assert len(self.tasks) == 1
        return self.tasks[0][host]


class Sites:
    """The lab of hq-branches.lab with strongSwan running on its gateways."""

    program = HERE / "lab"

    def __init__(self, directory: pathlib.Path) -> None:
        given = os.environ.get("VTI_LAB_STATE")
        self.stays = given is not None
        self.state = pathlib.Path(given or tempfile.mkdtemp(prefix="vti-lab-", dir="/run"))
        self.environment = {**os.environ, "VTI_LAB_STATE": str(self.state)}
        self.directory = directory
        self.collections = directory / "collections"
        # A copy: an edit of the checkout meanwhile must not change what is tested.
        copy, checkout = self.collections / "ansible_collections/routed_ipsec/vti", HERE.parents[1]
        for part in ("plugins", "meta"):
            shutil.copytree(checkout / part, copy / part, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache"))
        shutil.copy(checkout / "galaxy.yml", copy)

    def lab(self, *argv: str) -> str:
        done = subprocess.run(
            [self.program, *argv],
            check=False,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"lab {' '.join(argv)}: {done.stdout}{done.stderr}"
        return done.stdout

    def sh(self, host: str, script: str) -> str:
        """What a script prints on a host; AssertionError when it fails."""
        return self.lab("exec", host, "sh", "-ec", script)

    def start(self) -> None:
        self.lab("topology", str(HERE / "hq-branches.lab"))
        for host in GATEWAYS:
            self.sh(host, PREPARE)
        (self.directory / "ssh_config").write_text(self.lab("ssh-config"))
        (self.directory / "inventory").write_text("\n".join(GATEWAYS))

    def stop(self) -> None:
        if not self.stays:
            self.lab("stop")

    def play(
        self,
        *tasks: tuple[str, dict[str, t.Any]],
        check: bool = False,
        arguments: tuple[str, ...] = (),
    ) -> Played:
        """Run tasks, each a module's name and its arguments by host; after a failed task the next one still runs."""
        done = subprocess.run(
            self._command(tasks, *arguments, *(("--check",) if check else ())),
            check=False,
            cwd=self.directory,
            env=self._ansible(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        return Played(output, _results(done.stdout, len(tasks)))

    def _command(self, tasks: tuple[tuple[str, dict[str, t.Any]], ...], *arguments: str) -> list[str]:
        results = ", ".join(f"result_{number}" for number in range(len(tasks)))
        book = [
            {
                "hosts": ",".join(sorted({host for _module, by_host in tasks for host in by_host})),
                "gather_facts": False,
                "tasks": [
                    *(
                        {
                            "name": f"task {number}",
                            module: f"{{{{ given[{number}][inventory_hostname] }}}}",
                            "when": f"inventory_hostname in given[{number}]",
                            "register": f"result_{number}",
                            "ignore_errors": True,
                        }
                        for number, (module, _by_host) in enumerate(tasks)
                    ),
                    {"name": "results", "ansible.builtin.debug": {"msg": f"{{{{ [{results}] }}}}"}},
                ],
            }
        ]
        (self.directory / "play.json").write_text(json.dumps(book))
        (self.directory / "given.json").write_text(json.dumps({"given": [by_host for _module, by_host in tasks]}))
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "inventory", "-e", "@given.json"]
        return [*command, "--ssh-common-args", "-F ssh_config", *arguments, "play.json"]

    def _ansible(self) -> dict[str, str]:
        return {
            **self.environment,
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_HOME": str(self.directory / "home"),
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_NOCOLOR": "1",
        }

    def converge(self, **sites: dict[str, t.Any]) -> Played:
        """Run vti_site with purge on hosts in the given order, and have it succeed."""
        played = self.play(*(("routed_ipsec.vti.vti_site", {host: site}) for host, site in sites.items()))
        for results in played.tasks:
            for result in results.values():
                assert not result.get("failed"), result
        return played

    def reset(self) -> None:
        """Take away all that is ours, as fast as it goes."""
        played = self.play(("routed_ipsec.vti.vti_site", {host: {"purge": True} for host in GATEWAYS}))
        for host in GATEWAYS:
            assert not played[host].get("failed"), played[host]

    def snapshot(self, host: str, *, policies: bool = True) -> list[str]:
        return self.sh(host, SNAPSHOT + (POLICIES if policies else "")).splitlines()

    def spis(self, host: str, child: str) -> set[tuple[str, str]]:
        """The SPIs of a child's SAs that carry traffic."""
        sections = self.sh(host, "swanctl --list-sas --raw").split("{name=")[1:]
        return {
            (found[1], found[2])
            for section in sections
            if section.startswith(f"{child} ") and "state=INSTALLED" in section
            for found in [re.search(r"spi-in=(\w+) spi-out=(\w+)", section)]
            if found
        }

    def ping(self, host: str, address: str, *options: str, seconds: float = 20) -> None:
        """Insist that an address answers in time."""
        argv = ("ping", "-q", "-c", "1", "-W", "1", *options, address)
        self.eventually(lambda: self.lab("exec", host, *argv), seconds)

    def eventually(self, attempt: t.Callable[[], t.Any], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                attempt()
                return
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)

    @contextlib.contextmanager
    def pinging(self, host: str, address: str) -> t.Iterator[list[int]]:
        """Ping a hundred times a second; the list holds packets sent and received after the block.

        Rounds of a fixed count, so that each waits for its last answer.
        """
        flag = "/run/pinging"
        script = f"touch {flag}; for n in $(seq 99); do [ -e {flag} ] || break; ping -q -i 0.01 -c 100 {address}; done"
        argv = [self.program, "exec", host, "sh", "-c", script]
        counts: list[int] = []
        with subprocess.Popen(
            argv, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as pings:
            try:
                yield counts
            finally:
                self.sh(host, f"rm -f {flag}")
                output = pings.communicate(timeout=60)[0]
                rounds = re.findall(r"(\d+) packets transmitted, (\d+) received", output)
                counts += [sum(int(sent) for sent, _got in rounds), sum(int(got) for _sent, got in rounds)]


def _results(stdout: str, count: int) -> list[dict[str, dict[str, t.Any]]]:
    """What the last task of play() prints: each host's list of results."""
    tail = stdout.partition("TASK [results]")[2]
    found: list[dict[str, dict[str, t.Any]]] = [{} for _host in range(count)]
    for start in re.finditer(r"^ok: \[([\w-]+)\] => ", tail, re.MULTILINE):
        results = json.JSONDecoder().raw_decode(tail, start.end())[0]["msg"]
        for by_host, result in zip(found, results, strict=True):
            if not result.get("skipped"):
                by_host[start[1]] = result
    return found


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """The lab, once for all tests of a file; tests ask for ``sites``."""
    sites = Sites(tmp_path_factory.mktemp("sites"))
    try:
        sites.start()
        yield sites
    finally:
        sites.stop()


@pytest.fixture
def sites(running):
    """The lab with nothing of the collection's on its hosts."""
    running.reset()
    return running
