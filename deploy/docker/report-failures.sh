#!/bin/sh
# Rendered by `totalmap deploy render`; change its options, not this file.
# Prints every failed workflow of the Workflow Manager that nobody has acknowledged. The exit status
# is 1 if there is one. A task of MONAI Deploy Express can't do this: the Workflow Manager runs no
# task after a failed one. Run this script by cron, which mails its output:
#   MAILTO=somebody@hospital.example
#   */10 * * * * /etc/totalmap/report-failures.sh http://localhost:5001
# Needs curl and jq. Prints no patient data.
set -eu
url=${1:-http://localhost:5001}
failed=$(curl --silent --show-error --fail --max-time 30 \
    "$url/workflowinstances/failed?acknowledged=1970-01-01")
report=$(printf '%s' "$failed" | jq --raw-output --arg url "$url" '
    .[] | . as $workflow | .tasks[] | select(.status == "Failed")
    | "\($workflow.start_time) workflow \($workflow.workflow_name // $workflow.workflow_id): task \(.task_id) failed (\(.reason)). Seen? curl --request PUT \($url)/workflowinstances/\($workflow.id)/executions/\(.execution_id)/acknowledge"')
if [ -n "$report" ]; then
    printf '%s\n' "$report"
    exit 1
fi
