"""A server with the HTTP API of `polyarch serve` that builds nothing and plays what a build would say.

It serves the files of the page below the policy of the real one. A build's Dockerfile says what happens: `sleep N` takes
so long, `-lt N` prints so many numbered lines, `false` fails; `seq`, colours and bytes are printed as they are.
`--token` has it ask for a token. What tests need besides is asked for below `/fake/`.
"""

import argparse
import hashlib
import json
import mimetypes
import pathlib
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fake_builds import FINAL, World, milliseconds

PAGE = pathlib.Path(__file__).resolve().parents[2] / "src" / "service" / "page"
# What the page must live with, and what a stricter server may add.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world = None

    def log_message(self, *_):
        pass

    def send(self, status, body, kind="application/json", headers=()):
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.send_header("x-content-type-options", "nosniff")
        self.send_header("referrer-policy", "no-referrer")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def problem(self, status, title, detail, headers=()):
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "instance": self.path}
        self.send(status, body, "application/problem+json", headers)

    def do_GET(self):
        self.route()

    def do_POST(self):
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.route()

    def route(self):
        address = urllib.parse.urlsplit(self.path)
        path, query = address.path, dict(urllib.parse.parse_qsl(address.query))
        parts = path.strip("/").split("/")
        if parts[0] == "fake":
            return self.control(parts[1], query)
        if path == "/" or parts[0] == "page":
            return self.file(path)
        if self.world.answer and path.endswith(self.world.answer[2]):
            status, seconds, _ = self.world.answer
            if status == 0:
                self.close_connection = True
                return None
            return self.problem(status, "Too Many Requests", "more requests came than this server takes", [("retry-after", str(seconds))])
        if self.world.token and self.headers.get("authorization") != f"Bearer {self.world.token}":
            return self.problem(401, "Unauthorized", "a token is needed", [("www-authenticate", "Bearer")])
        return self.api(parts, query)

    def control(self, action, query):
        if action == "cut":
            self.world.cut = int(query["every"])
        elif action == "answer":
            status = query.get("status")
            self.world.answer = (int(status), int(query.get("seconds", 1)), query.get("only", "")) if status else None
        self.send(200, {"streams": self.world.streams})

    def file(self, path):
        name = "index.html" if path == "/" else path.removeprefix("/page/")
        place = PAGE / name
        if "/" in name or not place.is_file():
            return self.problem(404, "Not Found", "there is no such file")
        kind = {".js": "text/javascript", ".css": "text/css"}.get(place.suffix, mimetypes.guess_type(name)[0])
        return self.send(200, place.read_bytes(), f"{kind}; charset=utf-8", [("content-security-policy", POLICY)])

    def api(self, parts, query):
        world = self.world
        if parts == ["v1", "contexts"]:
            context = {"context": "sha256:" + hashlib.sha256(self.body).hexdigest(), "size": len(self.body), "expires": milliseconds() + 3_600_000}
            return self.send(201, context)
        if parts == ["v1", "builds"] and self.command == "POST":
            return self.send(201, world.submit(json.loads(self.body)).document())
        if parts == ["v1", "builds"]:
            found = [build.document() for build in reversed(world.builds) if not query.get("before") or build.id < query["before"]]
            found = [build for build in found if query.get("state") in (None, build["state"])]
            limit = int(query.get("limit", 50))
            return self.send(200, {"builds": found[:limit], "next": found[limit - 1]["id"] if len(found) > limit else None})
        if parts == ["v1", "queue"]:
            waiting = [build for build in world.builds if build.record["state"] == "queued"]
            running = sum(build.record["state"] == "running" for build in world.builds)
            return self.send(200, {
                "running": running, "waiting": len(waiting),
                "tenants": [{"tenant": "default", "weight": 1, "running": running, "waiting": len(waiting)}],
                "builds": [{"id": build.id, "ahead": at, "reason": "all 3 places for builds are taken"} for at, build in enumerate(waiting)],
            })
        if parts == ["v1", "backends"]:
            return self.send(200, backends(world))
        build = world.find(parts[2]) if parts[:2] == ["v1", "builds"] and len(parts) in (3, 4) else None
        if not build:
            return self.problem(404, "Not Found", "there is no such build")
        return self.one(build, parts[3] if len(parts) == 4 else None)

    def one(self, build, what):
        if what is None:
            return self.send(200, build.document())
        if what == "cancel":
            if build.record["state"] in FINAL:
                return self.problem(409, "Conflict", "the build has ended")
            build.cancel()
            return self.send(202, build.document())
        if what == "receipt":
            receipt = getattr(build, "receipt", None)
            return self.send(200, receipt) if receipt else self.problem(404, "Not Found", "the build has no receipt")
        if what == "log":
            outputs = (json.loads(event) for event in build.events)
            text = "".join(str(event["data"]) for event in outputs if event["event"] == "step-output")
            return self.send(200, text, "text/plain; charset=utf-8")
        return self.stream(build)

    def stream(self, build):
        self.world.streams += 1
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        after = self.headers.get("last-event-id")
        at = int(after) + 1 if after is not None else 0
        sent = 0
        try:
            while True:
                with build.changed:
                    if at >= len(build.events) and build.record["state"] not in FINAL:
                        build.changed.wait(5)
                    fresh = build.events[at:]
                text = ""
                for event in fresh:
                    kind = json.loads(event)["event"]
                    text += f"id: {at}\nevent: {kind}\ndata: {event}\n\n"
                    at += 1
                    sent += 1
                    if self.world.cut and sent >= self.world.cut:
                        # The next event breaks off in the middle.
                        self.wfile.write((text + f"id: {at}\nevent: step-out").encode())
                        return
                self.wfile.write((text or ":\n\n").encode())
                self.wfile.flush()
                if not fresh and build.record["state"] in FINAL:
                    return
        except (BrokenPipeError, ConnectionResetError):
            return


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # A page that is left closes its connections in the middle of answers.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def backends(world):
    running = sum(build.record["state"] == "running" for build in world.builds)
    platforms = ["linux/arm64", "linux/arm/v7", "linux/riscv64", "linux/s390x"]
    usable = {
        "availability": {"usable": "native engine, as root"}, "native": ["linux/amd64", "linux/386"], "emulated": platforms,
        "assembles": ["linux", "windows"], "gives": [], "knows_steps": True, "slots": 4, "advice": [],
    }
    unusable = {
        "availability": {"unusable": "is not installed"}, "native": [], "emulated": [], "assembles": [], "gives": [],
        "knows_steps": False, "slots": 0, "advice": ["install the Debian package buildah"],
    }
    return [
        {"id": "sandbox", "capabilities": usable, "running": min(running, 4), "slots": 4},
        {"id": "buildah", "capabilities": unusable, "running": 0, "slots": 0},
    ]


def serve(token=None, places=3, port=0):
    """Starts the server in the background and gives it with its address."""
    handler = type("Handler", (Handler,), {"world": World(token, places)})
    server = Server(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8877)
    parser.add_argument("--token")
    parser.add_argument("--places", type=int, default=3)
    given = parser.parse_args()
    server, address = serve(given.token, given.places, given.port)
    print(address, flush=True)
    threading.Event().wait()
