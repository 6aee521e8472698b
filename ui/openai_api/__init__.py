"""The HTTP API that OpenAI's clients speak, under /v1. Starlette alone; knows no Gradio."""

from ui.openai_api.routes import openai_routes

__all__ = ["openai_routes"]
