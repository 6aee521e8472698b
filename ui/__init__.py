"""Pomona's pages: Gradio over the engine. Knows no mlx and no huggingface_hub."""
