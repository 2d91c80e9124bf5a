"""Measures by hand, and what is counted as an answer."""

import math
from collections.abc import Callable, Mapping, Sequence

import pytest

from glane.collection.dataset import Dataset
from glane.evaluation.measures import evaluate, hits
from glane.hits import Key, Results

Answer = Callable[[str, int], Results]


def answering(rows: Mapping[str, Sequence[Key]]) -> Answer:
    """An engine that knows the ids for each query text."""

    def answer(query: str, k: int) -> Results:
        ids = list(rows[query])[:k]
        return Results([ids], [[1.0] * len(ids)])

    return answer


def dataset(judgements: dict[str, dict[str, int]], **queries: str) -> Dataset:
    corpus = {id: f"text of {id}" for grades in judgements.values() for id in grades}
    return Dataset(corpus, {id: queries.get(id, id) for id in judgements}, judgements)


def test_hits_by_hand() -> None:
    judgements = {"q1": {"a": 1, "b": 2, "c": 0, "d": -1}, "q2": {"a": 1}, "q3": {"z": 1}}
    rankings = {"q1": ["c", "b", "x", "a", "d"], "q2": ["x", "a"]}
    assert hits(1, judgements, rankings) == {"q1": 0, "q2": 0, "q3": 0}
    assert hits(2, judgements, rankings) == {"q1": 1, "q2": 1, "q3": 0}
    assert hits(9, judgements, rankings) == {"q1": 2, "q2": 1, "q3": 0}


def test_metrics_are_means_over_the_judged_queries() -> None:
    judged = dataset({"q1": {"a": 1, "b": 1}, "q2": {"c": 1}, "q3": {"d": 1}})
    answer = answering({"q1": ["b", "a"], "q2": ["x", "c"], "q3": []})
    result = evaluate(answer, judged, ["hits@1", "hits@2"])
    assert result.metrics == {"hits@1": pytest.approx(1 / 3), "hits@2": pytest.approx(1)}
    assert result.rankings == {"q1": ["b", "a"], "q2": ["x", "c"], "q3": []}
    assert result.per_query == {
        "hits@1": {"q1": 1, "q2": 0, "q3": 0},
        "hits@2": {"q1": 2, "q2": 1, "q3": 0},
    }
    assert result.seconds >= 0
    assert 0 <= result.latency_ms["p50"] <= result.latency_ms["p95"]


def test_as_many_documents_are_asked_for_as_the_largest_cut_off() -> None:
    asked: list[int] = []

    def answer(query: str, k: int) -> Results:
        asked.append(k)
        return Results([[]], [[]])

    evaluate(answer, dataset({"q1": {"a": 1}, "q2": {"a": 1}}), ["hits@3", "hits@17", "hits@5"])
    assert asked == [17, 17]


def test_queries_with_the_same_text_keep_their_own_judgements() -> None:
    judged = dataset({"q1": {"a": 1}, "q2": {"b": 1}}, q1="tea", q2="tea")
    result = evaluate(answering({"tea": ["a", "b"]}), judged, ["hits@1"])
    assert result.metrics == {"hits@1": 0.5}
    assert result.rankings == {"q1": ["a"], "q2": ["a"]}


@pytest.mark.parametrize("title", ["", "A title "])
def test_the_query_itself_is_passed_over_and_another_takes_its_place(title: str) -> None:
    corpus = {"x": title + "tea or no tea", "a": "leaf", "b": "stone"}
    titles = {"x": title.strip()} if title else {}
    judged = Dataset(corpus, {"x": "tea or no tea"}, {"x": {"b": 1}}, titles)
    result = evaluate(answering({"tea or no tea": ["x", "a", "b"]}), judged, ["hits@2"])
    assert result.rankings == {"x": ["a", "b"]}
    assert result.metrics == {"hits@2": 1}
    assert result.n_passed_over == 1
    assert result.scores == {"x": [1.0, 1.0]}


def test_a_document_that_only_shares_the_querys_id_counts() -> None:
    judged = Dataset({"1": "leaf", "2": "stone"}, {"1": "tea"}, {"1": {"1": 1}})
    result = evaluate(answering({"tea": ["1", "2"]}), judged, ["hits@1"])
    assert result.rankings == {"1": ["1"]}
    assert result.metrics == {"hits@1": 1}


def test_a_document_that_only_ends_with_the_query_counts() -> None:
    judged = Dataset({"1": "a guide to green tea"}, {"1": "green tea"}, {"1": {"2": 1}})
    result = evaluate(answering({"green tea": ["1", "2"]}), judged, ["hits@1", "hits@2"])
    assert result.rankings == {"1": ["1", "2"]}
    assert result.n_passed_over == 0


