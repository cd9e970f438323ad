"""What is in data, and what hush would choose for them."""

from hush.inspection.inspect import inspect
from hush.inspection.report import Report
from hush.recipe import Choice

__all__ = ["Choice", "Report", "inspect"]
