"""Job templates are understood by Prefect's workers, and job variables are checked."""

import asyncio
import re
from json import dumps
from typing import Any

import pytest
from prefect.workers.base import BaseJobConfiguration

from flows.pools import read_pool, read_template
from gpt_core.errors import ConfigError


def job_configurations() -> dict[str, type[BaseJobConfiguration]]:
    from prefect.workers.process import ProcessJobConfiguration
    from prefect_docker.worker import DockerWorkerJobConfiguration
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    return {
        "process": ProcessJobConfiguration,
        "docker": DockerWorkerJobConfiguration,
        "kubernetes": KubernetesWorkerJobConfiguration,
    }


async def render(type_: str, values: dict[str, object]) -> Any:
    """The job that a worker of this type would start."""
    kind = job_configurations()[type_]
    return await kind.from_template_and_values(read_template(type_), values)


@pytest.mark.parametrize("type_", ["process", "docker", "kubernetes"])
def test_a_template_has_each_variable_that_it_refers_to_and_a_worker_takes_it(type_: str) -> None:
    template: Any = read_template(type_)
    used = set(re.findall(r"\{\{ (\w+) \}\}", dumps(template["job_configuration"])))
    assert used == set(template["variables"]["properties"])
    assert set(template["job_configuration"]) <= set(job_configurations()[type_].model_fields)


@pytest.mark.usefixtures("connected")
def test_a_container_has_the_image_the_volume_and_the_variables() -> None:
    job = asyncio.run(render("docker", {"mem_limit": "8g", "env": {"A": "b"}, "image": "own:1"}))
    assert (job.image, job.mem_limit, job.env) == ("own:1", "8g", {"A": "b"})
    assert job.volumes == ["gptflow-home:/data"]
    assert job.container_create_kwargs == {"init": True, "shm_size": "1g"}
    assert asyncio.run(render("docker", {})).image == "gptflow:latest"


@pytest.mark.usefixtures("connected")
def test_a_pod_has_the_claim_the_gpu_and_time_to_save() -> None:
    job = asyncio.run(render("kubernetes", {"gpus": 1, "memory_limit": "8Gi", "namespace": "ml"}))
    manifest = job.job_manifest
    pod = manifest["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert manifest["metadata"]["namespace"] == "ml"
    assert container["image"] == "gptflow:latest"
    assert container["resources"]["limits"] == {"memory": "8Gi", "nvidia.com/gpu": 1}
    assert container["volumeMounts"][0]["mountPath"] == "/data"
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "gptflow-home"
    assert pod["terminationGracePeriodSeconds"] == 120
    assert pod["securityContext"]["runAsNonRoot"] is True
    bare = asyncio.run(render("kubernetes", {})).job_manifest
    assert "nvidia.com/gpu" not in str(bare)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"name": "a/b"}, "a name has letters"),
        ({"name": "a", "limit": 0}, "limit must be at least 1"),
        ({"name": "a", "job": 1}, "job must be a table"),
        ({"name": "a", "job": {"image": "b"}}, "a job of type process has no image; it has name"),
        ({"name": "a", "job": {"env": {"API_TOKEN": "abc"}}}, "API_TOKEN would be stored in"),
    ],
)
def test_a_wrong_pool_is_refused(tree: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_pool(tree)


def test_a_secret_may_be_a_reference() -> None:
    env = {"API_TOKEN": "{{ prefect.blocks.secret.api }}", "TOKENIZERS_PARALLELISM": "false"}
    assert read_pool({"name": "a", "job": {"env": env}}).job_variables == {"env": env}
