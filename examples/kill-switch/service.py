"""The service `orders`, with FastAPI: `GET /read` needs a token with db:read."""

import os

import uvicorn
from fastapi import Depends, FastAPI
from sealwright import AsyncClient, AsyncVerifier
from sealwright.fastapi import Door

# Its own credentials, in the environment, prove whose verifier it is when it reports what it enforces.
verifier = AsyncVerifier(
    os.environ["SEALWRIGHT_URL"],
    "https://api.example",
    client=AsyncClient(),
    name="orders",
    wait=0 if os.environ.get("LONG_POLL") == "no" else 25,
)
door = Door(verifier)
app = FastAPI()


@app.get("/read", dependencies=[Depends(door.require("db:read"))])
async def read() -> str:
    return "orders"


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
