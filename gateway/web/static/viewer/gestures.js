// Turns the mouse, fingers and keys on a plane into movements.
//
//   mouse   left: go there; wheel: slices; Ctrl and wheel: zoom; middle, or Shift and left: pan;
//           right: window
//   touch   one finger: go there; two fingers: zoom and pan
//   keys    arrows and Page up, Page down: slices; + and -: zoom; 0: all

const PAGE_SLICES = 10;
const WHEEL_ZOOM = 1.15;
// Values of the window for a movement of one pixel.
const VALUES_A_PIXEL = 2;

export function listenToPlane(plane, view) {
  const { canvas } = plane;
  const fingers = new Map();
  let drag = null;

  const pointOf = (event) => {
    const { left, top } = canvas.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  const scroll = (slices) => {
    const wanted = [...view.position()];
    wanted[plane.through] += slices;
    view.moveTo(wanted);
  };
  const pan = ([x, y], [fromX, fromY]) => {
    plane.pan = [plane.pan[0] + x - fromX, plane.pan[1] + y - fromY];
    view.redraw();
  };
  const changeWindow = ([x, y], [fromX, fromY]) => {
    const [low, high] = view.window();
    const level = (low + high) / 2 + (y - fromY) * VALUES_A_PIXEL;
    const width = Math.max(high - low + (x - fromX) * VALUES_A_PIXEL, 1);
    view.setWindow(level - width / 2, level + width / 2);
  };
  const zoom = (factor, point) => {
    plane.zoomBy(factor, point);
    view.redraw();
  };
  const goTo = (point) => view.moveTo(plane.positionAt(point, view.position()));

  canvas.addEventListener('contextmenu', (event) => event.preventDefault());
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, pointOf(event));
    if (event.button === 1 || (event.button === 0 && event.shiftKey)) drag = pan;
    else if (event.button === 2) drag = changeWindow;
    else drag = goTo;
    if (drag === goTo && fingers.size === 1) goTo(pointOf(event));
    if (event.button === 1) event.preventDefault();
  });
  canvas.addEventListener('pointermove', (event) => {
    const point = pointOf(event);
    const before = fingers.get(event.pointerId);
    if (!before) {
      view.describe(plane.positionAt(point, view.position()));
      return;
    }
    if (fingers.size === 2) {
      const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      const middle = [(point[0] + other[0]) / 2, (point[1] + other[1]) / 2];
      zoom(distance(point, other) / Math.max(distance(before, other), 1), middle);
      pan(middle, [(before[0] + other[0]) / 2, (before[1] + other[1]) / 2]);
    } else if (fingers.size === 1) {
      drag(point, before);
    }
    fingers.set(event.pointerId, point);
  });
  for (const name of ['pointerup', 'pointercancel']) {
    canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }
  canvas.addEventListener('pointerleave', () => view.describe(view.position()));
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    if (event.ctrlKey) zoom(event.deltaY < 0 ? WHEEL_ZOOM : 1 / WHEEL_ZOOM, pointOf(event));
    else scroll(Math.sign(event.deltaY));
  }, { passive: false });
  canvas.addEventListener('keydown', (event) => {
    const middle = [canvas.clientWidth / 2, canvas.clientHeight / 2];
    const act = {
      ArrowUp: () => scroll(-1), ArrowDown: () => scroll(1),
      PageUp: () => scroll(-PAGE_SLICES), PageDown: () => scroll(PAGE_SLICES),
      '+': () => zoom(WHEEL_ZOOM, middle), '-': () => zoom(1 / WHEEL_ZOOM, middle),
      0: () => { plane.reset(); view.redraw(); },
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function distance([x, y], [x1, y1]) {
  return Math.hypot(x - x1, y - y1);
}
