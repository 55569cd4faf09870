# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""swanctl(8) of strongSwan 5.9.8 over the simulated daemon: its output, raw and pretty forms and failures."""

from __future__ import annotations

import posixpath
import time
from typing import TYPE_CHECKING, Any

from . import ike, settings
from .charon import Log, children
from .files import Failed, Result, lines

if TYPE_CHECKING:
    from .freebsd import FreeBSD

CONFIG = "/usr/local/etc/swanctl/swanctl.conf"
_PLUGINS = (
    "aes des blowfish rc2 sha2 sha1 md4 md5 random nonce x509 revocation constraints pubkey pkcs1 pkcs7 pkcs12 pgp "
    "dnskey sshkey pem openssl pkcs8 fips-prf curve25519 xcbc cmac hmac kdf gcm drbg"
)
_DAEMON_PLUGINS = (
    f"charon {_PLUGINS} attr kernel-pfkey kernel-pfroute resolve socket-default stroke vici updown eap-identity "
    "eap-md5 eap-mschapv2 eap-tls eap-ttls eap-peap xauth-generic whitelist addrblock counters"
)
_COMMANDS = {
    "counters": ("C", "list or reset IKE event counters"), "initiate": ("i", "initiate a connection"),
    "terminate": ("t", "terminate a connection"), "rekey": ("R", "rekey an SA"),
    "redirect": ("d", "redirect an IKE_SA"), "uninstall": ("u", "uninstall a trap or shunt policy"),
    "install": ("p", "install a trap or shunt policy"), "list-sas": ("l", "list currently active IKE_SAs"),
    "monitor-sa": ("m", "monitor for IKE_SA and CHILD_SA changes"),
    "list-pols": ("P", "list currently installed policies"),
    "list-authorities": ("B", "list loaded authority configurations"),
    "list-conns": ("L", "list loaded configurations"), "list-certs": ("x", "list stored certificates"),
    "list-pools": ("A", "list loaded pool configurations"), "list-algs": ("g", "show loaded algorithms"),
    "flush-certs": ("f", "flush cached certificates"),
    "load-all": ("q", "load credentials, authorities, pools and connections"),
    "load-authorities": ("b", "(re-)load authority configuration"),
    "load-conns": ("c", "(re-)load connection configuration"), "load-creds": ("s", "(re-)load credentials"),
    "load-pools": ("a", "(re-)load pool configuration"), "log": ("T", "trace logging output"),
    "version": ("v", "show version information"), "stats": ("S", "show daemon stats information"),
    "reload-settings": ("r", "reload daemon strongswan.conf"), "help": ("h", "show usage information"),
}  # fmt: skip
_SYNOPSIS = {
    "list-sas": ["[--ike <name>|--ike-id <id>] [--child <name>|--child-id <id>]", "[--raw|--pretty]"],
    "load-all": ["[--raw|--pretty] [--clear] [--noprompt]"],
    "load-creds": ["[--raw|--pretty] [--clear] [--noprompt]"],
    "initiate": ["[--child <name>] [--ike <name>] [--timeout <s>] [--raw|--pretty]"],
    "terminate": [
        "--child <name> | --ike <name> | --child-id <id> | --ike-id <id>",
        "[--timeout <s>] [--raw|--pretty]",
    ],
}
_RAW = [("raw", "r", "dump raw response message"), ("pretty", "P", "dump raw response message in pretty print")]
_LAST = [
    ("debug", "v", "set debug level, default: 1"),
    ("options", "+", "read command line options from file"),
    ("uri", "u", "service URI to connect to"),
]
_LOG_LEVEL = [("loglevel", "l", "verbosity of redirected log")]
_FILE = [("file", "f", "custom path to swanctl.conf")]
_CLEAR = [("clear", "c", "clear previously loaded credentials"), ("noprompt", "n", "do not prompt for passwords")]
_TIMEOUT = [("timeout", "t", "timeout in seconds before detaching")]
_OPTIONS = {
    "list-sas": [
        ("ike", "i", "filter IKE_SAs by name"),
        ("ike-id", "I", "filter IKE_SAs by unique identifier"),
        ("child", "c", "filter CHILD_SAs by name"),
        ("child-id", "C", "filter CHILD_SAs by unique identifier"),
        ("noblock", "n", "don't wait for IKE_SAs in use"),
        *_RAW,
    ],
    "load-all": [*_CLEAR, *_RAW, *_FILE],
    "load-creds": [*_CLEAR, *_RAW, *_FILE],
    "load-conns": [*_RAW, *_FILE],
    "initiate": [
        ("child", "c", "initiate a CHILD_SA configuration"),
        ("ike", "i", "initiate an IKE_SA, or name of child's parent"),
        *_TIMEOUT,
        *_RAW,
        *_LOG_LEVEL,
    ],
    "terminate": [
        ("child", "c", "terminate by CHILD_SA name"),
        ("ike", "i", "terminate by IKE_SA name"),
        ("child-id", "C", "terminate by CHILD_SA unique identifier"),
        ("ike-id", "I", "terminate by IKE_SA unique identifier"),
        ("force", "f", "terminate IKE_SA without waiting, unless timeout is set"),
        *_TIMEOUT,
        *_RAW,
        *_LOG_LEVEL,
    ],
    "rekey": [
        ("child", "c", "rekey by CHILD_SA name"),
        ("ike", "i", "rekey by IKE_SA name"),
        ("child-id", "C", "rekey by CHILD_SA unique identifier"),
        ("ike-id", "I", "rekey by IKE_SA unique identifier"),
        *_RAW,
    ],
    "install": [
        ("child", "c", "CHILD_SA configuration to install"),
        ("ike", "i", "optional name of the connection containing CHILD_SA"),
        *_RAW,
    ],
    "version": [("daemon", "d", "query daemon version"), *_RAW],
}
_OPTIONS["uninstall"] = _OPTIONS["install"]
_FLAGS = {"raw", "pretty", "clear", "noprompt", "noblock", "force", "daemon", "help"}
_DIRECTORIES = (
    "x509", "x509ca", "x509ocsp", "x509aa", "x509ac", "x509crl", "pubkey", "private", "rsa", "ecdsa", "bliss",
    "pkcs8", "pkcs12",
)  # fmt: skip
_SECRETS = ("ike", "eap", "xauth", "ntlm", "ppk")


