#!/bin/sh
# Creates the user and its directories. DPKG_ROOT is set if dpkg installs into another root.
set -e
systemd-sysusers --root="${DPKG_ROOT:-/}" landfall.conf
systemd-tmpfiles --root="${DPKG_ROOT:-/}" --create landfall.conf
if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart landfall.service
fi
