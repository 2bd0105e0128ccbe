// The viewer: three planes, the structures, and what a reader does with them.

import { LoadingError, loadBlocks, loadInto, loadJson } from './loading.js';
import { listenToPlane } from './gestures.js';
import { PLANES, Plane } from './plane.js';
import { Volume } from './volume.js';

const page = document.getElementById('viewer');
const base = page.dataset.files;
const find = (selector) => page.querySelector(selector);
const all = (selector) => [...page.querySelectorAll(selector)];

// Lower and upper value that are black and white.
const WINDOWS = {
  soft: [-160, 240], lung: [-1350, 150], bone: [-500, 1300], brain: [0, 80], liver: [0, 200],
};
const look = {
  window: WINDOWS.soft, opacity: 0.4, isOutline: false, hasCrosshair: true,
  colours: new Uint32Array(1),
};
let volume;
let planes = [];
let position = [0, 0, 0];
let structures = new Map();
let isDrawn = true;

function redraw() {
  if (!isDrawn) return;
  isDrawn = false;
  requestAnimationFrame(() => {
    isDrawn = true;
    planes.forEach(({ plane, slider }) => {
      plane.draw(position, look);
      slider.value = position[plane.through];
    });
    describe(position);
  });
}

function moveTo(wanted) {
  const size = volume.size;
  position = wanted.map((index, axis) => Math.min(Math.max(index, 0), size[axis] - 1));
  redraw();
}

// Writes what is at a position: the slice, the value and the structure.
function describe(at) {
  const value = volume.value(at);
  const slice = volume.slice(at);
  const unit = volume.modality === 'CT' ? ' HU' : '';
  find('#slice').textContent = slice < 0 ? '–' : `${slice + 1} / ${volume.slices}`;
  find('#value').textContent = Number.isNaN(value) ? '–' : `${Math.round(value)}${unit}`;
  find('#pointed').textContent = structures.get(volume.label(at))?.text ?? '–';
}

function setWindow(low, high) {
  look.window = [low, Math.max(high, low + 1)];
  find('#low').value = Math.round(look.window[0]);
  find('#high').value = Math.round(look.window[1]);
  redraw();
}

function createPlanes() {
  planes = Object.keys(PLANES).map((name) => {
    const element = find(`#${name}`);
    const plane = new Plane(element.querySelector('canvas'), volume, name);
    const slider = element.querySelector('input');
    slider.max = volume.size[plane.through] - 1;
    slider.addEventListener('input', () => {
      const wanted = [...position];
      wanted[plane.through] = Number(slider.value);
      moveTo(wanted);
    });
    listenToPlane(plane, {
      position: () => position, moveTo, redraw, describe,
      window: () => look.window, setWindow,
    });
    return { plane, slider };
  });
  new ResizeObserver(redraw).observe(find('#planes'));
}

// Connects the rows of the list with the labels of the SEG.
function showStructures({ structures: found }) {
  const highest = Math.max(0, ...found.map(({ label }) => label));
  look.colours = new Uint32Array(highest + 1);
  for (const { label, name, rgb: [red, green, blue], place } of found) {
    const row = find(`li[data-structure="${CSS.escape(name)}"]`);
    const colour = (0xff000000 | (blue << 16) | (green << 8) | red) >>> 0;
    look.colours[label] = colour;
    structures.set(label, { text: row?.dataset.text ?? name, place, colour, name });
    if (!row) continue;
    row.querySelector('.swatch').style.backgroundColor = `rgb(${red} ${green} ${blue})`;
    row.querySelector('input').addEventListener('change', ({ target }) => {
      look.colours[label] = target.checked ? colour : 0;
      redraw();
    });
  }
  redraw();
}

function goTo(name) {
  const found = [...structures.values()].find((each) => each.name === name);
  if (!found?.place) return;
  moveTo(volume.position(found.place));
  for (const row of all('li[data-structure]')) {
    row.classList.toggle('chosen', row.dataset.structure === name);
  }
}

function search(text) {
  const wanted = text.trim().toLowerCase();
  for (const row of all('li[data-structure]')) {
    row.hidden = !row.dataset.text.toLowerCase().includes(wanted);
  }
}

function showAll(isShown) {
  for (const row of all('li[data-structure]:not([hidden])')) {
    const box = row.querySelector('input');
    if (box.checked !== isShown) {
      box.checked = isShown;
      box.dispatchEvent(new Event('change'));
    }
  }
}

function listenToControls() {
  page.addEventListener('click', ({ target }) => {
    const go = target.closest('[data-go]');
    if (go) goTo(go.dataset.go);
  });
  all('[data-window]').forEach((button) =>
    button.addEventListener('click', () => setWindow(...WINDOWS[button.dataset.window])));
  const typed = () => setWindow(Number(find('#low').value), Number(find('#high').value));
  find('#low').addEventListener('change', typed);
  find('#high').addEventListener('change', typed);
  find('#opacity').addEventListener('input', ({ target }) => {
    look.opacity = Number(target.value) / 100;
    redraw();
  });
  find('#outline').addEventListener('change', ({ target }) => {
    look.isOutline = target.checked;
    redraw();
  });
  find('#crosshair').addEventListener('change', ({ target }) => {
    look.hasCrosshair = target.checked;
    redraw();
  });
  find('#search').addEventListener('input', ({ target }) => search(target.value));
  find('#show-all').addEventListener('click', () => showAll(true));
  find('#hide-all').addEventListener('click', () => showAll(false));
  find('#reset').addEventListener('click', () => {
    planes.forEach(({ plane }) => plane.reset());
    redraw();
  });
}

// A window for values that are not HU: all but the darkest and brightest hundredth of a block.
function windowOf(values) {
  const some = values.filter((_, index) => index % 997 === 0).sort();
  return [some[Math.floor(some.length * 0.01)], some[Math.ceil(some.length * 0.99) - 1]];
}

async function loadLabels() {
  const found = await loadJson(base, 'structures.json');
  const Labels = found.label_type === 'uint8' ? Uint8Array : Uint16Array;
  const labels = new Labels(volume.voxels.length);
  await loadInto(base, 'labels.gz', new Uint8Array(labels.buffer));
  volume.labels = labels;
  showStructures(found);
}

async function open() {
  const description = await loadJson(base, 'description.json');
  volume = new Volume(description);
  position = volume.size.map((count) => count >> 1);
  createPlanes();
  listenToControls();
  if (description.tilt_degrees) find('#tilt').hidden = false;
  const progress = find('#progress');
  progress.max = description.blocks.length;
  const labels = loadLabels();
  await loadBlocks(base, description.blocks, (block) => volume.bytesOf(block), (block) => {
    if (!progress.value && volume.modality !== 'CT') setWindow(...windowOf(volume.valuesOf(block)));
    progress.value += 1;
    redraw();
    if (progress.value === 1) requestAnimationFrame(() => performance.mark('first-picture'));
  });
  await labels;
  const { undecodable_slices: lost } = await loadJson(base, 'finished.json');
  if (lost.length) find('#lost').hidden = false;
  progress.hidden = true;
  redraw();
  requestAnimationFrame(() => performance.mark('all-there'));
  prepareNext();
}

// Has the gateway prepare the next view of the worklist while this one is looked at.
function prepareNext() {
  const { next } = page.dataset;
  if (next) fetch(`${next}/prepare`).catch(() => {});
}

open().catch((error) => {
  const alarm = document.getElementById('alarm');
  alarm.textContent = (error instanceof LoadingError && error.message) || page.dataset.failed;
  alarm.hidden = false;
  if (!(error instanceof LoadingError)) throw error;
});
