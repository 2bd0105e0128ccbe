// Uses the page as somebody does who has no mouse, and prints one line of JSON: what was seen,
// what a check for accessibility objects to, and what went wrong. See test_web_page.py.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const { playwright, axe, chromium, url, user, password, patient, screenshots } = JSON.parse(
  process.argv[2]
);
const { default: { chromium: browserType } } = await import(playwright);

const checker = readFileSync(axe, 'utf8');
const TIMEOUT_MS = 300_000; // ends a hang
const DESK = { width: 1360, height: 900 };
const PHONE = { width: 390, height: 844 };
const ZOOMED = { width: 320, height: 256 }; // 1280 by 1024 at 400 % (WCAG 1.4.10)
const TABS = 60;

const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
const browser = await browserType.launch({ executablePath: chromium, args });
const errors = [];
const foreign = [];
const violations = {};
const wide = [];
try {
  const context = await browser.newContext({ viewport: DESK, locale: 'en-GB' });
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  page.on('pageerror', error => errors.push(String(error)));
  page.on('console', said => said.type() === 'error' && errors.push(said.text()));
  page.on('request', request => {
    if (new URL(request.url()).origin !== url) {
      foreign.push(request.url());
    }
  });

  await page.goto(url);
  await look(page, 'login');
  await page.keyboard.type(user); // the focus is where it has to be
  await page.keyboard.press('Tab');
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: patient }).first().waitFor();
  await look(page, 'overview');

  await tabTo(page, 'Retry');
  const focusBefore = await page.evaluate(() => document.activeElement.id);
  const focusKept = await page.evaluate(twoRefreshes);
  await page.keyboard.press('Enter');
  await page.locator('#said').getByText('The job is queued again.').waitFor();
  // The page settles a moment after it has changed.
  await page.waitForFunction(() => document.activeElement.id !== '').catch(() => {});
  const focusAfter = await page.evaluate(() => document.activeElement.id);

  const alarm = page.locator('#alarm');
  const problems = errors.length;
  await context.setOffline(true);
  await alarm.getByText('does not answer').waitFor();
  errors.length = problems; // the browser says that it has no network
  await context.setOffline(false);
  await alarm.waitFor({ state: 'hidden' });

  await page.getByRole('link', { name: patient }).last().press('Enter');
  await page.getByRole('rowheader', { name: 'spleen' }).waitFor();
  await look(page, 'study');
  const report = await context.newPage();
  report.on('console', said => said.type() === 'error' && errors.push(said.text()));
  const href = await page.getByRole('link', { name: 'report.html' }).getAttribute('href');
  await report.goto(url + href);
  const reportShown = await report.locator('h1').first().innerText();
  await report.close();

  await page.getByRole('link', { name: 'Which rule would fit this study?' }).press('Enter');
  await page.getByText('1 rule would fit this study: ct.').waitFor();
  await look(page, 'rules');
  await page.getByRole('link', { name: 'Log', exact: true }).press('Enter');
  await page.getByText('sender rejected').waitFor();
  await look(page, 'log');
  await page.locator('.sites a[href="/review"]').press('Enter');
  await page.getByRole('link', { name: 'Start' }).waitFor();
  await look(page, 'review');
  await page.getByRole('link', { name: 'Decided' }).press('Enter');
  await page.getByText('There is no such decision.').waitFor();
  await look(page, 'decided');
  await page.getByRole('link', { name: 'Rates' }).press('Enter');
  await page.getByRole('link', { name: 'Download as CSV' }).waitFor();
  await look(page, 'rates');
  await page.getByRole('link', { name: 'Search' }).press('Enter');
  await page.getByLabel('Patient: name or ID').fill('mueller');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'Müller, Hans' }).waitFor();
  await look(page, 'search');
  await page.getByRole('link', { name: user }).press('Enter');
  await page.getByRole('heading', { name: 'Your account' }).waitFor();
  await look(page, 'account');
  await page.getByRole('link', { name: 'Accounts' }).press('Enter');
  await page.getByRole('heading', { name: 'Add an account' }).waitFor();
  await look(page, 'accounts');
  await page.getByRole('button', { name: 'Log out' }).press('Enter');
  await page.getByLabel('Password').waitFor();

  const saidWithoutScripts = await withoutScripts();
  const seen = { focusBefore, focusKept, focusAfter, reportShown, saidWithoutScripts };
  console.log(JSON.stringify({ errors, foreign, violations, wide, seen }));
} finally {
  await browser.close();
}

// Takes a picture in each manner, and checks each.
async function look(page, name) {
  for (const [manner, viewport, colorScheme] of [
    ['light', DESK, 'light'],
    ['dark', DESK, 'dark'],
    ['phone', PHONE, 'light'],
    ['zoomed', ZOOMED, 'dark'],
  ]) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    await page.evaluate(() => Promise.all([...document.images].map(one => one.decode())));
    if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) {
      wide.push(`${name}-${manner}`);
    }
    await page.screenshot({ path: join(screenshots, `${name}-${manner}.png`), fullPage: true });
    violations[`${name}-${manner}`] = await violationsIn(page);
  }
  await page.setViewportSize(DESK);
  await page.emulateMedia({ colorScheme: 'light' });
}

// The page lets no script in but its own; the check runs beside it, in a world of its own.
async function violationsIn(page) {
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send('Page.getFrameTree');
  const { executionContextId } = await session.send('Page.createIsolatedWorld', {
    frameId: frameTree.frame.id,
  });
  const run = expression =>
    session.send('Runtime.evaluate', {
      expression,
      contextId: executionContextId,
      awaitPromise: true,
      returnByValue: true,
    });
  await run(checker);
  const { result } = await run(
    `axe.run().then(({ violations }) => violations
      .map(one => ({ id: one.id, impact: one.impact, where: one.nodes.map(node => node.html) })))`
  );
  await session.detach();
  return result.value ?? [{ id: 'not run', impact: 'critical', where: [] }];
}

async function tabTo(page, name) {
  for (let n = 0; n < TABS; n += 1) {
    await page.keyboard.press('Tab');
    const text = await page.evaluate(() => document.activeElement.innerText);
    if (text.startsWith(name)) {
      return;
    }
  }
  throw new Error(`${name} is not reached by the keyboard`);
}

// Returns what has the focus after the page has put itself up to date twice more.
function twoRefreshes() {
  return new Promise(resolve => {
    let left = 2;
    document.body.addEventListener('htmx:afterSettle', () => {
      left -= 1;
      if (left === 0) {
        resolve(document.activeElement.id);
      }
    });
  });
}

// Logs in and does something with plain forms alone.
async function withoutScripts() {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  await page.goto(url);
  await page.getByLabel('Your name').fill(user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('button', { name: 'Pause' }).click();
  return page.locator('#said').innerText();
}
