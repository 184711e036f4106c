"""Servers that break off, refuse, or want a token: what the live page makes of them."""

import json
import pathlib
import re
import time
import urllib.request

from scenarios import HAS_ENDED, LINES, SLOW_LINES, assert_counted, open_build, printed, statuses


def control(world, action):
    with urllib.request.urlopen(f"{world.base}/fake/{action}", timeout=10) as response:
        return json.load(response)


def an_empty_list_says_so(world):
    world.browser.open(f"{world.base}/")
    world.browser.until_text("main", "There are no builds yet")
    world.shot("empty")


@statuses("ERR_INCOMPLETE_CHUNKED", "ERR_CONNECTION", "ERR_EMPTY_RESPONSE")
def broken_streams_lose_and_repeat_nothing(world):
    browser = world.browser
    build = world.submit([SLOW_LINES.format(many=100)], name="cut")
    before = control(world, "cut?every=37")["streams"]
    try:
        open_build(world, build)
        browser.until("the break to be shown", "return document.getElementById('connection').innerText.includes('Reconnecting')")
        world.shot("reconnecting")
        browser.until("the end of the build", HAS_ENDED, seconds=60)
        browser.until("the last event", "return [...document.querySelectorAll('.line.note')].at(-1).textContent.includes('The build is done')", seconds=60)
    finally:
        after = control(world, "cut?every=0")["streams"]
    assert_counted(browser, 100, world.platforms)
    assert after - before > 3, "the streams were not cut"
    return f"{after - before} connections"


