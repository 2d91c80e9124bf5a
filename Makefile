.PHONY: test test-base coverage check format site bench sbom

test:
	python -m pytest -q

test-base:
	python -m pytest -q tests/runtime runtime

# Which lines and branches of the runtime its tests reach; 2.5 times as long as without.
coverage:
	coverage run -m pytest -q -m "not faults" tests/runtime tests/parity tests/integrations runtime
	coverage report --skip-covered --show-missing

check:
	ruff check . && ruff format --check . && mypy && pyright

format:
	ruff check --fix . && ruff format .

# Into build/site; a warning is an error.
site:
	python docs/gather.py && zensical build --strict

# ROWS names some rows, by default all (`python benchmarks/bench.py --list`); BEIR the folder of a
# collection, MODEL an exported ColBERT, CHECKPOINT what it was exported from: without them less is
# measured.
bench: .venv-bench
	.venv-bench/bin/python benchmarks/bench.py $(ROWS) $(if $(BEIR),--data $(BEIR)) \
	    $(if $(MODEL),--model $(MODEL)) $(if $(CHECKPOINT),--checkpoint $(CHECKPOINT))

.venv-bench: benchmarks/requirements.txt
	python3 -m venv .venv-bench
	.venv-bench/bin/pip install -q -c constraints.txt torch
	.venv-bench/bin/pip install -q --no-deps -r benchmarks/requirements.txt
	.venv-bench/bin/pip install -q --no-deps -e .
	touch .venv-bench

# What the base install consists of, as CycloneDX's JSON: build/sbom.json.
sbom:
	rm -rf build/sbom && mkdir -p build/sbom
	python3 -m venv build/sbom/tool && build/sbom/tool/bin/pip install -q cyclonedx-bom==7.5.0
	python3 -m venv --without-pip build/sbom/base
	build/sbom/tool/bin/pip --python build/sbom/base/bin/python install -q -c constraints.txt .
	build/sbom/tool/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
	    --output-file build/sbom.json build/sbom/base/bin/python
