# Short targets; longer logic lives in Scripts/.

PREFIX ?= /usr/local
RESTORE = .build/release/restore
SOURCES = Package.swift Sources Tests
REVISION = $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help
.PHONY: help setup build demo test lint format bench install clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install missing system libraries and check the Swift toolchain
	@Scripts/setup.sh

build: setup ## Build the command in release
	RESTORE_REVISION=$(REVISION) swift build -c release --product restore

demo: build ## Restore a real scan into demo-output/
	@Scripts/demo.sh

test: setup ## Build and run all tests, kernels at every instruction set
	@Scripts/test.sh

lint: ## Check formatting, imports and the arrows between modules
	swift format lint --strict --parallel --recursive $(SOURCES)
	Scripts/check-arrows.sh --self-test
	Scripts/check-arrows.sh

format: ## Format the sources in place
	swift format format --in-place --parallel --recursive $(SOURCES)

bench: build ## Measure time and memory of the full network on this machine
	$(RESTORE) bench --shape 1x256x256 $(ARGS)

install: build ## Install command and models, PREFIX=/usr/local unless given
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/restore/models"
	install -m 755 $(RESTORE) "$(DESTDIR)$(PREFIX)/bin/restore"
	cp -R data/models/. "$(DESTDIR)$(PREFIX)/share/restore/models/"
	install -m 755 Scripts/slurm-array.sh "$(DESTDIR)$(PREFIX)/share/restore/slurm-array.sh"

clean: ## Remove everything that was built
	swift package clean
	rm -rf demo-output
