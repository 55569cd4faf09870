#!/bin/sh
# Copyright: Contributors to the routed_ipsec.vti project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# rc.sh ROOT INTERFACES [IF...] : what FreeBSD's rc would run for netif and routing, given the files below ROOT.
#
# The logic of /etc/rc.subr (load_rc_config), /etc/network.subr, /etc/rc.d/netif and /etc/rc.d/routing of FreeBSD 13.2,
# as far as our variables meet it, written anew. With IF it is "service netif start IF", else a boot. INTERFACES is what
# "ifconfig -l" would print. Each command goes to standard output, its words ended by NUL, its end by a word of one LF.
# Words are split where rc splits them, and variables are named at run time:
# shellcheck disable=SC1083,SC1090,SC2034,SC2046,SC2048,SC2086,SC2154
set -u

root=$1 present=$2
shift 2

# FreeBSD's echo takes backslashes as they are; that of other shells may not.
echo() { printf '%s\n' "$*"; }

record() { printf '%s\0' "$@"; printf '\n\0'; }
IFCONFIG_CMD="record ifconfig"
ROUTE_CMD="record route"

cloned_interfaces="" static_routes="" ipv6_static_routes="" defaultrouter=NO ipv6_defaultrouter=NO

load_rc_config() {
	for _file in "$root/etc/rc.conf" "$root/etc/rc.conf.local"; do
		[ ! -r "$_file" ] || . "$_file"
	done
	for _dir in "$root/etc" "$root/usr/local/etc"; do
		if [ -f "$_dir/rc.conf.d/$1" ]; then
			. "$_dir/rc.conf.d/$1"
		elif [ -d "$_dir/rc.conf.d/$1" ]; then
			for _file in "$_dir/rc.conf.d/$1"/*; do
				[ ! -f "$_file" ] || . "$_file"
			done
		fi
	done
}

# get_if_var IF NAME_IF_SUFFIX : the variable's value; like rc's it splits the value and joins it by blanks.
get_if_var() {
	_name=$(printf %s "$1" | tr './+-' '____')
	_prefix=${2%%IF*} _suffix=${2##*IF}
	eval echo \${${_prefix}${_name}${_suffix}-}
}

clone_up() {
	for _entry in ${cloned_interfaces}; do
		_if=${_entry%%:*}
		case " $* " in "  " | *" $_if "*) ;; *) continue ;; esac
		case " $present " in *" $_if "*) continue ;; esac
		${IFCONFIG_CMD} $_if create $(get_if_var $_if create_args_IF)
		present="$present $_if"
	done
}

ipv6if() { [ -n "$(get_if_var $1 ifconfig_IF_ipv6)" ]; }

# ifconfig_getargs IF [SUFFIX] : the value without the words that are rc's own.
ifconfig_getargs() {
	for _word in $(get_if_var $1 ifconfig_IF${2:-}); do
		case $_word in
		[Dd][Hh][Cc][Pp] | [Ss][Yy][Nn][Cc][Dd][Hh][Cc][Pp] | [Nn][Oo][Aa][Uu][Tt][Oo]) ;;
		*) printf '%s ' "$_word" ;;
		esac
	done
}

ifconfig_up() {
	_cfg=1
	[ $1 = lo0 ] || ${IFCONFIG_CMD} $1 inet6 ifdisabled
	_args=$(ifconfig_getargs $1)
	if [ -n "$_args" ]; then
		eval ${IFCONFIG_CMD} $1 ${_args}
		_cfg=0
	fi
	_args=$(ifconfig_getargs $1 _ipv6)
	if [ -n "$_args" ]; then
		${IFCONFIG_CMD} $1 inet6 -ifdisabled
		eval ${IFCONFIG_CMD} $1 ${_args}
		_cfg=0
	fi
	[ $_cfg -ne 0 ] || ${IFCONFIG_CMD} $1 up
	_descr=$(get_if_var $1 ifconfig_IF_descr)
	[ -z "$_descr" ] || ${IFCONFIG_CMD} $1 description "$_descr"
}

# ifalias IF FAMILY : ifconfig_IF_aliasN from 0 on until one is missing.
ifalias() {
	_number=0
	while :; do
		_args=$(get_if_var $1 ifconfig_IF_alias$_number)
		case $_args in
		"") break ;;
		"$2 "*) ${IFCONFIG_CMD} $1 ${_args} alias ;;
		esac
		_number=$((_number + 1))
	done
}

netif_start() {
	clone_up "$@"
	for _each in ${*:-$present}; do
		ifconfig_up $_each
		ifalias $_each inet
		ipv6if $_each && ifalias $_each inet6
	done
}

# routes PREFIX FAMILY-OPTION [IF] : the routes of one family, or those of it that are tied to an interface.
routes() {
	eval _names=\$${1}static_routes _router=\$${1}defaultrouter
	case $_router in
	[Nn][Oo] | "") ;;
	*) eval _names=\"\$_names _default\" ${1}route__default=\"default \$_router\" ;;
	esac
	for _entry in $_names; do
		[ -z "${3:-}" ] || case $_entry in *:$3) ;; *) continue ;; esac
		_args=$(get_if_var ${_entry%:*} ${1}route_IF)
		if [ -n "$_args" ]; then
			${ROUTE_CMD} add $2 ${_args}
		else
			echo "WARNING: ${1}route_${_entry%:*} not found." >&2
		fi
	done
}

# Each script of rc.d loads its own configuration into a shell of its own.
(
	load_rc_config netif
	netif_start "$@"
)
(
	load_rc_config routing
	for _each in "${@:-}"; do
		routes "" "" $_each
		routes ipv6_ -inet6 $_each
	done
)
