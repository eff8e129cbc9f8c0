#!/bin/sh
# Stops the server when the package is removed, and not when it is upgraded. The first argument is "remove" or 0 then.
set -e
case "$1" in
remove | 0)
	if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
		systemctl disable --now landfall.service
	fi
	;;
esac
