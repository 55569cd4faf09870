# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ids in a file: they stay whatever comes, goes, is renamed or moves; what is refused names both culprits."""

from __future__ import annotations

import random
import typing as t

import pytest
import yaml
from ansible_collections.routed_ipsec.vti.plugins.module_utils._core.errors import InvalidOption
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils import allocations, numbers, topology
from ansible_collections.routed_ipsec.vti.plugins.plugin_utils.allocations import HEADER, Settled, Wish
from hypothesis import given, settings
from hypothesis import strategies as st

FILE = """\
---
# north
branch2: 12
"branch 1": 11   # since 2020

'gone': 13
b.4: 14"""


def settle(text: str, *names: str, allocate: bool = False, **wishes: Wish) -> Settled:
    return allocations.settle("ids.yml", text, {**dict.fromkeys(names, Wish()), **wishes}, allocate=allocate)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_ids_are_read() -> None:
    settled = settle(FILE, "branch 1", "b.4", hq=Wish(id="1"), branch2=Wish(id=12))
    assert settled.ids == {"branch 1": 11, "b.4": 14, "hq": 1, "branch2": 12}
    assert settled.text == FILE


def test_lines_are_appended_and_the_others_stay() -> None:
    settled = settle(FILE, "branch2", "z", "a", allocate=True, hq=Wish(id=2))
    assert settled.ids == {"branch2": 12, "hq": 2, "a": 1, "z": 3}
    assert settled.text == FILE + "\na: 1\nhq: 2\nz: 3\n"


def test_a_new_file_says_what_it_is() -> None:
    assert settle("", "b", "a", allocate=True).text == HEADER + "a: 1\nb: 2\n"
    assert settle("", a=Wish(id=4)).text == ""


def test_a_line_is_renamed_with_its_site() -> None:
    text = "# x\nold: 7 # the seventh\nother: 1\n"
    for wish in (Wish(formerly="old"), Wish(id=7, formerly="old")):
        assert settle(text, new=wish) == Settled({"new": 7}, text)
        settled = settle(text, allocate=True, new=wish)
        assert settled == Settled({"new": 7}, "# x\nnew: 7 # the seventh\nother: 1\n")
        # The word stays in the description until somebody removes it.
        assert settle(settled.text, allocate=True, new=wish) == settled


def test_lines_end_as_they_did() -> None:
    assert settle("old: 7\r\n", allocate=True, new=Wish(formerly="old")).text == "new: 7\r\n"


@pytest.mark.parametrize(
    "name", ["yes", "Null", "12", "1e3", "a b", "a: b", "a #b", 'a"b', "ä", "a'b", "0x1f", "b.4", "~"]
)
def test_yaml_reads_what_is_written(name: str) -> None:
    text = settle("", name, allocate=True).text
    assert yaml.safe_load(text) == {name: 1}
    assert settle(text, name).ids == {name: 1}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\nb: 1\n", "ids.yml, line 2: b and a both have 1"),
        ("a: 1\nb: 2\na: 3\n", "ids.yml, line 3: a is in line 1, too"),
        ("a: 0\n", "ids.yml, line 1: id of a: '0' is no number from 1 to 11383"),
        ("a: 99999\n", "ids.yml, line 1: id of a"),
        ("a: b\n", "ids.yml, line 1: 'a: b' cannot be read; write the name of a site and its id"),
        ("- a\n", "ids.yml, line 1: '- a' cannot be read"),
        ("sites:\n  a: 1\n", "ids.yml, line 1: 'sites:' cannot be read"),
        ("  a: 1\n", "ids.yml, line 1: '  a: 1' cannot be read"),
        ("{a: 1}\n", "cannot be read"),
        ("a: 1#x\n", "cannot be read"),
        ('"a\\x41": 1\n', "cannot be read; write the name without escapes"),
        ("<<<<<<< HEAD\n", "ids.yml, line 1: '<<<<<<< HEAD' cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(InvalidOption, match=complaint):
        settle(text, allocate=True)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "complaint"),
    [
        (
            {"b": Wish(), "c": Wish()},
            "site b: id: neither here nor in ids.yml; add a line to it, or set allocate to true",
        ),
        ({"a": Wish(id=6)}, "site a: id: 6 here, but 5 of a in ids.yml; make them equal"),
        ({"b": Wish(id=5)}, "site b: id: 5 is, or was, a's in ids.yml; choose another one, say formerly"),
        ({"b": Wish(id=6), "c": Wish(id=6)}, "sites b and c: id: both have 6"),
        ({"b": Wish(id="x")}, "site b: id: 'x' is no number"),
        ({"a": Wish(), "b": Wish(formerly="a")}, "site b: formerly: there still is a site a"),
        ({"b": Wish(formerly="x")}, "site b: formerly: ids.yml has no x; correct it"),
        ({"b": Wish(formerly="a"), "c": Wish(formerly="a")}, "sites b and c: formerly: both were a"),
        ({"d": Wish(formerly="a")}, "site d: formerly: ids.yml has a with 5, and d with 8; delete the line"),
        ({"b": Wish(id=6, formerly="a")}, "site b: id: 6 here, but 5 of a in ids.yml"),
    ],
)
def test_refusals_name_the_culprits(wishes: dict[str, Wish], complaint: str) -> None:
    with pytest.raises(InvalidOption, match=complaint):
        settle("a: 5\nd: 8\n", **wishes)


