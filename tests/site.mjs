// Opens the site of the documentation as a file, searches it, and prints what it loaded and found.
// See tests/integration/test_site.py.
const { playwright, chromium, page: address, words } = JSON.parse(process.argv[2]);
const { default: { chromium: browserType } } = await import(playwright);

const TIMEOUT_MS = 300_000;

const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
const browser = await browserType.launch({ executablePath: chromium, args });
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  page.setDefaultTimeout(TIMEOUT_MS);
  const loaded = [];
  const errors = [];
  page.on('request', request => loaded.push(request.url()));
  page.on('pageerror', error => errors.push(error.message));
  await page.goto(address);
  await page.getByRole('textbox', { name: 'Search' }).fill(words);
  const results = page.locator('.md-search-result__item > a');
  await results.first().waitFor();
  const found = await results.evaluateAll(links => links.map(link => link.href));
  process.stdout.write(JSON.stringify({ loaded, errors, found }));
} finally {
  await browser.close();
}
