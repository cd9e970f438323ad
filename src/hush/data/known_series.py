"""Real series that come with other packages, so that nothing need be fetched."""

import importlib
from typing import Any

from hush.errors import UserError


def co2() -> Any:
    """Weekly carbon dioxide above Mauna Loa, 1958 to 2001: 2,284 weeks, 59 of them missing."""
    return _statsmodels("co2")


def elnino() -> Any:
    """Monthly temperature of the sea off Peru, 1950 to 2010, in degrees Celsius."""
    import pandas

    table = _statsmodels("elnino")
    stamps = pandas.date_range(
        f"{int(table.YEAR.iloc[0])}-01-01", periods=12 * len(table), freq="MS"
    )
    values = table.drop(columns="YEAR").to_numpy().reshape(-1)
    return pandas.DataFrame({"time": stamps, "temperature": values})


def sunspots() -> Any:
    """Yearly numbers of sunspots, 1700 to 2008."""
    return _statsmodels("sunspots").rename(columns={"YEAR": "time", "SUNACTIVITY": "sunspots"})


def macrodata() -> Any:
    """Twelve quarterly figures of the economy of the United States, 1959 to 2009."""
    import pandas

    table = _statsmodels("macrodata")
    quarters = zip(table.year.astype(int), table.quarter.astype(int), strict=True)
    stamps = [pandas.Timestamp(year, 3 * quarter - 2, 1) for year, quarter in quarters]
    return table.drop(columns=["year", "quarter"]).assign(time=stamps)


def stocks() -> str:
    """Ten prices, 1990 to 2022, monthly with other days between and gaps (a file of matplotlib)."""
    from matplotlib.cbook import get_sample_data

    return str(get_sample_data("Stocks.csv", asfileobj=False))


KNOWN = {
    "co2": co2,
    "elnino": elnino,
    "macrodata": macrodata,
    "stocks": stocks,
    "sunspots": sunspots,
}


def _statsmodels(name: str) -> Any:
    try:
        return importlib.import_module(f"statsmodels.datasets.{name}").load_pandas().data
    except ImportError as error:
        raise UserError(
            f"{name} comes with statsmodels, which is not installed: pip install 'hush[series]'."
        ) from error
