# wherry. `make help` lists the targets from their own comments.

SHELL  := /bin/sh
GO     ?= go
BIN    := bin/wherry
PKGS   ?= ./...
# How long each fuzz target runs.
FUZZTIME ?= 30s

# TAGS=cloud adds logins to the registries of clouds; releases have them.
TAGS ?=

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/wherry-dev/wherry/internal/cli.linked=$(VERSION)

# The race detector needs a C compiler. Where there is none tests run without it, but never in CI.
HAVE_CC := $(shell command -v $$($(GO) env CC 2>/dev/null) 2>/dev/null)
RACE    := $(if $(HAVE_CC),-race)

.DEFAULT_GOAL := help
.PHONY: help demo build test test-raced test-plain e2e lint fmt golden soak fuzz bench cover docs vuln cross release-check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## copy a real image and look into it, through registries of its own on loopback; on a terminal they stay until Ctrl-C
	$(GO) run ./internal/demo

build: ## build bin/wherry; TAGS=cloud for one that logs in to ECR, Google and ACR by itself, as releases do
	CGO_ENABLED=0 $(GO) build -tags '$(TAGS)' -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/wherry

# These run without the race detector. What internal/badinput tests is a program of its own, whose memory and time are
# measured: it is built without the race detector, and so is its test. internal/canary looks for secrets in what
# thousands of commands print, one after the other; that they race is for the others to find. internal/killed kills
# the program itself. internal/faults runs hundreds of copies under a clock of their own, which the race detector
# makes three times as dear, as it does with the copies between all places in internal/matrix and with what happens to
# a store in internal/kept; the packages that they run through have tests of their own with it, and make soak runs
# internal/matrix with it too. The scripts of cmd/wherry start the program more than a thousand times, which takes it
# a tenth of a second each time with the race detector; make soak runs them with it.
PLAIN := /(cmd/wherry|internal/(badinput|canary|faults|kept|killed|matrix))$$

# Three packages at once, since some of them wait more than they work: two with the race detector, and one after the other
# of those without it, some of which measure. make lint vets.
test: ## unit, contract and script tests; needs nothing but Go (and a C compiler for the race detector)
	@if [ -n "$$CI" ] && [ -z "$(RACE)" ]; then echo "make test: CI must run with -race, and there is no C compiler" >&2; exit 1; fi
	@$(MAKE) --no-print-directory -k -j 2 test-raced test-plain
	$(if $(RACE),CGO_ENABLED=1 )$(GO) test -vet=off $(RACE) -tags cloud -timeout 10m ./internal/cloud
	$(if $(RACE),CGO_ENABLED=1 )$(GO) test -vet=off $(RACE) -tags cloud -timeout 10m -run Cloud ./internal/cli

# Garbage is collected a third as often, which the race detector makes dear; the tests that count it say how often.
test-raced:
	@set -e; all=$$($(GO) list $(PKGS)); raced=$$(echo "$$all" | grep -vE '$(PLAIN)' || true); \
	  if [ -n "$$raced" ]; then GOGC=300 $(if $(RACE),CGO_ENABLED=1 )$(GO) test -vet=off $(RACE) -timeout 10m -p 2 $$raced; fi

test-plain:
	@set -e; all=$$($(GO) list $(PKGS)); plain=$$(echo "$$all" | grep -E '$(PLAIN)' || true); \
	  if [ -n "$$plain" ]; then $(GO) test -vet=off -timeout 10m -p 1 $$plain; fi

e2e: build ## the built binary against real registries and real clients; those that are missing are skipped and counted
	.ci/tools registry crane dive
	cd e2e && WHERRY_BIN=$(CURDIR)/$(BIN) $(GO) test -count=1 -timeout 20m

