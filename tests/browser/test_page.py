"""The web page in a real browser, against a real server with models that know texts by heart."""

import json
import math
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import Tab, chromium, tab
from memorizing import memorized_checkpoint
from playwright.sync_api import Browser, Page, expect
from served import ask, byte_checkpoint, serving, within

from gpt_core.generation import logits as reshaping
from gpt_core.serving.server import Server

pytestmark = pytest.mark.long

ENGLISH = "In winter the river froze. The miller walked home over the ice."
ARABIC = "في الشتاء تجمد النهر. مشى الطحان إلى بيته فوق الجليد."
HOSTILE = '<img src=x onerror="window.hacked=1"><b>bold</b>'
ENDLESS = "tick " * 40
TEXTS = (ENGLISH, ARABIC, HOSTILE, ENDLESS)
GREEDY = "#mode=write&model=first&t=0&n=120"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("page")
    first = memorized_checkpoint(folder / "first", TEXTS, seed=3)
    others = [
        byte_checkpoint(folder / kind, kind) for kind in ("pretrained", "instruction", "classifier")
    ]
    with serving([first.directory, *(each.directory for each in others)]) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def opened(server: Server, browser: Browser) -> Iterator[Any]:
    """Opens the page; at the end nothing was asked of another server and nothing complained."""
    tabs: list[Tab] = []
    contexts: list[AbstractContextManager[Tab]] = []

    def open_page(link: str = GREEDY, **context: Any) -> Tab:
        contexts.append(tab(browser, f"{server.url}/{link}", **context))
        tabs.append(contexts[-1].__enter__())
        expect(tabs[-1].page.locator("#model option").first).to_be_attached()
        return tabs[-1]

    yield open_page
    try:
        for each in tabs:
            assert not each.elsewhere(server.url)
            assert not each.complaints
            assert each.requests
    finally:
        for context in contexts:
            context.__exit__(None, None, None)


def write(page: Page, text: str) -> None:
    """Type a beginning, continue it and wait for the end."""
    page.fill("#prompt", text)
    page.keyboard.press("Control+Enter")
    finish(page)


def finish(page: Page) -> None:
    expect(page.locator(".card:visible").first).to_be_visible()
    expect(page.locator('.card[aria-busy="true"]')).to_have_count(0)
    expect(page.locator("#again")).to_be_visible()


def running(server: Server) -> float:
    """Requests that have a slot."""
    lines = ask(f"{server.url}/metrics").content.decode().splitlines()
    found = [line for line in lines if line.startswith("vllm:num_requests_running")]
    assert found
    return sum(float(line.split()[-1]) for line in found)


def test_a_continuation_shows_each_tokens_probability_and_a_branch_keeps_what_is_before(
    opened: Any,
) -> None:
    page = opened().page
    write(page, "In winter")
    assert page.locator(".text").inner_text().replace("\n", "") == ENGLISH
    tokens = page.locator(".token")
    expect(tokens).to_have_count(len(ENGLISH) - len("In winter"))
    assert set(tokens.evaluate_all("all => all.map(each => each.dataset.p)")) <= set("01234567")
    assert "a second" in page.locator(".stats").inner_text()
    tokens.nth(2).hover()
    rows = page.locator("#alternatives li button")
    expect(rows).to_have_count(10)
    assert rows.first.locator("bdi").inner_text() == ENGLISH[11] == page.locator(
        "#alternatives .head bdi").inner_text()  # fmt: skip
    assert "%" in rows.first.locator(".share").inner_text()
    plain = [i for i in range(1, 10) if rows.nth(i).is_enabled()]
    chosen = rows.nth(plain[0])
    letter = chosen.locator("bdi").inner_text().replace("·", " ")
    chosen.click()
    finish(page)
    written = page.locator(".text").inner_text()
    assert written.startswith(ENGLISH[:11] + letter)
    assert len(written) > 12
    expect(page.locator(".token.picked")).to_have_text(letter)


def test_stop_and_escape_end_a_stream_and_free_its_slot(opened: Any, server: Server) -> None:
    page = opened("#mode=write&model=first&t=0&n=500").page
    for stop in (lambda: page.keyboard.press("Escape"), lambda: page.click("#stop")):
        page.fill("#prompt", "tick ")
        page.keyboard.press("Control+Enter")
        expect(page.locator(".token").nth(3)).to_be_attached()
        assert page.locator(".card").get_attribute("aria-busy") == "true"
        stop()
        expect(page.locator(".stats")).to_contain_text("stopped")
        assert within(1.0, lambda: running(server) == 0)
        count = page.locator(".token").count()
        assert count < 500
        page.wait_for_timeout(200)
        assert page.locator(".token").count() == count
        page.get_by_role("button", name="Edit").click()


