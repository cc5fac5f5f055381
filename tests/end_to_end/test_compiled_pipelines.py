"""A pipeline that was compiled for Kubeflow runs here as it is, from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from end_to_end.small import Downloads, run_tiffin, tiffin

SPEC = """\
pipelineInfo: {name: letters}
schemaVersion: 2.1.0
sdkVersion: kfp-2.17.0
components:
  comp-say:
    executorLabel: exec-say
    inputDefinitions: {parameters: {text: {parameterType: STRING}}}
    outputDefinitions: {artifacts: {said: {artifactType: {schemaTitle: system.Dataset, schemaVersion: 0.0.1}}}}
  comp-count:
    executorLabel: exec-count
    inputDefinitions: {artifacts: {said: {artifactType: {schemaTitle: system.Dataset, schemaVersion: 0.0.1}}}}
    outputDefinitions: {parameters: {letters: {parameterType: NUMBER_INTEGER}}}
deploymentSpec:
  executors:
    exec-say:
      container:
        image: small:environment
        command: [/opt/venv/bin/python, -c, "import sys; print(sys.argv[1]); open(sys.argv[2], 'w').write(sys.argv[1])"]
        args: ["{{$.inputs.parameters['text']}}", "{{$.outputs.artifacts['said'].path}}"]
    exec-count:
      container:
        image: small:environment
        command:
        - /opt/venv/bin/python
        - -c
        - "import sys; open(sys.argv[2], 'w').write(str(len(open(sys.argv[1]).read())))"
        args: ["{{$.inputs.artifacts['said'].path}}", "{{$.outputs.parameters['letters'].output_file}}"]
root:
  inputDefinitions: {parameters: {text: {parameterType: STRING, defaultValue: good morning}}}
  outputDefinitions: {parameters: {letters: {parameterType: NUMBER_INTEGER}}}
  dag:
    outputs:
      parameters: {letters: {valueFromParameter: {outputParameterKey: letters, producerSubtask: count}}}
    tasks:
      say:
        cachingOptions: {enableCache: true}
        componentRef: {name: comp-say}
        inputs: {parameters: {text: {componentInputParameter: text}}}
        taskInfo: {name: say}
      count:
        cachingOptions: {enableCache: true}
        componentRef: {name: comp-count}
        dependentTasks: [say]
        inputs: {artifacts: {said: {taskOutputArtifact: {outputArtifactKey: said, producerTask: say}}}}
        taskInfo: {name: count}
"""
OWN = """\
from tiffin_pipeline import pipeline, step


@step
def one() -> int:
    return 1


@pipeline
def alone():
    one()
"""


def test_a_compiled_pipeline_runs_without_a_cluster(downloads: Downloads, tmp_path: Path) -> None:
    project, spec = tmp_path / "project", tmp_path / "letters.yaml"
    project.mkdir()
    (project / "tiffin.toml").write_text(
        'name = "small"\n[model]\npath = "m.json"\npredictor = "predict:P"\n[python]\ndependencies = ["six==1.17.0"]\n'
    )
    (project / "pipeline.py").write_text(OWN)
    shutil.copy(downloads.lock, project)
    spec.write_text(SPEC)
    home = downloads.copy(tmp_path / "home")
    tiffin(home, "pipeline", "run", project)  # which makes the image that the steps name
    assert tiffin(home, "pipeline", "run", spec) == "letters 12"
    again = json.loads(tiffin(home, "pipeline", "run", spec, "--json"))
    assert [task["cached"] for task in again["tasks"].values()] == [True, True]
    assert tiffin(home, "pipeline", "run", spec, "-p", "text=hi") == "letters 2"
    assert tiffin(home, "pipeline", "logs", "say", "-C", spec) == "hi"
    refused = run_tiffin(home, "pipeline", "run", spec, "--native")
    assert refused.returncode == 3
    assert "is compiled" in refused.stderr