def _usage(command: str) -> str:
    head, *more = _SYNOPSIS.get(command, ["[--raw|--pretty]"])
    rows = [("help", "h", "show usage information"), *_OPTIONS.get(command, _RAW), *_LAST]
    return lines(
        f"  swanctl --{command} {head}",
        *(f"                 {row}" for row in more),
        *(f"           --{name:<15} (-{letter})  {text}" for name, letter, text in rows),
    )


def _help() -> str:
    rows = [f"  swanctl --{name:<16} (-{letter})  {text}" for name, (letter, text) in _COMMANDS.items()]
    return lines("strongSwan 5.9.8 swanctl", f"loaded plugins: {_PLUGINS}", "usage:", *rows)


class _Call:
    """One call: its options, its output so far, and how replies are written."""

    def __init__(self, command: str, options: dict[str, str]) -> None:
        self.command, self.options = command, options
        self.out: list[str] = []
        self.err: list[str] = []
        self.rc = 0

    @property
    def dumped(self) -> bool:
        return "raw" in self.options or "pretty" in self.options

    def dump(self, title: str, message: dict[str, Any]) -> None:
        """A message in raw or pretty form."""
        if "pretty" in self.options:
            self.out += [f"{title} {{", *_pretty(message, "  "), "}"]
        else:
            self.out.append(f"{title} {{{_raw(message)}}}")

    def result(self) -> Result:
        return Result(self.rc, lines(*self.out), lines(*self.err))


def _raw(message: dict[str, Any]) -> str:
    parts = []
    for key, value in message.items():
        if isinstance(value, dict):
            parts.append(f"{key} {{{_raw(value)}}}")
        else:
            parts.append(f"{key}=[{' '.join(value)}]" if isinstance(value, list) else f"{key}={value}")
    return " ".join(parts)


