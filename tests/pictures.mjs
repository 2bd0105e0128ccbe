// Logs in to the gateway's page and takes a picture of it. See pictures.py.
const { playwright, chromium, url, user, password, screenshot } = JSON.parse(process.argv[2]);
const { default: { chromium: browserType } } = await import(playwright);

const TIMEOUT_MS = 60_000;
const VIEWPORT = { width: 1440, height: 900 };

const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
const browser = await browserType.launch({ executablePath: chromium, args });
try {
  const context = await browser.newContext({ viewport: VIEWPORT, locale: 'en-GB' });
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  await page.goto(url);
  await page.getByLabel('Your name').fill(user);
  await page.getByLabel('Password').fill(password);
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('progress[value]:not([value="0"])'));
  await page.evaluate(() => Promise.all([...document.images].map(image => image.decode())));
  await page.screenshot({ path: screenshot, fullPage: true });
} finally {
  await browser.close();
}
