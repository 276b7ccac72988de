"""The record, the log and the leftovers of local runs."""

import io
import json
import logging
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from covidctnet.config import load_profile
from covidctnet.errors import CohortError, PipelineError
from covidctnet.promotion.policy import load_policy
from integrations.step_events import parse_event, tell_events
from integrations.steps.gate import NO_CHAMPION
from pipelines.gate import Gate
from pipelines.leftovers import end_leftovers, remove_unfinished
from pipelines.local_output import CacheHits, StepOutput
from pipelines.parameters import cluster_parameters, local_parameters, new_record
from pipelines.record import RunRecord, StepRecord, find_record, load_record
from pipelines.settings import load_settings


def a_record() -> RunRecord:
    parameters = {"data_version": "d", "code_version": "c"}
    return new_record(load_profile("smoke"), parameters)


def events(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_step_tells_of_its_start_progress_and_end(capsys: pytest.CaptureFixture[str]) -> None:
    with tell_events("evaluate") as on_progress:
        on_progress("evaluate", 1, 4)
    told = [parse_event(line) for line in events(capsys)]
    assert [event.event for event in told if event] == ["started", "progress", "finished"]
    assert told[1] is not None
    assert (told[1].stage, told[1].done, told[1].total) == ("evaluate", 1, 4)
    assert parse_event("an ordinary line") is None
    assert parse_event('{"covidctnet_step": "cut') is None


def test_only_a_refusal_has_a_message_for_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CohortError), tell_events("evaluate"):
        raise CohortError("no case")
    with pytest.raises(KeyError), tell_events("evaluate"):
        raise KeyError("a name that nobody should see")
    told = [event for event in map(parse_event, events(capsys)) if event and event.event == "failed"]
    assert [(event.error, event.message) for event in told] == [("CohortError", "no case"), ("KeyError", "")]


def test_a_record_follows_its_steps_and_counts_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    record = a_record()
    assert record.totals == (0, 10)
    for step in ("fetch dataset", "preprocess 1 of 3", "preprocess 2 of 3"):
        with tell_events(step):
            pass
    for event in filter(None, map(parse_event, events(capsys))):
        record.apply(event)
    assert record.totals == (3, 14)
    assert record.failed is None
    assert record.reuse("fetch-dataset") == ["fetch dataset"]
    assert record.reuse("preprocess") == ["preprocess 1 of 3"]
    assert record.reuse("gather-shards") == []
    record.save(tmp_path)
    assert load_record(record.path(tmp_path)) == record == find_record(tmp_path, record.run_id)
    with pytest.raises(PipelineError, match="has no run 'x'"):
        find_record(tmp_path, "x")


def test_lines_that_threads_write_in_pieces_are_put_together() -> None:
    log, heard = io.StringIO(), []
    output = StepOutput(log, heard.append)

    def write(step: str) -> None:
        for _ in range(50):
            output.write("    ")
            output.write(f'{{"covidctnet_step": "{step}", "event": "started", ')
            time.sleep(0)
            output.write('"process": 1}\n')

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(event.covidctnet_step for event in heard) == ["a"] * 50 + ["b"] * 50
    assert len(log.getvalue().splitlines()) == 100


def test_a_cache_hit_of_the_local_runner_is_heard() -> None:
    import kfp.local.orchestrator.task_executor as executor

    heard: list[str] = []
    logger, hits = logging.getLogger(), CacheHits(heard.append)
    logger.addFilter(hits)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        logging.info("Task train-denoiser cache hit (key=0123456789ab); skipping execution.")
        logging.info("Task train-denoiser failed")
    finally:
        logger.removeFilter(hits)
        logger.setLevel(level)
    assert heard == ["train-denoiser"]
    # The words are those of the installed runner.
    assert "Task {task_name} cache hit (key=" in Path(executor.__file__).read_text("utf-8")


def test_only_outputs_that_the_cache_knows_stay(tmp_path: Path) -> None:
    root = tmp_path / "steps"
    kept, lost = root / "run-1" / "fetch" / "cohort", root / "run-2" / "loop" / "preprocess" / "slices"
    for folder in (kept, lost, root / ".kfp_cache"):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    entry = {"cohort": {"__kfp_artifact__": True, "uri": str(kept)}, "Output": "a string"}
    (root / ".kfp_cache" / "key.json").write_text(json.dumps(entry))
    (root / ".kfp_cache" / "broken.json").write_text("{")
    remove_unfinished(root)
    assert (kept / "file").is_file()
    assert not (root / "run-2").exists()


def test_steps_without_a_runner_are_ended_and_others_are_not(tmp_path: Path) -> None:
    def sleeper(*words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *words])

    mine = sleeper("kfp.dsl.executor_main", f'{{"uri": "{tmp_path}/steps/run-1/x"}}')
    other = sleeper("kfp.dsl.executor_main", '{"uri": "/elsewhere/steps/run-1/x"}')
    try:
        assert end_leftovers(tmp_path / "steps") == 1
        assert mine.wait(10) == -9
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
        mine.kill()
        mine.wait()


def test_what_changes_a_result_changes_the_parameters(tmp_path: Path) -> None:
    config, settings = load_profile("smoke"), load_settings("local")
    gate = Gate(champion=NO_CHAMPION, policy=load_policy("demo"))
    one = local_parameters(tmp_path, config, "v1", settings, gate=gate)
    for other in (
        local_parameters(tmp_path, replace(config, seed=1), "v1", settings, gate=gate),
        local_parameters(tmp_path, replace(config, start_from="0" * 16), "v1", settings, gate=gate),
        local_parameters(tmp_path, config, "v2", settings, gate=gate),
        local_parameters(tmp_path, config, "v1", settings, gate=gate, policy="cases: []"),
        local_parameters(tmp_path, config, "v1", settings, gate=replace(gate, champion="0" * 16)),
        local_parameters(tmp_path, config, "v1", settings, gate=replace(gate, policy=load_policy("default"))),
        local_parameters(tmp_path, config, "v1", replace(settings, cases_per_shard=3), gate=gate),
    ):
        assert new_record(config, other).run_id != new_record(config, one).run_id
    cluster = load_settings("cluster", image="x")
    far = cluster_parameters(config, "v1", cluster, repository="s3://a/b", tracking_uri="https://m", gate=gate)
    assert set(far) == set(one) | {"endpoint"}


def test_a_component_that_is_called_several_times_is_reused_call_by_call() -> None:
    record = replace(a_record(), open_ended=True)
    for name in ("train fold - raw - split - seed 0", "train fold - raw - split - seed 1"):
        record.steps.append(StepRecord(step=name, state="finished", seconds=2.0))
    assert record.reuse("train-fold") == ["train fold - raw - split - seed 0"]
    assert record.reuse("train-fold-2") == ["train fold - raw - split - seed 1"]
    assert record.reuse("train-fold-3") == []
    assert record.totals == (2, 2)
    assert record.seconds_by_step["train fold - raw - split - seed 1"] == 2.0