def _pretty(message: dict[str, Any], indent: str) -> list[str]:
    rows = []
    for key, value in message.items():
        if isinstance(value, dict):
            rows += [f"{indent}{key} {{", *_pretty(value, indent + "  "), f"{indent}}}"]
        elif isinstance(value, list):
            rows += [f"{indent}{key} = [", *(f"{indent}  {entry}" for entry in value), f"{indent}]"]
        else:
            rows.append(f"{indent}{key} = {value}")
    return rows


class Swanctl:
    """swanctl(8)."""

    def __init__(self, host: FreeBSD) -> None:
        self.host = host
        self.charon = host.charon

    def swanctl(self, argv: list[str], stdin: str) -> Result:
        if len(argv) < 2:
            return Result(0, _help())
        letters = {letter: name for name, (letter, _rest) in _COMMANDS.items()}
        command = argv[1].lstrip("-")
        command = letters.get(command, command)
        if command not in _COMMANDS:
            raise Failed(1, f"swanctl: unrecognized option `{argv[1]}'\nError: invalid operation\n{_help()}")
        if command == "help":
            return Result(0, _help())
        call = _Call(command, self._options(command, argv[2:]))
        if not self.charon.state["running"]:
            refused = "connecting to 'unix:///var/run/charon.vici' failed: Connection refused"
            refused += (
                "\nError: connecting to 'default' URI failed: Connection refused\nstrongSwan 5.9.8 swanctl\nusage:\n"
            )
            raise Failed(61, refused + _usage(command))
        self.charon.retry()
        action = getattr(self, f"_{command.replace('-', '_')}", None)
        if action is not None:
            action(call)
        return call.result()

    @staticmethod
    def _options(command: str, words: list[str]) -> dict[str, str]:
        short = {letter: name for name, letter, _rest in [*_OPTIONS.get(command, _RAW), *_LAST]}
        known = set(short.values())
        options: dict[str, str] = {}
        words = list(words)
        while words:
            word, equals, value = words.pop(0).partition("=")
            name = word[2:] if word.startswith("--") else short.get(word[1:], "")
            if name not in known:
                told = f"swanctl: unrecognized option `{word}'\nError: invalid --{command} option\n"
                raise Failed(1, f"{told}strongSwan 5.9.8 swanctl\nusage:\n{_usage(command)}")
            options[name] = "" if name in _FLAGS else value if equals else words.pop(0)
        return options

    # -- loading --

    def _settings(self, call: _Call) -> dict[str, Any]:
        path = call.options.get("file", CONFIG)
        try:
            config, warnings = settings.read(self.host.files, path)
            call.err += warnings
            return config
        except settings.SettingsError as error:
            call.err += [str(error), f"invalid config file '{path}'"]
        except KeyError:
            call.err += [f"no files found matching '{path}'", f"failed to open config file '{path}'"]
        return {}

    def _load_all(self, call: _Call) -> None:
        config = self._settings(call)
        self._creds(call, config)
        if call.dumped:
            call.dump("get-authorities reply", {"authorities": []})
            call.dump("get-pools reply", {})
        else:
            call.out += ["no authorities found, 0 unloaded", "no pools found, 0 unloaded"]
        self._conns(call, config)

    def _load_creds(self, call: _Call) -> None:
        self._creds(call, self._settings(call))

    def _load_conns(self, call: _Call) -> None:
        self._conns(call, self._settings(call))

    def _load_pools(self, call: _Call) -> None:
        call.out.append("no pools found, 0 unloaded")

    def _load_authorities(self, call: _Call) -> None:
        call.out.append("no authorities found, 0 unloaded")

    def _creds(self, call: _Call, config: dict[str, Any]) -> None:
        secrets = self.charon.state["secrets"]
        if "clear" in call.options:
            secrets.clear()
            if call.dumped:
                call.dump("clear-creds reply", {"success": "yes"})
        path = call.options.get("file", CONFIG)
        if path not in self.host.files:
            folder = posixpath.dirname(path)
            call.err += [
                f"opening directory '{folder}/{name}' failed: No such file or directory" for name in _DIRECTORIES
            ]
        if call.dumped:
            call.dump("get-keys reply", {"keys": []})
            call.dump("get-shared reply", {"keys": list(secrets)})
        found = [name for name, section in config.get("secrets", {}).items() if isinstance(section, dict)]
        for name in found:
            section = config["secrets"][name]
            kind = next((kind for kind in _SECRETS if name.startswith(kind)), None)
            if kind is None or "secret" not in section:
                if not name.startswith("private"):
                    odd = f"missing secret in '{name}', ignored" if kind else f"ignoring unsupported secret '{name}'"
                    call.err.append(odd)
                continue
            owners = [value for key, value in section.items() if key.startswith("id")]
            secrets[name] = {"type": kind, "secret": section["secret"], "owners": owners}
            if call.dumped:
                call.dump("load-shared reply", {"success": "yes"})
            else:
                call.out.append(f"loaded {kind} secret '{name}'")
        for name in [name for name in secrets if name not in found]:
            del secrets[name]
            if call.dumped:
                call.dump("unload-shared reply", {"success": "yes"})

    def _conns(self, call: _Call, config: dict[str, Any]) -> None:
        loaded = self.charon.state["conns"]
        if call.dumped:
            call.dump("get-conns reply", {"conns": list(loaded)})
        wanted = {name: section for name, section in config.get("connections", {}).items() if isinstance(section, dict)}
        before, good = list(loaded), 0
        for name, section in wanted.items():
            try:
                self.charon.load(name, section)
            except ike.Refused as error:
                self._reply(call, "load-conn", str(error), f"loading connection '{name}' failed: {error}")
                continue
            good += 1
            self._reply(call, "load-conn", "", f"loaded connection '{name}'")
        gone = [name for name in before if name not in wanted]
        for name in gone:
            self.charon.unload(name)
            if call.dumped:
                call.dump("unload-conn reply", {"success": "yes"})
        if call.dumped:
            return
        if not wanted:
            call.out.append(f"no connections found, {len(gone)} unloaded")
        elif good == len(wanted):
            call.out.append(f"successfully loaded {good} connections, {len(gone)} unloaded")
        else:
            call.err.append(
                f"loaded {good} of {len(wanted)} connections, {len(wanted) - good} failed to load, {len(gone)} unloaded"
            )
            call.rc = 22

    @staticmethod
    def _reply(call: _Call, command: str, error: str, text: str) -> None:
        if call.dumped:
            call.dump(f"{command} reply", {"success": "no", "errmsg": error} if error else {"success": "yes"})
        else:
            (call.err if error else call.out).append(text)

    # -- operations on SAs --

    def _finish(self, call: _Call, log: Log, error: str, **more: Any) -> None:
        for group, level, text in log.rows:
            if call.dumped:
                call.dump(
                    "log",
                    {
                        "group": group,
                        "level": level,
                        "ikesa-name": log.ike[0],
                        "ikesa-uniqueid": log.ike[1],
                        "msg": text,
                    },
                )
            else:
                call.out.append(f"[{group}] {text}")
        if call.dumped:
            call.dump(
                f"{call.command} reply",
                {"success": "no" if error else "yes", **more, **({"errmsg": error} if error else {})},
            )
        elif error:
            call.err.append(f"{call.command} failed: {error}")
            call.rc = 1
        else:
            call.out.append(f"{call.command} completed successfully")

    def _initiate(self, call: _Call) -> None:
        child, name, log = call.options.get("child"), call.options.get("ike"), Log()
        conns = self.charon.state["conns"]
        found = self.charon.find_child(child, name) if child else name if name in conns else None
        if found is None:
            missing = f"CHILD_SA config '{child}' not found" if child else f"IKE_SA config '{name}' not found"
            self._finish(call, log, missing)
            return
        done = self.charon.initiate(found, child, log)
        what = f"CHILD_SA '{child}'" if child else f"IKE_SA '{name}'"
        timeout = int(call.options.get("timeout", "0"))
        if done is None and timeout > 0:
            self._finish(call, log, f"{what} not established after {timeout * 1000}ms")
            return
        if done is None:
            log.say("IKE", "giving up after 5 retransmits")
        self._finish(call, log, "" if done else f"establishing {what} failed")

    def _matching(self, call: _Call) -> tuple[list[Any], list[tuple[Any, Any]]]:
        """The IKE_SAs and the (IKE_SA, CHILD_SA) pairs that --ike, --child and their ids name."""
        options = call.options
        sas = self.charon.state["sas"]
        if "child" in options or "child-id" in options:
            wanted = options.get("child"), options.get("child-id")
            pairs = [
                (sa, child)
                for sa in sas
                if options.get("ike") in (None, sa["name"])
                for child in sa["children"]
                if wanted[0] in (None, child["name"]) and wanted[1] in (None, str(child["uniqueid"]))
            ]
            return [], pairs
        name, number = options.get("ike"), options.get("ike-id")
        if name is None and number is None:
            return [], []
        return [sa for sa in sas if name in (None, sa["name"]) and number in (None, str(sa["uniqueid"]))], []

    def _terminate(self, call: _Call) -> None:
        sas, pairs = self._matching(call)
        log, count = Log(), len(sas) + len(pairs)
        for sa, child in pairs:
            self.charon.delete_child(sa, child, log)
        for sa in sas:
            self.charon.delete_ike(sa, log)
        error = "" if count else "no matching SAs to terminate found"
        self._finish(call, log, error, matches=count, terminated=count)

    def _rekey(self, call: _Call) -> None:
        sas, pairs = self._matching(call)
        for sa, child in pairs:
            self.charon.rekey_child(sa, child)
        for sa in sas:
            sa["established"] = time.time()
        error = "" if sas or pairs else "no matching SAs to rekey found"
        self._finish(call, Log(), error, matches=len(sas) + len(pairs))

    def _install(self, call: _Call) -> None:
        child = call.options.get("child", "")
        name = self.charon.find_child(child, call.options.get("ike"))
        if name is not None and [name, child] not in self.charon.state["traps"]:
            self.charon.state["traps"].append([name, child])
        self._finish(call, Log(), "" if name else f"configuration name '{child}' not found")

    def _uninstall(self, call: _Call) -> None:
        child = call.options.get("child", "")
        traps = [trap for trap in self.charon.state["traps"] if trap[1] == child]
        for trap in traps:
            self.charon.state["traps"].remove(trap)
        self._finish(call, Log(), "" if traps else f"policy '{child}' not found")

    # -- listings --

    def _list_conns(self, call: _Call) -> None:
        for name, connection in self.charon.state["conns"].items():
            shown = _connection(connection)
            if call.dumped:
                call.dump("list-conn event", {name: shown})
            else:
                call.out += _connection_text(name, shown)
        if call.dumped:
            call.dump("list-conns reply", {})

    def _list_sas(self, call: _Call) -> None:
        options = call.options
        for sa in self.charon.state["sas"]:
            if options.get("ike", sa["name"]) != sa["name"] or options.get("ike-id", str(sa["uniqueid"])) != str(
                sa["uniqueid"]
            ):
                continue
            if "child" in options and not any(child["name"] == options["child"] for child in sa["children"]):
                continue
            shown = _sa(sa)
            if call.dumped:
                call.dump("list-sa event", {sa["name"]: shown})
            else:
                call.out += _sa_text(sa["name"], shown)
        if call.dumped:
            call.dump("list-sas reply", {})

    def _list_pols(self, call: _Call) -> None:
        for name, child in self.charon.state["traps"]:
            config = self.charon.state["conns"].get(name, {}).get("children", {}).get(child, {})
            shown = {
                "child": child,
                "ike": name,
                "mode": config.get("mode", "tunnel").upper(),
                "local-ts": ike.listed(config.get("local_ts", "dynamic")),
                "remote-ts": ike.listed(config.get("remote_ts", "dynamic")),
            }
            if call.dumped:
                call.dump("list-policy event", {f"{name}/{child}": shown})
            else:
                call.out += [
                    f"{name}/{child}, {shown['mode']}",
                    f"  local:  {' '.join(shown['local-ts'])}",
                    f"  remote: {' '.join(shown['remote-ts'])}",
                ]
        if call.dumped:
            call.dump("list-policies reply", {})

    def _version(self, call: _Call) -> None:
        if call.dumped or "daemon" in call.options:
            shown = {
                "daemon": "charon",
                "version": "5.9.8",
                "sysname": "FreeBSD",
                "release": "13.2-RELEASE",
                "machine": "amd64",
            }
            if call.dumped:
                call.dump("version reply", shown)
            else:
                call.out.append("strongSwan 5.9.8 charon (FreeBSD, 13.2-RELEASE, amd64)")
        else:
            call.out.append("strongSwan swanctl 5.9.8")

    def _reload_settings(self, call: _Call) -> None:
        if call.dumped:
            call.dump("reload-settings reply", {"success": "yes"})

    def _stats(self, call: _Call) -> None:
        since = self.charon.state["since"]
        running = f"{int(time.time() - since)} seconds"
        stamp = time.strftime("%b %d %H:%M:%S %Y", time.gmtime(since))
        total = len(self.charon.state["sas"])
        half = sum(sa["state"] != "ESTABLISHED" for sa in self.charon.state["sas"])
        if call.dumped:
            call.dump(
                "stats reply",
                {
                    "uptime": {"running": running, "since": stamp},
                    "workers": {"total": 16, "idle": 11, "active": {"critical": 4, "high": 0, "medium": 1, "low": 0}},
                    "queues": {"critical": 0, "high": 0, "medium": 0, "low": 0},
                    "scheduled": 2,
                    "ikesas": {"total": total, "half-open": half},
                    "plugins": _DAEMON_PLUGINS.split(),
                },
            )
            return
        call.out += [
            f"uptime: {running}, since {stamp}",
            "worker threads: 16 total, 11 idle, working: 4/0/1/0",
            "job queues: 0/0/0/0",
            "jobs scheduled: 2",
            f"IKE_SAs: {total} total, {half} half-open",
            f"loaded plugins: {_DAEMON_PLUGINS}",
        ]