lint: ## golangci-lint at its pinned version, here and in e2e, tidy modules, and the shell scripts' syntax
	$(GO) mod tidy -diff && cd e2e && $(GO) mod tidy -diff
	@lint=$$(.ci/tools golangci-lint) && "$$lint" run ./... && "$$lint" run --build-tags cloud ./internal/cloud ./internal/cli && cd e2e && "$$lint" run --config ../.golangci.yml ./...
	@for f in .ci/run .ci/tools bench/*.sh; do bash -n "$$f" || exit 1; done

fmt: ## format what golangci-lint would complain about
	@lint=$$(.ci/tools golangci-lint) && "$$lint" fmt ./... && cd e2e && "$$lint" fmt --config ../.golangci.yml ./...

# Schemas come first: the scripts hold the output of verbs to them.
golden: ## write the expected outputs of tests anew; read the diff before committing it
	UPDATE_GOLDEN=1 $(GO) test -count=1 -run '^Test(Schemas|TheTable)' ./internal/cli
	UPDATE_GOLDEN=1 $(GO) test -count=1 $(PKGS)

soak: ## what tests do a tenth of, in full: pulls through bad mirrors, plans of many images, kills at random moments, links of all kinds, the fault table, many processes in one place, what happens to a store
	WHERRY_SOAK=1 $(GO) test -count=1 -timeout 60m -run '^Test(BadMirrors|APlanTakes|TheNumberOfLanes|CopiesThatFaultsStrike|EightProcesses|OfManyProcesses|ManyProcesses|AStoreKeeps)' ./internal/matrix ./transfer ./internal/faults ./layout ./internal/kept
	WHERRY_SOAK=1 $(GO) test -count=1 -timeout 120m ./internal/killed
	$(if $(RACE),CGO_ENABLED=1 )$(GO) test $(RACE) -count=1 -timeout 60m ./cmd/wherry ./internal/matrix

fuzz: ## run every fuzz target for FUZZTIME (30s)
	@set -e; for pkg in $$($(GO) list $(PKGS)); do \
	  for target in $$($(GO) test -list '^Fuzz' "$$pkg" | grep '^Fuzz' || true); do \
	    echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$pkg"; \
	  done; \
	done

bench: build ## Go benchmarks of the data path, then the comparison with peers, also over a shaped link, which writes docs/benchmarks.md; BENCH='-only copy -runs 9'
	$(GO) test -run '^$$' -bench . -benchmem $(PKGS)
	.ci/tools registry crane regctl oras
	$(GO) run ./bench $(BENCH)

cover: ## statement coverage by package, and coverage.out for `go tool cover -html`
	$(GO) test -coverpkg=./... -coverprofile=coverage.out $(PKGS)
	@$(GO) tool cover -func=coverage.out | tail -n 1

docs: build ## write the manual pages to dist/man, and check that the links between our Markdown files lead somewhere
	$(BIN) man dist/man
	$(GO) test -count=1 -run '^TestMarkdown' .

vuln: ## known vulnerabilities in what we call
	@check=$$(.ci/tools govulncheck) && "$$check" -tags cloud ./...

cross: ## vet and build for macOS and Windows
	@set -e; for os in darwin windows; do \
	  echo "vet and build for $$os"; \
	  CGO_ENABLED=0 GOOS=$$os $(GO) vet ./...; CGO_ENABLED=0 GOOS=$$os $(GO) build ./...; \
	  CGO_ENABLED=0 GOOS=$$os $(GO) vet -tags cloud ./internal/cloud; \
	done

release-check: cross ## what must hold before a release: modules in order, nothing uncommitted, every platform builds
	$(GO) mod tidy -diff
	$(GO) mod verify
	@test -z "$$(git status --porcelain)" || { git status --short; echo "make release-check: the work tree is not clean" >&2; exit 1; }
	@set -e; for p in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64; do \
	  echo "build for $$p"; \
	  CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -tags cloud -trimpath -ldflags '$(LDFLAGS)' -o /dev/null ./cmd/wherry; \
	done

clean: ## remove what make made here
	rm -rf bin dist coverage.out
