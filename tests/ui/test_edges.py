"""What stands between the network and Gradio."""

import gradio as gr

from ui.edges import QUEUE_POLL_S, rest_between_polls


def test_the_queue_of_an_idle_page_rests_between_two_looks() -> None:
    with gr.Blocks() as demo:
        gr.Textbox()
    demo.queue()
    assert demo._queue.sleep_when_free < QUEUE_POLL_S  # otherwise the workaround may go
    rest_between_polls(demo)
    assert demo._queue.sleep_when_free == QUEUE_POLL_S
    assert demo._queue.progress_update_sleep_when_free >= QUEUE_POLL_S


def test_a_gradio_without_these_names_is_left_alone() -> None:
    with gr.Blocks() as demo:
        gr.Textbox()
    demo.queue()
    del demo._queue.sleep_when_free
    rest_between_polls(demo)
    assert not hasattr(demo._queue, "sleep_when_free")
