"""What the commands of the pages find in their folder: small files, models and indexes."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.docs.pages import read

from glane import BM25, ColBERT, Search
from glane.commands.main import main

if TYPE_CHECKING:
    from transformers import BertConfig

FIXTURES = Path(__file__).parents[1] / "fixtures"

FACTS = [
    ("how do plants eat light", "Leaves", "Plants turn light into sugar."),
    ("where do rivers end", "Rivers", "All of them run to the sea."),
    ("what is hard as granite", "Granite", "Granite is hard and grey."),
    ("how is green tea made", "Green tea", "Green tea is made of dried leaves."),
    ("what do birds do at dawn", "Birds", "Birds sing at dawn."),
    ("when does snow fall", "Snow", "Snow falls in winter."),
    ("what does bread need", "Bread", "Bread needs yeast and time."),
    ("why does iron rust", "Iron", "Iron rusts in water and air."),
    ("what do bees make", "Bees", "Bees make honey of nectar."),
    ("what do stars burn", "Stars", "Stars burn gas for ages."),
    ("who drinks green tea", "Cups", "People drink green tea from cups."),
    ("what is a comet", "Comets", "A comet is ice and dust."),
]
"""Queries, and titles and texts of the documents that answer them."""

FIELDS = [
    {"lang": "de", "year": 2020 + number % 3, "price": 1.5, "published": f"20{18 + number}"}
    for number in range(len(FACTS))
]


def lines(file: Path, records: Iterable[Any]) -> None:
    """Write JSON lines."""
    file.write_text("".join(json.dumps(each) + "\n" for each in records), encoding="utf-8")


MORE = (
    " Many people know of it, and have written about it at length. Others have yet to learn of it."
)


def corpus(file: Path) -> None:
    """Documents as BEIR has them, with fields to filter by."""
    lines(
        file,
        [
            {
                "_id": f"d{number}",
                "title": f"{title} for all of us",
                "text": text + MORE,
                "tags": ["new"],
                **fields,
            }
            for number, ((_, title, text), fields) in enumerate(zip(FACTS, FIELDS, strict=True))
        ],
    )


def queries(file: Path) -> None:
    """Queries as BEIR has them."""
    lines(file, ({"_id": f"q{number}", "text": query} for number, (query, *_) in enumerate(FACTS)))


def judged(file: Path) -> None:
    """Judgements as BEIR has them."""
    rows = [f"q{number}\td{number}\t1" for number in range(len(FACTS))]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["query-id\tcorpus-id\tscore", *rows, ""]))


def beir(folder: Path) -> None:
    """A collection with all three splits."""
    folder.mkdir(parents=True)
    corpus(folder / "corpus.jsonl")
    queries(folder / "queries.jsonl")
    for split in ("train", "dev", "test"):
        judged(folder / "qrels" / f"{split}.tsv")


def triples(file: Path) -> None:
    """A question, an answer and what is none."""
    lines(
        file,
        [
            {"anchor": query, "positive": text, "negative": FACTS[number - 1][2]}
            for number, (query, _, text) in enumerate(FACTS)
        ],
    )


def scored(file: Path) -> None:
    """The same with a teacher's scores."""
    lines(
        file,
        [
            {"anchor": query, "positive": text, "negatives": [FACTS[number - 1][2]]}
            | {"teacher_scores": [2.0, 0.5]}
            for number, (query, _, text) in enumerate(FACTS)
        ],
    )


def more(file: Path) -> None:
    """Another document, of the id that a page deletes."""
    lines(file, [{"_id": "ID", "title": "Moss", "text": "Moss grows on stone."}])


def questions(file: Path) -> None:
    """A query a line."""
    file.write_text("".join(f"{query}\n" for query, *_ in FACTS))


def articles(file: Path) -> None:
    """An array with other names of fields, and integer ids."""
    file.write_text(
        json.dumps(
            [
                {"article_id": number, "headline": title, "body": text}
                for number, (_, title, text) in enumerate(FACTS)
            ]
        )
    )


def faq(file: Path) -> None:
    """A table as a spreadsheet saves it."""
    rows = [f'{number};"{query}";"{text}"' for number, (query, _, text) in enumerate(FACTS)]
    file.write_text("\n".join(["Nr;Frage;Antwort", *rows, ""]), encoding="utf-8-sig")


def pairs(file: Path) -> None:
    """A table with names that are found."""
    rows = [f'"{query}","{text}"' for query, _, text in FACTS]
    file.write_text("\n".join(["question,answer", *rows, ""]))


