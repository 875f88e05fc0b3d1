# The front door. CMake and Ninja do the work; `make` alone is the release build.
BUILD := build
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
PYTHON ?= $(or $(wildcard $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lamina/venv/bin/python),python3)
FUZZ_SECONDS ?= 60
CONFIGURE := cmake -G Ninja -S .
CTEST := ctest --output-on-failure -j$(JOBS)

.PHONY: build help orderings check check-full check-asan check-release check-tsan check-clang check-arm64 check-clients gates demo conformance models environment fuzz \
	bench-sync bench-sync-build soak-sync soak-trace \
	fuzz-build fuzz-all cover install setup clean

build: ## release build: build/bin/lamina, build/lib, build/python (TARGET=... for one target)
	@$(CONFIGURE) -B $(BUILD) > $(BUILD).configure.log 2>&1 || { cat $(BUILD).configure.log; exit 1; }
	@rm -f $(BUILD).configure.log
	ninja -C $(BUILD) -j$(JOBS) $(TARGET)

help: ## what make can do
	@awk -F ':.*## ' '/^[a-z%-]*:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Everything that must hold before a change lands: sanitizers, release, clang, threads, gates.
check: environment check-asan check-release check-clang check-tsan gates ## sets up, then everything: sanitizers, release, clang, threads, gates

check-full: check ## check, 100 seeds of kcheck, all floats (also as text), 10,000 random models an operator, 20,000 plans (an hour)
	for i in $$(seq 100); do $(BUILD)/bin/kcheck --seed=$$i > $(BUILD)/kcheck.log || \
		{ grep FAIL $(BUILD)/kcheck.log; exit 1; }; done
	$(BUILD)/bin/kcheck --full --only=":avx2 ulp" > $(BUILD)/kcheck.log || \
		{ grep FAIL $(BUILD)/kcheck.log; exit 1; }
	$(BUILD)/bin/props --draws=10000
	T_NUMBERS=10000000 T_ALL_FLOATS=1 $(BUILD)/tests/test_number
	for i in $$(seq 2 21); do T_SEED=$$i $(BUILD)/tests/test_plan_memory || exit 1; done

check-asan:
	@$(CONFIGURE) -B build-asan -DCMAKE_BUILD_TYPE=Debug -DLAMINA_SANITIZE=address,undefined \
		-DLAMINA_ASSERT_LEVEL=2 > /dev/null
	ninja -C build-asan -j$(JOBS)
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 $(CTEST) --test-dir build-asan

check-release: build
	$(CTEST) --test-dir $(BUILD)

check-clang:
	@$(CONFIGURE) -B build-clang -DCMAKE_C_COMPILER=clang > /dev/null
	ninja -C build-clang -j$(JOBS)
	$(CTEST) --test-dir build-clang

# Both compilers: they see different races.
define tsan
	@$(CONFIGURE) -B $(1) $(2) -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLAMINA_SANITIZE=thread > /dev/null
	ninja -C $(1) -j$(JOBS) threaded_tests
	TSAN_OPTIONS=halt_on_error=1 $(CTEST) --test-dir $(1) -L '^(base|sync|syncapi|gemmapi|log|trace|http|serve|devices|runtime|api)$$'
endef

check-tsan:
	$(call tsan,build-tsan)
	$(call tsan,build-tsan-clang,-DCMAKE_C_COMPILER=clang)

# Needs the native build, whose answers are compared; packages that are missing are said.
check-arm64: ## cross build for arm64: kernels and answers under qemu
	@tools/setup.sh arm64 > /dev/null || echo "the cross compiler and qemu are not all here"
	@tools/check_arm64.sh $(BUILD) $(JOBS)

# Their packages live apart: some pin what others do not bear.
CLIENTS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lamina/venv-clients/bin/python
check-clients: build ## every client of other people against `lamina serve` (ARGS=k6 for some)
	@tools/setup.sh clients > /dev/null || echo "tools/setup.sh failed: going on with what is here"
	$(if $(wildcard $(CLIENTS)),$(CLIENTS),$(PYTHON)) tests/clients/client_table.py $(BUILD) $(ARGS)

# They look at a quick build of the libraries alone: what they look for (includes, symbols, sections,
# registers) does not depend on the optimiser, and a release build may lie far behind.
gates: ## layers, headers, exports, ISA leaks, style, lengths
	@tools/gates.sh

demo: ## fetch trained models and ask them three questions
	tools/demo.sh

setup: ## install what building and checking need (Debian)
	tools/setup.sh

