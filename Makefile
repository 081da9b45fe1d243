# What there is to do here. The work is in scripts/; a set-up that is done already costs nothing.
.DEFAULT_GOAL := help
.PHONY: help serve test setup lint bench bench-quick bench-fleet faults lock wheel clean
ARGS ?=

help: ## show this text
	@echo 'Usage: make TARGET [ARGS="..."]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

serve: ## run the service, e.g. ARGS="--port 9000"; sets up what that needs
	@scripts/setup runtime
	@exec .venv/bin/coatcheck serve $(ARGS)

test: ## run all tests, e.g. ARGS="-k rotate"; sets up what they need
	@scripts/setup dev
	@exec scripts/test $(ARGS)

setup: ## prepare everything (tools, browser, .venv) and run nothing
	@scripts/setup dev

lint: ## check style, types, imports and the tree
	@scripts/setup dev
	@exec scripts/lint

bench: ## measure speed beside other libraries, 25 minutes; results in bench/results/
	@scripts/setup bench
	@exec scripts/bench speed $(ARGS)

bench-quick: ## the same in two minutes, roughly; keeps no results of record
	@scripts/setup bench
	@exec scripts/bench speed --quick $(ARGS)

bench-fleet: ## measure revocation and scale, half an hour, e.g. ARGS="--quick"
	@scripts/setup dev
	@exec scripts/bench fleet $(ARGS)

faults: ## put fleets on every store to the test under every fault, e.g. ARGS="--rounds 5"; takes an hour
	@scripts/setup dev
	@exec scripts/faults $(ARGS)

wheel: ## build the wheel and try it in a fresh environment
	@scripts/setup dev
	@exec scripts/test_wheel

lock: ## pin all packages anew, e.g. ARGS="--upgrade"
	@exec scripts/lock $(ARGS)

clean: ## delete what these commands made; databases and secrets stay
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	rm -rf bench/contenders/*/.venv bench/contenders/*/node_modules bench/results/*.local.json
	find src tests bench examples scripts -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
