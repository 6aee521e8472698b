"""Child: the smallest Gradio app there is, for startup to be compared with."""

import sys

import gradio as gr

if __name__ == "__main__":
    with gr.Blocks() as demo:
        gr.Textbox()
    demo.launch(server_port=int(sys.argv[1]))
