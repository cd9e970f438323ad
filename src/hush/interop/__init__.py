"""Other people's formats, in and out."""

from hush.interop import diffusers

__all__ = ["diffusers"]
