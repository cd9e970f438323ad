"""`hush systems` and `hush cite`."""

from hush.errors import UserError
from hush.systems.index import TABLE


def systems(arguments: list[str]) -> None:
    """Print the table of systems."""
    if arguments:
        print("usage: hush systems\n\nThe table of systems: name, data, task, paper.")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for column in ("system", "data", "task", "what it is", "paper"):
        table.add_column(column, style="bold" if column == "system" else "")
    for name, row in TABLE.items():
        table.add_row(name, row.data, row.task, row.says, row.paper)
    Console().print(table)


def cite(arguments: list[str]) -> None:
    """Print the papers behind a run: its system's and its parts', each a line (a part's `cite`
    names them between semicolons)."""
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        print("usage: hush cite RUN\n\nThe papers behind a run, one a line.")
        if len(arguments) != 1:
            raise UserError(f"hush cite takes one run folder, got {len(arguments)} arguments.")
        return
    from hush.systems.index import load

    system = load(arguments[0])
    parts = (system, system.sampler, system.objective.weight, system.objective.times)
    papers = [paper for part in parts for paper in getattr(part, "cite", "").split("; ") if paper]
    print("\n".join(dict.fromkeys(papers)))
