#!/usr/bin/env bash
# Fetches what the tests need and the machine lacks.
set -euo pipefail
cd "$(dirname "$0")/.."

need() { command -v "$1" >/dev/null || { echo "setup: $1 is missing; $2" >&2; exit 1; }; }
need cargo "install Rust"
need node "install Node 20 or newer"

if ! command -v chromium >/dev/null && [ -z "${CHROMIUM_BIN:-}" ]; then
    echo "setup: fetching Chromium by apt-get, for the browser tests"
    sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi

# npm writes this file last: if it is as new as the lock file, everything is there.
if [ ! web/node_modules/.package-lock.json -nt web/package-lock.json ]; then
    echo "setup: fetching the web packages by npm"
    (cd web && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund)
fi
