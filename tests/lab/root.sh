#!/usr/bin/env bash
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# root.sh DIR: make the Debian 12 root that all lab hosts share, read-only, under their own overlay.
# Everything that is equal on all hosts is done here, once; hosts.py adds only what names a host.
set -euo pipefail
root=$1

packages=(
  systemd-sysv dbus kmod procps sudo less ca-certificates python3 python3-apt openssh-server
  iproute2 iputils-ping fping nftables conntrack tcpdump iperf3 mtr-tiny jq
  charon-systemd strongswan-swanctl strongswan-pki
  libstrongswan-standard-plugins libstrongswan-extra-plugins libcharon-extra-plugins
  frr frr-pythontools
)
# Units that only cost time in a namespace, or would reach for the shared kernel.
masked=(
  getty.target
  systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service
  systemd-modules-load.service modprobe@.service systemd-binfmt.service
  systemd-remount-fs.service dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount
  sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount
  systemd-logind.service systemd-user-sessions.service
  systemd-firstboot.service systemd-sysusers.service systemd-machine-id-commit.service
  systemd-hwdb-update.service systemd-update-done.service ldconfig.service
  systemd-journal-flush.service systemd-journal-catalog-update.service systemd-random-seed.service
  systemd-update-utmp.service systemd-update-utmp-runlevel.service
  systemd-ask-password-console.path systemd-ask-password-wall.path
  systemd-pcrphase.service systemd-pcrphase-sysinit.service
  systemd-tmpfiles-setup-dev.service systemd-tmpfiles-clean.timer
)

list() { local IFS=,; echo "$*"; }
source=(deb "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" http://deb.debian.org)
mmdebstrap --quiet --variant=minbase --include="$(list "${packages[@]}")" \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='Acquire::Languages "none"' \
  bookworm "$root" \
  "${source[*]}/debian bookworm main" \
  "${source[*]}/debian bookworm-updates main" \
  "${source[*]}/debian-security bookworm-security main"

cd "$root"
mkdir -p lab usr/lib/modules     # what the user-mode Linux carrier binds its files on

# Nothing is enabled but what a role enables; /etc/sysctl.d is the host's own, so that
# systemd-sysctl replays at boot what a role wrote there and not kernel.* or vm.* of the distribution.
units=etc/systemd/system
rm -rf "$units"/*.wants "$units"/*.requires etc/rc?.d/*
find "$units" -maxdepth 1 -type l -delete      # an alias counts as "enabled"
for unit in "${masked[@]}"; do ln -sf /dev/null "$units/$unit"; done
ln -sf /lib/systemd/system/multi-user.target "$units/default.target"
for file in usr/lib/sysctl.d/*.conf; do ln -sf /dev/null "etc/sysctl.d/${file##*/}"; done

# No identity: every host is given its own.
rm -rf etc/ssh/ssh_host_* etc/swanctl/conf.d/* var/log/journal var/lib/dbus/machine-id
ln -s /etc/machine-id var/lib/dbus/machine-id
: > etc/machine-id
: > etc/resolv.conf
: > etc/fstab

mkdir -p etc/ssh/lab
cat > etc/ssh/lab/sshd_config <<'CONFIG'
AuthorizedKeysFile /etc/ssh/lab/authorized_keys
PermitRootLogin yes
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
LogLevel ERROR
SetEnv PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
Subsystem sftp internal-sftp
CONFIG
