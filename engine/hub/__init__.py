"""Discover's engine: the Hugging Face Hub."""
