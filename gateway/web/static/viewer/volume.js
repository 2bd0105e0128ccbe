// The voxels and labels of a series, addressed by display positions.
//
// A display position is [x, y, z]: x grows towards the patient's left, y towards the back and z
// towards the head. Arrays stay on the grid of the source.

// A sum with this offset is negative: there is no slice at that position.
const NO_SLICE = -(2 ** 30);
// A position has no slice if the nearest one is further away, in steps of the stack.
const NEAR_STEPS = 0.75;
const NOT_LOADED = -32768;

export class Volume {
  constructor(description) {
    const [slices, rows, columns] = description.shape;
    this.sliceSize = rows * columns;
    const count = slices * this.sliceSize;
    const isWhole = description.voxel_type === 'int16';
    this.voxels = isWhole ? new Int16Array(count) : new Float32Array(count);
    this.voxels.fill(isWhole ? NOT_LOADED : NaN);
    this.labels = new Uint8Array(0); // until all labels are there
    this.slices = slices;
    this.modality = description.modality;
    this.axes = description.axes.map((axis) => displayAxis(axis, description));
  }

  get size() {
    return this.axes.map(({ offsets }) => offsets.length);
  }

  // The offset of the voxel at a display position; negative if there is none.
  offset(position) {
    return this.axes.reduce((sum, { offsets }, axis) => sum + offsets[position[axis]], 0);
  }

  // The display position of a voxel [k, j, i].
  position(voxel) {
    return this.axes.map(({ indices, arrayAxis }) => indices.indexOf(voxel[arrayAxis]));
  }

  // The index k of the slice at a display position; -1 if there is none.
  slice(position) {
    const axis = this.axes.findIndex(({ arrayAxis }) => arrayAxis === 0);
    return this.axes[axis].indices[position[axis]];
  }

  value(position) {
    const offset = this.offset(position);
    const value = offset < 0 ? NaN : this.voxels[offset];
    return value === NOT_LOADED ? NaN : value;
  }

  label(position) {
    const offset = this.offset(position);
    return offset < 0 ? 0 : (this.labels[offset] ?? 0);
  }

  // The values of a block of slices.
  valuesOf({ first, count }) {
    return this.voxels.subarray(first * this.sliceSize, (first + count) * this.sliceSize);
  }

  bytesOf(block) {
    const { buffer, byteOffset, byteLength } = this.valuesOf(block);
    return new Uint8Array(buffer, byteOffset, byteLength);
  }
}

function displayAxis(axis, { shape, slice_steps: steps }) {
  const strides = [shape[1] * shape[2], shape[2], 1];
  const indices =
    axis.array_axis === 0 ? slicesAtSteps(steps) : [...Array(shape[axis.array_axis]).keys()];
  if (axis.is_reversed) indices.reverse();
  const offsets = indices.map((k) => (k < 0 ? NO_SLICE : k * strides[axis.array_axis]));
  return {
    arrayAxis: axis.array_axis,
    spacing: axis.spacing_mm,
    indices,
    offsets: Int32Array.from(offsets),
  };
}

// The slice at each step of the stack; -1 where slices are missing.
function slicesAtSteps(steps) {
  const last = Math.round(steps[steps.length - 1]);
  const nearest = [];
  for (let step = 0, k = 0; step <= last; step += 1) {
    while (k + 1 < steps.length && Math.abs(steps[k + 1] - step) <= Math.abs(steps[k] - step)) k += 1;
    nearest.push(Math.abs(steps[k] - step) <= NEAR_STEPS ? k : -1);
  }
  return nearest;
}
