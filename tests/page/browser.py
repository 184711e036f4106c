"""A headless Chromium, driven by the WebDriver protocol with nothing but Python's own library."""

import base64
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "Shift": "\ue008", "End": "\ue010", "PageUp": "\ue00e", "Home": "\ue011"}


class Browser:
    """A browser with one page."""

    def __init__(self, chromium="chromium", driver="chromedriver"):
        self.folder = tempfile.TemporaryDirectory(prefix="polyarch-page-", ignore_cleanup_errors=True)
        # It asks for the same free port in IPv4 and IPv6, and ends where another process was faster in one.
        for _ in range(5):
            port = self.start(driver)
            if port:
                break
        assert port, f"chromedriver did not start: {self.said}"
        self.base = f"http://127.0.0.1:{port}"
        arguments = ["--headless=new", "--no-sandbox", "--window-size=1280,900", "--disable-dev-shm-usage", f"--user-data-dir={self.folder.name}"]
        wanted = {"browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": {"binary": shutil.which(chromium), "args": arguments}}
        session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.base += f"/session/{session['sessionId']}"

    def start(self, driver):
        """Starts the driver and returns its port, or nothing where it ended."""
        self.process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                return found[1]
        self.process.wait()
        return None

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, address):
        self.call("POST", "/url", {"url": address})

    def reload(self):
        self.call("POST", "/refresh", {})

    def run(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def devtools(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? null", selector)

    def until(self, what, script, *arguments, seconds=20):
        """Waits until the script gives something true, and gives it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.run(script, *arguments)
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited {seconds} s in vain for {what}; the page says: {self.text('body')[:1500]}")

    def until_text(self, selector, part, seconds=20):
        script = "return document.querySelector(arguments[0])?.innerText.includes(arguments[1])"
        self.until(f"{part!r} in {selector}", script, selector, part, seconds=seconds)

    def click(self, selector):
        """Clicks as a person does: what is covered or not there cannot be."""
        element = self.call("POST", "/element", {"using": "css selector", "value": selector})
        self.call("POST", f"/element/{next(iter(element.values()))}/click", {})

    def press(self, *keys):
        actions = []
        for key in keys:
            value = KEYS.get(key, key)
            actions += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def tab_to(self, what, most=60):
        """Presses Tab until the focused element's text has `what`, and gives what was passed."""
        passed = []
        for _ in range(most):
            self.press("Tab")
            passed.append(self.run("const at = document.activeElement; return at.innerText || at.getAttribute('aria-label') || at.tagName"))
            if what in passed[-1]:
                return passed
        raise AssertionError(f"Tab does not lead to {what!r}, but to {passed}")

    def saved(self, selector, name):
        """The text of the file that the browser saves when the element is clicked."""
        self.devtools("Browser.setDownloadBehavior", behavior="allow", downloadPath=self.folder.name)
        self.click(selector)
        path = pathlib.Path(self.folder.name) / name
        end = time.monotonic() + 10
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.05)
        return path.read_text()

    def scheme(self, name, reduced=False):
        features = [{"name": "prefers-color-scheme", "value": name}, {"name": "prefers-reduced-motion", "value": "reduce" if reduced else ""}]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def window(self, width, height=900, scale=1):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False)

    def screenshot(self, path, whole=False):
        if whole:
            height = self.run("return document.documentElement.scrollHeight")
            width = self.run("return innerWidth")
            clip = {"x": 0, "y": 0, "width": width, "height": min(height, 6000), "scale": 1}
            data = self.devtools("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
        else:
            data = self.devtools("Page.captureScreenshot")["data"]
        path.write_bytes(base64.b64decode(data))

    def complaints(self):
        """What the console has said since the last call: warnings and errors."""
        entries = self.call("POST", "/se/log", {"type": "browser"})
        return [entry for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def accessible(self):
        """The nodes that a screen reader is given, as (role, name, properties)."""
        self.devtools("Accessibility.enable")
        nodes = self.devtools("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""), {each["name"]: each["value"].get("value") for each in node.get("properties", [])})
            for node in nodes if not node.get("ignored") and "role" in node
        ]

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait(10)
            self.folder.cleanup()
