#!/usr/bin/env bash
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# kernel.sh DIR: build the user-mode Linux kernel of the lab from Debian's package linux-source-6.1.
#   DIR/linux                    the kernel, an ordinary program
#   DIR/lib/modules/<release>/   what modprobe needs to know that everything is built in
set -euo pipefail
config=$(dirname "$(readlink -f "$0")")/uml.config
mkdir -p "$1"
cd "$1"

tar -xf /usr/src/linux-source-6.1.tar.xz
cd linux-source-6.1
make -s ARCH=um KCONFIG_ALLCONFIG="$config" allnoconfig
lost=$(grep '^CONFIG_' "$config" | grep -vxFf .config || :)
[ -z "$lost" ] || { echo "kernel.sh: Kconfig dropped: ${lost//$'\n'/ }" >&2; exit 1; }
make -s ARCH=um -j"$(nproc)" linux

release=$(cat include/config/kernel.release)
modules=../lib/modules/$release
mkdir -p "$modules"
cp modules.builtin modules.builtin.modinfo "$modules"
: > "$modules/modules.order"
strip -o ../linux linux
cd ..
depmod -b "$PWD" "$release"
rm -rf linux-source-6.1
