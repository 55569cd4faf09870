# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""rc of a simulated host: sysrc(8), service(8) and what happens at boot.

Files of assignments (rc.conf and its like) are read by a real sh, so what breaks out of its quotes here
breaks out there.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .files import Failed, Result, lines

if TYPE_CHECKING:
    from .freebsd import FreeBSD

RC_CONF = "/etc/rc.conf"
_FILES = (RC_CONF, "/etc/rc.conf.local")
_DEFAULTS = {
    "cloned_interfaces": "", "static_routes": "", "ipv6_static_routes": "", "gateway_enable": "NO",
    "ipv6_gateway_enable": "NO", "defaultrouter": "NO", "ipv6_defaultrouter": "NO", "pf_enable": "NO",
    "pf_rules": "/etc/pf.conf", "kld_list": "", "ipsec_enable": "NO", "sshd_enable": "NO", "hostname": "",
    "ifconfig_lo0": "inet 127.0.0.1/8",
}  # fmt: skip
_DESCRIPTIONS = {"hostname": "Set this!"}
_SERVICES = {
    "strongswan": ("/usr/local/etc/rc.d/strongswan", "Strongswan IPsec startup script", "reload|statusall|status|poll"),
    "pf": ("/etc/rc.d/pf", "Packet filter", "check|reload|resync|status"),
    "netif": ("/etc/rc.d/netif", "Network interface setup", "cloneup|clonedown|clear|vnetup|vnetdown"),
    "routing": ("/etc/rc.d/routing", "Routing setup", "options|static"),
    "ipsec": ("/etc/rc.d/ipsec", "Internet Protocol Security protocol", "reload|status"),
    "sshd": ("/etc/rc.d/sshd", "Secure Shell Daemon", "configtest|keygen|reload|status|poll"),
}
_OWN = "/usr/local/etc/rc.d"
_USUAL = "start|stop|restart|rcvar|enable|disable|delete|enabled|describe|extracommands"
_ALWAYS = ("netif", "routing")
_YES = ("yes", "true", "on", "1")
_LINK_ROUTES = (
    "-inet6 -net fe80:: -prefixlen 10 ::1 -reject",
    "-inet6 -net ff02:: -prefixlen 16 ::1 -reject",
    "-inet6 -net ::ffff:0.0.0.0 -prefixlen 96 ::1 -reject",
    "-inet6 -net ::0.0.0.0 -prefixlen 96 ::1 -reject",
)


@dataclass(frozen=True)
class _Service:
    """What a script of /usr/local/etc/rc.d says about its service, read by sh as rc.subr(8) would."""

    path: str
    name: str
    rcvar: str
    value: str | None  # of rcvar; None: set nowhere
    description: str
    pidfile: str
    process: bool  # a command or procname that rc.subr looks for
    own_start: bool  # start_cmd: it prints what it prints
    extra: tuple[str, ...]
    needed: tuple[str, ...]  # required_files
    starts: bool  # at boot; no KEYWORD nostart

    @property
    def keywords(self) -> str:
        """The directives, as in its usage."""
        return "|".join([_USUAL, *self.extra, *(["status", "poll"] if self.process else [])])


class _Script:
    """What a run of rc printed, in order, and the exit status of its last command."""

    def __init__(self, host: FreeBSD) -> None:
        self.host = host
        self.out, self.err, self.rc = "", "", 0

    def say(self, row: str) -> None:
        self.out += row + "\n"

    def run(self, *argv: str, quiet: bool = False) -> int:
        result = self.host.run(list(argv))
        self.rc = result.rc
        if not quiet:
            self.out += result.stdout
        self.err += result.stderr
        return result.rc

    def result(self, rc: int | None = None) -> Result:
        return Result(self.rc if rc is None else rc, self.out, self.err)


def _key(prefix: str, name: str) -> str:
    """A variable of rc.conf that belongs to an interface."""
    return f"{prefix}_{re.sub(r'[^A-Za-z0-9]', '_', name)}"


