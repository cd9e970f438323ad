"""What is compiled computes what it did before, saves what it says, and stops and goes on alike."""

import copy
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial

import jaxtyping
import pytest
import torch
from torch._dynamo.utils import counters

from hush import systems, train
from hush.data import digits
from hush.errors import UserError
from hush.networks import Backbone, Dropout, blocks, compiled, lowered, positioned, recomputed
from hush.objectives.score_matching import SlicedScoreMatching
from hush.objectives.times import LossAware
from hush.system import Recipe
from hush.training.gain import Gain, gain
from hush.training.trainer import Trainer
from hush.world import World

TINY = {
    "unet": Backbone(width=8, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.3),
    "dit": Backbone(network="dit", width=16, depth=2, dropout=0.3),
}
SHORT = {"batch": 8, "warmup": 2, "report_every": 1, "sample_every": 100, "save_every": 2}


@pytest.fixture(autouse=True)
def alone(tmp_path_factory, monkeypatch):
    """Nothing is found on disk that another session left there, and what checks the types of every
    call, which cannot be compiled, is out of the way."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    torch._dynamo.reset()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "caches"))


@pytest.fixture
def quick(monkeypatch):
    """torch sees and differentiates the blocks as ever, but makes no machine code of them."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))


def awake(network):
    """The network with no weight at zero, where gradients would not tell."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return network


def tiny(name="ddpm", kind="dit", **kwargs):
    torch.manual_seed(3)
    return getattr(systems, name)((1, 8, 8), backbone=TINY[kind], **kwargs)


def trainer(system, accumulate=1):
    recipe = Recipe(batch=8, warmup=2, accumulate=accumulate, compile=True)
    made = Trainer(system, recipe, World(device=torch.device("cpu")))
    awake(made.denoiser)
    return made, {"image": torch.rand(8, 1, 8, 8)}


def learnt(network, start, wanted, folder, again=False):
    """The answer and the gradients of the samples that stand from `start` on."""
    network.zero_grad()
    torch.manual_seed(start)
    x, clock = torch.randn(4, 3, 8, 8).to(next(network.parameters()).dtype), torch.rand(4)
    with (
        compiled(network, wanted, str(folder)),
        recomputed(network, again),
        positioned(network, 1, start),
    ):
        answer = network(x, clock)
        answer.square().mean().backward()
    return [answer.detach(), *(weight.grad for weight in network.parameters())]


def same_to_rounding(network, folder, again=False):
    """In double precision, whose rounding is nothing that could hide a mistake."""
    network = network.double()
    for start in (0, 4, 1000):
        ours, theirs = (learnt(network, start, wanted, folder, again) for wanted in (False, True))
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize(("kind", "again"), [("unet", False), ("dit", False), ("dit", True)])
def test_answers_gradients_and_masks_are_those_of_the_blocks(kind, again, quick, tmp_path):
    network = awake(TINY[kind].build((3, 8, 8))).train()
    names = list(network.state_dict())
    same_to_rounding(network, tmp_path, again)
    assert list(network.state_dict()) == names
    assert all("forward" not in vars(block) for block in blocks(network))


@pytest.mark.parametrize("kind", TINY)
def test_nothing_is_compiled_again_for_the_samples_that_follow(kind, quick, tmp_path):
    network = awake(TINY[kind].build((3, 8, 8))).train()
    learnt(network, 0, True, tmp_path)
    before = counters["stats"]["unique_graphs"]
    for start in (4, 8, 2**40):
        learnt(network, start, True, tmp_path)
    assert counters["stats"]["unique_graphs"] == before > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_masks_are_the_same_function_to_the_bit(dtype, quick):
    module, x = Dropout(0.3), torch.ones(6, 3, 5, 5, dtype=dtype)
    for layout in (x, x.to(memory_format=torch.channels_last), x[:, :, ::2]):
        with positioned(module, 7, 2**33):
            ours, theirs = module(layout), torch.compile(module.forward, fullgraph=True)(layout)
        assert torch.equal(ours, theirs)
        assert ours.stride() == theirs.stride()


def test_a_copy_made_before_is_not_compiled_and_follows(quick):
    made, record = trainer(tiny())
    made.ema.module.load_state_dict(made.denoiser.state_dict())
    old = copy.deepcopy(made.denoiser.state_dict())
    with compiled(made.denoiser.network, True, ""):
        made.learn(record)
        assert not any("forward" in vars(part) for part in made.ema.module.modules())
    for name, weight in made.denoiser.state_dict().items():
        expected = torch.lerp(old[name], weight, 0.9)  # the decay after one step is 1/10
        torch.testing.assert_close(made.ema.module.state_dict()[name], expected)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_measuring_leaves_no_trace(accumulate, quick):
    system = tiny()
    learning = replace(system.objective, times=LossAware(1000))
    ends = []
    for measured in (False, True):
        made, record = trainer(replace(copy.deepcopy(system), objective=learning), accumulate)
        with compiled(made.denoiser.network, True, ""):
            before, drawn = copy.deepcopy(made.tensors()), torch.get_rng_state()
            if measured:
                found = gain(made, record)
                assert min(found.spent, found.eager, found.compiled) > 0.0
            _equal(before, made.tensors())
            assert torch.equal(drawn, torch.get_rng_state())
            assert all(weight.grad is None for weight in made.denoiser.parameters())
            made.learn(record)
        ends.append(copy.deepcopy(made.tensors()))
        learning = replace(learning, times=LossAware(1000))
    _equal(*ends)
    assert ends[0]["loop"]["times.seen"].sum() == 8


def _equal(a, b):
    for file in a:
        assert a[file].keys() == b[file].keys()
        assert all(torch.equal(a[file][key], b[file][key]) for key in a[file])


def test_a_run_that_is_stopped_goes_on_to_the_same_bits(tmp_path, quick, capsys):
    source = digits()
    for out, all_steps in (("whole", [4]), ("parts", [2, 4])):
        for steps in all_steps:
            train(tiny(), source, tmp_path / out, steps=steps, compile=True, **SHORT)
    told = re.findall("forward and backward of a step take", capsys.readouterr().err)
    assert len(told) == 3  # once a session
    for file in ("model.safetensors", "ema.safetensors", "metrics.jsonl"):
        whole, parts = ((tmp_path / out / file).read_bytes() for out in ("whole", "parts"))
        assert whole == parts


def test_what_it_saves_is_said():
    bought = Gain(spent=20.0, anew=True, eager=0.5, compiled=0.25)
    assert bought.pays_after() == 80
    assert bought.told(1000).endswith("it pays after 80 of the 1,000 steps to go.")
    assert "Compiled in 20 s, kept on disk for the next time;" in bought.told(1000)
    assert "a step take 250 ms in place of 500 ms" in bought.told(80)
    assert "would pay after 80 steps, but 79 are to go" in bought.told(79)
    dear = replace(bought, anew=False, compiled=1.25)
    assert dear.told(10**9).startswith("Compiled code found on disk and loaded in 20 s; ")
    assert "take 1.25 s in place of 500 ms: it does not pay" in dear.told(10**9)


@pytest.mark.parametrize(
    ("system", "recipe", "said"),
    [
        (tiny("energy"), {}, "energy takes gradients of gradients"),
        (replace(tiny(), objective=SlicedScoreMatching()), {}, "ddpm takes gradients of gradients"),
        (tiny(), {"shard": True}, "--compile and --shard do not go together"),
    ],
    ids=["energy", "score matching", "shard"],
)
def test_what_cannot_be_compiled_is_said_before_anything_is_written(system, recipe, said, tmp_path):
    with pytest.raises(UserError, match=said):
        train(system, digits(), tmp_path / "run", compile=True, **recipe)
    assert not (tmp_path / "run").exists()


def test_what_the_compiler_cannot_is_told_from_what_nobody_can(quick):
    made, record = trainer(replace(tiny(), objective=SlicedScoreMatching()))
    told = pytest.raises(UserError, match="cannot be compiled here")
    with compiled(made.denoiser.network, True, ""), told:
        gain(made, record)
    broken = {"image": record["image"].expand(8, 2, 8, 8)}
    with compiled(made.denoiser.network, True, ""), pytest.raises(RuntimeError):
        gain(made, broken)


def test_a_machine_without_a_compiler_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    made, record = trainer(tiny())
    nowhere = torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)})
    told = pytest.raises(UserError, match=r"cannot be compiled here \(.*compiler.*\): mend")
    with nowhere, compiled(made.denoiser.network, True, ""), told:
        gain(made, record)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("kind", TINY)
def test_machine_code_computes_the_same(kind, precision, tmp_path):
    network = awake(TINY[kind].build((3, 8, 8))).train()
    with lowered(network, precision, torch.device("cpu")):
        if precision == "no":
            same_to_rounding(network, tmp_path)
            return
        ours, theirs = (learnt(network, 0, wanted, tmp_path) for wanted in (False, True))
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).norm() < 0.05 * a.norm()


@pytest.mark.slow
def test_machine_code_is_found_on_disk_and_another_process_goes_on_to_the_same_bits(tmp_path):
    """With the command line itself, and no import hooks between torch and the network."""
    options = "--network dit --width 16 --depth 2 --batch 8 --report-every 1 --threads 1"
    said = {}
    for out, steps in (("whole", 4), ("parts", 2), ("parts", 4)):
        command = f"-m hush train ddpm --data digits --out {out} --compile --steps {steps} "
        process = subprocess.run(
            [sys.executable, *(command + options).split()],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        said[out, steps] = process.stderr
    assert "Compiled in" in said["whole", 4]
    assert "found on disk" in said["parts", 2]
    assert "found on disk" in said["parts", 4]
    for file in ("model.safetensors", "ema.safetensors", "metrics.jsonl"):
        whole, parts = ((tmp_path / out / file).read_bytes() for out in ("whole", "parts"))
        assert whole == parts
