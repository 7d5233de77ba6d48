# Every target here is what a contributor runs and what CI runs: there is no other way to build or test.
# GNU make; the work is done by the scripts that the targets name.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help build demo test lint lint-quick format bench bench-large bench-controller bench-external bench-check peers fuzz crds static control-plane-up control-plane-down clean

CARGO ?= cargo

## help: this list
help:
	@sed -n 's/^## \([a-z-]*\): /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "  make %-20s %s\n", $$1, $$2 }'

## build: the program `bulla`, for use (target/release/bulla)
build:
	@checks/prerequisites.sh rust c
	$(CARGO) build --release -p bulla

## demo: the four jobs, from nothing: builds, starts a control plane, AWS (moto) and Vault, shows, cleans up
demo:
	@tests/demo.sh

## test: everything, with the real sops, age, kubeseal and kube-apiserver (BULLA_WITHOUT_PEERS=1: without them)
test:
	@tests/run.sh

## lint: formatting, clippy, licences, banned and duplicate crates, advisories, documents, what must not be committed
lint: lint-quick
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@checks/crates.sh

# What needs no build: seconds.
lint-quick:
	@checks/prerequisites.sh rust c
	$(CARGO) fmt --all --check
	@checks/committed.sh
	@checks/dependencies.sh
	@checks/links.sh
	@checks/scripts.sh
	@checks/dockerfile.sh

## format: rustfmt over everything
format:
	$(CARGO) fmt --all

## bench: the performance table, with the real sops, kubeseal, gitleaks and detect-secrets in the same run
bench:
	@benches/run.sh

## bench-large: the same, with the 10 MB file (sops alone takes minutes for it)
bench-large:
	@benches/run.sh --large

## bench-controller: 1,000 SealedSecrets on a real API server, bulla's controller beside Sealed Secrets'
bench-controller:
	@benches/run.sh --controller

## bench-external: 1,000 ExternalSecrets with a real Vault, bulla's controller beside External Secrets
bench-external:
	@benches/run.sh --external

## bench-check: only looking for plain secrets, beside gitleaks and detect-secrets
bench-check:
	@benches/run.sh --check

## peers: build the real programs that the tests compare with, once, into a cache outside the checkout
peers:
	@checks/prerequisites.sh go python
	@tests/peers/build.sh

## fuzz: every fuzz target for a minute (FUZZ_SECONDS=60); needs a nightly toolchain
fuzz:
	@checks/fuzz.sh

## crds: write deploy/crds anew from the types in crates/api
crds:
	UPDATE_CRDS=1 $(CARGO) test -q -p bulla-api

## static: the program without any library of the system (target/bulla-static), and the proof that it needs none
static:
	@checks/prerequisites.sh rust c
	@deploy/static.sh build target/bulla-static
	@deploy/static.sh prove target/bulla-static

## control-plane-up: start a real control plane on loopback and leave it; prints what a shell needs to use it
control-plane-up:
	@checks/prerequisites.sh go cluster
	@tests/peers/build.sh controlplane
	@tests/peers/control-plane.sh up >/dev/null
	@tests/peers/control-plane.sh env

## control-plane-down: stop it and forget what was in it
control-plane-down:
	@tests/peers/control-plane.sh down

## clean: remove what was built here (the cache of real programs stays: `tests/peers/build.sh --prune` removes old ones)
clean:
	@tests/peers/control-plane.sh down
	$(CARGO) clean
	rm -rf fuzz/target
