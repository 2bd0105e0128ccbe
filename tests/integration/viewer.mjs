// Opens views in Chromium and prints one line of JSON: what is seen in each, and what went wrong.
// See test_viewer.py.
import { join } from 'node:path';

const task = JSON.parse(process.argv[2]);
const { default: { chromium: browserType } } = await import(task.playwright);

const TIMEOUT_MS = 300_000; // ends a hang
const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
const browser = await browserType.launch({ executablePath: task.chromium, args });
const errors = [];
const foreign = [];
const seen = {};
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-GB' });
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (said) => said.type() === 'error' && errors.push(said.text()));
  page.on('request', (request) => new URL(request.url()).origin !== task.url && foreign.push(request.url()));
  await page.goto(task.url);
  await page.locator('[name=user]').fill(task.user);
  await page.locator('[name=password]').fill(task.password);
  await page.keyboard.press('Enter');
  await page.waitForURL(`${task.url}/`);
  for (const [name, view] of Object.entries(task.views)) {
    if (view.isWithoutByob) await page.addInitScript(withoutByob);
    await page.goto(task.url + view.path);
    await allThere(page);
    seen[name] = await look(page, view);
    if (view.sizes) await takePictures(page, name, view.sizes);
  }
} catch (error) {
  errors.push(String(error));
} finally {
  await browser.close();
}
console.log(JSON.stringify({ errors, foreign, seen }));

// Makes a browser that reads only into buffers of its own, as Safari does; it stays so.
function withoutByob() {
  const { getReader } = ReadableStream.prototype;
  ReadableStream.prototype.getReader = function (options) {
    if (options) throw new TypeError('mode');
    return getReader.call(this);
  };
}

async function allThere(page) {
  await page.waitForFunction(() => performance.getEntriesByName('all-there').length > 0);
}

// Goes to a structure, and finds the places of what is bright and of what has its colour.
async function look(page, { structure }) {
  await page.locator(`button.go[data-go="${structure}"]`).click();
  await page.locator('#crosshair').uncheck();
  await page.locator('#hide-all').click();
  await page.locator(`li[data-structure="${structure}"] input`).check();
  const found = {};
  for (const [kind, low, high, opacity] of [['bright', 1000, 1500, 0], ['coloured', 9000, 9001, 100]]) {
    await page.evaluate(setWindow, [low, high]);
    await page.locator('#opacity').fill(String(opacity));
    await drawn(page);
    found[kind] = await page.evaluate(centres);
  }
  found.slice = await page.locator('#slice').innerText();
  found.value = await page.locator('#value').innerText();
  found.pointed = await page.locator('#pointed').innerText();
  found.isTilted = await page.locator('#tilt').isVisible();
  return found;
}

function setWindow(ends) {
  const [low, high] = ['#low', '#high'].map((id) => document.querySelector(id));
  [low.value, high.value] = ends;
  high.dispatchEvent(new Event('change'));
}

async function drawn(page) {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

// The centre of all pixels that are not black, as shares of the picture, in each plane.
function centres() {
  const found = {};
  for (const name of ['axial', 'coronal', 'sagittal']) {
    const canvas = document.querySelector(`#${name} canvas`);
    const { width, height } = canvas;
    const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
    let [left, top, right, bottom, n, x, y] = [width, height, 0, 0, 0, 0, 0];
    for (let at = 0, row = 0; row < height; row += 1) {
      for (let column = 0; column < width; column += 1, at += 4) {
        if (!data[at + 3]) continue;
        [left, right] = [Math.min(left, column), Math.max(right, column)];
        [top, bottom] = [Math.min(top, row), Math.max(bottom, row)];
        if (Math.max(data[at], data[at + 1], data[at + 2]) < 60) continue;
        [n, x, y] = [n + 1, x + column, y + row];
      }
    }
    found[name] = n && [
      (x / n + 0.5 - left) / (right + 1 - left), (y / n + 0.5 - top) / (bottom + 1 - top),
      (right + 1 - left) / (bottom + 1 - top),
    ];
  }
  return found;
}

async function takePictures(page, name, sizes) {
  await page.locator('#crosshair').check();
  await page.locator('#show-all').click();
  await page.locator('[data-window=soft]').click();
  await page.locator('#opacity').fill('40');
  for (const [width, height] of sizes) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
      await drawn(page);
      await drawn(page);
      await page.screenshot({ path: join(task.pictures, `viewer-${name}-${width}-${colorScheme}.png`) });
    }
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}
