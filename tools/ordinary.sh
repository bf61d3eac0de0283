# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by root's test.sh and bench.sh: an ordinary user, pyview-test, who has pyview as a user gets it.
#
#   install_for_user   make the user; copy the tree to ~/pyview, install it into ~/venv; set $user, $home
#   as_user COMMAND... run a command as that user, in the home
#
# The tree is copied because this directory may be closed to others.  Whoever sources this holds a
# lock until the end: one run at a time.

user=pyview-test

# The environment is what a shell of that user would have, with the installer's settings and whether
# this is CI: nothing of root's may decide a test.
as_user() {
	local name keep=()
	for name in $(compgen -e | grep -E '^(CI|TERM|PIP_.*|SSL_CERT_.*|PYVIEW_.*|.*_proxy)$' || true); do
		keep+=("$name=${!name}")
	done
	(
		cd "$home"
		exec runuser -u "$user" -- env -i HOME="$home" USER="$user" LOGNAME="$user" SHELL=/bin/bash \
			PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin LANG=C.UTF-8 \
			"${keep[@]}" "$@" 9>&-
	)
}

# Print the files of the work tree, committed or not, each with a NUL after it; not what .gitignore names.
tree_files() {
	git ls-files -z --cached --others --exclude-standard |
		while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done
}

install_for_user() {
	id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
	home=$(getent passwd "$user" | cut -d: -f6)
	exec 9>"$home/lock"
	flock 9
	rm -rf "$home/pyview"
	as_user mkdir "$home/pyview"
	tree_files | tar -c --null --files-from=- | as_user tar -x -C "$home/pyview" --no-same-owner
	as_user "$home/pyview/tools/venv.sh" "$home/venv" test
}
