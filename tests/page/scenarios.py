"""What somebody does with the live page, and what must hold meanwhile. Each scenario works on any server with its API."""

import re
import time

LINES = 'RUN i=0; while [ $i -lt {many} ]; do echo "line $i of {many}"; i=$((i+1)); done'
SLOW_LINES = 'RUN i=0; while [ $i -lt {many} ]; do echo "line $i of {many}"; i=$((i+1)); usleep 50000; done'
HAS_ENDED = "return /Succeeded|Failed|Cancelled|Timed out|Lost/.test(document.querySelector('.badge.large')?.innerText)"


def statuses(*expected):
    """Says which answers the console may complain of."""

    def mark(scenario):
        scenario.statuses = expected
        return scenario

    return mark


def printed(browser, platform=None):
    """The lines that steps printed, as the log shows them."""
    browser.until("the log to be drawn", "return document.querySelectorAll('.line.output').length > 0")
    lines = browser.run("return [...document.querySelectorAll('.line.output')].map((line) => [line.dataset.where, line.textContent])")
    return [text for where, text in lines if platform is None or where.startswith(platform)]


def assert_counted(browser, many, platforms):
    """Each counted line is there once for each platform, and in order."""
    for platform in platforms if len(platforms) > 1 else [None]:
        found = [line for line in printed(browser, platform) if line.startswith("line ")]
        wanted = [f"line {number} of {many}" for number in range(many)]
        assert found == wanted, f"{len(found)} lines of {many} on {platform}; they begin {found[:3]} and end {found[-3:]}"


def open_build(world, build):
    world.browser.open(f"{world.base}/#/builds/{build}")
    world.browser.until_text("h2#log-title", "Log")


def a_build_is_watched_to_its_end(world):
    browser = world.browser
    browser.open(f"{world.base}/#/builds")
    build = world.submit([SLOW_LINES.format(many=60)], name="watched")
    browser.until("the build in the list", "return document.querySelector(`a[href='#/builds/${arguments[0]}']`) !== null", build)
    world.shot("list")
    browser.click(f"a[href='#/builds/{build}']")
    browser.until_text(".line.output", "line 0 of 60")
    browser.until_text(".badge.large", "Running")
    assert browser.run("return document.activeElement.tagName") == "H1", "a reader who follows a link does not arrive at the heading"
    world.shot("running")
    browser.until("the end of the build", HAS_ENDED, seconds=60)
    browser.until_text(".badge.large", "Succeeded")
    browser.until_text(".receipt", "sha256:")
    assert_counted(browser, 60, world.platforms)
    assert "Succeeded" in browser.run("return document.title")
    browser.click(".receipt .copy")
    browser.until_text(".receipt .copy", "Copied")
    saved = browser.saved(".log-tools button:not([aria-pressed])", f"{build}.log")
    assert all(saved.count(f"line {number} of 60") == len(world.platforms) for number in range(60)), saved[-500:]
    assert browser.run("return document.querySelector('.build-head button')?.hidden"), "a build that has ended can be cancelled"
    for platform in world.platforms:
        assert "Built" in browser.text(f".lane[data-platform='{platform}'] .badge"), platform
    world.shot("succeeded", whole=True)


def a_reload_loses_and_repeats_nothing(world):
    build = world.submit([SLOW_LINES.format(many=80)], name="reloaded")
    open_build(world, build)
    world.browser.until("some lines", "return document.querySelectorAll('.line.output').length > 20")
    world.browser.reload()
    world.browser.until("the end of the build", HAS_ENDED, seconds=60)
    assert_counted(world.browser, 80, world.platforms)


def a_build_is_cancelled_with_the_keyboard_alone(world):
    browser = world.browser
    build = world.submit(["RUN sleep 60"], name="unwanted")
    browser.open(f"{world.base}/#/builds?state=running")
    name = browser.until("the link", "return document.querySelector(`a[href='#/builds/${arguments[0]}']`)?.innerText", build)
    browser.tab_to(name)
    browser.press("Enter")
    browser.until_text(".badge.large", "Running")
    browser.tab_to("Cancel build")
    browser.press("Enter")
    browser.until("the question", "return document.querySelector('dialog')?.open")
    assert browser.run("return document.activeElement.innerText") == "Keep it going", "the question does not begin with what is safe"
    world.shot("cancel-question")
    browser.press("Escape")
    browser.until("the question to go", "return document.querySelector('dialog') === null")
    assert browser.run("return document.activeElement.innerText") == "Cancel build", "the focus does not come back"
    browser.press("Enter")
    browser.tab_to("Yes, cancel it", most=3)
    browser.press("Enter")
    browser.until_text(".badge.large", "Cancel")
    world.shot("cancelling")
    browser.until_text(".badge.large", "Cancelled", seconds=30)
    assert browser.run("return document.activeElement.tagName") == "H1", "the focus is lost with the button"
    # That it has ended is said to those who do not see it.
    assert "cancelled" in browser.run("return document.getElementById('announcement').textContent")


