"""What is in data, and what is wrong with them; this room knows no diffusion."""

from hush.data.inspected.findings import Fact, Finding, Inspected
from hush.data.inspected.pictures import inspected_pictures
from hush.data.inspected.tables import inspected_series

__all__ = ["Fact", "Finding", "Inspected", "inspected_pictures", "inspected_series"]