def test_arabic_runs_from_right_to_left_while_it_streams(opened: Any) -> None:
    page = opened("#mode=write&model=first&t=0&n=400").page
    page.fill("#prompt", "في الشتاء")
    assert page.locator("#prompt").evaluate("box => getComputedStyle(box).direction") == "rtl"
    page.evaluate("""() => {
        window.seen = [];
        new MutationObserver(() => {
            const busy = document.querySelector('.card[aria-busy="true"]');
            const last = busy?.querySelector('.text p:last-child');
            if (last) window.seen.push(getComputedStyle(last).direction);
        }).observe(document.querySelector("main"), {childList: true, subtree: true});
    }""")
    page.keyboard.press("Control+Enter")
    finish(page)
    seen = page.evaluate("window.seen")
    assert len(seen) > 5
    assert set(seen) == {"rtl"}
    assert page.locator(".text").inner_text() == ARABIC
    assert page.locator(".text p").first.get_attribute("lang") == "ar"
    first = page.locator(".token").first
    left_of_first = (
        "all => all[1].getBoundingClientRect().left < all[0].getBoundingClientRect().left"
    )
    assert page.locator(".token").evaluate_all(left_of_first)
    first.focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.dataset.i") == "1"


def test_markup_in_a_models_text_is_text(opened: Any) -> None:
    page = opened().page
    write(page, "<img")
    assert page.locator(".text").inner_text() == HOSTILE
    assert page.locator(".text img, .text b").count() == 0
    page.locator(".token").nth(2).hover()
    expect(page.locator("#alternatives")).to_be_visible()
    assert page.evaluate("window.hacked") is None


def test_two_models_with_samples_stand_side_by_side(opened: Any) -> None:
    page = opened("#mode=write&model=first&second=pretrained&s=2&n=40&seed=7").page
    write(page, "In winter")
    cards = page.locator(".card")
    expect(cards).to_have_count(4)
    names = [cards.nth(i).locator("h2").inner_text() for i in range(4)]
    pairs = [(model, i) for i in (1, 2) for model in ("first", "pretrained")]
    assert names == [f"{model}, sample {i}" for model, i in pairs]
    boxes = [cards.nth(i).bounding_box() for i in range(4)]
    assert boxes[0]["y"] == boxes[1]["y"] < boxes[2]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]
    assert cards.nth(0).locator("button.seed").inner_text() == "seed 7"
    assert cards.nth(2).locator("button.seed").inner_text() == "seed 8"
    before = [cards.nth(i).locator(".text").inner_text() for i in range(4)]
    page.click("#again")
    finish(page)
    assert [cards.nth(i).locator(".text").inner_text() for i in range(4)] == before
    assert before[1] != before[3]


def test_the_keyboard_alone_writes_looks_and_branches(opened: Any) -> None:
    page = opened().page
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.type("In winter")
    page.keyboard.press("Control+Enter")
    finish(page)
    for _ in range(12):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.classList.contains('token')"):
            break
    expect(page.locator(".token:focus")).to_have_count(1)
    expect(page.locator("#alternatives")).to_be_visible()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.i") == "1"
    page.keyboard.press("Enter")
    expect(page.locator("#alternatives button").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#alternatives")).to_be_hidden()
    assert page.evaluate("document.activeElement.dataset.i") == "1"
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    finish(page)
    expect(page.locator(".token.picked")).to_be_focused()
    said = page.locator(".card [aria-live=polite] p").all_inner_texts()
    assert said[0].endswith("froze.")
    assert said[1].startswith("The miller")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_mode_is_accessible_and_fits_a_narrow_screen(opened: Any, scheme: str) -> None:
    found = opened(color_scheme=scheme, viewport={"width": 320, "height": 700}, has_touch=True)
    page = found.page
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) < 384) == (scheme == "dark")
    page.click("summary")
    for mode, text in (("write", ENGLISH[:20]), ("ask", "Who walked home?"), ("classify", ARABIC)):
        page.check(f"input[name=mode][value={mode}]", force=True)
        page.fill("#prompt", text)
        page.click("#go")
        if mode == "write":
            finish(page)
            page.locator(".token").nth(3).tap()
            page.wait_for_timeout(500)  # longer than the window stays when a pointer leaves
            expect(page.locator("#alternatives")).to_be_visible()
        elif mode == "ask":
            finish(page)
        else:
            expect(page.locator(".classes li")).to_have_count(2)
            percents = page.locator(".classes .share").all_inner_texts()
            assert 99 <= sum(float(each.removesuffix(" %")) for each in percents) <= 101
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, mode
        assert not found.violations()


