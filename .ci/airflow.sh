#!/usr/bin/env bash
# Airflow on loopback for one person: `airflow.sh start`, `airflow.sh stop`. Everything of it lies in .pinlake/airflow.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
bin=$root/.venv/bin
home=${AIRFLOW_HOME:-$root/.pinlake/airflow}
port=${AIRFLOW_PORT:-8080}
pid_file=$home/standalone.pid

# spark-submit is looked up on PATH, and workers take this Python
export PATH="$bin:$PATH" AIRFLOW_HOME=$home PYTHONUNBUFFERED=1
export AIRFLOW__CORE__DAGS_FOLDER=$root/dags AIRFLOW__CORE__LOAD_EXAMPLES=False
# two workers instead of 32: 1.5 GB instead of 5.6 GB
export AIRFLOW__CORE__PARALLELISM=2
export AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION=${AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION:-False}
export AIRFLOW__CORE__EXECUTION_API_SERVER_URL=http://127.0.0.1:$port/execution/
export AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=True
export AIRFLOW__API__HOST=127.0.0.1 AIRFLOW__API__PORT=$port AIRFLOW__API__BASE_URL=http://127.0.0.1:$port
export AIRFLOW__API__WORKERS=1
export AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=False
export AIRFLOW__LOGGING__LOGGING_LEVEL=INFO
export PINLAKE_CONF=${PINLAKE_CONF:-$root/conf}

alive() { [ -f "$pid_file" ] && kill -0 "-$(cat "$pid_file")" 2>/dev/null; }
healthy() { "$bin/python" - "$port" <<'PY' 2>/dev/null
import json, sys, urllib.request
with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/api/v2/monitor/health", timeout=2) as answer:
    parts = json.load(answer)
wanted = ("metadatabase", "scheduler", "dag_processor")
sys.exit(any(parts[name]["status"] != "healthy" for name in wanted))
PY
}

start() {
  if alive; then echo "Airflow is running already: http://127.0.0.1:$port (make airflow-stop ends it)."; exit 0; fi
  mkdir -p "$home"
  master=$("$bin/pinlake" config platform.spark.master --json | "$bin/python" -c 'import json,sys; print(json.load(sys.stdin)[0]["value"])')
  export AIRFLOW_CONN_SPARK_DEFAULT="{\"conn_type\": \"spark\", \"host\": \"$master\"}"
  echo "Preparing Airflow's database …"
  airflow db migrate >"$home/migrate.log" 2>&1 || { tail -5 "$home/migrate.log"; exit 1; }
  airflow pools set pinlake_spark "${PINLAKE_POOL:-1}" "Spark sessions at once" >>"$home/migrate.log" 2>&1
  # a session of its own: one signal to the group ends the scheduler, the workers and the web server
  setsid airflow standalone >"$home/standalone.log" 2>&1 &
  echo $! >"$pid_file"
  echo -n "Starting Airflow (about a minute; $home/standalone.log) "
  for _ in $(seq 180); do
    if healthy; then echo; echo "Airflow is up: http://127.0.0.1:$port/dags"; return; fi
    alive || { echo; tail -5 "$home/standalone.log"; exit 1; }
    echo -n .; sleep 1
  done
  echo; echo "Airflow did not become healthy in three minutes: see $home/standalone.log"; stop; exit 1
}

stop() {
  if ! alive; then echo "Airflow is not running."; rm -f "$pid_file"; return; fi
  group=$(cat "$pid_file")
  kill -TERM "-$group"
  for _ in $(seq 30); do kill -0 "-$group" 2>/dev/null || break; sleep 1; done
  kill -KILL "-$group" 2>/dev/null || true
  rm -f "$pid_file"
  echo "Airflow is stopped."
}

"${1:?start or stop}"
