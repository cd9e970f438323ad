"""A page for each system, made from its function: what it says of itself, its paper, its settings,
the slots it fills, and how it is trained and used."""

import inspect
import re
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from hush.recipe import Recipe
from hush.schedules import Tabulated
from hush.system import System
from hush.systems.index import TABLE, USES, find
from hush.systems.taken import Taken

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
WORDS = {
    "en": {
        "all": "Systems",
        "head": "| system | data | task | what it is | paper |",
        "each": "A system is a paper's choice for each slot of one record. "
        "Each page here is made from its function.",
        "uses": "And what is done with any trained run:",
        "use": "| use | by | what it is | paper |",
        "slots": "What it is made of",
        "slot": "| slot | value |",
        "settings": "Settings",
        "setting": "| setting | default | |",
        "commands": "To train it, and to use it",
        "python": "In Python",
        "measured": "Measured",
        "source": "Source",
        "taught": "The data are pictures here; `hush train {0} --help` says all else.",
        "told": "`hush train {0} --help` says all there is to set.",
    },
    "zh": {
        "all": "系统",
        "head": "| 系统 | 数据 | 任务 | 简介 | 论文 |",
        "each": "一个系统，就是一篇论文为同一张表的每个槽位所做的选择。"
        "下面每一页都由该系统的函数自动生成，函数自身的说明保留英文原文。",
        "uses": "任何训练好的模型还可以这样用：",
        "use": "| 用途 | 命令 | 简介 | 论文 |",
        "slots": "组成",
        "slot": "| 槽位 | 取值 |",
        "settings": "参数",
        "setting": "| 参数 | 默认值 | 说明 |",
        "commands": "训练与使用",
        "python": "在 Python 中",
        "measured": "实测结果",
        "source": "源代码",
        "taught": "这里以图片为例；全部选项见 `hush train {0} --help`。",
        "told": "全部选项见 `hush train {0} --help`。",
    },
}
SLOTS = {
    "process": lambda s: type(s.denoiser.process).__name__,
    "schedule": lambda s: s.denoiser.process.schedule,
    "kernel": lambda s: s.denoiser.process.kernel,
    "noise": lambda s: s.denoiser.process.noise,
    "network": lambda s: s.denoiser.network,
    "parameterisation": lambda s: s.denoiser.parameterisation,
    "variance": lambda s: s.denoiser.variance,
    "objective": lambda s: s.objective,
    "sampler": lambda s: s.sampler,
    "grid": lambda s: s.grid,
    "threshold": lambda s: s.threshold,
    "codec": lambda s: s.codec,
    "task": lambda s: s.task,
    "recipe": lambda s: s.recipe,
}
BEFORE = {"analytic_dpm": "ddpm", "ldm": "autoencoder"}
USED = {
    "generate": "hush sample runs/{0} --count 16 --seed 7",
    "upscale": "hush upscale runs/{0} photos/0.png --out runs/{0}-larger --seed 7",
    "detect": "hush detect runs/{0} photos/0.png --out runs/{0}-odd --seed 7",
    "segment": "hush segment runs/{0} photos --learn masks",
    "compress": "hush train ldm --autoencoder runs/{0} --data photos/ --size 32 --out runs/few",
    "restore": "hush colourise runs/{0} photos/0.png --out runs/{0}-coloured --seed 7",
    "impute": "hush impute runs/{0} table.csv --out whole.csv --seed 7",
    "forecast": "hush forecast runs/{0} table.csv --horizon 12 --out ahead.csv --seed 7",
}


@cache
def pages() -> dict[str, str]:
    """The pages of all systems and the table of them, in both languages."""
    made = {}
    for language, suffix in (("en", ""), ("zh", ".zh")):
        made[f"systems/index{suffix}.md"] = table(WORDS[language])
        for name in TABLE:
            made[f"systems/{name}{suffix}.md"] = page(name, WORDS[language])
    return made


def table(words: dict[str, str]) -> str:
    """Every system, and every use of a trained run."""
    lines = [f"# {words['all']}\n", words["each"], "", words["head"], "|---|---|---|---|---|"]
    for name, row in TABLE.items():
        lines.append(
            f"| [`{name}`]({name}.md) | {row.data} | {row.task} | {row.says} | {row.paper} |"
        )
    lines += ["", words["uses"], "", words["use"], "|---|---|---|---|"]
    for name, use in USES.items():
        lines.append(f"| {name} | `{use.verb}` | {use.says} | {use.paper} |")
    return "\n".join(lines) + "\n"


