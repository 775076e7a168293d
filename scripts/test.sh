#!/usr/bin/env bash
# Runs every check that a change must pass. Prints the number of tests at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
step() { echo; echo "== $*"; }

step "setup"
scripts/setup.sh

step "lints and generated files"
scripts/lint.sh

step "Rust tests"
cargo test --workspace 2>&1 | tee -a "$log"

step "web: unit tests"
cargo build
export NO_COLOR=1
(cd web && npm test) 2>&1 | tee -a "$log"

step "the client package: unit tests"
(cd packages/client && npm test) 2>&1 | tee -a "$log"

step "the testing package, against the real binary"
(cd packages/testing && npm test) 2>&1 | tee -a "$log"

step "the client package, against the real binary"
(cd packages/client && npm run integration) 2>&1 | tee -a "$log"

step "web: clients in Node, against the real binary"
(cd web && npm run interop) 2>&1 | tee -a "$log"

step "web: the playground in Chromium"
(cd web && npm run e2e) 2>&1 | tee -a "$log"

# The last lines of cargo, vitest and Playwright: "test result: ok. 7 passed", "Tests  7 passed",
# "7 passed (9.7s)".
passed=$(grep -E '^test result: ok|^ +Tests +[0-9]+ passed|^ +[0-9]+ passed \(' "$log" \
    | grep -oE '[0-9]+ passed' | awk '{ sum += $1 } END { print sum + 0 }')
echo
echo "$passed passed, 0 failed"
