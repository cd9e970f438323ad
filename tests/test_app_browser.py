"""The page of `hush app` as a person meets it, in headless Chromium where there is one."""

import re
import shutil
import subprocess
import sys
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import urlopen
from zipfile import ZipFile

import numpy as np
import pytest
from app_run import runs  # noqa: F401
from PIL import Image

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
WAIT = 120_000  # milliseconds, of a machine that has other things to do


def app(*words):
    """`hush app` in a process of its own, as a person begins it."""
    command = [sys.executable, "-m", "hush", "app", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def address(runs):  # noqa: F811
    served = app(runs)
    said = served.stdout.readline()
    assert "Ctrl-C ends it" in said, served.stderr.read()
    yield said.split()[0]
    served.terminate()
    assert served.wait(60) == 0, served.stderr.read()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-dev-shm-usage"]
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield launched
        launched.close()


@pytest.fixture
def tab(address, browser):
    """A tab of the page, and whom it has asked for anything."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(WAIT)
    hosts = set()
    opened.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or "the page"))
    opened.goto(address)
    opened.wait_for_selector("#sample-begin")
    opened.get_by_text("x8x8").wait_for()
    # What suits the run has come: from here on nothing but the test changes a setting.
    chosen = "document.querySelector('#sample-sampler input').value == 'multistep'"
    opened.wait_for_function(f"() => {chosen}")
    yield opened
    opened.close()
    assert hosts <= {"127.0.0.1", "the page"}


def until(tab, part, words):
    """What a part of the page says, once it says `words`."""
    known = f"words => new RegExp(words).test(document.querySelector('{part}')?.innerText ?? '')"
    tab.wait_for_function(known, arg=words)
    return tab.inner_text(part)


def set_number(tab, part, value):
    box = tab.locator(f"{part} input[type=number]")
    box.fill(str(value))
    box.press("Tab")


def seen(tab, part):
    return tab.get_attribute(f"{part} img", "src")


def slide(tab, place):
    set_number(tab, "#sample-along", place)


def test_noise_becomes_samples_and_the_slider_goes_back_along_the_way(tab):
    set_number(tab, "#sample-count", 4)
    set_number(tab, "#sample-steps", 12)
    set_number(tab, "#sample-seed", 7)
    tab.click("#sample-begin")
    assert "12 steps" in until(tab, "#sample-progress", "Done")
    with tab.expect_download() as fetched:
        tab.click("#sample-files")
    with ZipFile(fetched.value.path()) as files:
        assert len([name for name in files.namelist() if name.endswith(".png")]) == 5  # and a grid
    data = seen(tab, "#sample-picture")
    slide(tab, 0)
    assert "time 1.00" in until(tab, "#sample-progress", "Step 0 of 12")
    noise = seen(tab, "#sample-picture")
    slide(tab, 6)
    until(tab, "#sample-progress", "Step 6 of 12")
    middle = seen(tab, "#sample-picture")
    slide(tab, 12)
    until(tab, "#sample-progress", "Step 12 of 12")
    assert seen(tab, "#sample-picture") == data
    assert len({noise, middle, data}) == 3
    tab.get_by_text("The same by the command line").first.click()
    line = tab.inner_text("#sample-line .cm-content")
    assert re.search(
        r"hush sample \S*digits --count 4 --sampler multistep --steps 12 --seed 7", line
    )


def test_a_long_walk_is_cancelled_between_two_steps(tab):
    set_number(tab, "#sample-count", 2)
    set_number(tab, "#sample-steps", 1000)
    tab.click("#sample-begin")
    until(tab, "#sample-progress", r"Step [1-9]\d* of 1000")
    tab.click("#sample-cancel")
    said = until(tab, "#sample-progress", "Cancelled")
    step = int(re.search(r"after step (\d+) of 1000", said)[1])
    assert 0 < step < 1000
    slide(tab, 0)
    until(tab, "#sample-progress", "Step 0 of 1000")
    set_number(tab, "#sample-steps", 2)
    tab.click("#sample-begin")
    assert "2 steps" in until(tab, "#sample-progress", "Done")


def test_a_hole_is_painted_and_filled(tab, tmp_path):
    picture = tmp_path / "given.png"
    Image.fromarray((np.arange(64, dtype=np.uint8) * 4).reshape(8, 8)).save(picture)
    tab.get_by_role("tab", name="Ask").click()
    tab.locator("#ask-verb").get_by_text("inpaint").click()
    tab.locator("#ask-editor canvas").first.wait_for()
    tab.set_input_files("#ask-file input[type=file]", picture)
    tab.get_by_text("given.png").wait_for()
    tab.wait_for_timeout(1500)
    set_number(tab, "#ask-steps", 2)
    tab.click("#ask-begin")
    assert "nothing is marked yet" in until(tab, "#ask-progress", "Paint over")
    board = tab.locator("#ask-editor canvas").first
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x - 40, y)
    tab.mouse.down()
    tab.mouse.move(x, y + 8, steps=5)
    tab.mouse.move(x + 40, y, steps=5)
    tab.mouse.up()
    tab.wait_for_timeout(500)
    tab.click("#ask-begin")
    until(tab, "#ask-progress", "Done")
    before, after = tab.locator("#ask-picture .hush-compare img").all()
    assert before.get_attribute("src") != after.get_attribute("src")
    tab.locator("#ask-picture .hush-compare input").fill("20")
    style = tab.get_attribute("#ask-picture .hush-compare", "style")
    assert "--cut: 20%" in style


def test_a_bad_upload_and_one_that_is_too_large_are_refused_in_words(tab, tmp_path):
    bad, large = tmp_path / "words.png", tmp_path / "large.png"
    bad.write_text("these are words")
    with large.open("wb") as file:
        file.truncate(17 * 2**20)
    tab.get_by_role("tab", name="Ask").click()
    chooser = "#ask-file input[type=file]"
    tab.locator("#ask-verb").get_by_text("upscale").wait_for()
    tab.set_input_files(chooser, bad)
    until(tab, "#ask-bad", "words.png cannot be read as a picture")
    tab.click("#ask-begin")
    until(tab, "#ask-progress", "words.png cannot be read as a picture")
    tab.get_by_role("button", name=re.compile("clear|remove", re.IGNORECASE)).first.click()
    tab.set_input_files(chooser, large)
    tab.get_by_text(re.compile("exceeds|too large|maximum", re.IGNORECASE)).first.wait_for()


def test_schedule_and_training_are_drawn(tab):
    tab.get_by_role("tab", name="Schedule").click()
    tab.locator("#schedule img").nth(1).wait_for()
    tab.get_by_role("tab", name="Training").click()
    until(tab, "#training-state", "Step 4 of 4")
    tab.locator("#training-curves img").nth(1).wait_for()
    until(tab, "#training-samples", "Samples at step 4")
    tab.locator("#train-data input, #train-data textarea").fill("nowhere/at/all")
    tab.click("#train-begin")
    until(tab, "#training-state", "nowhere")


def test_a_training_is_begun_watched_stopped_and_drawn_from(tab, runs):  # noqa: F811
    tab.get_by_role("tab", name="Training").click()
    tab.locator("#train-name input, #train-name textarea").fill("mine")
    set_number(tab, "#train-steps", 5000)
    set_number(tab, "#train-batch", 4)
    tab.click("#train-begin")
    until(tab, "#training-state", r"Step [\d,]+ of 5,000 .*loss .*learning")
    tab.locator("#training-curves img").first.wait_for()
    tab.click("#train-stop")
    said = until(tab, "#training-state", "stopped and saved")
    assert 0 < int(re.search(r"Step ([\d,]+) of", said)[1].replace(",", "")) < 5000
    assert (runs / "mine" / "ema.safetensors").exists()
    tab.get_by_role("tab", name="Sample").click()
    set_number(tab, "#sample-steps", 3)
    tab.click("#sample-begin")
    assert "3 steps" in until(tab, "#sample-progress", "Done")
    tab.get_by_text("The same by the command line").first.click()
    assert "/mine " in tab.locator("#sample-line .cm-content").inner_text()


def test_no_file_is_served_but_the_pages_own(address, runs, tmp_path):  # noqa: F811
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    for path in (secret, runs / "digits" / "system.json", "pyproject.toml", "/etc/hostname"):
        for route in ("gradio_api/file=", "file="):
            with pytest.raises(HTTPError) as refused:
                urlopen(f"{address}{route}{quote(str(path))}", timeout=60)
            assert refused.value.code in (403, 404)


def test_a_port_that_is_taken_is_told(address, runs):  # noqa: F811
    port = urlsplit(address).port
    second = app(runs, "--port", port)
    assert second.wait(120) == 2
    assert f"hush: Port {port} of 127.0.0.1 is not free" in second.stderr.read()
