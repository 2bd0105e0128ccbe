// Warns when the page is out of date, and moves the focus when a button has disappeared.
const alarm = document.getElementById('alarm');
const said = document.getElementById('said');

// The page has the text for each fault in its language.
function warn(fault) {
  const text = alarm?.dataset[fault];
  if (alarm && alarm.textContent !== text) {
    alarm.textContent = text; // said once, not with each request that fails
    alarm.hidden = false;
  }
}

function isUpToDate() {
  if (alarm) {
    alarm.textContent = '';
    alarm.hidden = true;
  }
}

const lost = () => warn('lost');
document.body.addEventListener('htmx:sendError', lost);
document.body.addEventListener('htmx:timeout', lost);
document.body.addEventListener('htmx:responseError', ({ detail }) => {
  const isAction = detail.requestConfig.verb === 'post';
  warn(isAction ? 'notDone' : 'failing');
});
document.body.addEventListener('htmx:afterSettle', ({ detail }) => {
  isUpToDate();
  const isAction = detail.requestConfig.verb === 'post';
  if (isAction && document.activeElement === document.body) {
    said.focus({ preventScroll: true });
  }
});