class Rc:
    """sysrc(8), service(8), boot."""

    def __init__(self, host: FreeBSD) -> None:
        self.host = host

    # -- variables --

    def variables(self, service: str | None = None) -> dict[str, str]:
        """What rc.subr's load_rc_config leaves in the shell's variables."""
        return self._sourced(self._configuration(service), _DEFAULTS)

    def _configuration(self, service: str | None) -> list[str]:
        """The files that load_rc_config reads for a service, in order."""
        paths = [path for path in _FILES if path in self.host.files]
        for folder in ("/etc", "/usr/local/etc") if service else ():
            single = f"{folder}/rc.conf.d/{service}"
            found = [single] if single in self.host.files else self.host.files.glob(f"{single}/*")
            paths += [path for path in found if not path.rpartition("/")[2].startswith(".")]
        return paths

    def _sourced(self, paths: list[str], start: dict[str, str], script: str | None = None) -> dict[str, str]:
        """The variables after a shell sourced the files one after the other.

        With the script of a service it is the script that runs: it has the files sourced by load_rc_config, and ends at
        run_rc_command.
        """
        with tempfile.TemporaryDirectory(prefix="freebsd-sim-") as folder:
            copies = []
            for number, path in enumerate(paths):
                copy = Path(folder, str(number))
                copy.write_text(self.host.files[path], encoding="utf-8", errors="surrogateescape")
                copies.append(copy)
            program = "".join(f"{name}={shlex.quote(value)}\n" for name, value in start.items())
            program += "set -a\n" + "".join(f"{name}=${name}\n" for name in start)
            sourcing = "".join(f". {copy}\n" for copy in copies)
            environment = {"PATH": "/sbin:/bin:/usr/sbin:/usr/bin" if script is None else "/nonexistent"}
            if script is None:
                program += sourcing + "exec /usr/bin/env -0\n"
            else:
                program += f"load_rc_config() {{\n:\n{sourcing}}}\nrun_rc_command() {{ exec /usr/bin/env -0; }}\n"
                program += 'set_rcvar() { echo "${1:-$name}_enable"; }\n' + script
            done = subprocess.run(
                ["/bin/sh", "-c", program], env=environment, capture_output=True, check=False, timeout=20
            )
        pairs = (entry.partition(b"=") for entry in done.stdout.split(b"\0") if entry)
        text = {name.decode(): value.decode("utf-8", "surrogateescape") for name, _rest, value in pairs}
        return {name: value for name, value in text.items() if name not in ("PATH", "PWD", "OLDPWD", "SHLVL", "_")}

    @staticmethod
    def words(text: str) -> list[str]:
        """The words of a value as `eval` splits it."""
        script = 'eval "set -- $1"; [ $# -eq 0 ] || printf "%s\\0" "$@"'
        done = subprocess.run(
            ["/bin/sh", "-c", script, "sh", text],
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=False,
            timeout=20,
        )
        return done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]

    def enabled(self, service: str) -> bool:
        """checkyesno NAME_enable; netif and routing have no such variable."""
        return service in _ALWAYS or self.variables(service).get(f"{service}_enable", "NO").lower() in _YES

    # -- sysrc(8) --

    def sysrc(self, argv: list[str], stdin: str) -> Result:
        letters, path, words = "", "", list(argv[1:])
        names: list[str] = []
        while words:
            word = words.pop(0)
            if not word.startswith("-") or names:
                names.append(word)
                continue
            letters += word[1:]
            if word[-1] == "f":
                path = words.pop(0)
            elif word[-1] == "s":
                path = f"/etc/rc.conf.d/{words.pop(0)}"
        if "l" in letters:
            return Result(0, lines(" ".join(_FILES)))
        if "a" in letters or "A" in letters:
            return self._all("A" in letters, "e" in letters)
        out, errors, rc = "", "", 0
        for name in names:
            try:
                out += self._variable(name, letters, path)
            except Failed as failed:
                out, errors, rc = out + failed.result.stdout, errors + failed.result.stderr, failed.result.rc
        return Result(rc, out, errors)

    def _current(self, path: str) -> dict[str, str]:
        if not path:
            return self.variables()
        return self._sourced([path] if path in self.host.files else [], {})

    def _all(self, defaults: bool, quoted: bool) -> Result:
        values = self.variables()
        shown = {name: value for name, value in sorted(values.items()) if defaults or self._assigned(name)}
        return Result(
            0, lines(*(f'{name}="{value}"' if quoted else f"{name}: {value}" for name, value in shown.items()))
        )

    def _assigned(self, name: str) -> str | None:
        """The file that assigns a variable, the last one first."""
        for path in reversed(_FILES):
            if re.search(rf"^\s*{re.escape(name)}=", self.host.files.get(path, ""), re.M):
                return path
        return None

    def _variable(self, word: str, letters: str, path: str) -> str:
        match = re.fullmatch(r"([^=+]*?)([+-]?)=(.*)", word, re.S)
        name = match.group(1) if match else word
        if re.search(r"[^A-Za-z0-9_-]", name):
            raise Failed(1, f"sysrc: {name}: name contains characters not allowed in shell")
        values = self._current(path)
        if match and "c" not in letters:
            return self._assign(name, match.group(2), match.group(3), values.get(name, ""), letters, path or RC_CONF)
        if match:
            raise Failed(0 if values.get(name) == match.group(3) else 1)
        if "x" in letters:
            return self._remove(name, values, path or RC_CONF)
        if name not in values or ("d" in letters and name not in _DESCRIPTIONS):
            raise Failed(1, "" if "i" in letters or "q" in letters else f"sysrc: unknown variable '{name}'")
        if "c" in letters:
            return ""
        if "F" in letters:
            return f"{name}: {self._assigned(name)}\n"
        value = _DESCRIPTIONS[name] if "d" in letters else values[name]
        if "e" in letters:
            return f'{name}="{value}"\n'
        where = f"{self._assigned(name)}: " if "v" in letters else ""
        return f"{value}\n" if "n" in letters else f"{where}{name}: {value}\n"

    def _assign(self, name: str, operator: str, text: str, before: str, letters: str, path: str) -> str:
        """Assign, append (+) or take away (-). As sysrc does: quotes and dollars in the value are not escaped."""
        if operator and text:
            delimiter = text[0] if not text[0].isalnum() else " "
            parts = [part for part in before.split(delimiter) if part]
            changed = [part for part in text.split(delimiter) if part]
            kept = [part for part in parts if operator == "+" or part not in changed]
            text = delimiter.join(kept + ([part for part in changed if part not in parts] if operator == "+" else []))
        if not self.host.files.has_parent(path):
            raise Failed(1, f"/usr/sbin/sysrc: cannot create {path}: No such file or directory")
        content = self.host.files.get(path, "")
        row = f'{name}="{text}"'
        pattern = re.compile(rf"^{re.escape(name)}=.*$", re.M)
        if pattern.search(content):
            content = pattern.sub(lambda _: row, content)
        else:
            content += ("\n" if content and not content.endswith("\n") else "") + row + "\n"
        self.host.files[path] = content
        if "q" in letters:
            return ""
        after = self._current("" if path in _FILES else path).get(name, "")
        return f"{name}: {before} -> {after}\n"

    def _remove(self, name: str, values: dict[str, str], path: str) -> str:
        if name not in values:
            raise Failed(1, f"sysrc: unknown variable '{name}'")
        content = self.host.files.get(path, "")
        kept = re.sub(rf"^{re.escape(name)}=.*\n?", "", content, flags=re.M)
        if kept != content:
            self.host.files[path] = kept
        return ""

    # -- service(8) --

    def service(self, argv: list[str], stdin: str) -> Result:
        words = argv[1:]
        if words[:1] == ["-e"]:
            paths = [path for name, (path, _rest, _rest) in _SERVICES.items() if self.enabled(name)]
            return Result(0, lines(*paths, *(own.path for own in self._own() if self._is_yes(own.value))))
        if words[:1] in (["-l"], ["-r"]):
            return Result(0, lines(*sorted([*_SERVICES, *(Path(own.path).name for own in self._own())])))
        if words and words[0] not in _SERVICES and self.host.files.executable(f"{_OWN}/{words[0]}"):
            return self._run_own(self._read_own(f"{_OWN}/{words[0]}"), [*words, ""][1])
        if not words or words[0] not in _SERVICES:
            name = words[0] if words else ""
            told = lines(
                f"{name} does not exist in /etc/rc.d or the local startup",
                "directories (/usr/local/etc/rc.d), or is not executable",
            )
            return Result(1, told)
        name, directive, extra = words[0], words[1] if len(words) > 1 else "", words[2:]
        path, description, more = _SERVICES[name]
        prefix = re.match(r"(fast|force|one|quiet)?", directive)
        plain = directive[prefix.end() :] if prefix else directive
        common = self._common(name, plain, description)
        if common is not None:
            return common
        if plain not in f"{_USUAL}|{more}".split("|"):
            usage = f"Usage: {path} [fast|force|one|quiet]({_USUAL}|{more})"
            return Result(1, "", lines(f"{path}: unknown directive '{directive}'.", usage))
        if not directive.startswith(("one", "force")) and not self.enabled(name):
            hint = f"Set {name}_enable to YES in /etc/rc.conf or use 'one{directive}' instead of '{directive}'."
            return Result(0, f"Cannot '{directive}' {name}. {hint}\n")
        script = _Script(self.host)
        return getattr(self, f"_{name}")(plain, extra, script)  # type: ignore[no-any-return]

    # Scripts in /usr/local/etc/rc.d that are none of the above

    def _own(self) -> list[_Service]:
        paths = [path for path in self.host.files.glob(f"{_OWN}/*") if self.host.files.executable(path)]
        return [self._read_own(path) for path in paths if Path(path).name not in _SERVICES]

    def _read_own(self, path: str) -> _Service:
        """Run a script by sh up to its run_rc_command, without any program in reach."""
        text = self.host.files[path]
        named = re.search(r"^name=[\"']?(\w+)", text, re.M)
        name = named.group(1) if named else Path(path).name
        script = re.sub(r"^\s*\.\s+/etc/\S+", ":", text, flags=re.M)
        found = self._sourced(self._configuration(name), _DEFAULTS, script)
        rcvar = found.get("rcvar", "")
        return _Service(
            path=path,
            name=name,
            rcvar=rcvar,
            value=found.get(rcvar),
            description=found.get("desc", ""),
            pidfile=found.get("pidfile", ""),
            process=bool(found.get("procname") or found.get("command") or found.get("status_cmd")),
            own_start="start_cmd" in found,
            extra=tuple(found.get("extra_commands", "").split()),
            needed=tuple(found.get("required_files", "").split()),
            starts=not re.search(r"^# KEYWORD:.*\bnostart\b", text, re.M),
        )

    @staticmethod
    def _is_yes(value: str | None) -> bool:
        return (value or "").lower() in _YES

    def _run_own(self, own: _Service, argument: str) -> Result:
        """run_rc_command() of rc.subr(8). The program itself does not run, only that it does is kept, with a pid."""
        match = re.match(r"fast|force|one|quiet", argument)
        prefix = match.group() if match else ""
        directive = argument.removeprefix(prefix)
        script = _Script(self.host)
        if directive == "enabled":
            return script.result(0 if self._checkyesno(own, prefix, script) else 1)
        if directive not in own.keywords.split("|"):
            usage = f"Usage: {own.path} [fast|force|one|quiet]({own.keywords})"
            told = [] if not directive else [f"{own.path}: unknown directive '{directive}'."]
            return Result(1, "", lines(*told, usage))
        common = self._common_own(own, directive)
        if common is not None:
            return common
        pid = self._running.get(own.name)
        # A service that is not enabled can be stopped when it runs, but not asked for its status.
        if own.rcvar and not (directive == "stop" and pid) and not self._checkyesno(own, prefix, script):
            if prefix not in ("fast", "quiet"):
                script.say(
                    f"Cannot '{directive}' {own.name}. Set {own.rcvar} to YES in /etc/rc.conf "
                    f"or use 'one{directive}' instead of '{directive}'."
                )
            return script.result(0)
        return self._act(own, prefix, directive, script)

    def _checkyesno(self, own: _Service, prefix: str, script: _Script) -> bool:
        value = "YES" if prefix in ("one", "force") else own.value
        if (value or "").lower() not in (*_YES, "no", "false", "off", "0"):
            script.err += f"{own.path}: WARNING: ${own.rcvar} is not set properly - see rc.conf(5).\n"
        return self._is_yes(value)

    def _common_own(self, own: _Service, directive: str) -> Result | None:
        if directive == "rcvar":
            value = [f'{own.rcvar}="{own.value or ""}"', '#   (default: "")'] if own.rcvar else []
            title = f"# {own.name} : {own.description}" if own.description else f"# {own.name}"
            return Result(0, lines(title, "#", *value, ""))
        if directive == "describe":
            return Result(0, lines(*([own.description] if own.description else [])))
        if directive == "extracommands":
            return Result(0, lines(" ".join(own.extra)))
        if directive not in ("enable", "disable", "delete"):
            return None
        # sysrc -s: where the variable is set last, which may be a file of the service's own.
        assigns = rf"^\s*{re.escape(own.rcvar)}="
        files = [path for path in self._configuration(own.name) if re.search(assigns, self.host.files[path], re.M)]
        path = files[-1] if files else RC_CONF
        word = f"{own.rcvar}={'YES' if directive == 'enable' else 'NO'}"
        self.sysrc(["sysrc", "-f", path, *(["-x", own.rcvar] if directive == "delete" else [word])], "")
        said = f"{own.name} {directive}d" if directive != "delete" else f"{own.rcvar} deleted"
        return Result(0, f"{said} in {path}\n")

    @property
    def _running(self) -> dict[str, int]:
        """Services that run, with their pids."""
        running: dict[str, int] = self.host.state["services"]
        return running

    def _act(self, own: _Service, prefix: str, directive: str, script: _Script) -> Result:
        pid = self._running.get(own.name)
        if directive == "status":
            script.say(f"{own.name} is running as pid {pid}." if pid else f"{own.name} is not running.")
            return script.result(0 if pid else 1)
        if directive == "poll":
            return script.result(0)
        if directive == "reload":
            if not pid:
                self._not_running(own, script)
            return script.result(0 if pid else 1)
        if directive not in ("start", "stop", "restart"):
            raise Failed(1, f"service: not simulated: {own.name} {directive}")
        if directive in ("stop", "restart"):
            status = self._stop_own(own, prefix, script)
            if directive == "stop":
                return script.result(status)
        return script.result(self._start_own(own, prefix, script))

    @staticmethod
    def _not_running(own: _Service, script: _Script) -> None:
        script.err += f"{own.name} not running?{f' (check {own.pidfile}).' if own.pidfile else ''}\n"

    def _stop_own(self, own: _Service, prefix: str, script: _Script) -> int:
        pid = self._running.pop(own.name, None)
        if pid:
            script.say(f"Stopping {own.name}.")
            script.say(f"Waiting for PIDS: {pid}.")
            return 0
        if prefix == "fast":
            return 0
        self._not_running(own, script)
        return 1

    def _start_own(self, own: _Service, prefix: str, script: _Script) -> int:
        pid = self._running.get(own.name)
        if pid and prefix != "fast":
            script.err += "" if prefix == "quiet" else f"{own.name} already running?  (pid={pid}).\n"
            return 1
        missing = [path for path in own.needed if path not in self.host.files]
        script.err += lines(*(f"{own.path}: WARNING: {path} is not readable." for path in missing))
        if missing and prefix != "force":
            script.err += "" if own.own_start else f"{own.path}: WARNING: failed precmd routine for {own.name}\n"
            return 1
        if not own.own_start:
            script.say(f"Starting {own.name}.")
        self.host.state["last_pid"] += 2
        self._running[own.name] = self.host.state["last_pid"]
        return 0

    def _common(self, name: str, directive: str, description: str) -> Result | None:
        variable = f"{name}_enable"
        if directive == "rcvar":
            value = "YES" if self.enabled(name) else self.variables(name).get(variable, "NO")
            value = "" if name in _ALWAYS else f'{variable}="{value}"'
            return Result(
                0, lines(f"# {name} : {description}", "#", *([value] if value else []), '#   (default: "")', "")
            )
        if directive == "describe":
            return Result(0, lines(description))
        if directive == "enabled":
            return Result(0 if self.enabled(name) else 1)
        if directive in ("enable", "disable"):
            self.sysrc(["sysrc", f"{variable}={'YES' if directive == 'enable' else 'NO'}"], "")
            return Result(0, f"{name} {directive}d in /etc/rc.conf\n")
        if directive == "delete":
            self.sysrc(["sysrc", "-x", variable], "")
            return Result(0, f"{variable} deleted in /etc/rc.conf\n")
        if directive == "extracommands":
            return Result(0, lines(_SERVICES[name][2].replace("|", " ")))
        return None

    def _sshd(self, directive: str, extra: list[str], script: _Script) -> Result:
        script.say(
            {"status": "sshd is running as pid 531."}.get(directive, "Performing sanity check on sshd configuration.")
        )
        return script.result(0)

    def _ipsec(self, directive: str, extra: list[str], script: _Script) -> Result:
        if directive == "status":
            script.say("ipsec is not running.")
            return script.result(1)
        script.err = "/etc/rc.d/ipsec: WARNING: /etc/ipsec.conf not readable; ipsec start aborted.\n"
        return script.result(1)

    def _strongswan(self, directive: str, extra: list[str], script: _Script) -> Result:
        charon = self.host.charon
        if directive in ("stop", "restart"):
            if charon.state["running"]:
                charon.stop()
                script.say("Stopping strongswan.")
            else:
                script.err += "strongswan not running? (check /var/run/daemon-charon.pid).\n"
                script.rc = 1
        if directive in ("start", "restart"):
            if charon.state["running"]:
                script.err += "strongswan already running?  (pid=671).\n"
                return script.result(1)
            charon.start()
            script.say("Starting strongswan.")
            script.run("swanctl", "--load-all", "--noprompt")
        for call in {
            "reload": ("--reload-settings", "--load-all"),
            "status": ("--stats",),
            "statusall": ("--stats", "--list-conns", "--list-sas"),
        }.get(directive, ()):
            script.run("swanctl", call)
        return script.result(1 if script.rc else 0)

    def _pf(self, directive: str, extra: list[str], script: _Script) -> Result:
        path = self.variables("pf").get("pf_rules", "/etc/pf.conf")
        if directive == "status":
            if "pf" not in self.host.modules.loaded:
                script.say("pf.ko is not loaded")
                return script.result(1)
            script.run("pfctl", "-si")
            return script.result(0 if self.host.state["pf"]["enabled"] else 1)
        if path not in self.host.files:
            script.err = f"/etc/rc.d/pf: WARNING: {path} is not readable.\n"
            return script.result(1)
        if directive in ("check", "reload", "resync"):
            script.say("Checking pf rules." if directive == "check" else "Reloading pf rules.")
            if script.run("pfctl", "-nf", path) == 0 and directive != "check":
                script.run("pfctl", "-f", path)
            return script.result()
        if directive in ("stop", "restart") and self.host.state["pf"]["enabled"]:
            script.say("Disabling pf.")
            script.run("pfctl", "-dq")
        if directive in ("start", "restart"):
            self.host.modules.load("pf")
            script.say("Enabling pf.")
            script.run("pfctl", "-q", "-F", "all")  # the anchors' rules stay
            if script.run("pfctl", "-f", path) != 0:
                script.err += f"/etc/rc.d/pf: WARNING: Unable to load {path}.\n"
            if not self.host.state["pf"]["enabled"]:
                script.run("pfctl", "-eq")
        return script.result(0)

    # -- netif --

    def _netif(self, directive: str, extra: list[str], script: _Script) -> Result:
        variables = self.variables("netif")
        if directive in ("stop", "restart"):
            self._netif_stop(variables, extra, script)
        if directive in ("start", "restart"):
            self._netif_start(variables, extra, script)
            self._from_the_network(variables, extra)
        if directive in ("cloneup", "vnetup"):
            self._clone_up(variables, extra, script)
        if directive in ("clonedown", "vnetdown"):
            self._clone_down(variables, extra, script)
        return script.result(0)

    @staticmethod
    def _cloned(variables: dict[str, str], only: list[str]) -> list[tuple[str, bool]]:
        """(name, sticky) of cloned_interfaces."""
        entries = [entry.partition(":") for entry in variables.get("cloned_interfaces", "").split()]
        return [(name, word == "sticky") for name, _rest, word in entries if not only or name in only]

    def _clone_up(self, variables: dict[str, str], only: list[str], script: _Script) -> None:
        made = []
        for name, _rest in self._cloned(variables, only):
            if name not in self.host.interfaces.table:
                arguments = self.words(variables.get(f"create_args_{name}", ""))
                if script.run("ifconfig", name, "create", *arguments, quiet=True) == 0:
                    made.append(name)
        if made:
            script.say(f"Created clone interfaces: {' '.join(made)}.")

    def _clone_down(self, variables: dict[str, str], only: list[str], script: _Script) -> None:
        gone = []
        for name, sticky in self._cloned(variables, only):
            if name in self.host.interfaces.table and not sticky:
                script.run("ifconfig", name, "destroy", quiet=True)
                gone.append(name)
        if gone:
            script.say(f"Destroyed clone interfaces: {' '.join(gone)}.")

    def _netif_start(self, variables: dict[str, str], only: list[str], script: _Script) -> None:
        self._clone_up(variables, only, script)
        names = [name for name in only or list(self.host.interfaces.table) if name in self.host.interfaces.table]
        started = [name for name in names if self._configure(variables, name, script)]
        for name in started:
            if "SYNCDHCP" in self.words(variables.get(_key("ifconfig", name), "")):
                self.lease(name)
        if started:
            script.say(f"Starting Network: {' '.join(started)}.")
        for name in started:
            script.run("ifconfig", name)
        for name in only:
            self._static(script, "add", name)

    def _from_the_network(self, variables: dict[str, str], only: list[str]) -> None:
        """What comes a moment later: leases that netif does not wait for, and routers' advertisements."""
        for name in only or list(self.host.interfaces.table):
            if name in self.host.interfaces.table:
                if "DHCP" in self.words(variables.get(_key("ifconfig", name), "")):
                    self.lease(name)
                self.host.interfaces.advertised(name)

    def lease(self, name: str) -> None:
        """What dhclient-script(8) does with a lease.

        Its default route is one more beside another through the same interface, and none at all beside one through
        another interface.
        """
        address, router = self.host.state["dhcp"].get(name, ("", ""))
        if not address:
            return
        self.host.run(["ifconfig", name, "inet", address])
        default = self.host.routing.lookup_default("inet")
        if default is None or default["interface"] == name:
            self.host.run(["route", "add", "default", router])

    def _configure(self, variables: dict[str, str], name: str, script: _Script) -> bool:
        """ifconfig_up and the aliases of network.subr; whether anything was configured."""
        key = _key("", name).removeprefix("_")
        done = name == "lo0"
        main = [
            word
            for word in self.words(variables.get(f"ifconfig_{key}", ""))
            if word not in ("DHCP", "SYNCDHCP", "NOAUTO")
        ]
        if main:
            script.run("ifconfig", name, *main, quiet=True)
        if variables.get(f"ifconfig_{key}"):
            done = True
        six = self.words(variables.get(f"ifconfig_{key}_ipv6", ""))
        if six:
            script.run("ifconfig", name, "inet6", "-ifdisabled", quiet=True)
            script.run("ifconfig", name, *six, quiet=True)
            done = True
        if done:
            script.run("ifconfig", name, "up", quiet=True)
        number = 0
        while variables.get(f"ifconfig_{key}_alias{number}"):
            script.run("ifconfig", name, *self.words(variables[f"ifconfig_{key}_alias{number}"]), "alias", quiet=True)
            number, done = number + 1, True
        description = variables.get(f"ifconfig_{key}_descr")
        if description:
            script.run("ifconfig", name, "description", description, quiet=True)
        if name == "lo0" and not self.host.interfaces.owner("::1"):
            script.run("ifconfig", "lo0", "inet6", "::1", "prefixlen", "128", quiet=True)
        return done

    def _netif_stop(self, variables: dict[str, str], only: list[str], script: _Script) -> None:
        names = [name for name in only or list(self.host.interfaces.table) if name in self.host.interfaces.table]
        for name in names:
            for family in ("inet6", "inet"):
                for entry in list(self.host.interfaces.table[name]["addresses"]):
                    if entry["family"] == family:
                        self.host.interfaces.remove_address(name, entry)
            script.run("ifconfig", name, "down", quiet=True)
        if names:
            script.say(f"Stopping Network: {' '.join(names)}.")
        for name in names:
            script.run("ifconfig", name)
        self._clone_down(variables, only, script)
        for name in only:
            self._static(script, "delete", name)

    # -- routing --

    def _routing(self, directive: str, extra: list[str], script: _Script) -> Result:
        family, name = [*extra, "", ""][:2]
        if family not in ("", "any", "inet", "inet6"):
            raise Failed(1, f"/etc/rc.d/routing: ERROR: afexists(): Unsupported address family: {family}")
        families = ("inet", "inet6") if family in ("", "any") else (family,)
        if directive in ("stop", "restart"):
            self._static(script, "delete", name, families)
        if directive in ("start", "restart", "static"):
            self._static(script, "add", name, families)
        if directive in ("start", "restart", "options"):
            self._options(script)
        return script.result()

    def _static(self, script: _Script, action: str, only: str, families: tuple[str, ...] = ("inet", "inet6")) -> None:
        """static_inet and static_inet6 of rc.d/routing."""
        variables = self.variables("routing")
        for family in families:
            inet6 = family == "inet6"
            prefix = "ipv6_" if inet6 else ""
            if not only:
                script.run(
                    "route", action, *(["-inet6", "-host", "::1"] if inet6 else ["-host", "127.0.0.1"]), "-iface", "lo0"
                )
            for row in _LINK_ROUTES if inet6 and not only else ():
                script.run("route", action, *row.split())
            names = variables.get(f"{prefix}static_routes", "").split()
            arguments = {entry: variables.get(f"{prefix}route_{entry.partition(':')[0]}", "") for entry in names}
            default = variables.get(f"{prefix}defaultrouter", "NO")
            if default and default.upper() != "NO":
                arguments["_default"] = f"default {default}"
            for entry, text in arguments.items():
                if text and (not only or entry.endswith(f":{only}")):
                    script.run("route", action, *(["-inet6"] if inet6 else []), *text.split())
            if action == "delete" and not only and not inet6:
                script.out += self.host.routing.flush("inet").stdout

    def _options(self, script: _Script) -> None:
        variables = self.variables("routing")
        for family, variable, oid in (
            ("inet", "gateway_enable", "net.inet.ip.forwarding"),
            ("inet6", "ipv6_gateway_enable", "net.inet6.ip6.forwarding"),
        ):
            on = variables.get(variable, "NO").lower() in _YES
            self.host.sysctls.table[oid] = "1" if on else "0"
            if on:
                script.say(f"Additional {family} routing options: gateway=YES.")

    # -- boot --

    def freebsd_sim(self, argv: list[str], stdin: str) -> Result:
        """freebsd-sim boot|reboot: not a program of FreeBSD, but what happens at boot."""
        if argv[1:] == ["reboot"]:
            self.host.reboot()
            return Result(0)
        if argv[1:] == ["boot"]:
            return self.boot()
        return Result(64, "", "usage: freebsd-sim boot|reboot\n")

    def boot(self) -> Result:
        """loader.conf's modules, sysctl.conf, netif, routing, then what is enabled: pf, strongswan, other services."""
        script = _Script(self.host)
        for path in ["/boot/loader.conf", *self.host.files.glob("/boot/loader.conf.d/*.conf")]:
            for name in re.findall(r'^\s*(\w+)_load="?YES"?', self.host.files.get(path, ""), re.M | re.I):
                script.run("kldload", "-n", name)
        for name in self.variables().get("kld_list", "").split():
            script.run("kldload", "-n", name)
        self._netif_start(self.variables("netif"), [], script)
        self._static(script, "add", "")
        self._options(script)
        self._from_the_network(self.variables("netif"), [])
        for path in ("/etc/sysctl.conf", "/etc/sysctl.conf.local"):
            for row in self.host.files.get(path, "").splitlines():
                assignment = row.partition("#")[0].strip()
                if assignment:
                    script.run("sysctl", assignment.replace(" ", ""))
        for service in ("pf", "strongswan"):
            if self.enabled(service):
                script.run("service", service, "start")
        for own in self._own():
            if own.starts and self._is_yes(own.value):
                script.run("service", Path(own.path).name, "quietstart")
        return script.result(0)
