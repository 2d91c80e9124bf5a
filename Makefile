.PHONY: test test-base check format bench

test:
	python -m pytest -q

test-base:
	python -m pytest -q tests/runtime runtime

check:
	ruff check . && ruff format --check . && mypy && pyright

format:
	ruff check --fix . && ruff format .

# BEIR names the folder of a collection, MODEL that of an exported model: without them less is measured.
bench:
	python benchmarks/bm25.py --synthetic 500000 --rounds 3
	python benchmarks/install_size.py
	$(if $(BEIR),python benchmarks/bm25.py $(BEIR))
	$(if $(and $(BEIR),$(MODEL)),python benchmarks/encoding.py $(MODEL) --documents $(BEIR)/corpus.jsonl)
