.PHONY: test test-base check format bench

test:
	python -m pytest -q

test-base:
	python -m pytest -q tests/runtime runtime

check:
	ruff check . && ruff format --check . && mypy && pyright

format:
	ruff check --fix . && ruff format .

bench:
	python benchmarks/bm25.py
	python benchmarks/encoding.py
	python benchmarks/install_size.py
