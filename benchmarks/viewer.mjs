// Opens a view in a new Chromium and prints one line of JSON: seconds and memory. See viewer.py.
import { readFileSync } from 'node:fs';

const task = JSON.parse(process.argv[2]);
const { default: { chromium: browserType } } = await import(task.playwright);

const TIMEOUT_MS = 300_000; // ends a hang
const SCROLLED = 20;
const args = ['--disable-gpu', ...(process.getuid() === 0 ? ['--no-sandbox'] : [])];
const browser = await browserType.launch({ executablePath: task.chromium, args });
try {
  const context = await browser.newContext({ viewport: { width: 1600, height: 1000 } });
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  await page.goto(task.url);
  await page.locator('[name=user]').fill(task.user);
  await page.locator('[name=password]').fill(task.password);
  await page.keyboard.press('Enter');
  await page.waitForURL(`${task.url}/`);
  await page.goto(task.url + task.path);
  await page.waitForFunction(() => performance.getEntriesByName('all-there').length > 0);
  const seconds = await page.evaluate(() =>
    ['first-picture', 'all-there'].map((name) => performance.getEntriesByName(name)[0].startTime / 1000));
  const scroll = await page.evaluate(scrollSeconds, SCROLLED);
  const { processInfo } = await (await browser.newBrowserCDPSession()).send('SystemInfo.getProcessInfo');
  const peaks = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => peakBytes(id));
  console.log(JSON.stringify({ seconds, scroll, renderer: Math.max(...peaks) }));
} finally {
  await browser.close();
}

// The seconds from a turn of the wheel to the picture, on average.
async function scrollSeconds(times) {
  const canvas = document.querySelector('#axial canvas');
  const start = performance.now();
  for (let n = 0; n < times; n += 1) {
    canvas.dispatchEvent(new WheelEvent('wheel', { deltaY: 100, cancelable: true }));
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  }
  return (performance.now() - start) / times / 1000;
}

function peakBytes(pid) {
  const [, kilobytes] = readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmHWM:\s+(\d+) kB/);
  return Number(kilobytes) * 1024;
}
