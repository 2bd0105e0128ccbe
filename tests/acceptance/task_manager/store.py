"""An object store that speaks S3, and the layout that MONAI Deploy gives it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import boto3
import pydicom
from botocore.config import Config

from tests.servers import LOOPBACK, POLL_SECONDS, START_SECONDS, free_port

KEY = "minioadmin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One of the contents that an object had."""

    key: str
    etag: str


class ObjectStore:
    """The buckets at an address such as 127.0.0.1:9000."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._client = boto3.client(
            "s3",
            endpoint_url=f"http://{endpoint}",
            aws_access_key_id=KEY,
            aws_secret_access_key=KEY,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )

    def make_bucket(self, name: str) -> None:
        """Makes a bucket that keeps all versions of an object."""
        self._client.create_bucket(Bucket=name)
        self._client.put_bucket_versioning(
            Bucket=name, VersioningConfiguration={"Status": "Enabled"}
        )

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Writes an object."""
        self._client.put_object(Bucket=bucket, Key=key, Body=content)

    def get(self, bucket: str, key: str) -> bytes:
        """Reads an object."""
        content: bytes = self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Returns the names of all objects that begin with a prefix."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def versions(self, bucket: str, prefix: str = "") -> list[Version]:
        """Returns everything that was ever written below a prefix."""
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=bucket, Prefix=prefix
        )
        return [
            Version(key=one["Key"], etag=one["ETag"])
            for page in pages
            for one in page.get("Versions", ())
        ]

    def download(self, bucket: str, root: str, folder: Path) -> None:
        """Copies everything below a root into a folder, as the Docker plug-in does."""
        for key in self.keys(bucket, root):
            path = folder / key.removeprefix(root).lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.get(bucket, key))

    def upload(self, folder: Path, bucket: str, root: str) -> None:
        """Copies a folder below a root, as the monitor of the Docker plug-in does."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(bucket, f"{root}/{path.relative_to(folder)}", path.read_bytes())

    def receive_study(self, bucket: str, payload_id: str, files: list[Path]) -> str:
        """Puts a study where the Informatics Gateway does, each file beside its JSON.

        Returns:
            The root of the study: what `context.input.dicom` means in a workflow.
        """
        root = f"{payload_id}/dcm"
        for path in files:
            header = pydicom.dcmread(path, stop_before_pixels=True)
            key = (
                f"{root}/{header.StudyInstanceUID}/{header.SeriesInstanceUID}/"
                f"{header.SOPInstanceUID}.dcm"
            )
            self.put(bucket, key, path.read_bytes())
            self.put(bucket, f"{key}.json", header.to_json().encode())
        return root


@contextmanager
def running_store(folder: Path) -> Iterator[ObjectStore]:
    """Yields an empty object store that is up; it ends with the block."""
    port = free_port()
    with (folder / "store.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_up(port, process)
        yield ObjectStore(f"{LOOPBACK}:{port}")
    finally:
        process.kill()  # it holds all in memory
        process.wait()


def _wait_until_up(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        assert time.monotonic() < deadline, "moto does not answer"
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
            raise AssertionError("moto has ended")


def _answers(port: int) -> bool:
    http = HTTPConnection(LOOPBACK, port, timeout=START_SECONDS)
    try:
        http.request("GET", "/")
        http.getresponse().read()
    except OSError:
        return False
    finally:
        http.close()
    return True
