// One session is a WebSocket for signalling and, through it, a peer connection with one data channel, over which all talk
// goes. Whatever of it is lost, the whole is given up and a new session begins.

const CHANNEL = "chat";
const KEPT_MESSAGES = 500;
const FIRST_DELAY = 500;
const LONGEST_DELAY = 10_000;
// A path that breaks often comes back within seconds; "failed" takes browsers half a minute.
const DISCONNECTED_TIMEOUT = 5_000;
const CONNECT_TIMEOUT = 20_000;

const element = (id) => document.getElementById(id);
const ui = {
  state: element("state"), messages: element("messages"), members: element("members"), count: element("count"),
  name: element("name"), text: element("text"), send: element("send"), composer: element("composer"),
  disconnect: element("disconnect"), reconnect: element("reconnect"), invite: element("invite"),
};

class Session {
  constructor() {
    this.ended = false;
    this.id = null;
    const address = new URL(`${location.pathname}/signal`, location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(address);
    this.socket.onmessage = ({ data }) => this.handleSignal(JSON.parse(data)).catch((error) => this.lose(error.message));
    this.socket.onclose = () => this.lose("signalling lost");
    this.timeout = setTimeout(() => this.lose("no connection in time"), CONNECT_TIMEOUT);
    showState("connecting", "Connecting");
    this.showLayers();
  }

  async handleSignal(signal) {
    if (this.ended) return;
    if (signal.configuration) {
      await this.offer(signal.configuration);
    } else if (signal.description) {
      await this.peer.setRemoteDescription(signal.description);
    } else if ("candidate" in signal) {
      await this.peer.addIceCandidate(signal.candidate ?? { candidate: "" });
    } else if (signal.error) {
      this.refuse(signal.error);
    }
  }

  async offer(configuration) {
    const peer = new RTCPeerConnection(configuration);
    this.peer = peer;
    peer.onicecandidate = ({ candidate }) => this.signal({ candidate });
    peer.onsignalingstatechange = peer.onicegatheringstatechange = () => this.showLayers();
    peer.oniceconnectionstatechange = () => this.showLayers();
    peer.onconnectionstatechange = () => this.handleConnectionState();
    this.channel = peer.createDataChannel(CHANNEL);
    this.channel.onopen = () => {
      this.showLayers();
      this.tell({ type: "join", name: ui.name.value });
    };
    this.channel.onmessage = ({ data }) => this.handleNotice(JSON.parse(data));
    this.channel.onclose = () => this.lose("channel closed");
    await peer.setLocalDescription();
    this.signal({ description: peer.localDescription });
    if (peer.sctp?.transport) peer.sctp.transport.onstatechange = () => this.showLayers();
    this.showLayers();
  }

  handleConnectionState() {
    this.showLayers();
    clearTimeout(this.disconnected);
    const state = this.peer.connectionState;
    if (state === "failed") {
      this.lose("connection failed");
    } else if (state === "disconnected") {
      showState("connecting", "Connection interrupted");
      this.disconnected = setTimeout(() => this.lose("connection lost"), DISCONNECTED_TIMEOUT);
    } else if (state === "connected") {
      if (this.peer.sctp?.transport) this.peer.sctp.transport.onstatechange = () => this.showLayers();
      if (this.id !== null) showState("connected", "Connected");
    }
  }

  handleNotice(notice) {
    switch (notice.type) {
      case "welcome":
        clearTimeout(this.timeout);
        attempts = 0;
        this.id = notice.id;
        members.clear();
        for (const member of notice.members) members.set(member.id, member.name);
        showState("connected", "Connected");
        this.watchPath();
        break;
      case "joined":
        members.set(notice.id, notice.name);
        addNotice(`${notice.name} joined`);
        break;
      case "left":
        members.delete(notice.id);
        addNotice(`${notice.name} left`);
        break;
      case "renamed":
        addNotice(`${members.get(notice.id) ?? "Somebody"} is now ${notice.name}`);
        members.set(notice.id, notice.name);
        break;
      case "said":
        addMessage(notice, notice.id === this.id);
        break;
      case "refused":
        addNotice(`Not done: ${notice.reason}`, true);
        break;
      case "closed":
        this.refuse(notice.reason);
        break;
    }
    showMembers(this.id);
    this.showLayers();
  }

  // What all in the room see goes over the channel.
  tell(request) {
    if (this.channel?.readyState !== "open") return false;
    this.channel.send(JSON.stringify(request));
    return true;
  }

  // What sets the connection up goes over the WebSocket.
  signal(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  // Something broke: a new session after a while.
  lose(reason) {
    if (this.ended) return;
    this.end();
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** attempts) * (0.75 + Math.random() / 2);
    attempts += 1;
    timer = setTimeout(connect, delay);
    showState("waiting", `Reconnecting in ${Math.max(1, Math.round(delay / 1000))} s`);
    console.info(`session lost: ${reason}`);
  }

  // The server wants no session: another one only when the person asks for it.
  refuse(reason) {
    if (this.ended) return;
    this.end();
    addNotice(reason, true);
    showState("refused", "Refused");
  }

  end() {
    this.ended = true;
    clearTimeout(this.timeout);
    clearTimeout(this.disconnected);
    clearInterval(this.watch);
    this.showLayers();
    this.socket.close();
    this.peer?.close();
    members.clear();
    showMembers(null);
  }

  showLayers() {
    const { peer, channel } = this;
    const open = !this.ended;
    const show = (id, value) => { element(id).textContent = (open && value) || "–"; };
    const socket = ["connecting", "open", "closing", "closed"][this.socket.readyState];
    show("state-signalling", peer ? `${socket}, ${peer.signalingState}` : socket);
    show("state-ice", peer && `${peer.iceConnectionState}, gathering ${peer.iceGatheringState}`);
    show("state-dtls", peer?.sctp?.transport?.state);
    show("state-connection", peer?.connectionState);
    show("state-channel", channel?.readyState);
    if (!open) show("state-path", null);
  }

  // The kind of both ends and the round-trip time of the pair of candidates in use.
  watchPath() {
    const look = async () => {
      const stats = await this.peer.getStats();
      const all = [...stats.values()];
      const transport = all.find(({ type }) => type === "transport");
      const pair = stats.get(transport?.selectedCandidatePairId) ?? all.find(({ type, selected }) => type === "candidate-pair" && selected);
      if (!pair || this.ended) return;
      const kind = (id) => stats.get(id)?.candidateType ?? "?";
      const time = pair.currentRoundTripTime === undefined ? "" : `, ${(pair.currentRoundTripTime * 1000).toFixed(0)} ms`;
      element("state-path").textContent = `${kind(pair.localCandidateId)} – ${kind(pair.remoteCandidateId)}${time}`;
    };
    clearInterval(this.watch);
    this.watch = setInterval(() => look().catch(() => {}), 2_000);
    look().catch(() => {});
  }
}

let session = null;
let timer = null;
let attempts = 0;
const members = new Map();

function connect() {
  clearTimeout(timer);
  session?.end();
  session = new Session();
}

function disconnect() {
  clearTimeout(timer);
  session?.end();
  showState("closed", "Disconnected");
}

function showState(state, words) {
  ui.state.dataset.state = state;
  ui.state.textContent = words;
  const connected = state === "connected";
  ui.text.disabled = ui.send.disabled = !connected;
  ui.disconnect.hidden = state === "closed" || state === "refused";
  ui.reconnect.hidden = !ui.disconnect.hidden;
}

// What others wrote becomes text and never markup.
function make(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function hue(id) {
  return String((id * 137) % 360);
}

function showMembers(own) {
  ui.count.textContent = members.size;
  ui.members.replaceChildren(...[...members].map(([id, name]) => {
    const item = make("li");
    item.style.setProperty("--hue", hue(id));
    item.dataset.initial = [...name][0]?.toUpperCase() ?? "?";
    item.append(make("span", "", name));
    if (id === own) item.append(make("small", "", "you"));
    return item;
  }));
}

function addMessage({ id, name, text }, own) {
  const item = make("li", own ? "message own" : "message");
  item.style.setProperty("--hue", hue(id));
  item.dataset.member = id;
  const last = ui.messages.lastElementChild;
  if (last?.dataset.member === String(id) && last.querySelector(".author").textContent === name) item.classList.add("follows");
  const bubble = make("div", "bubble");
  const now = new Date();
  const time = make("time", "", now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = now.toISOString();
  bubble.append(make("p", "text", text), time);
  item.append(make("span", "author", name), bubble);
  append(item);
}

function addNotice(text, warning = false) {
  append(make("li", warning ? "notice warning" : "notice", text));
}

function append(item) {
  const { messages } = ui;
  const atEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 80;
  messages.append(item);
  while (messages.childElementCount > KEPT_MESSAGES) messages.firstElementChild.remove();
  if (atEnd || item.classList.contains("own")) messages.scrollTop = messages.scrollHeight;
}

function randomName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const first = ["Quiet", "Bright", "Swift", "Gentle", "Bold", "Merry", "Keen", "Calm"];
  const second = ["Otter", "Heron", "Lynx", "Wren", "Badger", "Finch", "Marten", "Swan"];
  return `${pick(first)} ${pick(second)}`;
}

// Storage may be forbidden; the name is then forgotten.
function remembered() {
  try { return localStorage.getItem("name"); } catch { return null; }
}

function remember(name) {
  try { localStorage.setItem("name", name); } catch { /* not remembered */ }
}

ui.composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = ui.text.value.trim();
  if (text && session?.tell({ type: "say", text })) ui.text.value = "";
  ui.text.focus();
});

ui.text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    ui.composer.requestSubmit();
  }
});

ui.name.addEventListener("change", () => {
  ui.name.value = ui.name.value.trim() || randomName();
  remember(ui.name.value);
  session?.tell({ type: "rename", name: ui.name.value });
});

ui.invite.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    ui.invite.textContent = "Copied";
    setTimeout(() => { ui.invite.textContent = "Copy invitation"; }, 2_000);
  } catch {
    addNotice(`The address of this room: ${location.href}`);
  }
});

ui.disconnect.addEventListener("click", disconnect);
ui.reconnect.addEventListener("click", () => {
  attempts = 0;
  connect();
});

function retryNow() {
  if (ui.state.dataset.state === "waiting") connect();
}
window.addEventListener("online", retryNow);
document.addEventListener("visibilitychange", () => { if (!document.hidden) retryNow(); });
window.addEventListener("pagehide", () => session?.end());
window.addEventListener("pageshow", (event) => { if (event.persisted) connect(); });

element("room").textContent = location.pathname.split("/").pop();
element("details").open = window.matchMedia("(min-width: 46rem)").matches;
ui.name.value = remembered() ?? randomName();
connect();
