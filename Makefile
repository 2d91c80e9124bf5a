.PHONY: test test-base check format site bench

test:
	python -m pytest -q

test-base:
	python -m pytest -q tests/runtime runtime

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
