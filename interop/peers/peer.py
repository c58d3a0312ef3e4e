"""A peer that a test drives: one JSON request a line on stdin, one JSON answer a line on stdout.

It understands the operations of peer.js, but gathers before it describes itself, so there is no trickling.
"""

import asyncio
import base64
import json
import sys

import aioice.ice
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcconfiguration import RTCIceTransportPolicy

# By itself it leaves out the loopback interface, the only one that every machine has.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


class Peer:
    def __init__(self, configuration=RTCConfiguration(iceServers=[])):
        self.connection = RTCPeerConnection(configuration)
        self.channels = {}  # label -> (channel, received payloads)
        self.change = asyncio.Event()
        self.echoing = False
        self.connection.on("datachannel", self.adopt)
        self.connection.on("connectionstatechange", self.changed)

    def changed(self, *_):
        self.change.set()

    async def until(self, ready):
        while not ready():
            self.change.clear()
            await self.change.wait()

    def adopt(self, channel):
        received = []

        def message(data):
            text = isinstance(data, str)
            received.append({"text": data} if text else {"binary": base64.b64encode(data).decode()})
            if self.echoing:
                channel.send(data)
            self.changed()

        channel.on("message", message)
        channel.on("open", self.changed)
        channel.on("close", self.changed)
        self.channels[channel.label] = (channel, received)
        self.changed()

    async def find(self, label):
        await self.until(lambda: label in self.channels)
        return self.channels[label]

    def local(self):
        description = self.connection.localDescription
        return {"type": description.type, "sdp": description.sdp}

    async def relay(self, url, username, credential):
        await self.connection.close()
        server = RTCIceServer(urls=url, username=username, credential=credential)
        self.__init__(RTCConfiguration(iceServers=[server], iceTransportPolicy=RTCIceTransportPolicy.RELAY))

    async def create_channel(self, label, init=None):
        self.adopt(self.connection.createDataChannel(label, **(init or {})))

    async def add_media(self, kind):
        self.connection.addTransceiver(kind)

    async def offer(self):
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.local()

    async def accept(self, description):
        await self.connection.setRemoteDescription(RTCSessionDescription(**self.known(description)))

    async def answer(self, description):
        await self.accept(description)
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        return self.local()

    @staticmethod
    def known(description):
        return {"type": description["type"], "sdp": description["sdp"]}

    async def echo(self):
        self.echoing = True

    async def send(self, label, payloads):
        channel, _ = await self.find(label)
        for payload in payloads:
            text = payload.get("text")
            channel.send(base64.b64decode(payload["binary"]) if text is None else text)

    async def receive(self, label, count):
        _, received = await self.find(label)
        await self.until(lambda: len(received) >= count)
        taken = received[:count]
        del received[:count]
        return taken

    async def wait_channel(self, label, state):
        channel, _ = await self.find(label)
        await self.until(lambda: channel.readyState == state)

    async def wait_connection(self, state):
        await self.until(lambda: self.connection.connectionState == state)

    async def channel(self, label):
        channel, _ = await self.find(label)
        names = ("id", "protocol", "ordered", "maxRetransmits", "maxPacketLifeTime", "negotiated", "readyState")
        return {name: getattr(channel, name) for name in names}

    async def labels(self):
        return sorted(self.channels)

    async def max_message_size(self):
        return self.connection.sctp.getCapabilities().maxMessageSize

    async def state(self):
        return self.connection.connectionState

    async def close_channel(self, label):
        channel, _ = await self.find(label)
        channel.close()

    async def close(self):
        await self.connection.close()


async def main():
    peer = Peer()
    reader = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        request = json.loads(line)
        try:
            operation = request.pop("op")
            answer = {"ok": await getattr(peer, operation)(**request)}
        except Exception as error:  # whatever goes wrong is told to the test
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    await peer.close()


asyncio.run(main())
