// Loads the files of a view: its description, then labels and blocks of slices at the same time.

const AT_ONCE = 4;
// The status of a response that says why the images can't be shown.
const CONFLICT = 409;

export class LoadingError extends Error {}

export async function loadJson(base, name) {
  return (await request(base, name)).json();
}

export async function loadBytes(base, name) {
  return (await request(base, name)).arrayBuffer();
}

// Loads blocks in their order, some at once, and passes each on when it is there.
export async function loadBlocks(base, blocks, receive) {
  const waiting = [...blocks];
  const work = async () => {
    for (let block = waiting.shift(); block; block = waiting.shift()) {
      receive(block, await loadBytes(base, block.name));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function request(base, name) {
  const response = await fetch(`${base}/${name}`, { cache: 'no-store' });
  if (!response.ok) throw new LoadingError(response.status === CONFLICT ? await response.text() : '');
  return response;
}