def a_failure_is_said_in_a_sentence(world):
    browser = world.browser
    build = world.submit(["RUN echo before && sleep 0.2", "RUN echo broken && false"], name="broken")
    open_build(world, build)
    browser.until("the end of the build", HAS_ENDED, seconds=60)
    browser.until_text(".banner.bad", "false failed with exit code")
    assert "Linux/" not in browser.text(".banner.bad"), "a platform is written otherwise at the beginning of a sentence"
    browser.until("the failed step", "return document.querySelector('.steps .tag')?.innerText === 'failed' || document.querySelector('.steps').innerText.includes('failed')")
    world.shot("failed", whole=True)


def thousands_of_lines_stay_fast(world):
    browser = world.browser
    build = world.submit([LINES.format(many=5000)], name="chatty", platforms=world.platforms[:1])
    open_build(world, build)
    browser.until("the end of the build", HAS_ENDED, seconds=120)
    browser.reload()
    began = time.monotonic()
    browser.until("all lines", "return document.querySelectorAll('.line.output').length >= 5000", seconds=30)
    took = time.monotonic() - began
    assert_counted(browser, 5000, world.platforms[:1])
    browser.until("the end in sight", "const log = document.querySelector('.log-lines'); return log.scrollHeight - log.scrollTop - log.clientHeight < 24")
    # So does whoever drags the scrollbar.
    browser.run("document.querySelector('.log-lines').scrollTop -= 200")
    browser.until("not to follow", "return document.querySelector('.log-tools [aria-pressed]').getAttribute('aria-pressed') === 'false'")
    # What is laid out while somebody scrolls through all of it must not stall the page.
    longest = browser.call("POST", "/execute/async", {"script": LONGEST_FRAME, "args": []})
    assert longest < 500, f"a frame took {longest} ms"
    browser.click(".steps .instruction")
    world.shot("jumped")
    browser.click(".log-tools [aria-pressed]")
    browser.until("the end in sight", "const log = document.querySelector('.log-lines'); return log.scrollHeight - log.scrollTop - log.clientHeight < 24")
    return f"5000 lines after {took:.1f} s, longest frame {longest:.0f} ms"


LONGEST_FRAME = """
const done = arguments[arguments.length - 1];
const log = document.querySelector('.log-lines');
let last = performance.now();
let longest = 0;
let at = 0;
requestAnimationFrame(function next(now) {
  if (at > 1) longest = Math.max(longest, now - last);
  last = now;
  log.scrollTop = (log.scrollHeight * at) / 40;
  at += 1;
  if (at <= 40) requestAnimationFrame(next);
  else done(longest);
});
"""


def the_focus_stays_while_the_list_changes(world):
    browser = world.browser
    build = world.submit(["RUN sleep 5"], name="focused")
    browser.open(f"{world.base}/#/builds")
    browser.until("the build", "return document.querySelector(`a[href='#/builds/${arguments[0]}']`) !== null", build)
    browser.run("document.querySelector(`a[href='#/builds/${arguments[0]}']`).focus(); document.activeElement.mark = true", build)
    world.submit(["RUN sleep 1"], name="another")
    group = "return document.activeElement.mark && document.activeElement.closest('tbody').previousElementSibling.textContent"
    browser.until("the build to run", f"{group} === 'Now' && document.querySelectorAll('tr.build').length > 1")
    browser.until("the build to end with its focus kept", f"const at = (() => {{ {group} }})(); return at === 'Recent'", seconds=60)


def a_reader_of_the_screen_finds_everything(world):
    browser = world.browser
    build = world.submit(["RUN echo colours"], name="read-aloud")
    open_build(world, build)
    browser.until("the end of the build", HAS_ENDED, seconds=60)
    for address in (f"#/builds/{build}", "#/builds", "#/queue", "#/backends"):
        browser.open(f"{world.base}/{address}")
        browser.until("the heading", "return document.querySelector('h1') !== null")
        time.sleep(0.5)
        nodes = browser.accessible()
        roles = [role for role, _, _ in nodes]
        for role in ("banner", "main", "navigation", "heading"):
            assert role in roles, f"{address} has no {role}"
        assert roles.count("main") == 1 and browser.run("return document.querySelectorAll('h1').length") == 1, address
        for role, name, _ in nodes:
            if role in ("button", "link", "combobox", "table", "region", "dialog", "textbox"):
                assert name.strip(), f"{address} has a {role} without a name"
        tables = browser.run("return [...document.querySelectorAll('table')].map((table) => [table.caption.textContent, table.tHead.textContent, table.hidden])")
        for caption, head, _ in tables:
            assert caption and head, f"{address} has a table without a caption or headers"
        assert browser.run("return document.documentElement.lang") == "en"


