"""A service: `GET /read` is open to tokens with `db:read`, `GET /write` to those with `db:write`.

pip install './clients/python[fastapi]' uvicorn
SEALWRIGHT_URL=http://localhost:3000 SEALWRIGHT_AUDIENCE=https://api.example python main.py
"""

# fmt: off
# recipe: service
import os
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI

from sealwright import AsyncVerifier, Claims
from sealwright.fastapi import Door

verifier = AsyncVerifier(os.environ["SEALWRIGHT_URL"], os.environ["SEALWRIGHT_AUDIENCE"])
door = Door(verifier)
app = FastAPI()


@app.get("/read")
async def read(claims: Annotated[Claims, Depends(door.require("db:read"))]) -> dict[str, str]:
    return {"rows": f"for {claims.client_id}"}


@app.get("/write")
async def write(claims: Annotated[Claims, Depends(door.require("db:write"))]) -> dict[str, str]:
    return {"written": f"by {claims.client_id}"}
# end of recipe


if __name__ == "__main__":
    host, _, port = os.environ.get("LISTEN", "127.0.0.1:8000").rpartition(":")
    uvicorn.run(app, host=host.strip("[]") or "127.0.0.1", port=int(port), log_level="warning")
