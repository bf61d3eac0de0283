#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# packages.sh ROOM STEP: as root, with packages of our own, what dpkg does; prints what came of it.
# tests/data/packages.txt is what root gets without a view:
#   mkdir /tmp/room; for step in build install change upgrade remove purge; do
#       sh packages.sh /tmp/room $step; done 2>&1     (in a chroot: it writes to /opt and /etc)
room=$1 adm=$1/adm
export DPKG_ADMINDIR="$adm" LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 022

shown() {
	echo "-- $*: $?"
	dpkg-query --admindir="$adm" -W -f '${Package} ${Version} ${db:Status-Status}\n' 2>/dev/null
	find /opt/vpk /etc/vpk* -printf '%p %y %m %u:%g %s %n %l\n' 2>/dev/null |
		sed '/ d /s/ [0-9]* [0-9]* $//; s/ $//' | LC_ALL=C sort
	find /opt/vpk /etc/vpk* -type f -exec md5sum {} + 2>/dev/null | LC_ALL=C sort -k 2
	dpkg-divert --admindir "$adm" --list; dpkg-statoverride --admindir "$adm" --list
	dpkg --admindir="$adm" --audit; dpkg --admindir="$adm" -V
	getent passwd vpk | cut -d: -f 1,5-; head -c 4 /etc/shadow
	echo
}

script() {
	cat >"$1"
	chmod 755 "$1"
}

package() {
	mkdir -p "$1/DEBIAN"
	printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: m <m@example.org>\nDescription: x\n' \
		"$2" "$3" >"$1/DEBIAN/control"
}

build_first() {
	package a vpk 1
	mkdir -p a/opt/vpk/bin a/opt/vpk/empty a/opt/vpk/mail a/etc/vpk.d
	chmod 2775 a/opt/vpk/mail
	printf '#!/bin/sh\necho vpk 1 runs\n' >a/opt/vpk/bin/vpk && chmod 4755 a/opt/vpk/bin/vpk
	ln a/opt/vpk/bin/vpk a/opt/vpk/bin/vpk-again
	ln -s bin/vpk a/opt/vpk/link && mkfifo a/opt/vpk/pipe
	echo data 1 >a/opt/vpk/data && echo old >a/opt/vpk/old && : >a/opt/vpk/none
	ln -s elsewhere a/opt/vpk/turns && dd if=/dev/zero of=a/opt/vpk/zeros bs=1k count=300 2>/dev/null
	echo conf 1 >a/etc/vpk.conf && chmod 640 a/etc/vpk.conf && echo mine 1 >a/etc/vpk.d/mine
	printf '/etc/vpk.conf\n/etc/vpk.d/mine\n' >a/DEBIAN/conffiles
	script a/DEBIAN/postinst <<-'S'
		#!/bin/sh
		set -e
		if [ "$1" = configure ] && [ -z "$2" ]; then
			useradd -r -d /nonexistent -s /usr/sbin/nologin -c 'of a package' vpk
			mkdir -p /opt/vpk/state && chown vpk:mail /opt/vpk/state && chmod 1770 /opt/vpk/state
			echo seed >/opt/vpk/state/seed && chown vpk: /opt/vpk/state/seed
		fi
		chgrp mail /opt/vpk/mail && chmod 2775 /opt/vpk/mail
		chgrp mail /etc/vpk.conf
	S
	script a/DEBIAN/postrm <<-'S'
		#!/bin/sh
		set -e
		[ "$1" != purge ] || { rm -rf /opt/vpk/state && userdel vpk; }
	S
}

build_second() {
	cp -a a b && package b vpk 2
	echo data 2, longer >b/opt/vpk/data && chmod 600 b/opt/vpk/data && rm b/opt/vpk/old
	printf '#!/bin/sh\necho vpk 2 runs\n' >b/opt/vpk/bin/new && chmod 2755 b/opt/vpk/bin/new
	rm b/opt/vpk/turns && mkdir b/opt/vpk/turns && echo in it >b/opt/vpk/turns/file
	echo conf 2 >b/etc/vpk.conf && echo mine 2 >b/etc/vpk.d/mine
	script b/DEBIAN/preinst <<-'S'
		#!/bin/sh
		[ "$1" != upgrade ] || rm /opt/vpk/turns
	S
	script b/DEBIAN/prerm <<-'S'
		#!/bin/sh
		echo "prerm $1"
	S
}

build_other() {
	package c other 1
	mkdir -p c/opt/vpk && echo of the other >c/opt/vpk/data
	script c/DEBIAN/preinst <<-'S'
		#!/bin/sh
		dpkg-divert --package other --add --rename --divert /opt/vpk/data.vpk /opt/vpk/data
	S
	script c/DEBIAN/postrm <<-'S'
		#!/bin/sh
		[ "$1" != remove ] ||
			dpkg-divert --package other --remove --rename --divert /opt/vpk/data.vpk /opt/vpk/data
	S
}

does() {
	dpkg --admindir="$adm" --force-confold "$@" 2>&1 |
		sed 's,/[^ ]*/,,; s/(Reading.*//; /not empty so not removed/d'
}

cd "$room" || exit 99
case $2 in
build)
	mkdir -p "$adm/info" "$adm/updates" && : >"$adm/status" && : >"$adm/available"
	build_first && build_second && build_other
	for one in a b c; do
		find $one -exec touch -h -d @1000000000 {} + && chmod g-s $one/DEBIAN
		dpkg-deb --root-owner-group -Znone -b $one $one.deb >/dev/null || exit 1
	done
	;;
install)
	does -i a.deb
	shown install
	/opt/vpk/bin/vpk
	;;
change)
	echo mine, changed >/etc/vpk.d/mine
	dpkg-statoverride --admindir "$adm" --update --add vpk mail 2750 /opt/vpk/bin/vpk-again
	does -i c.deb
	shown change
	;;
upgrade)
	does -i b.deb
	shown upgrade
	/opt/vpk/bin/new
	;;
remove)
	does -r other
	does -r vpk
	shown remove
	;;
purge)
	dpkg-statoverride --admindir "$adm" --remove /opt/vpk/bin/vpk-again
	does --purge vpk
	shown purge
	ls -d /opt/vpk /etc/vpk.conf 2>&1 || true
	;;
esac
