"""The page, in a real Chromium."""

import json
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.serve.conftest import DOCUMENTS, Served, serving

from glane_serve.settings import Limits, ServeSettings

pytestmark = pytest.mark.browser

TYPED = "vitamin d and bone density"


def opened(chromium: Browser, served: Served, **options: Any) -> tuple[Page, list[str]]:  # noqa: ANN401 (of playwright)
    page = chromium.new_context(**options).new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(served.url)
    expect(page.locator("#index")).to_have_text(f"{len(DOCUMENTS)} documents")
    return page, told


def ids(page: Page) -> list[Any]:
    items = page.locator("#hits > li")
    return [json.loads(item.get_attribute("data-id") or "") for item in items.all()]


def asked(served: Served, **body: object) -> list[Any]:
    hits = served.client.post("/search", json=body).json()["hits"]
    return [hit["id"] for hit in hits]


def test_results_come_as_one_types_and_are_those_of_the_route(
    chromium: Browser, served: Served
) -> None:
    page, told = opened(chromium, served)
    page.get_by_role("searchbox", name="Search").press_sequentially("green tea")
    expect(page.locator('#hits[data-query="green tea"] > li').first).to_be_visible()
    assert ids(page) == asked(served, query="green tea")
    for name, ways in (
        ("reranked", {"fuse": "none"}),
        ("lexical", {"fuse": "relative", "fuse_weight": 1}),
        ("fused", {}),
    ):
        with page.expect_response("**/search"):
            page.get_by_role("radio", name=name).check()
        wanted = asked(served, query="green tea", **ways)
        expect(page.locator("#hits > li").first).to_have_attribute("data-id", json.dumps(wanted[0]))
        assert ids(page) == wanted
    assert told == []


def test_no_search_of_a_keystroke_is_lost_or_shown_out_of_order(
    chromium: Browser, served: Served
) -> None:
    page, told = opened(chromium, served)
    page.evaluate(
        """() => { window.seen = []; new MutationObserver((all) => {
            window.seen.push(document.getElementById("hits").dataset.query);
        }).observe(document.getElementById("hits"), { childList: true,
            attributeFilter: ["data-query"] }); }"""
    )
    sent: list[str] = []
    page.on(
        "request",
        lambda request: (
            sent.append(json.loads(request.post_data or "{}")["query"])
            if request.url.endswith("/search")
            else None
        ),
    )
    page.locator("#query").press_sequentially(TYPED, delay=30)
    expect(page.locator(f'#hits[data-query="{TYPED}"]')).to_be_attached()
    page.wait_for_timeout(600)
    beginnings = [TYPED[: n + 1] for n in range(len(TYPED))]
    assert list(dict.fromkeys(sent)) == beginnings
    seen = page.evaluate("window.seen")
    lengths = [len(query) for query in seen]
    assert lengths == sorted(lengths)
    assert seen[-1] == TYPED
    assert told == []


def test_a_late_answer_is_not_shown_over_a_newer_one(chromium: Browser, served: Served) -> None:
    page, _ = opened(chromium, served)
    held: list[Any] = []

    def hold(route: Any) -> None:  # noqa: ANN401 (of playwright)
        if json.loads(route.request.post_data)["query"] == "sno":
            held.append(route)
        else:
            route.continue_()

    page.route("**/search", hold)
    page.locator("#query").press_sequentially("snow", delay=50)
    expect(page.locator('#hits[data-query="snow"] > li').first).to_be_visible()
    assert held
    for route in held:
        route.continue_()
    page.wait_for_timeout(500)
    expect(page.locator("#hits")).to_have_attribute("data-query", "snow")


def test_filters_are_offered_by_field(chromium: Browser, served: Served) -> None:
    page, told = opened(chromium, served)
    page.locator("#query").fill("tea")
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("year from").fill("2001")
    with page.expect_response("**/search"):
        page.get_by_label("year to").fill("2010")
    wanted = asked(served, query="tea", filter="year >= 2001 and year <= 2010")
    expect(page.locator("#hits > li")).to_have_count(len(wanted))
    assert ids(page) == wanted
    page.get_by_role("button", name="Why?").first.click()
    expect(page.locator(".why table").first).to_be_visible()
    page.get_by_label("year from").fill("soon")
    expect(page.get_by_role("alert")).to_contain_text("year")
    page.get_by_label("year from").fill("")
    expect(page.get_by_role("alert")).to_be_empty()
    assert all("422" in line for line in told)  # the chromium's own words of a refusal


def test_matches_are_marked_and_a_result_is_explained(chromium: Browser, served: Served) -> None:
    page, told = opened(chromium, served)
    page.locator("#query").fill("Größe 北京 tea")
    expect(page.locator("li[data-id='\"7b\"'] mark").first).to_be_visible()
    item = page.locator("li[data-id='\"7b\"']")
    item.get_by_role("button", name="Why?").click()
    expect(item.locator(".why table")).to_have_count(2)
    expect(item.locator(".why")).to_contain_text("Größe ist 北京 <b>&amp;</b>")
    expect(item.get_by_role("button", name="Why?")).to_have_attribute("aria-expanded", "true")
    item.get_by_role("button", name="Why?").click()
    expect(item.locator(".why")).to_have_count(0)
    assert told == []


def test_the_keyboard_is_enough(chromium: Browser, served: Served) -> None:
    page, _ = opened(chromium, served)
    page.locator("#query").fill("tea")
    expect(page.locator("#hits > li").first).to_be_visible()
    page.wait_for_timeout(600)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#hits > li").nth(1).locator(".why h3").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#query")).to_be_focused()


def test_an_error_is_shown_and_then_gone(chromium: Browser, index: str) -> None:
    with serving(ServeSettings(index=index, limits=Limits(query=5))) as served:
        page, _ = opened(chromium, served)
        page.locator("#query").fill("longer")
        expect(page.get_by_role("alert")).to_contain_text("at most 5 are taken")
        page.locator("#query").fill("tea")
        expect(page.get_by_role("alert")).to_be_empty()
        page.locator("#query").fill("")
        expect(page.locator("#hits > li")).to_have_count(0)


def test_a_token_is_asked_for_once(chromium: Browser, index: str) -> None:
    with serving(ServeSettings(index=index, token="geheim")) as served:
        page = chromium.new_page()
        page.goto(served.url)
        expect(page.get_by_role("alert")).to_contain_text("token")
        page.get_by_label("This server asks for a token").fill("geheim")
        page.keyboard.press("Enter")
        expect(page.locator("#index")).to_have_text(f"{len(DOCUMENTS)} documents")
        page.locator("#query").fill("tea")
        expect(page.locator("#hits > li").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1100])
def test_nothing_is_wider_than_the_window(
    chromium: Browser, served: Served, scheme: Literal["light", "dark"], width: int
) -> None:
    page, told = opened(
        chromium, served, color_scheme=scheme, viewport={"width": width, "height": 800}
    )
    page.locator("#query").fill("tea")
    page.locator("#hits button").first.click()
    expect(page.locator(".why table").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    named = page.evaluate(
        """() => [...document.querySelectorAll("input, button")].every((each) =>
            each.labels?.length || each.textContent || each.getAttribute("aria-label"))"""
    )
    assert named
    assert told == []