def parts(file: Path) -> None:
    """One of several packed files, of articles."""
    with gzip.open(file, "wt") as packed:
        packed.write('{"article_id": 99, "headline": "Moss", "body": "Moss grows on stone."}\n')


def table(file: Path) -> None:
    """Ids and texts as MS MARCO has them."""
    at = 0 if file.name.startswith("queries") else 2
    letter = "q" if at == 0 else "d"
    rows = [f"{letter}{number}\t{fact[at]}" for number, fact in enumerate(FACTS)]
    file.write_text("\n".join([*rows, ""]))


def ids(file: Path) -> None:
    """Triples of ids."""
    n = len(FACTS)
    file.write_text("".join(f"q{number}\td{number}\td{(number + 1) % n}\n" for number in range(n)))


def run_file(file: Path) -> None:
    """A ranking of each query."""
    file.write_text("".join(f"q{n} Q0 d{n} 1 {9 - n / 2} made\n" for n in range(len(FACTS))))


def index(folder: Path) -> None:
    """An index with a reranker, and the documents kept."""
    search = Search(
        BM25(),
        reranker=ColBERT.load(FIXTURES / "colbert-int8", threads=1),
        key="_id",
        on=["title", "text"],
        keep_documents=True,
    )
    search.add(
        {"_id": f"d{number}", "title": title, "text": text}
        for number, (_, title, text) in enumerate(FACTS)
    )
    search.save(folder)


def split_folder(folder: Path) -> None:
    """What `glane split` makes of the table."""
    table_of_pairs = folder.with_suffix(".csv")
    faq(table_of_pairs)
    argv = ["split", str(table_of_pairs), "--anchor", "Frage", "--positive", "Antwort"]
    assert main([*argv, "--out", str(folder)]) == 0


def copied(fixture: str) -> Callable[[Path], None]:
    """Return what copies a model of the fixtures."""

    def copy(folder: Path) -> None:
        shutil.copytree(FIXTURES / fixture, folder)

    return copy


def base(folder: Path) -> None:
    """An encoder of random weights with the head of a masked language model."""
    import torch
    from transformers import BertForMaskedLM

    torch.manual_seed(3)
    BertForMaskedLM(_config()).save_pretrained(folder)
    shutil.copyfile(FIXTURES / "colbert" / "tokenizer.json", folder / "tokenizer.json")


def _config() -> BertConfig:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=320,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=512,
        initializer_range=0.3,
    )


def cross_encoder(folder: Path) -> None:
    """A model of random weights that scores a pair of texts."""
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(5)
    config = _config()
    config.num_labels = 1
    BertForSequenceClassification(config).save_pretrained(folder)
    shutil.copyfile(FIXTURES / "colbert" / "tokenizer.json", folder / "tokenizer.json")


def run_toml(file: Path) -> None:
    """The file that `docs/record-of-a-training.md` shows, with a tiny base."""
    (text,) = re.findall(
        r"```toml\n# run.toml\n(.*?)```", read("docs/record-of-a-training.md"), re.S
    )
    file.write_text(re.sub(r"(?m)^base = .*$", 'base = "base"', text))


MAKERS: dict[str, Callable[[Path], None]] = {
    "INDEX": index,
    "MODEL": copied("colbert-int8"),
    "after": index,
    "after.run": run_file,
    "articles.json": articles,
    "base": base,
    "before": index,
    "before.run": run_file,
    "beir_folder": beir,
    "collection.tsv": table,
    "corpus.jsonl": corpus,
    "cross-encoder": cross_encoder,
    "faq": split_folder,
    "faq.csv": faq,
    "glane-demo/model": copied("colbert-int8"),
    "index": index,
    "medquad": beir,
    "model": copied("colbert-int8"),
    "more.jsonl": more,
    "pairs.csv": pairs,
    "part-1.jsonl.gz": parts,
    "products.jsonl": corpus,
    "q.csv": queries,
    "pylate-model": copied("owners/pylate-default-prompt"),
    "qrels.dev.tsv": judged,
    "qrels.txt": judged,
    "queries.tsv": table,
    "questions.txt": questions,
    "reports.jsonl": corpus,
    "run.toml": run_toml,
    "run.txt": run_file,
    "scifact": beir,
    "scored.jsonl": scored,
    "splade-model": copied("splade"),
    "st-model": copied("owners/st-vectors-expansion"),
    "texts.jsonl": corpus,
    "triples.jsonl": triples,
    "triples.train.tsv": ids,
}
"""What makes each file or folder, by its name in the pages."""


def make(folder: Path, name: str) -> None:
    """Make what a page names, in a folder."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    MAKERS[name](folder / name)
