"""The endpoints of downloads and of the library's housekeeping, as plain JSON values."""

from typing import Any

from engine import Engine
from engine.records import DeletePlan, DownloadStatus


class ManageApi:
    """One method per endpoint."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def download(self, repo_id: str) -> str:
        """Start to download a model, or join the download under way; returns its job_id."""
        return self._engine.downloads.start(str(repo_id)).job_id

    def downloads(self) -> list[dict[str, Any]]:
        """Every download that is listed."""
        return [_job(status) for status in self._engine.downloads.list()]

    def pause_download(self, job_id: str) -> dict[str, Any]:
        """Stop a download for now; what it has is kept."""
        return _job(self._engine.downloads.pause(str(job_id)))

    def resume_download(self, job_id: str) -> dict[str, Any]:
        """Let a download go on where it was."""
        return _job(self._engine.downloads.resume(str(job_id)))

    def cancel_download(self, job_id: str) -> dict[str, Any]:
        """End a download and delete what it has."""
        return _job(self._engine.downloads.cancel(str(job_id)))

    def plan_delete(self, repo_id: str) -> dict[str, Any]:
        """What deleting a model would free; nothing is deleted."""
        return _freed(self._engine.library.plan_delete(str(repo_id)))

    def delete(self, repo_id: str) -> dict[str, Any]:
        """Delete a model from the models folder; twice frees nothing."""
        return _freed(self._engine.library.delete(str(repo_id)))


def _job(status: DownloadStatus) -> dict[str, Any]:
    return {
        "job_id": status.job_id,
        "repo_id": status.repo_id,
        "state": status.state,
        "done_bytes": status.done_bytes,
        "total_bytes": status.total_bytes,
        "bytes_per_s": status.bytes_per_s,
        "eta_s": status.eta_s,
        "error": status.error,
    }


def _freed(plan: DeletePlan) -> dict[str, Any]:
    return {"freed_bytes": plan.freed_bytes, "paths": [str(path) for path in plan.paths]}