def page(name: str, words: dict[str, str]) -> str:
    """One system."""
    function = find(name)
    says, arguments = inspect.getdoc(function).split("\nArgs:\n")
    made = instance(name)
    parts = [f"# {name}", says.strip(), f"*{made.cite}*"]
    parts += [f"## {words['slots']}", slots(made, words)]
    parts += [f"## {words['settings']}", settings(function, arguments, words)]
    parts += [f"## {words['commands']}", before(name) + commands(name)]
    parts += [words["told" if TABLE[name].data == "series" else "taught"].format(name)]
    if spoken := measured(name):
        parts += [f"## {words['measured']}", spoken]
    parts += [f"## {words['source']}", f"::: code hush.systems.{name}:{name}"]
    return "\n\n".join(parts) + "\n"


def instance(name: str) -> System:
    """The system with a small network, its other settings those of the paper."""
    function = find(name)
    shape = (2, 32) if TABLE[name].data == "series" else (3, 32, 32)
    if name == "analytic_dpm":
        settings = instance("ddpm").arguments
        return function(shape, settings=settings, times=(0.0, 1.0), shares=(0.5, 0.9))
    known, small = inspect.signature(function).parameters, {}
    if "backbone" in known:
        small["backbone"] = replace(known["backbone"].default, width=32, blocks=1)
    if name == "ldm":
        part = instance("autoencoder")
        small["autoencoder"] = Taken("autoencoder", part.arguments)
    for key, value in {"depth": 1, "width": 16, "critic": 16, "entries": 64}.items():
        if key in known:
            small[key] = value
    if name == "timegrad":
        small["horizon"] = 8
    return function(shape, **small)


def slots(system: System, words: dict[str, str]) -> str:
    """The table of what fills each slot."""
    rows = []
    for slot, get in SLOTS.items():
        try:
            value = get(system)
        except AttributeError:  # this kind of denoiser has no such part
            continue
        if value is not None:
            rows.append(f"| {slot} | `{value if isinstance(value, str) else said(value, True)}` |")
    return "\n".join([words["slot"], "|---|---|", *rows])


def said(value: Any, whole: bool = False) -> str:
    """A value in code; without the settings that are as ever, unless `whole`."""
    if isinstance(value, Tabulated):
        first, last = (f"{beta:.3g}" for beta in (value.betas[0], value.betas[-1]))
        return f"Tabulated, T = {value.steps}, β {first} … {last}"
    if not is_dataclass(value):
        plain = isinstance(value, int | float | str | bool | tuple) or value is None
        return repr(value) if plain else type(value).__name__
    whole = whole and not isinstance(value, Recipe)
    parts = [
        f"{field.name}={said(getattr(value, field.name))}"
        for field in fields(value)
        if field.repr and (whole or repr(getattr(value, field.name)) != repr(_usual(field)))
    ]
    return f"{type(value).__name__}({', '.join(parts)})"


def _usual(field: Field) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def settings(function: Callable, arguments: str, words: dict[str, str]) -> str:
    """The table of its settings."""
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8,}.*)*)", arguments, re.MULTILINE)
    about = {name: " ".join(text.split()).replace("|", "\\|") for name, text in found}
    rows = [
        f"| `{name}` | {'' if known.default is known.empty else f'`{said(known.default)}`'} "
        f"| {about.get(name, '')} |"
        for name, known in inspect.signature(function).parameters.items()
    ]
    return "\n".join([words["setting"], "|---|---|---|", *rows])


def commands(name: str) -> str:
    """How it is trained, and used."""
    row = TABLE[name]
    if name == "analytic_dpm":
        first = "hush retell runs/ddpm --data photos/ --size 32 --out runs/analytic_dpm"
    elif row.data == "series":
        length = "--context 36 --horizon 12" if row.task == "forecast" else "--length 48"
        first = f"hush train {name} --data table.csv {length} --out runs/{name}"
    else:
        taken = " --autoencoder runs/autoencoder" if name == "ldm" else ""
        first = f"hush train {name}{taken} --data photos/ --size 32 --out runs/{name}"
    return f"```console\n$ {first}\n$ {USED[row.task].format(name)}\n```"


def before(name: str) -> str:
    """The commands of the system that it builds on, if any."""
    return commands(BEFORE[name]) + "\n" if name in BEFORE else ""


def measured(name: str) -> str:
    """The results that speak of it."""
    return "\n".join(
        f"- [{path.stem}](../results/{path.name}): {path.read_text().splitlines()[0].lstrip('# ')}"
        for path in sorted(RESULTS.glob("*.md"))
        if re.search(rf"\b{name}\b", path.read_text())
    )
