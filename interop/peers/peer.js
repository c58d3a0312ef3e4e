// A peer that a test drives: call({op, …}) answers with a promise. peer.py understands the same operations.
'use strict';

const connection = new RTCPeerConnection({iceServers: []});
const channels = new Map(); // label → {channel, received: [payload]}
const candidates = []; // as JSON; null behind the last
let waiting = []; // {ready, resolve}
let echoing = false;

const changed = () => {
  const done = waiting.filter(({ready}) => ready());
  waiting = waiting.filter((waiter) => !done.includes(waiter));
  done.forEach(({resolve}) => resolve());
};
const until = (ready) => new Promise((resolve) => {
  waiting.push({ready, resolve});
  changed();
});

const encode = (bytes) => {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(text);
};
const decode = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

const adopt = (channel) => {
  const entry = {channel, received: []};
  channel.binaryType = 'arraybuffer';
  channel.onopen = channel.onclose = channel.onclosing = changed;
  channel.onmessage = ({data}) => {
    const text = typeof data === 'string';
    entry.received.push(text ? {text: data} : {binary: encode(new Uint8Array(data))});
    if (echoing) channel.send(data);
    changed();
  };
  channels.set(channel.label, entry);
  changed();
};

connection.ondatachannel = ({channel}) => adopt(channel);
connection.onicecandidate = ({candidate}) => {
  candidates.push(candidate && candidate.toJSON());
  changed();
};
connection.onicegatheringstatechange = changed;
connection.onconnectionstatechange = changed;

const find = async (label) => {
  await until(() => channels.has(label));
  return channels.get(label);
};
const local = () => connection.localDescription.toJSON();
const gathered = async () => {
  await until(() => connection.iceGatheringState === 'complete');
  return local();
};

const operations = {
  // Reaches others by a TURN server alone.
  relay: ({url, username, credential}) => connection.setConfiguration({
    iceServers: [{urls: url, username, credential}],
    iceTransportPolicy: 'relay',
  }),
  // What the transport says of itself in the statistics.
  transport: async () => {
    const stats = [...(await connection.getStats()).values()];
    return stats.find(({type}) => type === 'transport');
  },
  // Makes a channel; `init` is an RTCDataChannelInit.
  create_channel: ({label, init}) => adopt(connection.createDataChannel(label, init)),
  // Makes a media section; `kind` is audio or video.
  add_media: ({kind}) => { connection.addTransceiver(kind); },
  // Offers at once; its candidates are asked for with `candidates`.
  offer_early: async () => {
    await connection.setLocalDescription();
    return local();
  },
  // Offers with every candidate in the description.
  offer: async () => {
    await connection.setLocalDescription();
    return gathered();
  },
  // Answers at once.
  answer_early: async ({description}) => {
    await connection.setRemoteDescription(description);
    await connection.setLocalDescription();
    return local();
  },
  answer: async ({description}) => {
    await operations.answer_early({description});
    return gathered();
  },
  accept: ({description}) => connection.setRemoteDescription(description),
  add_candidate: ({candidate}) => connection.addIceCandidate(candidate ?? undefined),
  // The candidates from number `from` on, at least one; null stands behind the last.
  candidates: async ({from}) => {
    await until(() => candidates.length > from);
    return candidates.slice(from);
  },
  // Sends everything that arrives from now on back on its channel.
  echo: () => { echoing = true; },
  send: async ({label, payloads}) => {
    const {channel} = await find(label);
    for (const {text, binary} of payloads) channel.send(text ?? decode(binary));
  },
  // Takes `count` messages.
  receive: async ({label, count}) => {
    const {received} = await find(label);
    await until(() => received.length >= count);
    return received.splice(0, count);
  },
  wait_channel: async ({label, state}) => {
    const {channel} = await find(label);
    await until(() => channel.readyState === state);
  },
  wait_connection: ({state}) => until(() => connection.connectionState === state),
  channel: async ({label}) => {
    const {channel} = await find(label);
    const {id, protocol, ordered, maxRetransmits, maxPacketLifeTime, negotiated, readyState} = channel;
    return {id, protocol, ordered, maxRetransmits, maxPacketLifeTime, negotiated, readyState};
  },
  labels: () => [...channels.keys()].sort(),
  max_message_size: () => connection.sctp.maxMessageSize,
  state: () => connection.connectionState,
  close_channel: async ({label}) => (await find(label)).channel.close(),
  close: () => connection.close(),
};

window.call = async (request) => {
  const operation = operations[request.op];
  if (!operation) throw new Error(`no operation ${request.op}`);
  return (await operation(request)) ?? null;
};
