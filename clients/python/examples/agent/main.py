"""An agent: asks for a token for each of `SCOPES`, `CALLERS` times at once, and counts what it got.

pip install ./clients/python
export SEALWRIGHT_URL=http://localhost:3000 SEALWRIGHT_CLIENT_ID=… SEALWRIGHT_CLIENT_SECRET=…
SEALWRIGHT_AUDIENCE=https://api.example SCOPES=db:read python main.py
"""

import asyncio
import os

from sealwright import AsyncClient


async def main() -> None:
    audience = os.environ.get("SEALWRIGHT_AUDIENCE")
    scopes = os.environ.get("SCOPES", "").split(",")
    callers = int(os.environ.get("CALLERS", "1"))
    async with AsyncClient() as client:
        print(client)
        asked = [client.token(scope=scope, audience=audience) for scope in scopes for _ in range(callers)]
        tokens = await asyncio.gather(*asked)
    print(f"tokens={len(tokens)} distinct={len(set(tokens))}")


asyncio.run(main())
