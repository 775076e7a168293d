.PHONY: help run test test-rust test-web faults lint setup audit schema web client bench

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

run: ## build with optimisations and serve
	cargo run --release

test: ## run everything that CI runs; installs what the tests need and prints it
	scripts/test.sh

test-rust: ## run the Rust tests
	cargo test

test-web: setup ## run the web tests: unit, interop and browser, and those of the packages
	cargo build
	cd web && npm test
	cd packages/client && npm test && npm run integration
	cd packages/testing && npm test
	cd web && npm run interop && npm run e2e

faults: ## run all fault scenarios, and print a table; needs a C compiler, and root for mounts
	cargo test --test faults -- --all

lint: setup ## check formatting, lints, documentation, types and generated files
	scripts/lint.sh

setup: ## install what the tests need: Chromium and nginx with apt-get, packages with npm
	scripts/setup.sh

audit: setup ## check licences, advisories and sources of dependencies; needs cargo-deny
	cargo deny check
	cd web && npm audit --omit=dev && npm audit

schema: ## write schema.graphql
	cargo run --quiet -- schema > schema.graphql

web: ## build the pages into web/dist
	scripts/setup.sh packages
	cd web && npm run build

client: ## build the packages for applications and for their tests, into packages/*/*.tgz
	scripts/setup.sh packages
	cd packages/client && npm pack
	cd packages/testing && npm pack

bench: ## measure the server and the baselines, and print a table; needs two cores, taskset
	cargo build --release --workspace
	cargo run --release --package switchboard-bench -- run