@statuses("429", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION")
def a_server_that_refuses_or_is_gone_is_waited_for(world):
    browser = world.browser
    browser.open(f"{world.base}/#/builds")
    browser.until("the list", "return document.querySelector('h1') !== null")
    try:
        control(world, "answer?status=429&seconds=2")
        browser.until_text("#notice", "Trying again in 2 s")
        world.shot("too-many")
        control(world, "answer?status=0")
        browser.until_text("#notice", "cannot be reached")
        world.shot("gone")
    finally:
        control(world, "answer")
    browser.until("the notice to go", "return document.getElementById('notice').hidden", seconds=30)


@statuses("401")
def a_token_lets_in_and_is_forgotten(world):
    browser = world.browser
    browser.open(f"{world.base}/#/backends")
    browser.until_text("h1", "Sign in")
    world.shot("sign-in")
    assert browser.run("return document.activeElement.id") == "token"
    browser.press(*"wrong", "Enter")
    browser.until_text("#token-error", "does not know this token")
    world.shot("sign-in-wrong")
    browser.press(*world.token, "Enter")
    browser.until_text("h1", "Backends")
    stored = "return JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])"
    assert browser.run(stored).count(world.token) == 1 and world.token not in browser.run("return JSON.stringify({...localStorage})")
    build = world.submit(["RUN sleep 1"], name="secret")
    open_build(world, build)
    browser.reload()
    browser.until("the end of the build", HAS_ENDED, seconds=60)
    browser.until("the end to be said", "return document.getElementById('announcement').textContent !== ''")
    assert world.token not in browser.run("return document.documentElement.outerHTML + location.href")
    browser.click("#sign-out")
    browser.until_text("h1", "Sign in")
    assert world.token not in browser.run(stored)
    assert "secret" not in browser.run("return document.body.textContent + document.title"), "something of the tenant is still shown"
    # Whoever runs the other scenarios after this one is let in again.
    browser.press(*world.token, "Enter")
    browser.until_text("h1", "secret")


def older_builds_come_on_demand_and_stay(world):
    browser = world.browser
    for number in range(60):
        world.submit([], name=f"old-{number}", platforms=world.platforms[:1], push=False)
    last = f"{world.registry}/old-59:1"
    browser.open(f"{world.base}/#/builds?state=succeeded")
    browser.until("the last one", "return [...document.querySelectorAll('tr.build a')].some((a) => a.textContent === arguments[0])", last, seconds=60)
    browser.until("no more than a page", "return document.querySelectorAll('tr.build').length === 50")
    browser.click(".more button")
    browser.until("all", "return document.querySelectorAll('tr.build').length >= 60")
    many = browser.run("return document.querySelectorAll('tr.build').length")
    world.submit([], name="new", platforms=world.platforms[:1], push=False)
    browser.until("the new one on top", "return document.querySelector('tr.build a').textContent.includes('/new:')")
    names = browser.run("return [...document.querySelectorAll('tr.build a')].map((a) => a.href)")
    assert len(names) == many + 1 == len(set(names)), "builds are lost or repeated"


def more_builds_that_wait_come_on_demand_and_stay(world):
    browser = world.browser
    builds = [world.submit(["RUN sleep 600"], name=f"crowd-{number}", push=False) for number in range(58)]
    browser.open(f"{world.base}/#/builds?state=queued")
    browser.until("a page", "return document.querySelectorAll('tr.build').length === 50")
    browser.click(".more button")
    browser.until("all", "return document.querySelectorAll('tr.build').length === 55")
    world.ask(f"/v1/builds/{builds[-1]}/cancel", b"")
    browser.until("one less", "return document.querySelectorAll('tr.build').length === 54")
    for build in reversed(builds[:-1]):
        world.ask(f"/v1/builds/{build}/cancel", b"")
    browser.until_text("main .empty", "No build is in the state")
    time.sleep(2)


@statuses("429")
def a_stream_that_is_refused_says_why(world):
    browser = world.browser
    build = world.submit(["RUN sleep 600"], name="crowded", push=False)
    open_build(world, build)
    browser.until_text("#connection", "Live")
    try:
        control(world, "answer?status=429&seconds=1&only=events")
        # What is open already stays open; the next connection is refused.
        browser.reload()
        browser.until_text("#connection", "More requests came than this server takes. Reconnecting")
        world.shot("refused-stream")
    finally:
        control(world, "answer")
    browser.until_text("#connection", "Live")
    world.ask(f"/v1/builds/{build}/cancel", b"")


def a_build_that_waits_can_be_cancelled(world):
    browser = world.browser
    busy = [world.submit(["RUN sleep 600"], name=f"busy-{number}") for number in range(3)]
    first, second = (world.submit(["RUN sleep 1"], name=name) for name in ("first", "second"))
    open_build(world, second)
    browser.until_text(".banner", "1 build is ahead of it. All 3 places for builds are taken.")
    world.shot("queued")
    browser.open(f"{world.base}/#/queue")
    browser.until_text("table.queue", "first")
    world.shot("queue")
    browser.open(f"{world.base}/#/builds/{second}")
    browser.until_text(".badge.large", "Queued")
    browser.click(".build-head .danger")
    browser.click("dialog .danger")
    browser.until_text(".badge.large", "Cancelled")
    browser.until("the connection to end", "return document.getElementById('connection').hidden", seconds=20)
    assert "Stopped" in browser.text(".lane .badge")
    for build in [*busy, first]:
        world.ask(f"/v1/builds/{build}/cancel", b"")
    time.sleep(2)


def a_platform_that_is_tried_again_says_so(world):
    browser = world.browser
    build = world.submit(["# retry", "RUN sleep 1"], name="unlucky")
    open_build(world, build)
    browser.until_text(".lane-note:not([hidden])", "The connection to the store broke off. Tries again")
    world.shot("retry")
    browser.until("the end of the build", HAS_ENDED, seconds=60)
    browser.until_text(".lane .facts", "attempt 2")
    steps = browser.run("return [...document.querySelectorAll('.lane')].map((lane) => lane.querySelectorAll('tbody tr').length)")
    assert steps == [2, 2], steps


def a_log_without_end_keeps_its_end(world):
    browser = world.browser
    build = world.submit([LINES.format(many=45000)], name="endless", platforms=world.platforms[:1], push=False)
    open_build(world, build)
    browser.until("the end of the build", HAS_ENDED, seconds=60)
    for _ in range(2):
        browser.until("the last line", "return [...document.querySelectorAll('.line')].at(-1)?.textContent.includes('The build is done')", seconds=60)
        shown = browser.run("return document.querySelectorAll('.line').length")
        hidden = int(re.search(r"The first (\d+) lines are not shown", browser.text(".log-cut"))[1])
        # Besides what was printed there is the route, two steps, their ends, those of the platform, the index and the build.
        assert shown <= 20000 and shown + hidden == 45000 + 8, (shown, hidden)
        assert printed(browser)[-1] == "line 44999 of 45000"
        browser.click(".steps tr:last-child .instruction")
        browser.until("the beginning of what is left", "return document.querySelector('.log-lines').scrollTop < 50")
        browser.reload()


def everything_that_polyarch_says_is_understood(world):
    """The golden files of what crosses machines are what the page must know."""
    world.browser.open(f"{world.base}/")
    golden = pathlib.Path(__file__).resolve().parents[2] / "actors" / "tests" / "golden"
    events, errors = (json.loads((golden / f"{name}.json").read_text()) for name in ("events", "errors"))
    said = world.browser.call("POST", "/execute/async", {"script": UNDERSTAND, "args": [world.base, events, errors]})
    unknown = {event["event"] for event in events} - set(said["kinds"])
    assert not unknown, f"the page does not know {unknown}"
    for text in said["texts"]:
        assert not re.search(r"undefined|null|NaN|\[object", text), text
    for here, there in said["sentences"]:
        assert here == there, f"the page says {here!r} where the command line says {there!r}"


UNDERSTAND = """
const [base, events, errors, done] = arguments;
Promise.all([import(base + '/page/model.js'), import(base + '/page/words.js')]).then(([{ BuildModel, kinds }, { explained, sentence }]) => {
  const model = new BuildModel(['linux/arm/v7']);
  const platform = 'linux/arm/v7';
  const lines = events.flatMap((event) => model.apply({ platform, ...event }));
  const texts = [...lines.filter((line) => line.kind !== 'output').map((line) => line.text), ];
  done({ kinds: kinds(), texts, sentences: errors.map(({ error, sentence: rust }) => [explained(error), sentence(rust)]) });
}, (error) => done({ kinds: [], texts: [String(error)], sentences: [] }));
"""

ON_A_FAKE = [
    an_empty_list_says_so, broken_streams_lose_and_repeat_nothing, a_server_that_refuses_or_is_gone_is_waited_for,
    older_builds_come_on_demand_and_stay, more_builds_that_wait_come_on_demand_and_stay, a_stream_that_is_refused_says_why,
    a_build_that_waits_can_be_cancelled, a_platform_that_is_tried_again_says_so,
    everything_that_polyarch_says_is_understood, a_log_without_end_keeps_its_end,
]
WITH_A_TOKEN = [a_token_lets_in_and_is_forgotten]
