// Runs peer.js in Node over one of its WebRTC libraries: requests and answers are lines of JSON, as with peer.py.
// node peer.mjs FOLDER node-datachannel|@roamhq/wrtc, where FOLDER is the one that npm installed them in.
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {createInterface} from 'node:readline';
import {runInThisContext} from 'node:vm';

const [folder, library] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const entry = {'node-datachannel': 'node-datachannel/polyfill'}[library] ?? library;
const {RTCPeerConnection: Library} = require(entry);
globalThis.RTCPeerConnection = class extends Library {
  async setRemoteDescription(description) {
    this.answers = description.type === 'offer';
    await super.setRemoteDescription(description);
  }

  // wrtc wants to be given what it is to set; libdatachannel sets its answers itself.
  async setLocalDescription() {
    const description = await (this.answers ? this.createAnswer() : this.createOffer());
    if (!this.answers || this.signalingState !== 'stable') await super.setLocalDescription(description);
  }
};
globalThis.window = globalThis;
runInThisContext(readFileSync(new URL('peer.js', import.meta.url), 'utf8'), 'peer.js');

const answer = async (request) => {
  try {
    return {ok: await window.call(request)};
  } catch (error) {
    return {error: String(error)};
  }
};
for await (const line of createInterface({input: process.stdin})) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
process.exit(0);
