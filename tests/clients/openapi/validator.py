"""openapi-spec-validator accepts the document, and the command prints what the server sends."""

import importlib.metadata
import json
import os
import subprocess

import openapi_spec_validator

from agent import document

served = document()
openapi_spec_validator.validate(served)
printed = subprocess.run([os.environ["SEALWRIGHT"], "openapi"], check=True, capture_output=True)
assert json.loads(printed.stdout) == served
version = importlib.metadata.version("openapi-spec-validator")
print(f"{version}: the OpenAPI 3.1 document is valid, and the command prints what the server sends")
