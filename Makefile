# Everything a newcomer or CI runs. Plain cargo works too, once `make setup` has run.

CARGO ?= cargo
PYTHON ?= python3
# One profile for building, testing and measuring, so that the long native build is paid once.
BENCH = bench --bench gradient --profile dev
# Without libtorch: the program lies in a folder of its own, so that target/debug/temper stays the whole one;
# what was compiled is shared.
LEAN = CARGO_TARGET_DIR=target/without-libtorch CARGO_BUILD_BUILD_DIR=target $(CARGO)
# Larger inputs for the tests; those that need them are ignored where there are none.
ASSETS ?= $(patsubst %/models,%,$(wildcard ../shared/models))
ifneq ($(ASSETS),)
export TEMPER_ASSETS ?= $(abspath $(ASSETS))
endif

.PHONY: help setup demo test wheel wheel-test bench fmt clean check-tools check-test-tools
.DEFAULT_GOAL := help

help: ## say what there is to run
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: check-tools ## bring libtorch and ONNX Runtime into native/ (145 MB, once)
	@$(PYTHON) tools/setup.py

demo: setup ## fine-tune a small network against attacks, attack it and what it was, compare
	@$(PYTHON) tools/photos.py
	$(CARGO) build
	@tools/demo.sh

test: check-test-tools setup ## check everything a reviewer would: format, lints, tests, docs
	$(CARGO) fmt --check
	CARGO="$(CARGO)" $(PYTHON) -m unittest discover tests/scripts
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) test
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps
	@echo "Without libtorch, and with ONNX Runtime out of reach:"
	$(LEAN) clippy --all-targets --no-default-features --features rten -- -D warnings
	ORT_DYLIB_PATH=/nonexistent $(LEAN) test --no-default-features
	@echo "With rten:"
	$(LEAN) test --no-default-features --features rten --test runtimes --test known_faults

wheel: setup ## build the wheel of temper-sr into dist/ (a release: many minutes)
	CARGO="$(CARGO)" PYTHON="$(PYTHON)" tools/wheel.sh

wheel-test: setup ## install that wheel into a fresh environment, audit, train ten steps
	PYTHON="$(PYTHON)" tools/wheel_test.sh

bench: setup ## measure a forward and a gradient step on each runtime
	$(CARGO) $(BENCH)

fmt: ## format the code
	$(CARGO) fmt

clean: ## remove what was built and demo/ (native/ stays: it is not built here)
	$(CARGO) clean
	rm -rf demo

check-tools:
	@CARGO="$(CARGO)" PYTHON="$(PYTHON)" tools/check.sh

check-test-tools:
	@CARGO="$(CARGO)" PYTHON="$(PYTHON)" tools/check.sh fmt clippy