def test_a_link_holds_the_settings_and_the_text(opened: Any) -> None:
    page = opened(permissions=["clipboard-read", "clipboard-write"]).page
    page.locator("#temperature").fill("1.5")
    page.locator("#top_k").fill("40")
    page.check("#fixed")
    page.fill("#seed", "99")
    page.select_option("#second", "pretrained")
    expect(page.locator("#temperature-why")).to_contain_text("bolder")
    page.fill("#prompt", "في الشتاء & #")
    page.click("#link")
    expect(page.locator("#link")).to_have_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    again = opened("#" + link.partition("#")[2]).page
    names = ("temperature", "top_k", "top_p", "max_tokens", "seed", "second", "prompt")
    assert {name: again.locator(f"#{name}").input_value() for name in names} == {
        "temperature": "1.5", "top_k": "40", "top_p": "1", "max_tokens": "120", "seed": "99",
        "second": "pretrained", "prompt": "في الشتاء & #",
    }  # fmt: skip
    assert again.is_checked("#fixed")


def test_a_refusal_of_the_server_is_shown_in_its_words(opened: Any) -> None:
    found = opened()
    write(found.page, "a" * 600)
    expect(found.page.locator(".card.failed .stats")).to_contain_text("601 tokens")
    assert all("400" in each for each in found.complaints)  # the browser logs the status itself
    assert found.complaints
    found.complaints.clear()


def test_tokens_and_text_are_matched_however_they_arrive(opened: Any) -> None:
    draw = random.Random()
    cases = []
    for _ in range(200):
        tokens = [draw.choice(["ab", " c", "é", "\n", "شمس", " ", "", "bytes:\\xd8", "bytes:\\xb4"])
                  for _ in range(draw.randint(1, 12))]  # fmt: skip
        parts = ["ش" if each == "bytes:\\xb4" else "" if each.startswith("bytes:") else each
                 for each in tokens]  # fmt: skip
        cases.append({"tokens": tokens, "parts": parts, "hold": draw.randint(0, 3)})
    wrong = opened().page.evaluate(
        """async (cases) => {
            const { Aligner } = await import("/page/tokens.js");
            return cases.filter(({ tokens, parts, hold }) => {
                const aligner = new Aligner();
                const out = [];
                let held = "";
                tokens.forEach((text, i) => {
                    held += parts[i];
                    const ready = held.slice(0, Math.max(0, held.length - hold));
                    held = held.slice(ready.length);
                    out.push(...aligner.push(ready, [{ text, logprob: -1, top: [] }]));
                });
                out.push(...aligner.push(held, [], true));
                return out.map((each) => each.text).join("") !== parts.join("");
            });
        }""",
        cases,
    )
    assert not wrong, json.dumps(wrong[0], ensure_ascii=False)


def test_the_preview_of_sampling_agrees_with_the_samplers(opened: Any) -> None:
    page = opened().page
    for _ in range(20):
        logits = torch.randn(1, 10).sort(descending=True).values.log_softmax(-1)
        chosen = {
            "temperature": random.uniform(0.2, 2), "top_k": random.randint(0, 10),
            "top_p": random.uniform(0.1, 1),
        }  # fmt: skip
        expected = reshaping.apply_temperature(logits, chosen["temperature"])
        if chosen["top_k"]:
            expected = reshaping.keep_top_k(expected, int(chosen["top_k"]))
        expected = reshaping.keep_top_p(expected, chosen["top_p"]).softmax(-1)[0].tolist()
        shown = page.evaluate(
            """async ([logprobs, chosen]) =>
                (await import("/page/settings.js")).reshape(logprobs, chosen)""",
            [logits[0].tolist(), chosen],
        )
        assert all(math.isclose(a, b, abs_tol=1e-5) for a, b in zip(shown, expected, strict=True))


def test_the_page_is_small_and_asks_for_a_key_where_one_is_needed(
    browser: Browser, tmp_path: Path
) -> None:
    given = byte_checkpoint(tmp_path / "locked", "pretrained")
    with (
        serving([given.directory], key="correct-horse") as locked,
        tab(browser, locked.url) as found,
    ):
        expect(found.page.locator("#key-form")).to_be_visible()
        found.page.fill("#key", "correct-horse")
        found.page.keyboard.press("Enter")
        expect(found.page.locator("#model option")).to_have_text("locked")
        write(found.page, "hello")
        expect(found.page.locator(".token").first).to_be_attached()
        own = {each for each in found.requests if "/page/" in each or each == f"{locked.url}/"}
        sizes = [len(ask(each).content) for each in own]
    assert len(sizes) >= 3
    assert sum(sizes) <= 60_000