# Without the network the environment may be lacking: what then cannot run is said.
environment:
	@tools/setup.sh > /dev/null || echo "tools/setup.sh failed: going on with what is here"

orderings: build ## search every scene, weaken every ordering: docs/orderings.md
	tools/orderings.sh $(BUILD) > docs/orderings.md

soak-trace: build ## a reader that two writers of 10^9 events outrun
	T_TRACE_EVENTS=1000000000 $(BUILD)/tests/test_trace_live test_slow_reader

soak-log: ## lamina logd and its writers, 50 rounds of kill -9
	@$(MAKE) -s build
	python3 tests/log/check_logd.py $(BUILD)/bin/lamina $(BUILD)/tests/logwriter --rounds=50 --seed=2

conformance: environment ## the ONNX cases, stored and generated
	@$(MAKE) -s build
	$(PYTHON) tools/conformance.py

models: environment ## trained and generated models beside onnxruntime
	@$(MAKE) -s build
	@tools/setup.sh learned > /dev/null || echo "the packages of tools/requirements-learned.txt are not all here"
	$(PYTHON) tools/judge_models.py

# make fuzz T=json [FUZZ_SECONDS=60]; finds stay in build-fuzz/found-T-*.
fuzz-build:
	@$(CONFIGURE) -B build-fuzz -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo \
		-DLAMINA_FUZZ=ON -DLAMINA_ASSERT_LEVEL=2 > /dev/null
	ninja -C build-fuzz -j$(JOBS) $(if $(T),fuzz_$(T),fuzz_targets)

fuzz: fuzz-build ## one fuzz target: make fuzz T=onnx
	@test -n "$(T)" || { echo "say which: make fuzz T=json"; exit 2; }
	@mkdir -p build-fuzz/corpus-$(T)
	build-fuzz/fuzz/fuzz_$(T) -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix=build-fuzz/found-$(T)- \
		$(if $(wildcard tests/fuzz/$(T).dict),-dict=tests/fuzz/$(T).dict) \
		build-fuzz/corpus-$(T) tests/fuzz/corpus/$(T)

# FUZZ_SECONDS for each target, as many at once as there are cores; from one seed, so that the same
# tree gives the same verdict. `make fuzz` takes a new one each time.
fuzz-all: fuzz-build ## a minute of every fuzz target
	@ls tests/fuzz/fuzz_*.c | sed 's/.*fuzz_\(.*\)\.c/\1/' | xargs -P$(JOBS) -I{} sh -c \
		'mkdir -p build-fuzz/corpus-{} && if build-fuzz/fuzz/fuzz_{} -seed=1 -max_total_time=$(FUZZ_SECONDS) \
		-timeout=10 -rss_limit_mb=2048 -artifact_prefix=build-fuzz/found-{}- build-fuzz/corpus-{} \
		tests/fuzz/corpus/{} > build-fuzz/{}.log 2>&1; then echo "fuzz {}: ok"; \
		else tail -30 build-fuzz/{}.log; echo "fuzz {}: FAILED"; exit 1; fi'

cover: ## line coverage of each room
	@$(CONFIGURE) -B build-cover -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=--coverage > /dev/null
	@find build-cover -name '*.gcda' -delete
	ninja -C build-cover -j$(JOBS)
	$(CTEST) --test-dir build-cover
	python3 tools/cover.py build-cover

install: build ## into PREFIX (default /usr/local)
	cmake --install $(BUILD) --prefix $(PREFIX)

# make bench-gemm runs bench/gemm.py, bench/gemm.sh or the program bench_gemm.
bench-%: build ## one benchmark: make bench-models
	@if [ -f bench/$*.py ]; then $(PYTHON) bench/$*.py $(ARGS); \
	elif [ -f bench/$*.sh ]; then sh bench/$*.sh; else $(BUILD)/bin/bench_$*; fi

bench-sync soak-sync: ## our queues and pools beside their peers; ten minutes of integrity
	@tools/setup.sh sync-peers > /dev/null || echo "the peers are not all here: their rows are left out"
	$(PYTHON) bench/sync.py $(if $(filter soak-sync,$@),--soak,$(ARGS))

bench-sync-build:
	@$(CONFIGURE) -B build-bench -DLAMINA_BENCH_SYNC=ON -DLAMINA_TESTS=OFF > /dev/null
	ninja -C build-bench -j$(JOBS) bench_sync

clean: ## remove the build folders
	rm -rf build build-wheel build-asan build-tsan build-tsan-clang build-clang build-fuzz build-cover \
		build-gates build-bench build-arm64 build-small
