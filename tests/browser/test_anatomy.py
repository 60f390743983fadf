"""The page of an anatomy in a real browser, opened from a file."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from anatomy_models import ARABIC, ENGLISH, small_bpe, write_model
from browser import Tab, chromium, tab
from playwright.sync_api import Browser

from gpt_core.chapters import PAGE, dissect
from gpt_core.config import AnatomyConfig, CleaningConfig
from tasks.anatomy import render_page

NARROW = {"width": 320, "height": 640}
LARGEST = 3_000_000  # bytes of the page of 12 x 12 heads on 128 tokens


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def make_page(folder: Path, text: str, **shape: int) -> Path:
    checkpoint = write_model(folder / "model", tokenizer=small_bpe(), **shape)
    config = AnatomyConfig(text=text, new_tokens=3)
    report = dissect(checkpoint, config, CleaningConfig(), folder / "report", render=render_page)
    return report.directory / PAGE


def draw_all(opened: Tab) -> list[str]:
    """Scroll through the page, which draws every chapter; returns their names."""
    names: list[str] = opened.page.evaluate("Object.keys(DATA.chapters)")
    for name in names:
        opened.page.locator(f"#{name}").scroll_into_view_if_needed()
        opened.page.wait_for_selector(f"#{name}[data-drawn]")
    return names


def check_quiet(opened: Tab, file: Path) -> None:
    assert opened.complaints == []
    assert opened.requests == [file.as_uri()]
    width = opened.page.evaluate("document.documentElement.scrollWidth")
    assert width <= opened.page.viewport_size["width"]  # type: ignore[index]


def test_every_chapter_is_drawn_and_the_sliders_recompute(browser: Browser, tmp_path: Path) -> None:
    file = make_page(tmp_path, ENGLISH)
    with tab(browser, file.as_uri()) as opened:
        assert len(draw_all(opened)) == 13
        page = opened.page
        for name in ("top-k", "temperature"):
            before = page.locator("#decoding-bars").inner_text()
            page.get_by_label(name).focus()
            page.keyboard.press("ArrowRight")
            page.keyboard.press("ArrowRight")
            assert page.locator("#decoding-bars").inner_text() != before
        left = page.evaluate(
            "distribution(DATA.chapters.decoding.logits, DATA.chapters.decoding.rest, 0.7, 5, 0.9)"
        )
        assert sum(left) == pytest.approx(1.0)
        assert left == pytest.approx(expected(page.evaluate("DATA.chapters.decoding.logits")))
        chips = page.locator("#attention [role=radiogroup]").first.get_by_role("radio")
        chips.nth(1).focus()
        page.keyboard.press("ArrowRight")
        assert chips.nth(2).get_attribute("aria-checked") == "true"
        page.locator(".heads button").nth(3).press("Enter")
        assert "Block 1, head 1" in page.locator("#attention").inner_text()
        assert opened.violations() == [], "\n".join(opened.violations()[:12])
        check_quiet(opened, file)


def expected(logits: list[float]) -> list[float]:
    """The probabilities that the model's own functions give."""
    import torch

    from gpt_core.generation.logits import apply_temperature, keep_top_k, keep_top_p

    kept = keep_top_p(keep_top_k(apply_temperature(torch.tensor([logits]), 0.7), 5), 0.9)
    probabilities: list[float] = kept[0].softmax(-1).tolist()
    return probabilities


@pytest.mark.long
def test_arabic_runs_right_to_left_in_the_dark_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    file = make_page(tmp_path, ARABIC)
    dark = partial(tab, color_scheme="dark", viewport=NARROW)
    with dark(browser, file.as_uri()) as opened:
        draw_all(opened)
        direction = "getComputedStyle(document.querySelector('.sentence')).direction"
        assert opened.page.evaluate(direction) == "rtl"
        assert opened.page.locator("#tokens .chips").first.get_attribute("dir") == "rtl"
        check_quiet(opened, file)


@pytest.mark.long
@pytest.mark.parametrize(("text", "n_tokens"), [("x", 2), ("x " * 64, 128)])
def test_a_text_of_any_length_is_drawn(
    browser: Browser, tmp_path: Path, text: str, n_tokens: int
) -> None:
    sizes = {"n_layer": 12, "n_head": 12, "n_embd": 48, "context_length": 128}
    file = make_page(tmp_path, text, **(sizes if n_tokens == 128 else {}))
    assert file.stat().st_size <= LARGEST
    with tab(browser, file.as_uri()) as opened:
        draw_all(opened)
        assert len(opened.page.evaluate("DATA.about.names")) == n_tokens
        assert opened.page.locator(".heads button").count() == (144 if n_tokens == 128 else 4)
        check_quiet(opened, file)
