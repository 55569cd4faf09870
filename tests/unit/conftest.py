# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets a plain ``pytest`` find the collection by its name, wherever the checkout lies."""

from __future__ import annotations

import atexit
import importlib.util
import pathlib
import shutil
import sys
import tempfile

import hypothesis

# Nothing is asserted on time: a busy machine makes any example slow.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

COLLECTION = "ansible_collections.routed_ipsec.vti"


def _is_importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


if not _is_importable(COLLECTION):
    # The link covers the whole checkout: plugins, and the helpers of the tests such as tests.sim.
    _root = pathlib.Path(tempfile.mkdtemp(prefix="ansible_collections_"))
    atexit.register(shutil.rmtree, _root, ignore_errors=True)
    _link = _root.joinpath(*COLLECTION.split("."))
    _link.parent.mkdir(parents=True)
    _link.symlink_to(pathlib.Path(__file__).resolve().parents[2], target_is_directory=True)
    sys.path.insert(0, str(_root))