def it_fits_small_windows_and_both_schemes(world):
    browser = world.browser
    build = world.submit(["RUN echo colours", "RUN sleep 0.5"], name="registry.example/team/with-a-rather-long-name/and-more-parts:2026-11-23.5")
    open_build(world, build)
    browser.until("the end of the build", HAS_ENDED, seconds=60)
    browser.until("the result", "return document.querySelector('.receipt, .banner:not([hidden])') !== null")
    # 640 pixels are those of a window of 1280 at a zoom of 200%.
    for width, name, scale in ((360, "narrow", 2), (640, "zoomed", 2), (1600, "wide", 1)):
        for scheme in ("light", "dark"):
            browser.window(width, 800, scale)
            browser.scheme(scheme, reduced=scheme == "dark")
            for page, address in (("build", f"#/builds/{build}"), ("list", "#/builds"), ("queue", "#/queue"), ("backends", "#/backends")):
                browser.open(f"{world.base}/{address}")
                browser.until("the page", "return !/Asking for/.test([...document.querySelectorAll('main p')].filter((p) => !p.hidden).map((p) => p.innerText).join())")
                time.sleep(0.3)
                over = browser.run("return document.documentElement.scrollWidth - innerWidth")
                assert over <= 0, f"{page} is {over} pixels too wide for {width}"
                world.shot(f"{page}-{name}-{scheme}", whole=name != "wide")
    browser.devtools("Emulation.clearDeviceMetricsOverride")
    browser.scheme("light")


def nothing_moves_for_those_who_do_not_want_it(world):
    browser = world.browser
    open_build(world, world.submit(["RUN sleep 4"], name="still"))
    browser.until("something that moves", "return document.getAnimations().length > 0")
    browser.scheme("light", reduced=True)
    browser.until("it to stand still", "return document.getAnimations().length === 0", seconds=2)
    browser.scheme("light")


def who_scrolls_up_stays_there(world):
    browser = world.browser
    open_build(world, world.submit([SLOW_LINES.format(many=160)], name="scrolled"))
    browser.until("more lines than fit", "const log = document.querySelector('.log-lines'); return log.scrollTop > 200")
    browser.run("document.querySelector('.log-lines').focus()")
    browser.press("Home")
    top = "return document.querySelector('.log-lines').scrollTop"
    browser.until("the beginning", f"{top} < 5", seconds=5)
    many = browser.run("return document.querySelectorAll('.line').length")
    browser.until("more lines", "return document.querySelectorAll('.line').length > arguments[0] + 10", many)
    assert browser.run(top) < 5, "the log moved away from its reader"
    browser.press("End")
    browser.until("the end of the build", HAS_ENDED, seconds=60)
    browser.until("the end in sight", "const log = document.querySelector('.log-lines'); return log.scrollHeight - log.scrollTop - log.clientHeight < 24")


@statuses("404")
def what_is_not_there_is_said(world):
    browser = world.browser
    browser.open(f"{world.base}/#/builds/0123456789abcdef")
    browser.until_text("h1", "There is no such build")
    browser.open(f"{world.base}/#/nowhere")
    browser.until_text("h1", "There is no such page")
    browser.open(f"{world.base}/#/builds?state=superseded")
    browser.until_text("main .empty", "No build is in the state")


def what_a_step_prints_is_text(world):
    browser = world.browser
    build = world.submit([r"RUN echo colours; printf '\033[31mred\033[0m <img src=x onerror=alert(1)>\r<b>bold</b>\n\a\b\n\377\376\n'"], name="hostile", platforms=world.platforms[:1])
    open_build(world, build)
    browser.until("the end of the build", HAS_ENDED, seconds=60)
    text = "\n".join(printed(browser))
    assert "<b>" in text and not re.search("[\x00-\x08\x0b-\x1f\u202e]", text), repr(text)
    assert "\ufffd" in text, repr(text)
    assert browser.run("return document.querySelectorAll('.log-lines img, .log-lines b').length") == 0
    world.shot("hostile")


ANYWHERE = [
    a_build_is_watched_to_its_end, a_reload_loses_and_repeats_nothing, a_build_is_cancelled_with_the_keyboard_alone,
    a_failure_is_said_in_a_sentence, thousands_of_lines_stay_fast, the_focus_stays_while_the_list_changes,
    a_reader_of_the_screen_finds_everything, it_fits_small_windows_and_both_schemes, what_is_not_there_is_said,
    what_a_step_prints_is_text, nothing_moves_for_those_who_do_not_want_it, who_scrolls_up_stays_there,
]
