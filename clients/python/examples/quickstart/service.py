"""A service in five lines, and a route: `uvicorn service:app`."""

# fmt: off
# recipe: service
from fastapi import Depends, FastAPI
from sealwright import AsyncVerifier
from sealwright.fastapi import Door

door = Door(AsyncVerifier("http://localhost:3000", "https://api.example"))
app = FastAPI(dependencies=[Depends(door.require("db:read"))])


@app.get("/read")
async def read() -> str:
    return "rows"
# end of recipe
