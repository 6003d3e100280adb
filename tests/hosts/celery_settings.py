"""The Celery settings of worker and sender, whose broker is a folder."""


def settings(folder):
    queue, control = folder / "queue", folder / "control"
    queue.mkdir(exist_ok=True)
    control.mkdir(exist_ok=True)
    return {
        "broker_transport_options": {
            "data_folder_in": str(queue),
            "data_folder_out": str(queue),
            "control_folder": str(control),
            "polling_interval": 0.01,
        },
        "broker_connection_retry_on_startup": True,
        "task_ignore_result": True,
        "worker_prefetch_multiplier": 1,
        "worker_enable_remote_control": False,
    }
