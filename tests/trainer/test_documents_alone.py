"""Questions made of documents: what of a text becomes one, and a training that has no others."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glane.analysis.analyzer import Analyzer
from glane.commands.main import main
from glane_trainer import ColBERT, Example, read_data
from glane_trainer.mining import documents
from glane_trainer.mining.documents import Document, miner_of, questions_of, read_documents
from glane_trainer.mining.pieces import Piece, pieces_of, without
from glane_trainer.mining.start import StartTeacher

SUBJECTS = ("plants", "rivers", "granite", "tea", "birds", "snow", "bread", "iron", "bees", "stars")

TERMS = Analyzer(language="auto")

TEXT = (
    "Bees make honey from the nectar of flowers. They live in hives with one queen. Honey keeps "
    "for years because bees dry the nectar."
)


def made(title: str, text: str, seed: int = 0) -> list[Piece]:
    return pieces_of(title, text, TERMS, np.random.default_rng(seed))


def test_a_title_is_a_question_and_the_text_without_it_the_answer() -> None:
    title = "How bees make their honey"
    pieces = made(title, f"{title}. {TEXT}")
    assert pieces[0] == Piece(title, TEXT, "title")
    assert [piece.kind for piece in pieces] == ["title", "sentence"]
    for piece in pieces:
        assert piece.query.casefold() not in piece.answer.casefold()


def test_a_text_without_title_gives_its_first_sentence_and_the_one_most_repeated() -> None:
    pieces = made("", TEXT)
    assert [piece.query for piece in pieces] == [
        "Bees make honey from the nectar of flowers.",
        "Honey keeps for years because bees dry the nectar.",
    ]
    assert pieces[0].answer == TEXT.partition(". ")[2]


def test_headings_are_answered_by_what_is_below_them() -> None:
    below = "A long line of text on just this matter, which tells all there is to tell of it."
    text = f"# Feeding a colony of bees\n{below}\n\nWhere bees sleep at night\n{below}\n"
    headings = [piece for piece in made("", text) if piece.kind == "heading"]
    assert [piece.query for piece in headings] == [
        "Feeding a colony of bees",
        "Where bees sleep at night",
    ]
    assert all(piece.answer == below for piece in headings)


def test_a_list_or_a_short_line_is_no_heading() -> None:
    text = "eggs from the farm,\nmilk\nflour and yeast\n- bread that rises in the warm oven\nsalt"
    assert all(piece.kind != "heading" for piece in made("", text))


@pytest.mark.parametrize(
    "text",
    [
        "\u6771\u5927\u5bfa\u306f\u5948\u826f\u306b\u3042\u308b\u3002"
        "\u5927\u4ecf\u306f\u6771\u5927\u5bfa\u306e\u672c\u5c0a\u3067\u3042\u308b\u3002"
        "\u5948\u826f\u306f\u53e4\u3044\u90fd\u3067\u3042\u308b\u3002",
        "\u0645\u0643\u0629 \u0645\u062f\u064a\u0646\u0629 \u0643\u0628\u064a\u0631\u0629 "
        "\u062c\u062f\u0627\u061f \u0641\u064a\u0647\u0627 \u0627\u0644\u0646\u0627\u0633 "
        "\u0645\u0646 \u0643\u0644 \u0645\u0643\u0627\u0646\u06d4 "
        "\u0627\u0644\u0645\u062f\u064a\u0646\u0629 \u0642\u062f\u064a\u0645\u0629 "
        "\u062c\u062f\u0627\u06d4",
        "\u0939\u093f\u0928\u094d\u0926\u0940 \u092d\u093e\u0930\u0924 \u0915\u0940 "
        "\u092d\u093e\u0937\u093e \u0939\u0948\u0964 \u092d\u093e\u0930\u0924 "
        "\u090f\u0915 \u092c\u0921\u093c\u093e \u0926\u0947\u0936 \u0939\u0948\u0964 "
        "\u092f\u0939 \u0926\u0947\u0936 \u090f\u0936\u093f\u092f\u093e "
        "\u092e\u0947\u0902 \u0939\u0948\u0964",
    ],
    ids=["japanese", "arabic", "hindi"],
)
def test_sentences_are_found_without_capitals_or_spaces(text: str) -> None:
    pieces = made("", text)
    assert pieces
    for piece in pieces:
        assert piece.kind == "sentence"
        assert piece.query in " ".join(text.split())
        assert piece.query not in piece.answer


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "text",
    [
        " ".join(f"word{n}" for n in range(40)),
        "\u6771\u5927\u5bfa\u306f\u5948\u826f\u306b\u3042\u308b\u5bfa\u9662" * 4,
        "\u0e01\u0e32\u0e23\u0e17\u0e35\u0e48\u0e19\u0e31\u0e48\u0e19" * 6,
    ],
    ids=["words", "japanese", "thai"],
)
def test_a_text_without_sentences_gives_a_crop(text: str, seed: int) -> None:
    (piece,) = made("", text, seed)
    assert piece.kind == "crop"
    assert piece.query in text
    assert len(piece.query + piece.answer) in (len(text), len(text) - 1)
    assert made("", text, seed) == [piece]
    assert not piece.query.startswith(("\u0e34", "\u0e35", "\u0e31", "\u0e48"))


@pytest.mark.parametrize(
    ("title", "text"),
    [("", ""), ("Tea and all its kinds", ""), ("", "Tea."), ("", " \n "), ("a b c", "!!! ???")],
)
def test_what_is_too_short_gives_nothing(title: str, text: str) -> None:
    assert made(title, text) == []


def test_a_piece_is_taken_out_wherever_it_was_copied() -> None:
    text = "Tea grows on steep green hills. So: tea  grows\non steep green hills; more."
    assert without(text, "tea grows on steep green hills", TERMS) == "So:  ; more."
    assert without("Tea. Tea is drunk.", "Tea", TERMS) == "Tea is drunk."
    assert without("Teapots hold tea.", "Tea", TERMS) == "Teapots hold tea."
    assert without(" tea ", "", TERMS) == "tea"


def test_equal_texts_are_one_document_and_shared_titles_no_question() -> None:
    files = [
        Document("How bees make honey", TEXT),
        Document("another name for it", f" {TEXT.upper()}"),
        Document("only a title here", ""),
        Document("too short for any", "tea"),
        *(Document("All one same title", corpus()[n].text) for n in range(4)),
    ]
    alone = questions_of(files, seed=0)
    assert alone.n_documents == 6
    assert {name: alone.counts[name] for name in ("repeated", "no_text", "short", "shared")} == {
        "repeated": 1, "no_text": 1, "short": 1, "shared": 1
    }  # fmt: skip
    assert "All one same title" not in alone.queries()
    with pytest.raises(ValueError, match="no question can be made of 1 documents"):
        questions_of(files[3:4], seed=0)


def test_questions_are_the_same_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    files = corpus(30)
    assert questions_of(files, 1) == questions_of(iter(files), 1)
    monkeypatch.setattr(documents, "MOST_DOCUMENTS", 5)
    few = [questions_of(files, seed) for seed in (1, 1, 2)]
    assert few[0] == few[1] != few[2]
    assert few[0].counts["drawn"] == 5
    assert few[0].n_documents == 30


def corpus(n: int = 24) -> list[Document]:
    return [
        Document(
            f"The {SUBJECTS[k % 10]} and the {SUBJECTS[k // 10]} number {k}",
            f"The {SUBJECTS[k % 10]} grow on hills. The sea burns {SUBJECTS[k // 10]} and gas at "
            f"dawn {k}. The {SUBJECTS[k % 10]} sing in winter and make honey.",
        )
        for k in range(n)
    ]


def test_labels_are_of_bm25_and_the_start_together(bert: Path) -> None:
    alone = questions_of(corpus(), seed=0)
    model = ColBERT.from_base(bert, dim=8)
    miner = miner_of(alone, StartTeacher(model), seed=0)
    records = [record for part in miner.parts() for record in part.records]
    again = [
        record
        for part in miner_of(alone, StartTeacher(model), 0).parts()
        for record in part.records
    ]
    assert records == again
    whole = set(alone.ground.texts[: alone.n_documents])
    scored = [record for record in records if record["negatives"]]
    assert scored
    for record in scored:
        assert {*record["negatives"]} <= whole
        assert len(record["negatives"]) <= documents.N_NEGATIVES
        assert len(record["teacher_scores"]) == 1 + len(record["negatives"])
        assert max(record["teacher_scores"]) == record["teacher_scores"][0]
        assert record["positive"] not in record["negatives"]


def test_what_is_kept_of_encoded_documents_changes_no_score(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from glane_trainer.mining import start

    model = ColBERT.from_base(bert, dim=8)
    asked, texts = ["tea", "sea"], [["tea grows", "the sea"], ["the sea", "the sea", "snow"]]
    expected = StartTeacher(model).score(asked, texts)
    monkeypatch.setattr(start, "KEPT_BYTES", 1)
    teacher = StartTeacher(model)
    for _ in range(2):
        for found, wanted in zip(teacher.score(asked, texts), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert teacher.score(["tea"], [[]])[0].shape == (0,)


def write(path: Path, rows: list[Document]) -> Path:
    records = [{"_id": str(n), **row._asdict()} for n, row in enumerate(rows)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def train(*words: object) -> int:
    options = (
        "--dim",
        8,
        "--batch-size",
        4,
        "--document-length",
        48,
        "--threads",
        1,
        "--device",
        "cpu",
    )
    return main([str(word) for word in ("train", *words, *options)])


@pytest.mark.parametrize("as_folder", [False, True])
def test_a_training_needs_documents_alone(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], as_folder: bool
) -> None:
    (tmp_path / "beir").mkdir()
    path = write(tmp_path / "beir" / "corpus.jsonl", corpus())
    source = path.parent if as_folder else path
    out = tmp_path / "out"
    asked = ("colbert", "--base", bert, "--documents", source, "--out", out)
    assert train(*asked, "--max-steps", 2, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["steps"] == 2
    assert result["start_score"] is None
    questions = tmp_path / "out.questions.jsonl"
    assert result["questions"] == str(questions)
    read_data(questions, holdout=0)
    before = questions.read_bytes()
    assert train(*asked, "--max-steps", 1, "--overwrite") == 0
    assert questions.read_bytes() == before
    ColBERT.load(out)


def test_questions_of_other_documents_are_not_replaced_unasked(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "corpus.jsonl", corpus())
    (tmp_path / "out.questions.jsonl").write_text('{"anchor": "mine", "positive": "own"}\n')
    asked = ("colbert", "--base", bert, "--documents", path, "--out", tmp_path / "out")
    assert train(*asked, "--max-steps", 1) == 1
    assert "pass --overwrite" in capsys.readouterr().err
    assert "mine" in (tmp_path / "out.questions.jsonl").read_text()


def test_a_loss_with_a_teacher_learns_from_documents_alone(bert: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "corpus.jsonl", corpus())
    words = ("--base", bert, "--documents", path, "--loss", "kl", "--contrastive-weight", 1)
    assert train("colbert", *words, "--max-steps", 1, "--out", tmp_path / "out") == 0
    text = (tmp_path / "out.questions.jsonl").read_text()
    records = [json.loads(line) for line in text.splitlines()]
    assert all(len(record["teacher_scores"]) > 1 for record in records)


def test_own_triples_are_learned_from_beside_and_alone_are_measured(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], examples: list[Example]
) -> None:
    path = write(tmp_path / "corpus.jsonl", corpus())
    own = tmp_path / "own.jsonl"
    rows = [
        {"anchor": e.anchor, "positive": e.positive, "negatives": [*e.negatives]} for e in examples
    ]
    own.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out"
    words: tuple[Any, ...] = ("colbert", "--base", bert, "--data", own, "--documents", path)
    assert train(*words, "--max-steps", 2, "--out", out, "--holdout", 0.2, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["start_score"] is not None
    read = read_data(own, holdout=0.2, questions=result["questions"])
    assert read.held_out is not None
    anchors = {e.anchor for e in examples}
    assert {*read.held_out.queries.values()} <= anchors
    assert len(read.held_out.queries) == 4
    assert not {*read.held_out.queries.values()} & {e.anchor for e in read.examples}
    assert any(e.anchor not in anchors for e in read.examples)
    assert train(*words, "--max-steps", 1, "--out", tmp_path / "x", "--weights", 1) == 2
    assert (
        "--weights must be one for each --data and a last one for --documents, 2"
        in capsys.readouterr().err
    )


def test_documents_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"_id": "1", "body": "tea"}\n')
    with pytest.raises(ValueError, match="no document has the field"):
        read_documents(path, "_id", ("title", "text"))
    path.write_text('{"_id": "1", "text": 5}\n')
    with pytest.raises(ValueError, match="line 1"):
        read_documents(path, "_id", ("title", "text"))
    path.write_text("")
    with pytest.raises(ValueError, match="is empty"):
        read_documents(path, "_id", ("title", "text"))


def test_an_interrupted_training_goes_on_with_its_questions(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from glane_trainer.run import Run

    path = write(tmp_path / "corpus.jsonl", corpus())
    words = ("colbert", "--base", bert, "--documents", path, "--max-steps", 3, "--save-steps", 1)
    assert train(*words, "--out", tmp_path / "whole") == 0
    step = Run.take_step

    def stop(run: Run, *batch: Any) -> dict[str, float]:  # noqa: ANN401
        if run.progress.step == 2:
            raise KeyboardInterrupt
        return step(run, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "take_step", stop)
        assert train(*words, "--out", tmp_path / "out") == 130
    assert train(*words, "--out", tmp_path / "out", "--resume") == 0
    questions = [(tmp_path / f"{name}.questions.jsonl").read_bytes() for name in ("out", "whole")]
    assert questions[0] == questions[1]
    losses = [
        [json.loads(line)["loss"] for line in (folder / "training.jsonl").read_text().splitlines()]
        for folder in (tmp_path / "whole", tmp_path / "out")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("loss", ["kl", "margin-mse"])
def test_a_teacher_s_loss_learns_what_is_mined(bert: Path, tmp_path: Path, loss: str) -> None:
    from tests.trainer.test_mine import DOCUMENTS, QRELS, QUERIES, glane_mine, write_beir

    beir = write_beir(tmp_path / "beir", DOCUMENTS, QUERIES, QRELS)
    mined = tmp_path / "mined.jsonl"
    glane_mine("--data", beir, "--out", mined, "--scale", "min-max")
    words = ("--data", mined, "--loss", loss, "--contrastive-weight", 1, "--n-negatives", 16)
    options = ("--teacher-temperature", 0.1, "--holdout", 0, "--max-steps", 2)
    assert train("colbert", "--base", bert, *words, *options, "--out", tmp_path / "out") == 0
