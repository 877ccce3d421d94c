// The visit, step by step; its findings go to the page's server.
"use strict";

const ports = Object.fromEntries(new URLSearchParams(location.search));
const guarded = `wss://app.test:${ports.guarded}`;

const pattern = (length) => Uint8Array.from({ length }, (_, i) => i % 251);

async function bytes(message) {
  if (typeof message === "string") return new TextEncoder().encode(message);
  return new Uint8Array(message instanceof Blob ? await message.arrayBuffer() : message);
}

// Sends a message that is to come back as it is, of the same kind.
async function echo(ws, message) {
  const answer = await ws.answer(message);
  const [sent, got] = [await bytes(message), await bytes(answer)];
  const sameKind = (typeof message === "string") === (typeof answer === "string");
  const same = sameKind && sent.length === got.length && sent.every((byte, i) => byte === got[i]);
  return { bytes: sent.length, same };
}

async function talk() {
  const ws = call(`${guarded}/talk?room=1&name=%C3%A9`, ["chat.v1", "chat.v2"]);
  await ws.opened;
  const { protocol, extensions } = ws.socket;
  const characters = "\u{1F600}\u{1D11E}".repeat(10_000);
  const messages = ["", "gross", characters, pattern(0), pattern(1 << 20), new Blob([pattern(300)])];
  const echoes = [];
  for (const message of messages) echoes.push(await echo(ws, message));
  ws.socket.send("close 4001 done");
  return { protocol, extensions, echoes, close: await ws.closed };
}

async function again() {
  const ws = call(`${guarded}/again`);
  await ws.opened;
  ws.socket.close(4002, "genug für heute");
  return { protocol: ws.socket.protocol, close: await ws.closed };
}

// A page of another origin, in a frame.
function foreign() {
  const frame = document.createElement("iframe");
  frame.src = `https://other.test:${location.port}/foreign${location.search}`;
  return new Promise((resolve) => {
    addEventListener("message", ({ data }) => resolve(data), { once: true });
    document.documentElement.append(frame);
  });
}

// The upstream sends half a message, has the proxy drained, and sends the rest.
async function drain() {
  const ws = call(`${guarded}/drain`);
  await ws.opened;
  const message = await ws.answer("drain").catch(String);
  return { message, close: await ws.closed, events: ws.events };
}

async function visit() {
  const report = { agent: navigator.userAgent };
  const step = async (name, findings) => {
    console.log(`step: ${name}`);
    report[name] = await findings();
  };
  document.cookie = "theme=dark; Secure; Path=/";
  await step("talk", talk);
  await step("again", again);
  report.cookies = document.cookie;
  await step("foreign", foreign);
  await step("stranger", () => never(`wss://app.test:${ports.stranger}/stranger`));
  await step("misnamed", () => never(`wss://misnamed.test:${ports.guarded}/misnamed`));
  await step("drain", drain);
  return report;
}

visit()
  .catch((error) => ({ error: `${error}\n${error.stack}` }))
  .then((report) => fetch("/report", { method: "POST", body: JSON.stringify(report) }));