def _actions_text(value: str) -> str:
    return " | ".join(sorted(ike.actions(value), reverse=True)) or "none"


_CLASSES = {"psk": "pre-shared key", "pubkey": "public key", "any": "any", "eap": "EAP", "xauth": "XAuth"}


def _connection(connection: dict[str, Any]) -> dict[str, Any]:
    """A loaded connection as the daemon lists it."""
    version = connection.get("version", "0")
    usual = "0" if "reauth_time" in connection else "14400"
    shown: dict[str, Any] = {
        "local_addrs": ike.listed(connection.get("local_addrs", "%any")),
        "remote_addrs": ike.listed(connection.get("remote_addrs", "%any")),
        "version": {"0": "IKEv1/2", "1": "IKEv1", "2": "IKEv2"}.get(version, f"({version})"),
        "reauth_time": ike.lifetime(connection, "reauth_time", "0"),
        "rekey_time": ike.lifetime(connection, "rekey_time", usual),
        "unique": f"UNIQUE_{connection.get('unique', 'no').upper()}",
    }
    for key in ("dpd_delay", "dpd_timeout"):
        if ike.lifetime(connection, key, "0"):
            shown[key] = ike.lifetime(connection, key, "0")
    shown.update({key: connection[key] for key in ("ppk_id", "ppk_required") if key in connection})
    for side in ("local", "remote"):
        sections = [s for name, s in connection.items() if isinstance(s, dict) and name.startswith(side)] or [{}]
        sections.sort(key=lambda section: int(section.get("round", "0")))
        for number, section in enumerate(sections, 1):
            shown[f"{side}-{number}"] = _authentication(section)
    shown["children"] = {name: _child_config(child) for name, child in children(connection).items()}
    return shown


