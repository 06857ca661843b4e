#!/usr/bin/env bash
# Stops what up.sh started: each process by its id (and only when that id still has the start time that up.sh noted),
# with its descendants: configurable-http-proxy, user servers, kernels.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
. ../processes.sh
RUN=${EDGE_RUN_DIR:-$PWD/run}
PIDS=$RUN/hub.pids
stop_listed
