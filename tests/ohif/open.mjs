// Opens results of a study in OHIF, one after the other, as a user would, and prints one line of
// JSON: what OHIF shows of each segment, and what went wrong in the page. See viewer.py.
import { join } from 'node:path';

const { playwright, chromium, viewer, study, results, screenshots } = JSON.parse(
  process.argv[2]
);
const { default: { chromium: browserType } } = await import(playwright);

const TIMEOUT_MS = 300_000; // ends a hang
// By default the page is asked before each frame, and each frame is drawn without a GPU.
const POLL = { polling: 100 };
const VIEWPORT = { width: 1200, height: 1150 }; // high enough for all segments
const WITHOUT_GPU = ['--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'];
const AS_ROOT = process.getuid() === 0 ? ['--no-sandbox'] : [];

const args = [...WITHOUT_GPU, ...AS_ROOT];
const browser = await browserType.launch({ executablePath: chromium, args });
try {
  const errors = [];
  const seen = {};
  for (const [name, { series, marker }] of Object.entries(results)) {
    seen[name] = await open(series, marker, join(screenshots, `${name}.png`), errors);
  }
  console.log(JSON.stringify({ errors, seen }));
} finally {
  await browser.close();
}

async function open(series, marker, screenshot, errors) {
  const page = await browser.newPage({ viewport: VIEWPORT, serviceWorkers: 'block' });
  page.setDefaultTimeout(TIMEOUT_MS);
  page.on('pageerror', error => errors.push(String(error)));
  await page.route(url => url.origin !== viewer, route => route.abort());
  try {
    await page.goto(`${viewer}/viewer?StudyInstanceUIDs=${study}`);
    await page.waitForFunction(isDrawn, undefined, POLL); // OHIF loses what is asked for earlier
    await page.locator(`#thumbnail-${await displaySetOf(page, series)}`).dblclick();
    await page.waitForFunction(isLoaded, undefined, POLL);
    await page.locator('[data-cy="panelSegmentation-btn"]').click();
    const segmentInList = page.getByText(marker, { exact: true });
    await segmentInList.waitFor();
    const segments = await page.evaluate(segmentsShown);
    await segmentInList.click(); // leads to the middle of the segment
    await page
      .waitForFunction(showsMarker, marker, POLL)
      .catch(() => errors.push(`${marker} is not in sight after a click on it in the list`));
    await page.mouse.move(0, 0); // away from the segment, whose statistics would cover the image
    return segments;
  } catch (error) {
    throw new Error([error.message, ...errors].join('\n'));
  } finally {
    await page.screenshot({ path: screenshot });
    await page.close();
  }
}

async function displaySetOf(page, series) {
  const found = await page.waitForFunction(
    uid => {
      const sets = window.services?.displaySetService?.getActiveDisplaySets() ?? [];
      return sets.find(set => set.SeriesInstanceUID === uid)?.displaySetInstanceUID;
    },
    series,
    POLL
  );
  return found.jsonValue();
}

// The functions below run in the page, where OHIF leaves cornerstone, cornerstoneTools, services.

function isDrawn() {
  const elements = window.cornerstone?.getEnabledElements() ?? [];
  return elements.some(({ viewport }) => viewport.viewportStatus === 'rendered');
}

function isLoaded() {
  const [segmentation] = cornerstoneTools.segmentation.state.getSegmentations();
  if (segmentation?.representationData.Contour?.annotationUIDsMap?.size) {
    return true;
  }
  const images = segmentation?.representationData.Labelmap?.imageIds ?? [];
  return images.length > 0 && images.every(id => cornerstone.cache.getImage(id));
}

function showsMarker(marker) {
  const [segmentation] = cornerstoneTools.segmentation.state.getSegmentations();
  if (!segmentation.representationData.Labelmap) {
    return true; // a click on a contour in the list leads nowhere in this version
  }
  const segments = Object.values(segmentation.segments);
  const { segmentIndex } = segments.find(({ label }) => label === marker);
  const viewport = services.cornerstoneViewportService.getCornerstoneViewport(
    services.viewportGridService.getActiveViewportId()
  );
  const shown = segmentation.representationData.Labelmap.imageIds
    .map(id => cornerstone.cache.getImage(id))
    .find(image => image.referencedImageId === viewport.getCurrentImageId());
  return shown.voxelManager.getScalarData().includes(segmentIndex);
}

function segmentsShown() {
  const [segmentation] = cornerstoneTools.segmentation.state.getSegmentations();
  const viewport = services.viewportGridService.getActiveViewportId();
  const { Labelmap, Contour } = segmentation.representationData;
  const sums = {};
  for (const id of Labelmap?.imageIds ?? []) {
    const plane = cornerstone.metaData.get('imagePlaneModule', id);
    const { imagePositionPatient, rowCosines, columnCosines, columns } = plane;
    const numbers = cornerstone.cache.getImage(id).voxelManager.getScalarData();
    numbers.forEach((number, place) => {
      if (!number) {
        return;
      }
      const alongRow = (place % columns) * plane.columnPixelSpacing;
      const alongColumn = Math.floor(place / columns) * plane.rowPixelSpacing;
      const sum = (sums[number] ??= { voxels: 0, mm: [0, 0, 0] });
      sum.voxels += 1;
      sum.mm = sum.mm.map(
        (mm, axis) =>
          mm +
          imagePositionPatient[axis] +
          alongRow * rowCosines[axis] +
          alongColumn * columnCosines[axis]
      );
    });
  }
  const { getAnnotation } = cornerstoneTools.annotation.state;
  const contoursOf = number =>
    [...(Contour?.annotationUIDsMap.get(number) ?? [])].map(
      uid => getAnnotation(uid).data.contour.polyline
    );
  const lines = document.body.innerText.split('\n');
  const listed = Object.values(segmentation.segments).filter(({ label }) => lines.includes(label));
  return listed.map(({ segmentIndex, label }) => {
    const { voxels, mm } = sums[segmentIndex] ?? { voxels: 0, mm: [0, 0, 0] };
    const [...rgba] = cornerstoneTools.segmentation.config.color.getSegmentIndexColor(
      viewport,
      segmentation.segmentationId,
      segmentIndex
    );
    const centre_lps_mm = mm.map(sum => (voxels ? sum / voxels : 0));
    const contours_lps_mm = contoursOf(segmentIndex);
    return { label, voxels, centre_lps_mm, contours_lps_mm, rgb: rgba.slice(0, 3) };
  });
}
