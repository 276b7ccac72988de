"""Image, resources, nodes, retries, time-out and cache of each step, as the settings say."""

from typing import Any

from kfp import kubernetes

from pipelines.settings import PipelineSettings, StepSettings


def place(task: Any, step: str, settings: PipelineSettings, *, shown: str = "") -> None:
    """Apply the settings of a step to its task; `shown` names an experiment's task that goes where that step does."""
    own = settings.of(step)
    task.set_display_name(shown or step)
    task.set_container_image(settings.image_of(step))
    task.set_caching_options(enable_caching=own.cache)
    _set_resources(task, own)
    if own.retries:
        task.set_retry(num_retries=own.retries, backoff_duration=f"{own.backoff_s}s", backoff_factor=2.0)
    if own.timeout_s:
        kubernetes.set_timeout(task, own.timeout_s)
    for key, value in own.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for toleration in own.tolerations:
        kubernetes.add_toleration(
            task,
            key=toleration.key,
            operator=toleration.operator,
            value=toleration.value or None,
            effect=toleration.effect,
        )
    if settings.shared_disk is not None:
        kubernetes.mount_pvc(task, pvc_name=settings.shared_disk.claim, mount_path=settings.shared_disk.mount)
    for name, keys in settings.secrets.items():
        kubernetes.use_secret_as_env(task, secret_name=name, secret_key_to_env=keys)


def _set_resources(task: Any, own: StepSettings) -> None:
    if own.cpu:
        task.set_cpu_request(own.cpu)
        task.set_cpu_limit(own.cpu)
    if own.memory:
        task.set_memory_request(own.memory)
        task.set_memory_limit(own.memory)
    if own.gpu:
        task.set_accelerator_type(own.gpu_type)
        task.set_accelerator_limit(own.gpu)
