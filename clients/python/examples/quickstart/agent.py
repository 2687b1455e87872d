"""An agent in five lines. `SEALWRIGHT_URL`, `SEALWRIGHT_CLIENT_ID` and `SEALWRIGHT_CLIENT_SECRET` are in the environment."""

# recipe: agent
import httpx
from sealwright import Client

auth = Client().auth(scope="db:read", audience="https://api.example")
with httpx.Client(auth=auth) as http:
    print(http.get("http://127.0.0.1:8000/read").text)
# end of recipe
