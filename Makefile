# One line a target; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
TOOLS := .tools/bin
ARGS ?=
LIBS := $(patsubst libs/%,-p remit-%,$(wildcard libs/*))
# What `make quick` runs: all of the libraries, and of the suite what starts neither PostgreSQL nor processes.
QUICK := (not package(remit-tests) | test(/^(api|architecture|errors)::/)) & not test(/(postgres|six_processes)$$/)

.PHONY: help demo test quick check fmt docs descriptors bench drills fresh release run

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: ## build Remit and run the main job; ARGS="--data DIR --keep" are handed on
	cargo run --profile demo --locked --bin remit -- demo $(ARGS)

test: ## every test, on SQLite and PostgreSQL; finds or installs what it needs
	.ci/tools nextest openssl webhooks
	cargo build --workspace --locked --bins --tests
	TMPDIR=$$(.ci/scratch) .ci/postgres run env REMIT_TEST_REQUIRE_POSTGRES=1 REMIT_TEST_SKIP_FULL_DISK=$$(.ci/disk) $(TOOLS)/cargo-nextest nextest run --workspace --locked $(ARGS)

quick: ## the libraries' tests and every API case on SQLite; no PostgreSQL, no binary; ARGS="a_part_of_a_name" picks
	.ci/tools nextest
	env -u REMIT_TEST_POSTGRES_URL -u REMIT_TEST_REQUIRE_POSTGRES $(TOOLS)/cargo-nextest nextest run --locked $(LIBS) -p remit-tests -E '$(QUICK)' $(ARGS)

check: ## format, lints with warnings denied, docs, dependencies, proto lint, breaking changes, deploy/
	.ci/tools buf deny machete
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --exclude remit-tests --no-deps --locked --quiet
	cd proto && ../$(TOOLS)/buf lint
	.ci/breaking
	.ci/deny
	.ci/deploy
	$(TOOLS)/cargo-machete

drills: ## what is too slow or too large for CI, or needs more programs: ARGS="provider clients gateway fuzz notify story pack cluster failover pgbouncer drift large", all of them without
	.ci/drills $(ARGS)

fresh: ## README's two commands in a bare Debian root, with times (root, debootstrap, an hour): ARGS="true" tries the parts before them
	.ci/fresh $(ARGS)

bench: ## benchmarks beside their floors, as ratios; ARGS="check append batch ingest read review notify overload idle --entries 10000000"; never part of CI's verdict
	cargo run --release --locked -p remit-store --features testing --example point_read
	cargo bench --locked -p remit-tests --bench remit --no-run
	REMIT_POSTGRES_DURABLE=1 .ci/postgres run cargo bench --locked -p remit-tests --bench remit -- $(ARGS)

run: ## serve everything on SQLite in ./remit-data
	cargo run --profile demo --locked --bin remit -- serve --data-dir remit-data

release: ## the binary, a Debian package and a bill of materials (CycloneDX) in target/dist; ARGS="dev" takes what that profile built
	.ci/release $(ARGS)

fmt: ## format Rust and proto files
	cargo fmt --all
	.ci/tools buf
	cd proto && ../$(TOOLS)/buf format -w .

descriptors: ## write the descriptor set that a JSON gateway reads (deploy/envoy)
	.ci/tools buf
	cd proto && ../$(TOOLS)/buf build --as-file-descriptor-set --exclude-source-info -o ../deploy/envoy/remit.binpb

docs: ## regenerate the parts of docs/ that come from the code: API, configuration, events, the statement budget
	.ci/tools nextest
	cargo run --quiet --locked --bin remit -- config reference --write docs/configuration.md
	REMIT_BLESS=1 $(TOOLS)/cargo-nextest nextest run --locked -p remit-tests -E 'test(/^(events|budget|authority|reference)::/)'
