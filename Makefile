# "make" or "make help" lists the targets. All of them need Go; race also needs a
# C compiler, and bench needs Linux.

# How long each fuzz target runs, or how many inputs it tries: 20000x. On a busy
# machine Go 1.26 may end a time with "context deadline exceeded" and no failing
# input (go.dev/issue/75804); a number of inputs has no such end.
FUZZTIME ?= 10s

# The one place where the linter's version stands. It is built once for each
# version, with the Go that the project is built with.
LINT_VERSION = v2.15.0
LINT = dist/tools/golangci-lint-$(LINT_VERSION)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' Makefile | expand -t 10

.PHONY: check
check: fmt vet lint ## gofmt, go vet for three systems, and the linter

.PHONY: fmt
fmt: ## list files that gofmt would change, and fail if there are any
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted (gofmt -w FILE mends it):"; echo "$$files"; exit 1; }

.PHONY: vet
vet: ## go vet for Linux, macOS and Windows
	GOOS=linux go vet ./...
	GOOS=darwin go vet ./...
	GOOS=windows go vet ./...

.PHONY: lint
lint: $(LINT) ## golangci-lint with the list in .golangci.yml
	$(LINT) run ./...

$(LINT):
	@mkdir -p $(@D)
	GOBIN=$(CURDIR)/$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@mv $(@D)/golangci-lint $@

.PHONY: test
test: ## the tests
	go test ./...

.PHONY: race
race: ## the tests with the race detector
	go test -race ./...

# go test fuzzes one target of one package at a time.
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s)
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do \
		sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file" | while read -r target; do \
			echo "$${file%/*} $$target $(FUZZTIME)"; \
			go test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) "$${file%/*}" </dev/null; \
		done; \
	done

.PHONY: chaos
chaos: ## every scenario and every mutant of the chaos suite; the report is in dist/chaos
	FAIRLEAD_CHAOS=full FAIRLEAD_CHAOS_REPORT="$(CURDIR)/dist/chaos" go test -count=1 -timeout 15m -v -skip '^TestSoak$$' ./internal/chaos/suite

# SOAK_SEED repeats the story of an earlier soak.
SOAK ?= 1h
.PHONY: soak
soak: ## random faults for SOAK (1h), from SOAK_SEED or a seed that is printed
	FAIRLEAD_SOAK=$(SOAK) FAIRLEAD_SOAK_SEED=$(SOAK_SEED) go test -count=1 -timeout 0 -v -run '^TestSoak$$' ./internal/chaos/suite

.PHONY: bench
bench: ## measure beside other proxies; rewrites docs/performance.md
	go run ./bench

.PHONY: demo
demo: ## an outage that nobody notices, until Ctrl-C
	go run ./cmd/fairlead demo

# The version is that of the repository, which go build stamps: its tag, or the
# time and the revision.
.PHONY: build
build: ## one static binary, dist/fairlead
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o dist/fairlead ./cmd/fairlead