def _authentication(section: dict[str, Any]) -> dict[str, Any]:
    kind, _rest, method = section.get("auth", "").partition("-")
    shown: dict[str, Any] = {"id": section["id"]} if section.get("id") else {}
    if kind == "eap" and method:
        shown["eap-type"] = f"EAP_{method.upper()}"
    if kind:
        shown["class"] = _CLASSES.get(kind, "public key")
    return {**shown, "groups": [], "cert_policy": [], "certs": [], "cacerts": []}


def _child_config(child: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"mode": child.get("mode", "tunnel").upper()}
    if "label" in child:
        shown["label"] = child["label"].encode().hex() + "00"
    shown.update(
        {
            "rekey_time": ike.lifetime(child, "rekey_time", "3600"),
            "rekey_bytes": ike.size(child.get("rekey_bytes", "0")),
            "rekey_packets": ike.size(child.get("rekey_packets", "0")),
            "dpd_action": _actions_text(child.get("dpd_action", "none")),
            "close_action": _actions_text(child.get("close_action", "none")),
            "local-ts": [ike.selector(part, None) for part in ike.listed(child.get("local_ts", "dynamic"))],
            "remote-ts": [ike.selector(part, None) for part in ike.listed(child.get("remote_ts", "dynamic"))],
        }
    )
    shown.update({key: child[key] for key in ("interface", "priority") if key in child})
    return shown


