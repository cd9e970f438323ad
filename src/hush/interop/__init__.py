"""Other people's formats, in and out."""

from hush.interop import diffusers, openai

__all__ = ["diffusers", "openai"]
