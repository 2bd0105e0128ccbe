"""Reads and writes the object store by S3."""

from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config

KEY = "minioadmin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of the content of an object."""

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
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def versions(self, bucket: str, prefix: str = "") -> list[Version]:
        """Returns all versions of all objects below a prefix."""
        pages = self._client.get_paginator("list_object_versions").paginate(
            Bucket=bucket, Prefix=prefix
        )
        return [
            Version(key=version["Key"], etag=version["ETag"])
            for page in pages
            for version in page.get("Versions", ())
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
