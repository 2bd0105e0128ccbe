// Shows a series and its overlay beside each other in OHIF, scrolls in one and then in the other,
// and prints one line of JSON: the position of both images after each step, and what went wrong in
// the page. See viewer.py.
const { playwright, chromium, viewer, study, series, overlay, steps, screenshot } = JSON.parse(
  process.argv[2]
);
const { default: { chromium: browserType } } = await import(playwright);

const TIMEOUT_MS = 300_000; // ends a hang
// By default the page is asked before each frame, and each frame is drawn without a GPU.
const POLL = { polling: 100 };
const VIEWPORT = { width: 1300, height: 700 };
const WITHOUT_GPU = ['--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'];
const AS_ROOT = process.getuid() === 0 ? ['--no-sandbox'] : [];

const args = [...WITHOUT_GPU, ...AS_ROOT];
const browser = await browserType.launch({ executablePath: chromium, args });
try {
  const errors = [];
  const page = await browser.newPage({ viewport: VIEWPORT, serviceWorkers: 'block' });
  page.setDefaultTimeout(TIMEOUT_MS);
  page.on('pageerror', error => errors.push(String(error)));
  await page.route(url => url.origin !== viewer, route => route.abort());
  await page.goto(`${viewer}/viewer?StudyInstanceUIDs=${study}`);
  await page.waitForFunction(areDrawn, 1, POLL);
  await page.evaluate(showBoth, [series, overlay]);
  await page.waitForFunction(areDrawn, 2, POLL);
  const seen = [];
  for (const { pane, images } of steps) {
    const box = await page.locator('[data-cy="viewport-pane"]').nth(pane).boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    for (let n = 0; n < Math.abs(images); n++) {
      const before = (await page.evaluate(positions))[pane];
      await page.mouse.wheel(0, 100 * Math.sign(images));
      await page.waitForFunction(hasMoved, [pane, before], POLL);
    }
    await page.waitForFunction(areEqual, undefined, POLL)
      .catch(() => errors.push('the other does not follow'));
    seen.push(await page.evaluate(positions));
  }
  await page.mouse.move(0, 0);
  await page.screenshot({ path: screenshot });
  console.log(JSON.stringify({ errors, seen }));
} finally {
  await browser.close();
}

// The functions below run in the page, where OHIF leaves cornerstone and services.

function areDrawn(count) {
  const elements = window.cornerstone?.getEnabledElements() ?? [];
  const drawn = elements.filter(({ viewport }) => viewport.viewportStatus === 'rendered');
  const sets = window.services?.displaySetService?.getActiveDisplaySets() ?? [];
  return drawn.length === count && sets.length > 1;
}

// As the button "Image Slice Sync" does, for the layout of two columns.
function showBoth(uids) {
  const sets = services.displaySetService.getActiveDisplaySets();
  const shown = uids.map(
    uid => sets.find(set => set.SeriesInstanceUID === uid).displaySetInstanceUID
  );
  const syncGroups = [{ type: 'imageSlice', id: 'sliceSync', source: true, target: true }];
  services.viewportGridService.setLayout({
    numRows: 1,
    numCols: 2,
    findOrCreateViewport: place => ({
      displaySetInstanceUIDs: [shown[place]],
      displaySetOptions: [{}],
      viewportOptions: {
        viewportId: ['series', 'overlay'][place],
        viewportType: 'stack',
        toolGroupId: 'default',
        syncGroups,
      },
    }),
  });
}

function positions() {
  return ['series', 'overlay'].map(id => {
    const viewport = services.cornerstoneViewportService.getCornerstoneViewport(id);
    const image = viewport.getCurrentImageId();
    return [...cornerstone.metaData.get('imagePlaneModule', image).imagePositionPatient];
  });
}

function hasMoved([pane, before]) {
  const id = ['series', 'overlay'][pane];
  const viewport = services.cornerstoneViewportService.getCornerstoneViewport(id);
  const plane = cornerstone.metaData.get('imagePlaneModule', viewport.getCurrentImageId());
  return [...plane.imagePositionPatient].some((mm, axis) => mm !== before[axis]);
}

function areEqual() {
  const [one, other] = ['series', 'overlay'].map(id => {
    const viewport = services.cornerstoneViewportService.getCornerstoneViewport(id);
    const plane = cornerstone.metaData.get('imagePlaneModule', viewport.getCurrentImageId());
    return [...plane.imagePositionPatient].join();
  });
  return one === other;
}