def test_no_id_is_left() -> None:
    text = "".join(f"gone{number}: {number}\n" for number in range(1, numbers.SITE_ID[1]))
    assert settle(text, "a", allocate=True).ids == {"a": numbers.SITE_ID[1]}
    with pytest.raises(
        InvalidOption, match=r"site b: id: ids\.yml and the sites' own ids have taken all 11383; delete lines"
    ):
        settle(text, "a", "b", allocate=True)


# --- ids that never move ----------------------------------------------------------------------------------------------


@given(st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=60)
def test_whatever_happens_to_the_sites_nobody_has_an_id_of_another_one(rng: random.Random, is_mixed: bool) -> None:
    """``born`` is a site's identity, which its name is not."""
    text, sites, had = "", {}, {}  # type: str, dict[int, str], dict[int, int]
    for step in range(8):
        wishes = {}
        for born in rng.sample(sorted(sites), len(sites)):
            event = rng.choice(["stays", "stays", "goes", "renamed"])
            if event == "goes":
                del sites[born]
                continue
            old = sites[born]
            if event == "renamed":
                sites[born] = f"{rng.choice('abc')}-{step}-{born}"
            wishes[sites[born]] = Wish(formerly=old) if event == "renamed" else Wish()
        for born in range(10 * step, 10 * step + rng.randrange(4)):
            sites[born] = f"{rng.choice('abc')}{born}"
            own = 500 + born if is_mixed and rng.random() < 0.3 else None
            wishes[sites[born]] = Wish(id=own)
        before = text
        order = rng.sample(sorted(wishes), len(wishes))
        settled = allocations.settle("ids.yml", text, {name: wishes[name] for name in order}, allocate=True)
        text = settled.text
        ids = {born: settled.ids[name] for born, name in sites.items()}
        assert all(had.get(born, number) == number for born, number in ids.items())
        had.update(ids)
        assert len(set(had.values())) == len(had)
        # Reading is enough from then on, in any order.
        assert settle(text, *reversed(order)) == settled
        assert len(text.splitlines()) >= len(before.splitlines())
        assert set(yaml.safe_load(text or "{}").values()) == set(had.values())


Tables = dict[str, dict[str, t.Any]]


def tables(sites: dict[int, str], text: str, formerly: dict[str, str]) -> tuple[dict[int, Tables], str]:
    """All numbers of each site's tunnels, by the identity of the site and of the far one."""
    names = {"hq": 0, **{name: born for born, name in sites.items()}}
    wishes = {name: Wish(formerly=formerly.get(name)) for name in names}
    settled = allocations.settle("ids.yml", text, wishes, allocate=True)
    built = topology.build(
        {
            "sites": {
                name: {
                    "id": settled.ids[name],
                    "wan_address": f"100.64.{born >> 8}.{born & 255}",
                    "lans": [f"10.{128 + (born >> 8)}.{born & 255}.0/24"],
                }
                for name, born in names.items()
            },
            "hubs": ["hq"],
            "spokes": list(sites.values()),
            "routing": "bgp",
            "pools": {"transit_v6": "2001:db8:6::/48"},
        }
    )
    found: dict[int, Tables] = {}
    for link in built.links:
        born = names[link.ends[1].site.name]
        router = built.routers[link.ends[1].site.name]
        found[born] = {
            "transits": link.transits,
            "numbers": [(end.unit, end.reqid, end.outer) for end in link.ends],
            "addresses": [
                phase2[key]
                for phase2 in built.tunnels[link.ends[1].site.name]["phase2"]
                for key in ("local_address", "remote_address", "unit", "reqid")
            ],
            "asn": router["bgp"]["asn"],
            "router_id": router.get("router_id"),
        }
    return found, settled.text


@given(st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_other_tunnels_keep_every_number(rng: random.Random) -> None:
    sites = {born: f"s{born}" for born in rng.sample(range(1, 60), 6)}
    before, text = tables(sites, "", {})
    gone, renamed = rng.sample(sorted(sites), 2)
    after_names = {born: name for born, name in sites.items() if born != gone}
    after_names[renamed] = "another-name"
    after_names[60 + rng.randrange(9)] = "aaa-comes-first"
    shuffled = {born: after_names[born] for born in rng.sample(sorted(after_names), len(after_names))}
    after, later = tables(shuffled, text, {"another-name": sites[renamed]})
    for born in set(after) & set(before):
        assert after[born] == before[born]
    assert {one["asn"] for one in after.values()} & {before[gone]["asn"]} == set()
    assert f"s{gone}: " in later
