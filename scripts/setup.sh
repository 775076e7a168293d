#!/usr/bin/env bash
# Fetches what the tests need and the machine lacks.
set -euo pipefail
cd "$(dirname "$0")/.."

need() { command -v "$1" >/dev/null || { echo "setup: $1 is missing; $2" >&2; exit 1; }; }
need cargo "install Rust"
need node "install Node 20 or newer"

packages=()
if ! command -v chromium >/dev/null && [ -z "${CHROMIUM_BIN:-}" ]; then packages+=(chromium); fi
# Debian keeps it where only root's shell looks.
if ! PATH="$PATH:/usr/sbin" command -v nginx >/dev/null; then packages+=(nginx-light); fi
if [ "${#packages[@]}" -gt 0 ]; then
    echo "setup: fetching ${packages[*]} by apt-get, for the tests of the clients"
    sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

# npm writes this file last: if it is as new as the lock file, everything is there.
if [ ! web/node_modules/.package-lock.json -nt web/package-lock.json ]; then
    echo "setup: fetching the web packages by npm"
    (cd web && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund)
fi