def _connection_text(name: str, shown: dict[str, Any]) -> list[str]:
    reauth = f"reauthentication every {shown['reauth_time']}s" if shown["reauth_time"] else "no reauthentication"
    rekey = f"rekeying every {shown['rekey_time']}s" if shown["rekey_time"] else "no rekeying"
    times = f"{reauth}, {rekey}"
    if shown["version"] == "IKEv1":
        times = f"reauthentication every {shown['rekey_time'] or shown['reauth_time']}s"
    delay = f", dpd delay {shown['dpd_delay']}s" if "dpd_delay" in shown else ""
    rows = [f"{name}: {shown['version']}, {times}{delay}"]
    if "ppk_id" in shown or "ppk_required" in shown:
        needed = "required" if ike.boolean(shown.get("ppk_required", "no")) else "not required"
        rows.append(f"  ppk: {', '.join([*([shown['ppk_id']] if 'ppk_id' in shown else []), needed])}")
    rows += [f"  local:  {address}" for address in shown["local_addrs"]]
    rows += [f"  remote: {address}" for address in shown["remote_addrs"]]
    for side in ("local", "remote"):
        for key, auth in shown.items():
            if key.startswith(f"{side}-"):
                rows.append(f"  {side} {auth.get('eap-type') or auth.get('class', 'unspecified')} authentication:")
                rows += [f"    id: {auth['id']}"] if "id" in auth else []
    for child, config in shown["children"].items():
        keyed = config["rekey_time"] and config["mode"] not in ("PASS", "DROP")
        rekey = f"rekeying every {config['rekey_time']}s" if keyed else "no rekeying"
        rekey += f" or {config['rekey_bytes']} bytes" if config["rekey_bytes"] else ""
        rekey += f" or {config['rekey_packets']} packets" if config["rekey_packets"] else ""
        action = f", dpd action is {config['dpd_action']}" if delay else ""
        rows.append(f"  {child}: {config['mode']}, {rekey}{action}")
        if "label" in config:
            rows.append(f"    label:  {bytes.fromhex(config['label'])[:-1].decode()}")
        rows += [f"    local:  {' '.join(config['local-ts'])}", f"    remote: {' '.join(config['remote-ts'])}"]
        rows += [f"    {key}: {config[key]}" for key in ("interface", "priority") if key in config]
    return rows


