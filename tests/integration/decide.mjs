// Decides about results in Chromium on a tablet, with fingers alone, and prints one line of JSON.
// See test_decide_on_a_tablet.py.
import { join } from 'node:path';

const task = JSON.parse(process.argv[2]);
const { default: { chromium: browserType } } = await import(task.playwright);

const TIMEOUT_MS = 120_000; // ends a hang
const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
const browser = await browserType.launch({ executablePath: task.chromium, args });
const errors = [];
const steps = [];
try {
  const context = await browser.newContext({
    viewport: { width: 800, height: 1180 }, hasTouch: true, locale: 'en-GB', colorScheme: task.scheme,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (said) => said.type() === 'error' && errors.push(said.text()));
  await page.goto(task.url);
  await page.locator('[name=user]').fill(task.user);
  await page.locator('[name=password]').fill(task.password);
  await page.locator('[type=submit], form button').first().tap();
  await page.waitForURL(`${task.url}/`);
  await page.goto(task.url + task.first);
  await seen(page, 'first');
  await explain(page, 'released', 'A second spleen.');
  await seen(page, 'after-release');
  await press(page, page.locator('#onward'));
  await seen(page, 'after-skip');
  await press(page, page.locator('#verify'));
  await seen(page, 'after-verify');
  await explain(page, 'rejected', 'The spleen leaks into the stomach.', 'spleen');
  await seen(page, 'after-reject');
  await press(page, page.locator('#start'));
  await seen(page, 'second-walk');
  await explain(page, 'commented', 'A rare variant.');
  await seen(page, 'after-comment');
  await page.goto(task.url + task.rejected);
  await explain(page, 'withdrawn', 'It was the stomach.');
  await seen(page, 'after-withdrawal');
  await press(page, page.locator('#accept'));
  await seen(page, 'after-accept');
} catch (error) {
  errors.push(String(error));
} finally {
  await browser.close();
}
console.log(JSON.stringify({ errors, steps }));

// Opens a form, enters a reason and sends it.
async function explain(page, kind, reason, structure) {
  const form = page.locator('details.decision').filter({ has: page.locator(`#${kind}`) });
  await form.locator('> summary').tap();
  await form.locator('[name=reason]').fill(reason);
  if (structure) {
    await form.locator('details > summary').tap();
    await form.locator(`[name="structure:${structure}"]`).tap();
  }
  await page.screenshot({ path: join(task.pictures, `${task.scheme}-${kind}.png`), fullPage: true });
  await press(page, form.locator(`#${kind}`));
}

// Sends a form, and waits for the page that comes next.
async function press(page, button) {
  const before = page.url();
  await Promise.all([page.waitForURL((url) => String(url) !== before), button.tap()]);
}

// Notes where the page is, what it says, and the smallest target for a finger.
async function seen(page, name) {
  const { pathname } = new URL(page.url());
  const [said = ''] = await page.locator('#said').allTextContents();
  const targets = page.locator('.decide button, .decide summary, .decide .button').filter({ visible: true });
  const heights = await targets.evaluateAll((all) => all.map((each) => each.getBoundingClientRect().height));
  steps.push({ name, pathname, said: said.trim(), smallest: heights.length ? Math.min(...heights) : 0 });
  await page.screenshot({ path: join(task.pictures, `${task.scheme}-${name}.png`), fullPage: true });
}
