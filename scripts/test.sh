#!/usr/bin/env bash
# Everything that must hold before a change lands. Ends with the number of tests that ran.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
step() { echo; echo "== $*"; }

step "what the tests need"
scripts/setup.sh

step "lints and generated files"
scripts/lint.sh

step "Rust"
cargo test --workspace 2>&1 | tee -a "$log"

step "web: unit"
cargo build
export NO_COLOR=1
(cd web && npm test) 2>&1 | tee -a "$log"

step "web: clients in Node against the real binary"
(cd web && npm run interop) 2>&1 | tee -a "$log"

step "web: the playground in Chromium"
(cd web && npm run e2e) 2>&1 | tee -a "$log"

# "test result: ok. 7 passed", "Tests  7 passed", "7 passed (9.7s)": what each runner says last.
passed=$(grep -E '^test result: ok|^ +Tests +[0-9]+ passed|^ +[0-9]+ passed \(' "$log" \
    | grep -oE '[0-9]+ passed' | awk '{ sum += $1 } END { print sum + 0 }')
echo
echo "$passed passed, 0 failed"
