"""Builds that are played and not built: their records and their events, as `polyarch serve` would have them."""

import hashlib
import json
import re
import threading
import time

FINAL = {"succeeded", "failed", "cancelled", "superseded", "timed-out", "lost"}
STOPPED = {"error": "cancelled"}


def milliseconds():
    return int(time.time() * 1000)


def digest(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def descriptor(text, kind):
    return {"mediaType": f"application/vnd.oci.image.{kind}.v1+json", "digest": digest(text), "size": 480 + len(text)}


class Build:
    """One build: its record, its events, and the thread that plays it."""

    def __init__(self, world, number, request):
        self.world = world
        self.request = request
        self.id = f"19e{milliseconds():012x}{number:08x}"
        self.events = []
        self.changed = threading.Condition()
        self.cancelled = threading.Event()
        self.lanes = {platform: {"platform": platform, "state": "queued", "backend": None} for platform in request["platforms"]}
        tags = request.get("tags") or []
        self.record = {
            "id": self.id, "tenant": "default", "state": "queued", "name": tags[0] if tags else None,
            "context": describe(request["context"]), "platforms": request["platforms"],
            "priority": request.get("submission", {}).get("priority", 0), "submitted": milliseconds(), "started": None,
            "ended": None, "attempt": 1, "attached": 0, "cancelling": False, "waiting": None, "lanes": [],
            "error": None, "index": None,
        }

    def document(self):
        with self.changed:
            record = dict(self.record, lanes=[dict(lane) for lane in self.lanes.values()])
        if record["state"] == "queued":
            ahead = self.world.ahead(self)
            record["waiting"] = {"ahead": ahead, "reason": "all 3 places for builds are taken"}
        return record

    def say(self, event, platform=None, **fields):
        with self.changed:
            said = {"version": 1, "build": self.id, "sequence": len(self.events), "time": milliseconds(), "event": event, **fields}
            if platform:
                said["platform"] = platform
            self.events.append(json.dumps(said))
            self.changed.notify_all()

    def end(self, state, error=None, fault=None, message=None):
        if self.record["started"]:
            self.say("finished", **({"error": error} if error else {}))
        with self.changed:
            self.record.update(state=state, ended=milliseconds(), error=message and {"message": message, "fault": fault})
            self.changed.notify_all()

    def cancel(self):
        self.record["cancelling"] = True
        self.cancelled.set()

    def play(self):
        while not self.world.open(self):
            if self.cancelled.wait(0.1):
                return self.end("cancelled", message="the build was cancelled", fault="cancelled")
        self.record.update(state="running", started=milliseconds())
        self.say("started")
        outcomes = {}
        threads = []
        for platform in self.lanes:
            work = threading.Thread(target=lambda platform=platform: outcomes.update({platform: self.lane(platform)}), daemon=True)
            work.start()
            threads.append(work)
        for work in threads:
            work.join()
        self.finish(outcomes)
        return None

    def lane(self, platform):
        self.say("routed", platform, backend="sandbox", emulated="arm" in platform, reason="it runs steps for this CPU", ruled_out=[])
        self.say("queued", platform, ahead=0)
        self.say("assigned", platform, attempt=1)
        self.lanes[platform].update(state="running", backend="sandbox")
        text = self.request["dockerfile"]["text"]
        if "# retry" in text and platform.endswith("amd64"):
            error = {"error": "host", "reason": "the connection to the store broke off", "retryable": True}
            self.say("step-started", platform, step=1, instruction="FROM alpine")
            self.say("step-started", platform, step=9, instruction="RUN of the first attempt alone")
            self.say("retried", platform, attempt=1, delay_ms=3000, error=error)
            self.lanes[platform]["state"] = "backing-off"
            time.sleep(3)
            self.lanes[platform]["state"] = "running"
            self.say("assigned", platform, attempt=2)
        instructions = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        for step, instruction in enumerate(instructions, 1):
            fields = {"stage": {"number": 0, "name": "build"}} if "# stages" in text and step < 4 else {}
            self.say("step-started", platform, step=step, instruction=instruction, **fields)
            cached = instruction.startswith("FROM") or "# cached" in text and step < 3
            code = 0 if cached else self.run(platform, step, instruction)
            if self.cancelled.is_set():
                self.lanes[platform]["state"] = "failed"
                time.sleep(1.2)
                self.say("platform-failed", platform, error=STOPPED)
                return STOPPED
            if code:
                self.say("step-failed", platform, step=step, work={"ran_ms": 5})
                error = {"error": "step-failed", "instruction": instruction, "exit_code": code, "output": []}
                self.lanes[platform]["state"] = "failed"
                self.say("platform-failed", platform, error=error)
                return error
            self.say("step-finished", platform, step=step, cached=cached)
        image = {
            "platform": platform, "manifest": descriptor(self.id + platform, "manifest"), "config": digest(platform), "backend": "sandbox",
            "emulated": "arm" in platform, "retries": 0, "duration": milliseconds() - self.record["started"],
        }
        self.lanes[platform]["state"] = "built"
        self.say("image-built", platform, image=image)
        return image

    def run(self, platform, step, instruction):
        say = lambda text: self.say("step-output", platform, step=step, data=text)
        counted = re.search(r"-lt (\d+)", instruction)
        if counted:
            many = int(counted[1])
            slow = "usleep" in instruction
            for first in range(0, many, 1 if slow else 20):
                last = min(many, first + (1 if slow else 20))
                say("".join(f"line {number} of {many}\n" for number in range(first, last)))
                if slow:
                    self.cancelled.wait(0.05)
        if "colours" in instruction:
            say("\x1b[32mok\x1b[0m tests passed, \x1b[1;31m0 failed\x1b[0m\n")
            say("\x1b]0;title\x07<img src=x onerror=alert(1)> & <b>no markup</b>\n progress 10%\r progress 100%\n")
            say("bell \a, backspace \b, and \u202eturned round\n")
            self.say("step-output", platform, step=step, data={"hex": b"caf\xe9 \xff\n".hex()})
        for sleep in re.findall(r"(?<!u)sleep ([\d.]+)", instruction):
            if "emulated" not in instruction:
                say(f"working for {sleep} s\n")
            self.cancelled.wait(float(sleep) * (1.4 if "arm" in platform else 1))
        if "warn" in instruction:
            self.say("warned", platform, message="the base image has no label that says where it is from")
        return 2 if re.search(r"\bfalse$", instruction) else 0

    def finish(self, outcomes):
        errors = [outcome for outcome in outcomes.values() if "error" in outcome]
        if self.cancelled.is_set():
            return self.end("cancelled", STOPPED, "cancelled", "the build was cancelled")
        if errors:
            error = errors[0]
            return self.end("failed", error, "user", f"{error['instruction']} failed with exit code {error['exit_code']}")
        index = descriptor(self.id, "index")
        self.say("index-assembled", index=index)
        pushed = []
        for tag in self.request.get("tags") or [] if self.request.get("push") else []:
            registry = tag.split("/")[0]
            self.say("push-started", registry=registry)
            for part in range(5):
                self.say("push-progressed", sent=part * 12_500_000, total=50_000_000)
                time.sleep(0.3)
            self.say("push-finished", registry=registry)
            self.say("pushed", reference=tag, digest=index["digest"])
            pushed.append({"reference": tag, "digest": index["digest"]})
        self.receipt = {
            "version": 1, "build": self.id, "index": index, "images": [outcomes[platform] for platform in self.lanes],
            "tags": self.request.get("tags") or [], "pushed": pushed, "exported": [],
            "started": self.record["started"], "finished": milliseconds(),
        }
        self.record["index"] = index["digest"]
        return self.end("succeeded")


def describe(context):
    kind, value = next(iter(context.items()))
    return f"{kind} {value}"


class World:
    """All builds, and how the server misbehaves at the moment."""

    def __init__(self, token, places):
        self.token = token
        self.places = places
        self.builds = []
        self.lock = threading.Lock()
        self.cut = 0
        self.answer = None
        self.streams = 0

    def submit(self, request):
        with self.lock:
            build = Build(self, len(self.builds), request)
            self.builds.append(build)
        threading.Thread(target=build.play, daemon=True).start()
        return build

    def open(self, build):
        with self.lock:
            running = sum(one.record["state"] == "running" for one in self.builds)
            first = next((one for one in self.builds if one.record["state"] == "queued"), None)
            if running < self.places and first is build:
                build.record["state"] = "running"
                return True
            return False

    def ahead(self, build):
        return sum(one.record["state"] == "queued" and one.id < build.id for one in self.builds)

    def find(self, name):
        return next((build for build in self.builds if build.id == name), None)
