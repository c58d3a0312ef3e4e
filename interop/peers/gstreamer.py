"""A peer that a test drives, with GStreamer's webrtcbin: one JSON request a line on stdin, one JSON answer a line on stdout.

It understands those operations of peer.py that a test of paths needs. Descriptions hold all candidates.
"""

import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC

PATIENCE = 20


class Peer:
    def __init__(self):
        # One element alone would not become a pipeline.
        self.pipeline = Gst.parse_launch("webrtcbin name=peer bundle-policy=max-bundle fakesrc num-buffers=0 ! fakesink")
        self.webrtc = self.pipeline.get_by_name("peer")
        self.change = threading.Condition()
        self.negotiable = False
        self.channels = {}  # label -> (channel, received payloads)
        self.echoing = False
        self.webrtc.connect("on-data-channel", lambda _, channel: self.adopt(channel))
        self.webrtc.connect("on-negotiation-needed", self.negotiation_needed)
        for name in ("connection-state", "ice-gathering-state"):
            self.webrtc.connect(f"notify::{name}", self.changed)
        self.pipeline.set_state(Gst.State.PLAYING)

    def changed(self, *_):
        with self.change:
            self.change.notify_all()

    def negotiation_needed(self, _):
        self.negotiable = True
        self.changed()

    def until(self, ready):
        with self.change:
            if not self.change.wait_for(ready, PATIENCE):
                raise TimeoutError("it takes too long")

    def adopt(self, channel):
        received = []

        def text(_, message):
            received.append({"text": message})
            if self.echoing:
                channel.emit("send-string", message)
            self.changed()

        channel.connect("on-message-string", text)
        channel.connect("notify::ready-state", self.changed)
        self.channels[channel.get_property("label")] = (channel, received)
        self.changed()

    def find(self, label):
        self.until(lambda: label in self.channels)
        return self.channels[label]

    def ask(self, signal, *arguments):
        promise = Gst.Promise.new()
        self.webrtc.emit(signal, *arguments, promise)
        promise.wait()
        return promise

    def create(self, kind):
        # What owns the description has to stay until the description has been used.
        promise = self.ask(f"create-{kind}", None)
        reply = promise.get_reply()
        description = reply.get_value(kind)
        self.ask("set-local-description", description)
        complete = GstWebRTC.WebRTCICEGatheringState.COMPLETE
        self.until(lambda: self.webrtc.get_property("ice-gathering-state") == complete)
        local = self.webrtc.get_property("local-description")
        sdp = local.sdp
        return {"type": kind, "sdp": sdp.as_text()}

    def create_channel(self, label, init=None):
        self.adopt(self.webrtc.emit("create-data-channel", label, None))

    def offer(self):
        self.until(lambda: self.negotiable)
        return self.create("offer")

    def accept(self, description):
        kind = getattr(GstWebRTC.WebRTCSDPType, description["type"].upper())
        _, sdp = GstSdp.SDPMessage.new_from_text(description["sdp"])
        self.ask("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(kind, sdp))

    def answer(self, description):
        self.accept(description)
        return self.create("answer")

    def echo(self):
        self.echoing = True

    def send(self, label, payloads):
        channel, _ = self.find(label)
        for payload in payloads:
            channel.emit("send-string", payload["text"])

    def receive(self, label, count):
        _, received = self.find(label)
        self.until(lambda: len(received) >= count)
        taken = received[:count]
        del received[:count]
        return taken

    def wait_channel(self, label, state):
        channel, _ = self.find(label)
        self.until(lambda: channel.get_property("ready-state").value_nick == state)

    def wait_connection(self, state):
        self.until(lambda: self.webrtc.get_property("connection-state").value_nick == state)

    def state(self):
        return self.webrtc.get_property("connection-state").value_nick

    def end(self):
        self.pipeline.set_state(Gst.State.NULL)


def main():
    Gst.init(None)
    threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
    peer = Peer()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            operation = request.pop("op")
            answer = {"ok": getattr(peer, operation)(**request)}
        except Exception as error:  # whatever goes wrong is told to the test
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    peer.end()


main()