def _algorithms(chosen: dict[str, str]) -> dict[str, Any]:
    encryption, _rest, bits = chosen.get("encryption", "").partition("-")
    shown = {
        "encr-alg": encryption,
        "encr-keysize": bits,
        "integ-alg": chosen.get("integrity", ""),
        "prf-alg": chosen.get("prf", ""),
        "dh-group": chosen.get("dh", ""),
    }
    return {key: value for key, value in shown.items() if value}


def _sa(sa: dict[str, Any]) -> dict[str, Any]:
    """An IKE_SA with its children as the daemon lists it."""
    now = time.time()
    shown: dict[str, Any] = {"uniqueid": sa["uniqueid"], "version": 2, "state": sa["state"]}
    shown.update({f"{end}-{key}": sa[f"{end}-{key}"] for end in ("local", "remote") for key in ("host", "port", "id")})
    if sa["initiator"]:
        shown["initiator"] = "yes"
    shown.update({"initiator-spi": sa["initiator-spi"], "responder-spi": sa["responder-spi"]})
    shown.update(_algorithms(sa["algorithms"]))
    if sa["state"] == "ESTABLISHED":
        shown.update({"established": int(now - sa["established"]), "rekey-time": int(sa["rekey_at"] - now)})
    shown["child-sas"] = {f"{child['name']}-{child['uniqueid']}": _child_sa(child, now) for child in sa["children"]}
    return shown


