#!/usr/bin/env python3
"""Drives the live page in a headless Chromium, on the server that is played here or on a real one.

    tests/page/drive.py fake [SHOTS] [--only PART]
    tests/page/drive.py real [SHOTS] --url http://127.0.0.1:8080 [--token TOKEN] [--base busybox]
                        [--platforms linux/amd64] [--registry localhost:5000]

Needs the Debian packages chromium and chromium-driver. Screenshots go to the folder SHOTS. The program fails if a
scenario does, or if the console of the browser says anything that the scenario does not expect.
"""

import argparse
import io
import json
import pathlib
import signal
import sys
import tarfile
import time
import traceback
import urllib.request

from browser import Browser
from fake_server import serve
from misbehaviour import ON_A_FAKE, WITH_A_TOKEN
from scenarios import ANYWHERE


class World:
    """A server, a browser that looks at it, and a way to submit builds."""

    def __init__(self, browser, base, given, token=None):
        self.browser = browser
        self.base = base.rstrip("/")
        self.token = token
        self.shots = given.shots
        self.from_image = given.base
        self.platforms = given.platforms.split(",")
        self.registry = given.registry
        self.context = None

    def ask(self, path, data=None, kind="application/json"):
        headers = {"content-type": kind}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        with urllib.request.urlopen(urllib.request.Request(self.base + path, data, headers), timeout=60) as response:
            return json.load(response)

    def submit(self, steps, name, platforms=None, push=True):
        """Submits a build of these instructions and gives its id."""
        if self.context is None:
            self.context = self.ask("/v1/contexts", empty_archive(), "application/x-tar")["context"]
        tag = name if "/" in name else f"{self.registry or 'registry.example'}/{name}:1"
        request = {
            "context": {"upload": self.context}, "dockerfile": {"text": "\n".join([f"FROM {self.from_image}", *steps]) + "\n"},
            "no_cache": True, "platforms": platforms or self.platforms, "tags": [tag], "push": push and self.registry is not None,
        }
        return self.ask("/v1/builds", json.dumps(request).encode())["id"]

    def shot(self, name, whole=False):
        if self.shots:
            self.browser.screenshot(self.shots / f"{name}.png", whole)


def empty_archive():
    """A context without files; the time in it makes it one of its own."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("about")
        text = str(time.time_ns()).encode()
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return archive.getvalue()


def expected(entry, scenario):
    """Whether a scenario knows that the browser will complain so. An answer that is an error is always in the console."""
    return entry["source"] == "network" and any(status in entry["message"] for status in getattr(scenario, "statuses", ()))


def play(world, scenarios, only):
    failures = 0
    for scenario in scenarios:
        name = scenario.__name__.replace("_", " ")
        if only and only not in name:
            continue
        began = time.monotonic()
        try:
            world.browser.complaints()
            note = scenario(world)
            odd = [entry["message"] for entry in world.browser.complaints() if not expected(entry, scenario)]
            assert not odd, f"the console says {odd}"
            print(f"ok    {name} ({time.monotonic() - began:.1f} s){f': {note}' if note else ''}", flush=True)
        except Exception:
            failures += 1
            print(f"FAIL  {name}", flush=True)
            traceback.print_exc(file=sys.stdout)
            world.shot(f"failure-{scenario.__name__}")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["fake", "real"])
    parser.add_argument("shots", nargs="?", type=pathlib.Path)
    parser.add_argument("--url")
    parser.add_argument("--token")
    parser.add_argument("--base", default="busybox")
    parser.add_argument("--platforms")
    parser.add_argument("--registry")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    fake = given.mode == "fake"
    given.platforms = given.platforms or ("linux/amd64,linux/arm64" if fake else "linux/amd64")
    if given.shots:
        given.shots.mkdir(parents=True, exist_ok=True)
    # Whoever ends this program ends the browser with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    browser = Browser()
    try:
        if fake:
            given.registry = "registry.example/team"
            _, base = serve()
            failures = play(World(browser, base, given), ON_A_FAKE + ANYWHERE, given.only)
            _, closed = serve(token="fake-token-0123456789")
            failures += play(World(browser, closed, given, "fake-token-0123456789"), WITH_A_TOKEN, given.only)
        elif given.token:
            world = World(browser, given.url, given, given.token)
            failures = play(world, WITH_A_TOKEN, "") + play(world, ANYWHERE, given.only)
        else:
            failures = play(World(browser, given.url, given), ANYWHERE, given.only)
    finally:
        browser.close()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
