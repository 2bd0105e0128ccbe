// Loads the files of a view: its description, then labels and blocks of slices at the same time.

const AT_ONCE = 2;
const BUFFER_BYTES = 1 << 20;
// The status of a response that says why the images can't be shown.
const CONFLICT = 409;

export class LoadingError extends Error {}

export async function loadJson(base, name) {
  return (await request(base, name)).json();
}

// Loads a file into an array of bytes piece by piece, so that it is never held twice; through one
// small buffer, where the browser can.
export async function loadInto(base, name, bytes) {
  const reader = readerOf((await request(base, name)).body);
  let buffer = new ArrayBuffer(BUFFER_BYTES);
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read(new Uint8Array(buffer));
    if (done) break;
    bytes.set(value, at);
    at += value.length;
    buffer = value.buffer; // a reader that makes its own buffers ignores it
  }
  if (at !== bytes.length) throw new LoadingError('');
}

function readerOf(body) {
  try {
    return body.getReader({ mode: 'byob' });
  } catch {
    return body.getReader(); // Safari
  }
}

// Loads blocks in their order, some at once, and tells when each is there.
export async function loadBlocks(base, blocks, bytesOf, receive) {
  const waiting = [...blocks];
  const work = async () => {
    for (let block = waiting.shift(); block; block = waiting.shift()) {
      await loadInto(base, block.name, bytesOf(block));
      receive(block);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function request(base, name) {
  const response = await fetch(`${base}/${name}`, { cache: 'no-store' });
  if (!response.ok) throw new LoadingError(response.status === CONFLICT ? await response.text() : '');
  return response;
}
