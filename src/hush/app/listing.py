"""`hush systems` and `hush cite`."""

from hush.errors import UserError
from hush.systems.index import TABLE, USES


def systems(arguments: list[str]) -> None:
    """Print the table of systems."""
    if arguments:
        print("usage: hush systems\n\nThe systems that are trained, and the uses of a trained run.")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    def table(first: str, *columns: str) -> Table:
        made = Table(box=box.SIMPLE_HEAD)
        made.add_column(first, style="bold")
        for column in columns:
            made.add_column(column)
        return made

    trained = table("system", "data", "task", "what it is", "paper")
    for name, row in TABLE.items():
        trained.add_row(name, row.data, row.task, row.says, row.paper)
    uses = table("use of a trained run", "by", "what it is", "paper")
    for name, use in USES.items():
        uses.add_row(name, use.verb, use.says, use.paper)
    console = Console()
    console.print(trained)
    console.print(uses)


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