def _child_sa(child: dict[str, Any], now: float) -> dict[str, Any]:
    shown = {
        "name": child["name"],
        "uniqueid": child["uniqueid"],
        "reqid": child["reqid"],
        "state": "INSTALLED",
        "mode": child["mode"],
        "protocol": "ESP",
        "spi-in": child["spi-in"],
        "spi-out": child["spi-out"],
    }
    shown.update(_algorithms(child["algorithms"]))
    shown.update({key: child[key] for key in ("bytes-in", "packets-in", "bytes-out", "packets-out")})
    shown.update(
        {
            "rekey-time": int(child["rekey_at"] - now),
            "life-time": int(child["expires_at"] - now),
            "install-time": int(now - child["installed"]),
            "local-ts": child["local-ts"],
            "remote-ts": child["remote-ts"],
        }
    )
    return shown


def _algorithms_text(shown: dict[str, Any]) -> str:
    encryption = shown.get("encr-alg", "") + (f"-{shown['encr-keysize']}" if "encr-keysize" in shown else "")
    return "/".join([encryption, *(str(shown[key]) for key in ("integ-alg", "prf-alg", "dh-group") if key in shown)])


def _sa_text(name: str, shown: dict[str, Any]) -> list[str]:
    cookies = [f"{shown['initiator-spi']}_i", f"{shown['responder-spi']}_r"]
    cookies[0 if "initiator" in shown else 1] += "*"
    rows = [f"{name}: #{shown['uniqueid']}, {shown['state']}, IKEv2, {' '.join(cookies)}"]
    for end, title in (("local", "local "), ("remote", "remote")):
        rows.append(f"  {title} '{shown[f'{end}-id']}' @ {shown[f'{end}-host']}[{shown[f'{end}-port']}]")
    if shown["state"] == "ESTABLISHED":
        rows += [
            f"  {_algorithms_text(shown)}",
            f"  established {shown['established']}s ago, rekeying in {shown['rekey-time']}s",
        ]
    for child in shown["child-sas"].values():
        title = f"{child['name']}: #{child['uniqueid']}, reqid {child['reqid']}, INSTALLED, {child['mode']}"
        ago = f"installed {child['install-time']}s ago, rekeying in {child['rekey-time']}s"
        rows += [f"  {title}, ESP:{_algorithms_text(child)}", f"    {ago}, expires in {child['life-time']}s"]
        for way in ("in", "out"):
            spi, octets, packets = (child[f"{key}-{way}"] for key in ("spi", "bytes", "packets"))
            rows.append(f"    {way:<3} {spi}, {octets:6d} bytes, {packets:5d} packets")
        rows += [f"    local  {' '.join(child['local-ts'])}", f"    remote {' '.join(child['remote-ts'])}"]
    return rows
