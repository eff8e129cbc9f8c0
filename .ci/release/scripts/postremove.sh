#!/bin/sh
# The config and the data stay: they may hold events that are not delivered yet.
set -e
if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
