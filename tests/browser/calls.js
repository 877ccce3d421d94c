// A WebSocket whose events are kept in order and can be waited for. Whatever waits in vain ends with the connection.
"use strict";

function call(url, protocols = []) {
  const socket = new WebSocket(url, protocols);
  socket.binaryType = "arraybuffer";
  const events = [];
  const closed = new Promise((resolve) => {
    socket.onclose = ({ code, reason, wasClean }) => {
      events.push("close");
      resolve({ code, reason, wasClean });
    };
  });
  socket.onerror = () => events.push("error");
  const orClosed = (promise) =>
    Promise.race([
      promise,
      closed.then((close) => {
        throw new Error(`${url} was closed: ${JSON.stringify(close)}`);
      }),
    ]);
  const opened = new Promise((resolve) => {
    socket.onopen = () => {
      events.push("open");
      resolve();
    };
  });
  const answer = (message) =>
    orClosed(
      new Promise((resolve) => {
        socket.onmessage = ({ data }) => {
          events.push("message");
          resolve(data);
        };
        socket.send(message);
      }),
    );
  return { socket, events, closed, opened: orClosed(opened), answer };
}

// What is seen of a connection that must not come to be; should it all the same, it is closed.
async function never(url) {
  const ws = call(url);
  ws.opened.then(
    () => ws.socket.close(),
    () => {},
  );
  const close = await ws.closed;
  return { events: ws.events, close };
}