def test_queries_without_an_answer_are_left_out_of_the_means() -> None:
    pytest.importorskip("ir_measures", reason="needs the extra eval")
    judged = dataset({"q1": {"a": 1, "z": 1}, "q2": {"b": 0}, "q3": {"c": -1, "d": 0}, "q4": {}})
    answer = answering({"q1": ["a"], "q2": ["b"], "q3": ["c"], "q4": []})
    result = evaluate(answer, judged, ["ndcg@10", "hits@1", "recall@5"])
    alone = evaluate(answer, dataset({"q1": judged.judgements["q1"]}), ["ndcg@10"])
    assert result.metrics["ndcg@10"] == alone.metrics["ndcg@10"] > 0
    assert (result.metrics["hits@1"], result.metrics["recall@5"]) == (1, 0.5)
    assert result.n_without_relevant == 3
    assert [list(values) for values in result.per_query.values()] == [["q1"]] * 3
    assert list(result.rankings) == ["q1", "q2", "q3", "q4"]


def test_a_collection_without_any_answer_is_refused_before_any_query() -> None:
    def answer(query: str, k: int) -> Results:
        pytest.fail("no query may be put")

    with pytest.raises(ValueError, match="none of the 2 judged queries has a relevant document"):
        evaluate(answer, dataset({"q1": {"a": 0}, "q2": {"b": -1}}), ["hits@1"])


def test_a_judged_document_that_is_not_there_stays_in_what_is_to_be_found() -> None:
    pytest.importorskip("ir_measures", reason="needs the extra eval")
    judged = Dataset({"a": "leaf"}, {"q": "tea"}, {"q": {"a": 1, "gone": 1}})
    assert evaluate(answering({"tea": ["a"]}), judged, ["recall@5"]).metrics == {"recall@5": 0.5}


def test_a_dataset_without_judgements_is_refused() -> None:
    with pytest.raises(ValueError, match="must judge at least one query"):
        evaluate(answering({}), Dataset({}, {}, {}), ["hits@1"])
    with pytest.raises(ValueError, match="must name at least one"):
        evaluate(answering({}), dataset({"q": {"a": 1}}), [])


def test_integer_keys_are_compared_as_the_files_write_them() -> None:
    result = evaluate(answering({"q": [7, 8]}), dataset({"q": {"8": 1}}), ["hits@2"])
    assert result.metrics == {"hits@2": 1}


@pytest.mark.parametrize(
    "metric", ["ndcg", "ndcg@0", "ndcg@-1", "ndcg@010", "NDCG@10", "fame@3", "", "hits@1.5"]
)
def test_an_unknown_metric_is_refused_before_any_query(metric: str) -> None:
    def answer(query: str, k: int) -> Results:
        pytest.fail("no query may be put")

    with pytest.raises(ValueError, match=f"unknown metric '{metric}'; expected one of .*'hits@k'"):
        evaluate(answer, dataset({"q": {"a": 1}}), ["hits@1", metric])


def test_ndcg_and_its_like_by_hand() -> None:
    pytest.importorskip("ir_measures", reason="needs the extra eval")
    judged = dataset({"q1": {"a": 3, "b": 1, "c": 2, "d": 0}, "q2": {"e": 1}, "q3": {"f": 1}})
    answer = answering({"q1": ["b", "x", "a", "d", "c"], "q2": ["y", "e"], "q3": []})
    metrics = ["ndcg@10", "ndcg@3", "recall@3", "mrr@10", "precision@5", "map@10"]
    result = evaluate(answer, judged, metrics)

    def gain(*grades: int) -> float:
        return sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades, 1))

    best = gain(3, 2, 1)
    per_query = {"q1": gain(1, 0, 3, 0, 2) / best, "q2": gain(0, 1), "q3": 0.0}
    assert list(result.per_query) == metrics
    assert result.per_query["ndcg@10"] == pytest.approx(per_query)
    assert result.metrics == pytest.approx(
        {
            "ndcg@10": sum(per_query.values()) / 3,
            "ndcg@3": (gain(1, 0, 3) / best + gain(0, 1)) / 3,
            "recall@3": (2 / 3 + 1) / 3,
            "mrr@10": (1 + 1 / 2) / 3,
            "precision@5": (3 / 5 + 1 / 5) / 3,
            "map@10": ((1 + 2 / 3 + 3 / 5) / 3 + 1 / 2) / 3,
        }
    )


def test_the_order_given_is_what_is_measured_whatever_the_ids() -> None:
    pytest.importorskip("ir_measures", reason="needs the extra eval")
    judged = dataset({"q1": {"a": 1}, "q2": {"z": 1}})
    result = evaluate(answering({"q1": ["a", "z"], "q2": ["z", "a"]}), judged, ["ndcg@1"])
    assert result.metrics == {"ndcg@1": 1}


def test_a_long_ranking_is_measured_to_its_end() -> None:
    pytest.importorskip("ir_measures", reason="needs the extra eval")
    ranking = [str(number) for number in range(1000)]
    result = evaluate(answering({"q": ranking}), dataset({"q": {"999": 1}}), ["recall@1000"])
    assert result.metrics == {"recall@1000": 1}
    result = evaluate(answering({"q": ranking}), dataset({"q": {"999": 1}}), ["recall@999"])
    assert result.metrics == {"recall@999": 0}
