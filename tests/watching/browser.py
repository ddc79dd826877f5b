"""Headless Chromium, controlled over WebDriver (W3C) by Debian's chromedriver. So few requests need no library."""

import base64
import re
import subprocess
import time
from contextlib import contextmanager

import requests

# Chromium starts in two seconds; a slow machine takes longer.
START_SECONDS_MAX = 60
ARGUMENTS = [
    "--headless=new",
    # Chromium can't make its own sandbox as root, or in containers without user namespaces.
    "--no-sandbox",
    "--disable-gpu",
    # All pages are those of this host's service.
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


class Browser:
    """A browser window."""

    def __init__(self, driver):
        self.driver = driver
        options = {"args": ARGUMENTS}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}}, whole=True)
        self.session = f"/session/{answer['sessionId']}"

    def _send(self, method, path, body=None, whole=False):
        answer = requests.request(method, self.driver + path, json=body, timeout=START_SECONDS_MAX).json()["value"]
        assert not (isinstance(answer, dict) and answer.get("error")), answer
        return answer

    def open(self, address):
        self._send("POST", f"{self.session}/url", {"url": address})

    def run(self, script):
        """The value that the script returns."""
        return self._send("POST", f"{self.session}/execute/sync", {"script": script, "args": []})

    def wait_for(self, script, seconds_max=20):
        """The value that the script returns, as soon as it is true."""
        deadline = time.monotonic() + seconds_max
        while not (found := self.run(script)):
            assert time.monotonic() < deadline, f"not within {seconds_max} s: {script}\n{self.text('body')}"
            time.sleep(0.05)
        return found

    def text(self, selector):
        """The text of the first element that matches."""
        return self.run(f"return document.querySelector({selector!r}).innerText")

    def rows(self, body):
        """The rows of a table's body, as lists of the texts of their cells."""
        return self.run(
            f"return [...document.getElementById({body!r}).rows].map(r => [...r.cells].map(c => c.textContent))"
        )

    def cdp(self, command, **parameters):
        """A command of Chromium's own protocol."""
        body = {"cmd": command, "params": parameters}
        return self._send("POST", f"{self.session}/goog/cdp/execute", body)

    def be_wide(self, pixels, height=800):
        """Sets the width of the screen, for example that of a phone."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride", width=pixels, height=height, deviceScaleFactor=1, mobile=pixels < 600
        )

    def prefer(self, scheme):
        """Sets the preferred colours: `light` or `dark`."""
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def complaints(self):
        """The console's new messages: errors of scripts, and what the policy has stopped."""
        lines = self._send("POST", f"{self.session}/se/log", {"type": "browser"})
        return [line["message"] for line in lines if line["level"] in ("SEVERE", "WARNING")]

    def screenshot(self):
        """A picture of the screen, as PNG."""
        return base64.b64decode(self.cdp("Page.captureScreenshot")["data"])

    def close(self):
        self._send("DELETE", self.session)


@contextmanager
def browser(directory):
    """Yields a window. Afterwards its driver and its profile are removed."""
    log = directory / "chromedriver.log"
    with log.open("w") as output:
        driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not (port := re.search(r"started successfully on port (\d+)", log.read_text())):
            assert driver.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        window = Browser(f"http://127.0.0.1:{port[1]}")
        try:
            yield window
        finally:
            window.close()
    finally:
        driver.terminate()
        driver.wait(timeout=20)
