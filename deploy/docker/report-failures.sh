#!/bin/sh
# Rendered by `totalmap deploy render`; make changes there.
# Prints every failed workflow of the Workflow Manager that nobody has acknowledged, and ends with 1
# if there is one. Under MONAI Deploy Express no task can do this: after a failed task the Workflow
# Manager runs none. Run it by cron, which mails what is printed:
#   MAILTO=somebody@hospital.example
#   */10 * * * * /etc/totalmap/report-failures.sh http://localhost:5001
# Needs curl and jq. Prints no patient data.
set -eu
url=${1:-http://localhost:5001}
failed=$(curl --silent --show-error --fail --max-time 30 \
    "$url/workflowinstances/failed?acknowledged=1970-01-01")
report=$(printf '%s' "$failed" | jq --raw-output --arg url "$url" '
    .[] | . as $one | .tasks[] | select(.status == "Failed")
    | "\($one.start_time) workflow \($one.workflow_name // $one.workflow_id): task \(.task_id) failed (\(.reason)). Seen? curl --request PUT \($url)/workflowinstances/\($one.id)/executions/\(.execution_id)/acknowledge"')
if [ -n "$report" ]; then
    printf '%s\n' "$report"
    exit 1
fi
