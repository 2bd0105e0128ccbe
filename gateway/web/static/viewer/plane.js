// Draws one plane of a volume on a canvas, in the radiological convention.

const LEFT = 0;
const BACK = 1;
const HEAD = 2;

// The display axes of each plane: across the screen, down the screen, and through the planes; the
// head is at the top, so that axis runs against the screen.
export const PLANES = {
  axial: { across: LEFT, down: BACK, through: HEAD, isUpright: false, sides: ['R', 'L', 'A', 'P'] },
  coronal: { across: LEFT, down: HEAD, through: BACK, isUpright: true, sides: ['R', 'L', 'H', 'F'] },
  sagittal: { across: BACK, down: HEAD, through: LEFT, isUpright: true, sides: ['A', 'P', 'H', 'F'] },
};

const OPAQUE = 0xff000000;
const MISSING_SLICE = 0xff302018;
const MAX_ZOOM = 16;

export class Plane {
  constructor(canvas, volume, name) {
    Object.assign(this, PLANES[name]);
    this.canvas = canvas;
    this.volume = volume;
    this.width = volume.axes[this.across].offsets.length;
    this.height = volume.axes[this.down].offsets.length;
    this.pixels = new ImageData(this.width, this.height);
    this.words = new Uint32Array(this.pixels.data.buffer);
    this.picture = new OffscreenCanvas(this.width, this.height);
    this.reset();
  }

  reset() {
    this.zoom = 1;
    this.pan = [0, 0];
  }

  // Enlarges by a factor; the point of the canvas stays where it is.
  zoomBy(factor, [x, y]) {
    const before = this.layout();
    const zoom = Math.min(Math.max(this.zoom * factor, 1), MAX_ZOOM);
    const ratio = zoom / this.zoom;
    const centred = this.fitted(zoom);
    const left = x - (x - before.left) * ratio - centred.left;
    const top = y - (y - before.top) * ratio - centred.top;
    this.zoom = zoom;
    this.pan = zoom === 1 ? [0, 0] : [left, top];
  }

  // Size and corner of the picture in the middle of the canvas, in CSS pixels.
  fitted(zoom) {
    const { clientWidth, clientHeight } = this.canvas;
    const widthMm = this.width * this.volume.axes[this.across].spacing;
    const heightMm = this.height * this.volume.axes[this.down].spacing;
    const scale = Math.min(clientWidth / widthMm, clientHeight / heightMm) * zoom;
    const [width, height] = [widthMm * scale, heightMm * scale];
    return { width, height, left: (clientWidth - width) / 2, top: (clientHeight - height) / 2 };
  }

  layout() {
    const { width, height, left, top } = this.fitted(this.zoom);
    return { width, height, left: left + this.pan[0], top: top + this.pan[1] };
  }

  // The display position at a point of the canvas (CSS pixels), within the volume.
  positionAt([x, y], position) {
    const { width, height, left, top } = this.layout();
    const column = clamp(Math.floor(((x - left) / width) * this.width), this.width);
    const row = clamp(Math.floor(((y - top) / height) * this.height), this.height);
    const found = [...position];
    found[this.across] = column;
    found[this.down] = this.isUpright ? this.height - 1 - row : row;
    return found;
  }

  draw(position, look) {
    this.paint(position, look);
    const context = this.canvas.getContext('2d');
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    const [wide, high] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      this.canvas.width = wide;
      this.canvas.height = high;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, clientWidth, clientHeight);
    context.imageSmoothingQuality = 'high';
    const { left, top, width, height } = this.layout();
    this.picture.getContext('2d').putImageData(this.pixels, 0, 0);
    context.drawImage(this.picture, left, top, width, height);
    if (look.hasCrosshair) this.drawCrosshair(context, position);
  }

  drawCrosshair(context, position) {
    const { left, top, width, height } = this.layout();
    const column = position[this.across] + 0.5;
    const row = (this.isUpright ? this.height - 1 - position[this.down] : position[this.down]) + 0.5;
    const [x, y] = [left + (column / this.width) * width, top + (row / this.height) * height];
    const gap = 8; // leaves the voxel free
    context.strokeStyle = 'rgba(255, 220, 90, 0.75)';
    context.lineWidth = 1;
    context.beginPath();
    for (const [x0, y0, x1, y1] of [
      [left, y, x - gap, y], [x + gap, y, left + width, y],
      [x, top, x, y - gap], [x, y + gap, x, top + height],
    ]) {
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
    }
    context.stroke();
  }

  // Computes the pixels of the plane: grey values in the window, and the colours of the labels.
  paint(position, look) {
    const { volume, words, width, height } = this;
    const across = volume.axes[this.across].offsets;
    const down = volume.axes[this.down].offsets;
    const base = volume.axes[this.through].offsets[position[this.through]];
    const { voxels, labels } = volume;
    const [low, high] = look.window;
    const scale = 255 / (high - low);
    for (let y = 0, at = 0; y < height; y += 1) {
      const row = base + down[this.isUpright ? height - 1 - y : y];
      for (let x = 0; x < width; x += 1, at += 1) {
        const offset = row + across[x];
        if (offset < 0) {
          words[at] = MISSING_SLICE;
          continue;
        }
        let grey = (voxels[offset] - low) * scale;
        grey = grey < 0 ? 0 : grey > 255 ? 255 : grey | 0;
        words[at] = OPAQUE | (grey * 0x010101);
      }
    }
    if (labels.length && look.opacity > 0) this.paintLabels(base, look);
  }

  paintLabels(base, look) {
    const { volume, words, width, height } = this;
    const across = volume.axes[this.across].offsets;
    const down = volume.axes[this.down].offsets;
    const { labels } = volume;
    const { colours, isOutline } = look;
    const opacity = isOutline ? 1 : look.opacity;
    const rest = 1 - opacity;
    const row = (y) => base + down[this.isUpright ? height - 1 - y : y];
    for (let y = 0, at = 0; y < height; y += 1) {
      const here = row(y);
      const above = row(Math.max(y - 1, 0));
      const below = row(Math.min(y + 1, height - 1));
      for (let x = 0; x < width; x += 1, at += 1) {
        const offset = here + across[x];
        const label = offset < 0 ? 0 : labels[offset];
        const colour = colours[label];
        if (!colour) continue;
        if (isOutline) {
          const before = here + across[x ? x - 1 : 0];
          const after = here + across[x + 1 < width ? x + 1 : x];
          const isInside =
            labels[before] === label && labels[after] === label &&
            labels[above + across[x]] === label && labels[below + across[x]] === label;
          if (isInside) continue;
        }
        const grey = words[at] & 255;
        const red = (colour & 255) * opacity + grey * rest;
        const green = ((colour >> 8) & 255) * opacity + grey * rest;
        const blue = ((colour >> 16) & 255) * opacity + grey * rest;
        words[at] = OPAQUE | (blue << 16) | (green << 8) | red;
      }
    }
  }
}

function clamp(index, count) {
  return Math.min(Math.max(index, 0), count - 1);
}
