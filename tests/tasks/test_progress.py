"""The display is that of the current context; without one nothing is shown."""

from tasks.progress import Display, current_display, use_display


def test_a_display_is_current_in_its_block_only() -> None:
    outer, inner = Display(), Display()
    with use_display(outer):
        with use_display(inner):
            assert current_display() is inner
        assert current_display() is outer
    assert current_display() not in (outer, inner)
